//! Regular expressions in schemas, which take linear time.

use regex::{Regex, RegexBuilder};

/// The maximum size of a compiled expression, in bytes. Expressions for names, numbers and addresses need one to ten KiB.
const MOST_SIZE: usize = 64 << 10;

/// The smallest size that is told from larger ones, in bytes.
const LEAST_SIZE: usize = 1 << 10;

/// The memory for states that an expression computes while it is matched, in bytes.
const STATES: usize = 64 << 10;

/// The bytes of a compiled expression that cost a step for each byte of the text. In the worst case, each state of the
/// expression is visited for each byte.
const SIZE_PER_STEP: usize = 64;

/// The depth of groups within groups.
const GROUPS: u32 = 100;

/// A regular expression with its cost.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// The bytes of memory that the expression takes, roughly.
    pub(super) size: usize,
    /// The steps for a byte of text.
    cost: u64,
}

impl Pattern {
    /// Compiles an expression. Returns the error for the author of the schema.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let mut size = LEAST_SIZE;
        loop {
            let mut builder = RegexBuilder::new(text);
            match builder.size_limit(size).dfa_size_limit(STATES).nest_limit(GROUPS).build() {
                Ok(regex) => {
                    return Ok(Self { regex, size: size + STATES, cost: (size / SIZE_PER_STEP) as u64 });
                }
                // The size of a compiled expression is only told by whether it fits.
                Err(regex::Error::CompiledTooBig(_)) if size < MOST_SIZE => size *= 2,
                Err(regex::Error::CompiledTooBig(_)) => {
                    return Err(format!(
                        "is larger than {} KiB when it is compiled: use smaller repetitions, or `[0-9A-Za-z_]` instead of `\\w`",
                        MOST_SIZE >> 10
                    ));
                }
                Err(error) => {
                    return Err(format!(
                        "is no regular expression that takes linear time, without look-around and backreferences: {error}"
                    ));
                }
            }
        }
    }

    /// The steps to match a text.
    pub(super) fn cost(&self, text: &str) -> u64 {
        (text.len() as u64).saturating_mul(self.cost)
    }

    /// Returns whether the expression occurs in a text.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Returns the expression.
    pub(super) fn as_str(&self) -> &str {
        self.regex.as_str()
    }
}
