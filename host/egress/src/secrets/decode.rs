//! What a text says once its escapes are read, and where in the text that stands.

use std::borrow::Cow;

/// Named characters of HTML that a value can have.
const NAMED: [(&[u8], u8); 6] =
    [(b"quot", b'"'), (b"amp", b'&'), (b"lt", b'<'), (b"gt", b'>'), (b"apos", b'\''), (b"sol", b'/')];

/// Bytes of the longest reference in HTML that is read: `&#x00022;`.
const LONGEST_REFERENCE: usize = 9;

/// A way to write characters as others. Only ASCII is read: nothing else can be in the value of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As in strings of JSON, and of the languages that write theirs like it: `\"`, `\/`, `\u0022`, `\x22`.
    Json,
    /// As in URLs: `%22`.
    Percent,
    /// As in forms: like [`Encoding::Percent`], and `+` is a space.
    Form,
    /// As in HTML: `&quot;`, `&#34;`, `&#x22;`.
    Html,
}

/// A text, or what it says once some escapes are read.
pub(super) struct View<'b> {
    pub(super) bytes: Cow<'b, [u8]>,
    /// For each time that escapes were read, where they were.
    levels: Vec<Vec<Jump>>,
}

/// After an escape: where that is in what was read, and where it was before.
struct Jump {
    after: usize,
    before: usize,
}

impl<'b> View<'b> {
    /// The text itself.
    pub(super) fn raw(bytes: &'b [u8]) -> Self {
        Self { bytes: Cow::Borrowed(bytes), levels: Vec::new() }
    }

    /// The same with escapes read; `Err` gives it back if there are none.
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

    /// Where in the text itself a position of this view is.
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

    /// The character that an escape stands for, and the escape's length.
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

/// A character of ASCII by its number.
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
