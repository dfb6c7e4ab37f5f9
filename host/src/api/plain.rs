//! Messages of serde, without the names of Rust's types, and with the path of the value.

use std::fmt::Write as _;

use serde_path_to_error::{Path, Segment};

/// Words of serde and of number parsers, and what they mean to somebody who writes a request.
const WORDS: [(&str, &str); 6] = [
    ("invalid type: map", "invalid type: an object"),
    ("invalid type: sequence", "invalid type: an array"),
    ("invalid type: newtype struct", "invalid type: an object"),
    ("invalid digit found in string", "expected a whole number"),
    ("cannot parse integer from empty string", "expected a whole number, not an empty value"),
    ("number too large to fit in target type", "the number is too large"),
];

/// What separates the value that was found from what was expected.
const EXPECTED: &str = ", expected ";

/// What serde expects, with or without the name of a type after it.
const TYPES: [(&str, &str); 8] = [
    ("a map", "an object"),
    ("a sequence", "an array"),
    ("tuple struct ", "an object"),
    ("internally tagged enum ", "an object"),
    ("struct ", "an object"),
    ("unit", "a name"),
    ("enum ", "a name"),
    ("option", "a value or null"),
];

/// Returns what a client writes for one of Rust's types.
pub(super) fn type_name(rust: &str) -> Option<String> {
    Some(match rust {
        "u8" => format!("a whole number from 0 to {}", u8::MAX),
        "u16" => format!("a whole number from 0 to {}", u16::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" | "u128" | "usize" => "a whole number, 0 or more".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "bool" => "true or false".to_owned(),
        _ => return None,
    })
}

/// Returns a message of serde about the value at a path, for somebody who does not know the program.
pub(super) fn at(path: &Path, message: &str) -> String {
    let mut parts: Vec<&Segment> = path.iter().collect();
    // The message names the field.
    if ["unknown field ", "unknown parameter "].iter().any(|begin| message.starts_with(begin)) {
        parts.pop();
    }
    let mut place = String::new();
    for part in parts {
        let dot = if place.is_empty() || matches!(part, Segment::Seq { .. }) { "" } else { "." };
        // Writing to a string cannot fail.
        _ = write!(place, "{dot}{part}");
    }
    let message = plain(message);
    if place.is_empty() { message } else { format!("`{place}`: {message}") }
}

/// Returns a message of serde for somebody who does not know the program.
pub(super) fn plain(message: &str) -> String {
    let (found, expected) = match message.rfind(EXPECTED) {
        Some(at) => (&message[..at], Some(&message[at + EXPECTED.len()..])),
        None => (message, None),
    };
    let mut text = found.to_owned();
    for (serde, words) in WORDS {
        if let Some(rest) = found.strip_prefix(serde) {
            text = format!("{words}{rest}");
        }
    }
    if let Some(expected) = expected {
        text.push_str(EXPECTED);
        text.push_str(&plain_type(expected));
    }
    text
}

/// Returns what was expected, in a message that may go on with a position.
fn plain_type(expected: &str) -> String {
    let end = expected.find(|letter: char| !is_of_name(letter)).unwrap_or(expected.len());
    if let Some(name) = type_name(&expected[..end]) {
        return name + &expected[end..];
    }
    for (serde, words) in TYPES {
        let Some(rest) = expected.strip_prefix(serde) else { continue };
        let rest = if serde.ends_with(' ') { rest.trim_start_matches(is_of_name) } else { rest };
        return format!("{words}{rest}");
    }
    expected.to_owned()
}

fn is_of_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_type_of_the_program_is_named() {
        for (serde, shown) in [
            (
                "invalid type: integer `1`, expected struct StartBody at line 1 column 1",
                "invalid type: integer `1`, expected an object at line 1 column 1",
            ),
            ("invalid digit found in string", "expected a whole number"),
            ("invalid type: map, expected a sequence", "invalid type: an object, expected an array"),
            (
                "invalid value: integer `-1`, expected u32 at line 1 column 13",
                "invalid value: integer `-1`, expected a whole number from 0 to 4294967295 at line 1 column 13",
            ),
            ("invalid type: integer `1`, expected unit", "invalid type: integer `1`, expected a name"),
            (
                "unknown variant `x`, expected `return` or `restart`",
                "unknown variant `x`, expected `return` or `restart`",
            ),
        ] {
            assert_eq!(plain(serde), shown);
        }
    }

    #[test]
    fn the_text_of_a_client_is_not_changed() {
        let quoted =
            "invalid type: string \"a map, expected u32, invalid digit found in string\", expected u8";
        assert_eq!(plain(quoted), quoted.replace("expected u8", "expected a whole number from 0 to 255"));
    }
}
