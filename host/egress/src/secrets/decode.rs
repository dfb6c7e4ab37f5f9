//! Decodes escapes in a text and maps positions back to the original.

use std::borrow::Cow;

/// The named characters of HTML that a value can contain.
const NAMED: [(&[u8], u8); 6] =
    [(b"quot", b'"'), (b"amp", b'&'), (b"lt", b'<'), (b"gt", b'>'), (b"apos", b'\''), (b"sol", b'/')];

/// The size of the longest character reference that is decoded, in bytes: `&#x00022;`.
const LONGEST_REFERENCE: usize = 9;

/// A way to escape characters. Only escapes of ASCII are decoded, because values contain nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// The escapes of JSON strings and of similar languages: `\"`, `\/`, `\u0022`, `\x22`.
    Json,
    /// The escapes of URLs: `%22`.
    Percent,
    /// The escapes of forms: those of [`Encoding::Percent`], and `+` for a space.
    Form,
    /// The escapes of HTML: `&quot;`, `&#34;`, `&#x22;`.
    Html,
}

/// A text, or the result of decoding it one or more times.
pub(super) struct View<'b> {
    pub(super) bytes: Cow<'b, [u8]>,
    /// The positions of the escapes, for each time that the text was decoded.
    levels: Vec<Vec<Jump>>,
}

/// The position after an escape, in the decoded and in the encoded text.
struct Jump {
    after: usize,
    before: usize,
}

impl<'b> View<'b> {
    /// Returns the view of the text itself.
    pub(super) fn raw(bytes: &'b [u8]) -> Self {
        Self { bytes: Cow::Borrowed(bytes), levels: Vec::new() }
    }

    /// Decodes the view once. `Err` returns the unchanged view if there are no escapes.
    pub(super) fn decoded(mut self, encoding: Encoding) -> Result<Self, Self> {
        let bytes = &self.bytes[..];
        let (mut out, mut jumps, mut done, mut at) = (Vec::new(), Vec::new(), 0, 0);
        while let Some(begin) = bytes[at..].iter().position(|byte| encoding.begins(*byte)).map(|to| at + to) {
            let Some((byte, len)) = encoding.escape(&bytes[begin..]) else {
                at = begin + 1;
                continue;
            };
            out.extend_from_slice(&bytes[done..begin]);
            out.push(byte);
            at = begin + len;
            done = at;
            if len > 1 {
                jumps.push(Jump { after: out.len(), before: at });
            }
        }
        if done == 0 {
            return Err(self);
        }
        out.extend_from_slice(&bytes[done..]);
        self.levels.push(jumps);
        Ok(Self { bytes: Cow::Owned(out), levels: self.levels })
    }

    /// Returns the position in the original text of a position in this view.
    pub(super) fn origin(&self, position: usize) -> usize {
        self.levels.iter().rev().fold(position, |position, jumps| {
            let before = jumps.partition_point(|jump| jump.after <= position);
            let last = before.checked_sub(1).and_then(|index| jumps.get(index));
            last.map_or(position, |jump| jump.before + (position - jump.after))
        })
    }
}

impl Encoding {
    fn begins(self, byte: u8) -> bool {
        match self {
            Self::Json => byte == b'\\',
            Self::Percent => byte == b'%',
            Self::Form => matches!(byte, b'%' | b'+'),
            Self::Html => byte == b'&',
        }
    }

    /// Returns the character that an escape stands for, and the length of the escape.
    fn escape(self, bytes: &[u8]) -> Option<(u8, usize)> {
        match (self, bytes) {
            (Self::Json, [_, b'u', digits @ ..]) => Some((number(digits.get(..4)?, 16)?, 6)),
            (Self::Json, [_, b'x', digits @ ..]) => Some((number(digits.get(..2)?, 16)?, 4)),
            (Self::Json, [_, b't', ..]) => Some((b'\t', 2)),
            (Self::Json, [_, byte @ (b'"' | b'\'' | b'\\' | b'/'), ..]) => Some((*byte, 2)),
            (Self::Form, [b'+', ..]) => Some((b' ', 1)),
            (Self::Percent | Self::Form, [b'%', digits @ ..]) => Some((number(digits.get(..2)?, 16)?, 3)),
            (Self::Html, [_, rest @ ..]) => {
                let end = rest.iter().take(LONGEST_REFERENCE - 1).position(|byte| *byte == b';')?;
                let byte = match rest.get(..end)? {
                    [b'#', b'x' | b'X', digits @ ..] => number(digits, 16)?,
                    [b'#', digits @ ..] => number(digits, 10)?,
                    name => NAMED.iter().find(|(known, _)| *known == name)?.1,
                };
                Some((byte, end + 2))
            }
            _ => None,
        }
    }
}

/// Returns the ASCII character with this number.
fn number(digits: &[u8], radix: u32) -> Option<u8> {
    let mut number = 0;
    for digit in digits {
        number = number * radix + char::from(*digit).to_digit(radix)?;
    }
    u8::try_from(number).ok().filter(|byte| byte.is_ascii() && !digits.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoding: Encoding, text: &str) -> String {
        let view = View::raw(text.as_bytes()).decoded(encoding).unwrap_or_else(|view| view);
        String::from_utf8(view.bytes.into_owned()).unwrap()
    }

    #[test]
    fn escapes_are_read_and_what_is_none_stays() {
        for (encoding, text, says) in [
            (Encoding::Json, r#"\"a\/b\\c\t\u0041\x42\'"#, "\"a/b\\c\tAB'"),
            (Encoding::Json, r"\u00e9 \q \u12 \x \", r"\u00e9 \q \u12 \x \"),
            (Encoding::Percent, "a%2Fb%2fc+%25%32", "a/b/c+%2"),
            (Encoding::Percent, "%", "%"),
            (Encoding::Percent, "%ff%4%zz%41", "%ff%4%zzA"),
            (Encoding::Form, "a+b%2Bc", "a b+c"),
            (Encoding::Html, "&quot;&amp;amp;&#39;&#x2f;&lt;&sol;", "\"&amp;'/</"),
            (
                Encoding::Html,
                "&eacute; &; &# &#; &#x; & &#300; &#x000000022;",
                "&eacute; &; &# &#; &#x; & &#300; &#x000000022;",
            ),
        ] {
            assert_eq!(decoded(encoding, text), says, "{text}");
        }
        assert!(View::raw(b"nothing to read").decoded(Encoding::Form).is_err());
    }

    #[test]
    fn a_position_is_found_again_in_the_text() {
        let text = br"ab\\\\u0041cd\\\\te";
        let mut view = View::raw(text);
        for _ in 0..2 {
            view = view.decoded(Encoding::Json).unwrap_or_else(|view| view);
        }
        assert_eq!(&*view.bytes, br"ab\u0041cd\te");
        let view = view.decoded(Encoding::Json).unwrap_or_else(|view| view);
        assert_eq!(&*view.bytes, b"abAcd\te");
        let origins: Vec<usize> = (0..=view.bytes.len()).map(|position| view.origin(position)).collect();
        assert_eq!(origins, [0, 1, 2, 11, 12, 13, 18, 19]);
    }
}
