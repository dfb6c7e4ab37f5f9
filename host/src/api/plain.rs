//! Messages of serde, without the names of Rust's types.

/// Words of serde, and what they mean to somebody who writes JSON.
const WORDS: [(&str, &str); 8] = [
    ("invalid type: map", "invalid type: an object"),
    ("invalid type: sequence", "invalid type: an array"),
    ("invalid type: newtype struct", "invalid type: an object"),
    ("expected a map", "expected an object"),
    ("expected a sequence", "expected an array"),
    ("invalid digit found in string", "expected a whole number"),
    ("cannot parse integer from empty string", "expected a whole number, not an empty value"),
    ("number too large to fit in target type", "the number is too large"),
];

/// The words before the name of a type.
const TYPES: [(&str, &str); 4] = [
    ("expected tuple struct ", "expected an object"),
    ("expected internally tagged enum ", "expected an object"),
    ("expected struct ", "expected an object"),
    ("expected enum ", "expected a name"),
];

/// Returns a message of serde for somebody who does not know the program.
pub(super) fn plain(message: &str) -> String {
    let mut text = message.to_owned();
    for (serde, words) in WORDS {
        text = text.replace(serde, words);
    }
    for (serde, words) in TYPES {
        while let Some(at) = text.find(serde) {
            let name = &text[at + serde.len()..];
            let end =
                name.find(|letter: char| !(letter.is_alphanumeric() || letter == '_')).unwrap_or(name.len());
            text.replace_range(at..at + serde.len() + end, words);
        }
    }
    text
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
            ("limit: invalid digit found in string", "limit: expected a whole number"),
            ("invalid type: map, expected a sequence", "invalid type: an object, expected an array"),
            (
                "unknown variant `x`, expected `return` or `restart`",
                "unknown variant `x`, expected `return` or `restart`",
            ),
        ] {
            assert_eq!(plain(serde), shown);
        }
    }
}
