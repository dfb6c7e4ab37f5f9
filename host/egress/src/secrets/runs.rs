//! Decodes base64 and hexadecimal digits wherever they are in a text.
//!
//! A text may have other characters of the alphabet directly before the encoded ones, so that nobody knows with which
//! character they begin. Therefore each run of characters is decoded from its first character, its second, and so on.

use std::ops::Range;

/// The number of a byte that is not in an alphabet.
const NONE: u8 = u8::MAX;

/// The characters of an encoding that stands for bytes.
pub(super) struct Alphabet {
    /// The number that each byte stands for.
    numbers: [u8; 256],
    /// The bits of a character.
    bits: usize,
    /// The length of the shortest run that is decoded: that of the shortest value, of 8 bytes.
    shortest: usize,
    /// The number of characters after which bytes begin with a character again.
    pub(super) period: usize,
}

/// Base64 in both of its alphabets, also in lines as MIME has it.
pub(super) static BASE64: Alphabet = Alphabet::new(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    &[(b'-', 62), (b'_', 63)],
    6,
    11,
    4,
);

/// Hexadecimal digits.
pub(super) static HEX: Alphabet = Alphabet::new(
    b"0123456789abcdef",
    &[(b'A', 10), (b'B', 11), (b'C', 12), (b'D', 13), (b'E', 14), (b'F', 15)],
    4,
    16,
    2,
);

/// The runs that were decoded.
pub(super) struct Runs {
    bits: usize,
    shift: usize,
    runs: Vec<Run>,
    /// The parts of all runs, in their order.
    pieces: Vec<Piece>,
}

/// A run that was decoded.
struct Run {
    /// The position of its first byte in the decoded text.
    after: usize,
    /// Its pieces.
    pieces: Range<usize>,
}

/// A part of a run without line breaks.
struct Piece {
    /// The number of characters of the run before it.
    chars: usize,
    /// Its positions in the encoded text.
    range: Range<usize>,
}

impl Alphabet {
    const fn new(characters: &[u8], more: &[(u8, u8)], bits: usize, shortest: usize, period: usize) -> Self {
        let mut numbers = [NONE; 256];
        let mut number = 0;
        while number < characters.len() {
            numbers[characters[number] as usize] = number as u8;
            number += 1;
        }
        let mut index = 0;
        while index < more.len() {
            numbers[more[index].0 as usize] = more[index].1;
            index += 1;
        }
        Self { numbers, bits, shortest, period }
    }

    fn has(&self, byte: u8) -> bool {
        self.numbers[usize::from(byte)] != NONE
    }

    /// Returns the decoded runs, each with a byte 0 after it, which no value has. Returns `None` if there are none.
    pub(super) fn decode(&self, bytes: &[u8], shift: usize) -> Option<(Vec<u8>, Runs)> {
        let mut decoded = Vec::new();
        let mut runs = Runs { bits: self.bits, shift, runs: Vec::new(), pieces: Vec::new() };
        let mut at = 0;
        while let Some(start) = bytes[at..].iter().position(|byte| self.has(*byte)).map(|to| at + to) {
            let first = runs.pieces.len();
            let chars = self.pieces(bytes, start, &mut runs.pieces);
            at = runs.pieces.last().map_or(bytes.len(), |piece| piece.range.end);
            if chars < self.shortest {
                runs.pieces.truncate(first);
                continue;
            }
            let pieces = first..runs.pieces.len();
            let after = decoded.len();
            let encoded = runs.pieces[pieces.clone()].iter().flat_map(|piece| &bytes[piece.range.clone()]);
            let (mut number, mut bits) = (0_u32, 0);
            for byte in encoded.skip(shift) {
                number = number << self.bits | u32::from(self.numbers[usize::from(*byte)]);
                bits += self.bits;
                if bits >= 8 {
                    bits -= 8;
                    decoded.push((number >> bits) as u8);
                }
            }
            decoded.push(0);
            runs.runs.push(Run { after, pieces });
        }
        (!runs.runs.is_empty()).then_some((decoded, runs))
    }

    /// Adds the pieces of the run that begins here. Returns the number of its characters.
    fn pieces(&self, bytes: &[u8], mut start: usize, pieces: &mut Vec<Piece>) -> usize {
        let mut chars = 0;
        loop {
            let end =
                bytes[start..].iter().position(|byte| !self.has(*byte)).map_or(bytes.len(), |to| start + to);
            pieces.push(Piece { chars, range: start..end });
            chars += end - start;
            match line_break(&bytes[end..]).map(|length| end + length) {
                Some(next) if bytes.get(next).is_some_and(|byte| self.has(*byte)) => start = next,
                _ => return chars,
            }
        }
    }
}

/// Returns the length of the line break at the beginning of a text, with the spaces of a folded line.
fn line_break(bytes: &[u8]) -> Option<usize> {
    let length = match bytes {
        [b'\n', ..] => 1,
        [b'\r', b'\n', ..] => 2,
        _ => return None,
    };
    Some(length + bytes[length..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count())
}

impl Runs {
    /// Returns the range of the encoded text with the bits of a range of the decoded text.
    pub(super) fn origin(&self, range: Range<usize>) -> Range<usize> {
        let start = self.char(range.start, 0);
        let end = self.char(range.end.saturating_sub(1), 7);
        start..end + 1
    }

    /// Returns the position of the character that has a bit of a decoded byte.
    fn char(&self, position: usize, bit: usize) -> usize {
        let index = self.runs.partition_point(|run| run.after <= position).saturating_sub(1);
        let Some(run) = self.runs.get(index) else { return 0 };
        let char = self.shift + ((position - run.after.min(position)) * 8 + bit) / self.bits;
        let pieces = &self.pieces[run.pieces.clone()];
        let index = pieces.partition_point(|piece| piece.chars <= char).saturating_sub(1);
        pieces.get(index).map_or(0, |piece| piece.range.start + char - piece.chars)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_decoded_from_each_of_their_characters() {
        // `and` consists of characters of base64, too, so that the last run begins with it.
        let text = b"x: aGVsbG8sIHdvcmxk, Zm9yZ2U= and\nYSBsb25nZXIg\r\n\tdGV4dA==.";
        let (decoded, runs) = BASE64.decode(text, 0).unwrap();
        assert!(decoded.starts_with(b"hello, world\0"));
        assert_eq!(&text[runs.origin(0..5)], b"aGVsbG8");
        assert_eq!(&text[runs.origin(11..12)], b"xk");
        let (decoded, runs) = BASE64.decode(text, 3).unwrap();
        assert!(decoded.ends_with(b"a longer text\0"), "{:?}", String::from_utf8_lossy(&decoded));
        let at = decoded.len() - 5..decoded.len() - 1;
        assert_eq!(&text[runs.origin(at)], b"dGV4dA");
        assert!(BASE64.decode(b"none is long enough: Zm9yZ2U=", 0).is_none());
    }

    #[test]
    fn hexadecimal_digits_are_decoded() {
        let text = b"<666f7267652D666f726765>";
        let (decoded, runs) = HEX.decode(text, 0).unwrap();
        assert_eq!(decoded, b"forge-forge\0");
        assert_eq!(runs.origin(5..6), 11..13);
        let shifted = [b"f".as_slice(), &text[1..]].concat();
        assert_eq!(HEX.decode(&shifted, 1).unwrap().0, b"forge-forge\0");
    }
}
