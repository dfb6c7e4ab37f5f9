//! Decodes escapes in a text and maps positions back to the original.

/// The named characters of HTML that a value can contain.
const NAMED: [(&[u8], u8); 6] =
    [(b"quot", b'"'), (b"amp", b'&'), (b"lt", b'<'), (b"gt", b'>'), (b"apos", b'\''), (b"sol", b'/')];

/// The size of the longest character reference that is decoded, in bytes: `&#x00022;`.
const LONGEST_REFERENCE: usize = 9;

/// The escapes of ASCII characters in JSON strings and similar languages (`\"`, `\u0022`, `\x22`), in URLs (`%22`) and in
/// HTML (`&quot;`, `&#34;`). They begin with different characters, so that one pass can decode them all. Other escapes are not
/// decoded, because values contain nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Escapes {
    /// The characters with which the escapes begin.
    first: &'static [u8],
}

/// The position after an escape, in the decoded and in the encoded text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Jump {
    after: usize,
    before: usize,
}

impl Jump {
    /// Returns the position in the encoded text of a position in the decoded text.
    pub(super) fn origin(jumps: &[Self], position: usize) -> usize {
        let before = jumps.partition_point(|jump| jump.after <= position);
        let last = before.checked_sub(1).and_then(|index| jumps.get(index));
        last.map_or(position, |jump| jump.before + (position - jump.after))
    }
}

impl Escapes {
    /// The escapes of all kinds.
    pub(super) const ALL: Self = Self { first: b"\\%&" };

    /// The escapes of all kinds, and `+` for a space, as in forms.
    pub(super) const ALL_IN_FORMS: Self = Self { first: b"\\%&+" };

    /// The escapes of each kind.
    pub(super) const KINDS: [Self; 3] = [Self { first: b"\\" }, Self { first: b"%" }, Self { first: b"&" }];

    /// Returns whether a text has such an escape.
    pub(super) fn is_in(self, bytes: &[u8]) -> bool {
        let escapes = bytes.iter().enumerate().filter(|(_, byte)| self.begins(**byte));
        escapes.map(|(at, _)| self.escape(&bytes[at..])).any(|escape| escape.is_some())
    }

    /// Returns the decoded text. Returns `None` if there are no escapes.
    pub(super) fn decode(self, bytes: &[u8]) -> Option<(Vec<u8>, Vec<Jump>)> {
        let (mut out, mut jumps, mut done, mut at) = (Vec::new(), Vec::new(), 0, 0);
        while let Some(begin) = bytes[at..].iter().position(|byte| self.begins(*byte)).map(|to| at + to) {
            let Some((byte, len)) = self.escape(&bytes[begin..]) else {
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
            return None;
        }
        out.extend_from_slice(&bytes[done..]);
        Some((out, jumps))
    }

    fn begins(self, byte: u8) -> bool {
        self.first.contains(&byte)
    }

    /// Returns the character that an escape stands for, and the length of the escape.
    fn escape(self, bytes: &[u8]) -> Option<(u8, usize)> {
        match bytes {
            [b'\\', b'u', digits @ ..] => Some((number(digits.get(..4)?, 16)?, 6)),
            [b'\\', b'x', digits @ ..] => Some((number(digits.get(..2)?, 16)?, 4)),
            [b'\\', b't', ..] => Some((b'\t', 2)),
            // Line breaks, such as those of base64 in a JSON string.
            [b'\\', b'n', ..] => Some((b'\n', 2)),
            [b'\\', b'r', ..] => Some((b'\r', 2)),
            [b'\\', byte @ (b'"' | b'\'' | b'\\' | b'/'), ..] => Some((*byte, 2)),
            [b'+', ..] => Some((b' ', 1)),
            [b'%', digits @ ..] => Some((number(digits.get(..2)?, 16)?, 3)),
            [b'&', rest @ ..] => {
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

    fn decoded(text: &str, escapes: Escapes) -> String {
        let decoded = escapes.decode(text.as_bytes());
        decoded.map_or(text.to_owned(), |(bytes, _)| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn escapes_are_read_and_what_is_none_stays() {
        for (text, says) in [
            (r#"\"a\/b\\c\t\u0041\x42\'\r\n"#, "\"a/b\\c\tAB'\r\n"),
            (r"\u00e9 \q \u12 \x \", r"\u00e9 \q \u12 \x \"),
            ("a%2Fb%2fc+%25%32", "a/b/c+%2"),
            ("%", "%"),
            ("%ff%4%zz%41", "%ff%4%zzA"),
            ("&quot;&amp;amp;&#39;&#x2f;&lt;&sol;", "\"&amp;'/</"),
            (
                "&eacute; &; &# &#; &#x; & &#300; &#x000000022;",
                "&eacute; &; &# &#; &#x; & &#300; &#x000000022;",
            ),
            (r"%5C&#92;\\", r"\\\"),
        ] {
            assert_eq!(decoded(text, Escapes::ALL), says, "{text}");
        }
        assert_eq!(decoded("a+b%2Bc", Escapes::ALL_IN_FORMS), "a b+c");
        assert_eq!(
            Escapes::KINDS.map(|kind| decoded(r"\t%41&lt;", kind)),
            ["\t%41&lt;", r"\tA&lt;", r"\t%41<"]
        );
        assert_eq!(Escapes::KINDS.map(|kind| kind.is_in(br"\t%4z&lt;")), [true, false, true]);
        assert!(Escapes::ALL_IN_FORMS.decode(b"nothing to read").is_none());
    }

    #[test]
    fn a_position_is_found_again_in_the_text() {
        let (decoded, jumps) = Escapes::ALL.decode(br"ab\u0041cd%41&amp;e").unwrap();
        assert_eq!(decoded, b"abAcdA&e");
        let origins: Vec<usize> = (0..=8).map(|position| Jump::origin(&jumps, position)).collect();
        assert_eq!(origins, [0, 1, 2, 8, 9, 10, 13, 18, 19]);
    }
}
