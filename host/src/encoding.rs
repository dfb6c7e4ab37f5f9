//! The encoding of text that comes from outside: UTF-8, with or without a byte order mark; and of absent fields.

use serde::{Deserialize, Deserializer};

/// The byte order mark of UTF-8. Editors and tools of Windows write it.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The error of bytes that are not UTF-8. The message continues a sentence that begins with what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WrongEncoding {
    /// Another encoding of Unicode.
    #[error("is encoded in {0}: encode it in UTF-8")]
    Unicode(&'static str),
    /// Something else.
    #[error("is not valid UTF-8 at byte {0}")]
    Invalid(usize),
}

/// Returns the text without a byte order mark.
///
/// # Errors
/// [`WrongEncoding`] if it is not UTF-8.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, WrongEncoding> {
    let text = bytes.strip_prefix(MARK).unwrap_or(bytes);
    if let Some(name) = other_unicode(text) {
        return Err(WrongEncoding::Unicode(name));
    }
    str::from_utf8(text)
        .map_err(|error| WrongEncoding::Invalid(error.valid_up_to() + bytes.len() - text.len() + 1))
}

/// Reads an optional field of a body, for which `null` is the same as its absence.
pub(crate) fn null_as_absent<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// Returns the name of another encoding of Unicode, by its byte order mark, or by the zeros in its first character. Text
/// that is read here, such as JSON, begins with ASCII.
fn other_unicode(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [1..=255, 0, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] | [0, 0, 0, 1..=255, ..] => {
            Some("UTF-32")
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 1..=255, ..] | [1..=255, 0, ..] => Some("UTF-16"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_of_utf_8_is_skipped_once() {
        assert_eq!(utf8(b"\xef\xbb\xbf{}"), Ok("{}"));
        assert_eq!(utf8("\"ü\"".as_bytes()), Ok("\"ü\""));
        assert_eq!(utf8(b""), Ok(""));
        assert_eq!(utf8(b"\xef\xbb\xbf"), Ok(""));
        assert_eq!(utf8("\u{feff}\u{feff}{}".as_bytes()), Ok("\u{feff}{}"));
    }

    #[test]
    fn another_encoding_is_named() {
        let utf16 = |text: &str, encode: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(encode).collect();
        let utf32 =
            |text: &str| text.chars().flat_map(|character| u32::from(character).to_le_bytes()).collect();
        let texts: [(Vec<u8>, &str); 6] = [
            (utf16("\u{feff}{}", u16::to_le_bytes), "UTF-16"),
            (utf16("\u{feff}{}", u16::to_be_bytes), "UTF-16"),
            (utf16("{}", u16::to_le_bytes), "UTF-16"),
            (utf16("{}", u16::to_be_bytes), "UTF-16"),
            (utf32("\u{feff}{}"), "UTF-32"),
            (utf32("{}"), "UTF-32"),
        ];
        for (bytes, name) in texts {
            assert_eq!(utf8(&bytes), Err(WrongEncoding::Unicode(name)), "{bytes:?}");
        }
        assert_eq!(utf8(b"\"caf\xe9\""), Err(WrongEncoding::Invalid(5)));
        assert_eq!(utf8(b"\xef\xbb\xbf\xe9"), Err(WrongEncoding::Invalid(4)));
    }
}
