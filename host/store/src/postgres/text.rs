//! PostgreSQL's text cannot contain U+0000, but names, keys and messages can: the character is stored as U+001A and a digit.
//! JSON documents contain neither character, so they are stored unchanged.

use std::borrow::Cow;

/// Begins an escape: `0` after it stands for U+0000, `1` for this character itself.
const SUBSTITUTE: char = '\u{1a}';

/// Returns the text as PostgreSQL can store it.
pub(super) fn encode(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    if !bytes.contains(&0) && !bytes.contains(&(SUBSTITUTE as u8)) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\0' => encoded.extend([SUBSTITUTE, '0']),
            SUBSTITUTE => encoded.extend([SUBSTITUTE, '1']),
            other => encoded.push(other),
        }
    }
    Cow::Owned(encoded)
}

/// The same as [`encode`], for a text that may be owned.
pub(super) fn encode_owned(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => encode(text),
        Cow::Owned(text) => Cow::Owned(encode(&text).into_owned()),
    }
}

/// Returns the text before [`encode`]. A text that is not a result of `encode` is returned unchanged.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    if !text.as_bytes().contains(&(SUBSTITUTE as u8)) {
        return Cow::Borrowed(text);
    }
    let mut decoded = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let escaped = match (character, characters.peek()) {
            (SUBSTITUTE, Some('0')) => Some('\0'),
            (SUBSTITUTE, Some('1')) => Some(SUBSTITUTE),
            _ => None,
        };
        if escaped.is_some() {
            characters.next();
        }
        decoded.push(escaped.unwrap_or(character));
    }
    Cow::Owned(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_decoded_as_it_was_encoded() {
        for text in ["", "plain", "\0", "a\0b\u{1a}c", "\u{1a}0", "\u{1a}\u{1a}1\0\0", "ü\0"] {
            let encoded = encode(text);
            assert!(!encoded.contains('\0'), "{encoded:?}");
            assert_eq!(decode(&encoded), text);
        }
    }

    #[test]
    fn a_text_that_was_not_encoded_is_decoded_unchanged() {
        assert_eq!(decode("a\u{1a}"), "a\u{1a}");
        assert_eq!(decode("a\u{1a}x"), "a\u{1a}x");
    }
}
