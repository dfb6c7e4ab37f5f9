//! PostgreSQL's text has no U+0000, which names, keys and messages may have: it is written as another
//! control character and a digit. JSON documents have neither, so they are kept as they are.

use std::borrow::Cow;

/// SUBSTITUTE, which begins what stands for a character: with `0` for U+0000, with `1` for itself.
const SUBSTITUTE: char = '\u{1a}';

/// As PostgreSQL can have it.
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

/// As it was before [`encode`]. What no `encode` wrote stays as it is.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    if !text.as_bytes().contains(&(SUBSTITUTE as u8)) {
        return Cow::Borrowed(text);
    }
    let mut decoded = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let stands_for = match (character, characters.peek()) {
            (SUBSTITUTE, Some('0')) => Some('\0'),
            (SUBSTITUTE, Some('1')) => Some(SUBSTITUTE),
            _ => None,
        };
        if stands_for.is_some() {
            characters.next();
        }
        decoded.push(stands_for.unwrap_or(character));
    }
    Cow::Owned(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_as_it_was() {
        for text in ["", "plain", "\0", "a\0b\u{1a}c", "\u{1a}0", "\u{1a}\u{1a}1\0\0", "ü\0"] {
            let encoded = encode(text);
            assert!(!encoded.contains('\0'), "{encoded:?}");
            assert_eq!(decode(&encoded), text);
        }
    }

    #[test]
    fn what_nobody_encoded_stays_as_it_is() {
        assert_eq!(decode("a\u{1a}"), "a\u{1a}");
        assert_eq!(decode("a\u{1a}x"), "a\u{1a}x");
    }
}
