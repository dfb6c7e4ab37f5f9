//! What a check costs, in steps.
//!
//! The steps bound the time of a check only if all of its work spends some: also the work of a keyword with which the value
//! fits, or that does not concern the value. A step stands for work of about ten nanoseconds on one core, and costs are
//! rounded up. They depend on the schema and the input alone, so each node comes to the same end.

use serde_json::Value;

/// The most steps of a check, whatever the size of the input: about 100 milliseconds of one core.
const MOST: u64 = 10_000_000;

/// The steps of a check of the smallest input. Enough for the messages of sixty alternatives.
const LEAST: u64 = 50_000;

/// The further steps for each byte of the input, up to [`MOST`], which an input has from 152 KiB on. An ordinary schema needs
/// one to five steps for a byte, and one with twenty alternatives for small values twenty times as many.
const PER_BYTE: u64 = 64;

/// The steps of a check that may keep the thread of a task: about a millisecond.
pub(super) const AT_ONCE: u64 = 100_000;

/// The steps of a message: it is cut, so its time is bounded.
pub(super) const MESSAGE: u64 = 800;

/// The steps of the name of a member as a value of its own.
pub(super) const NAME: u64 = 8;

/// The steps to read a short text in a format.
const FORMAT: u64 = 32;

/// The bytes of a longer one that are read in one step.
const BYTES_IN_FORMAT: u64 = 8;

/// The steps to begin to match a pattern.
const PATTERN: u64 = 8;

/// The bytes of a compiled expression that cost a step for each byte of the text. In the worst case, each state of the
/// expression is visited for each byte.
const EXPRESSION_BYTES: u64 = 96;

/// The bytes of a text that are read or compared in one step.
const BYTES: u64 = 16;

/// The comparisons of small values in one step.
const COMPARISONS: u64 = 2;

/// The comparisons of small values that an object takes beside those of its members.
const OBJECT: u64 = 3;

/// The steps to look whether an item of a list was there before, beside one for each byte of its text, which is made for that.
const ITEM: u64 = 16;

/// Returns the steps that the check of an input of this many bytes may take.
pub(super) fn budget(bytes: usize) -> u64 {
    (bytes as u64).saturating_mul(PER_BYTE).saturating_add(LEAST).min(MOST)
}

/// Returns the steps to read a text.
pub(super) fn text(text: &str) -> u64 {
    text.len() as u64 / BYTES
}

/// Returns the steps to read a text in a format.
pub(super) fn format(text: &str) -> u64 {
    FORMAT + text.len() as u64 / BYTES_IN_FORMAT
}

/// Returns the steps to match a text with an expression that takes this many bytes when it is compiled.
pub(super) fn pattern(expression: usize, text: &str) -> u64 {
    PATTERN + (text.len() as u64).saturating_mul((expression as u64).div_ceil(EXPRESSION_BYTES))
}

/// Returns the steps to look a name up among others. It is compared with some of them, each of which can begin with the same
/// bytes.
pub(super) fn lookup(names: usize, name: &str) -> u64 {
    let halvings = u64::from(usize::BITS - names.leading_zeros());
    // A node of a tree has more names than two, and those of a large tree are far from one another.
    let comparisons = (halvings + halvings / 2).max(1);
    comparisons * (1 + text(name))
}

/// Returns the steps to compare a value with each of these, as far as they are equal.
pub(super) fn equal(values: &[Value]) -> u64 {
    1 + values.iter().map(comparisons).sum::<u64>() / COMPARISONS
}

/// Returns the comparisons of small values to find that a value is equal.
fn comparisons(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
        Value::String(string) => 1 + text(string),
        Value::Array(items) => 1 + items.iter().map(comparisons).sum::<u64>(),
        Value::Object(members) => {
            let members = members.iter();
            OBJECT + members.map(|(name, value)| 1 + text(name) + comparisons(value)).sum::<u64>()
        }
    }
}

/// Returns the steps to look whether an item with this text was there before.
pub(super) fn item(text: &str) -> u64 {
    ITEM + text.len() as u64
}
