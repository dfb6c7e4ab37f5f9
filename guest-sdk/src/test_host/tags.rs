//! The tags of a run, with the rules of the host: `host/journal/src/tags.rs`.

use std::collections::BTreeMap;

use crate::bindings::Failure as WireFailure;
use crate::error::Failure;

/// The most tags of a run.
const MOST_TAGS: usize = 16;

/// The most characters of a tag's name.
const MOST_NAME: usize = 64;

/// The most bytes of a tag's value.
const MOST_VALUE: usize = 255;

/// Sets a tag, unless the real host would refuse it.
pub(super) fn set(tags: &mut BTreeMap<String, String>, name: &str, value: &str) -> Result<(), WireFailure> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if !(1..=MOST_NAME).contains(&name.len()) || !name.bytes().all(is_allowed) {
        let name = name.escape_debug();
        return invalid(format!(
            "`{name}` cannot be the name of a tag: it must have 1 to {MOST_NAME} characters of A-Z, a-z, 0-9, `_`, `.` and `-`"
        ));
    }
    if value.len() > MOST_VALUE {
        let bytes = value.len();
        return invalid(format!("the value of the tag `{name}` has {bytes} bytes; the most is {MOST_VALUE}"));
    }
    if value.contains(char::is_control) {
        return invalid(format!(
            "the value of the tag `{name}` has a control character; every other character is allowed"
        ));
    }
    if tags.len() >= MOST_TAGS && !tags.contains_key(name) {
        let message = format!("a run can have {MOST_TAGS} tags: there is no room for `{name}`");
        return refused(Failure::LIMIT, message);
    }
    tags.insert(name.to_owned(), value.to_owned());
    Ok(())
}

fn invalid(message: String) -> Result<(), WireFailure> {
    refused(Failure::INVALID_INPUT, message)
}

fn refused(kind: &str, message: String) -> Result<(), WireFailure> {
    Err(WireFailure { kind: kind.to_owned(), message, retryable: false })
}
