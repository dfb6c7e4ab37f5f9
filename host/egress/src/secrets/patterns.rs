//! The patterns of a value: plain and in base64.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A byte string to search for.
pub(super) struct Pattern {
    pub(super) bytes: Vec<u8>,
    /// Whether the character before it contains bits of the value.
    pub(super) before: bool,
    /// Whether the character after it contains bits of the value.
    pub(super) after: bool,
}

impl Pattern {
    /// Returns all patterns of a value.
    pub(super) fn for_value(value: &str) -> Vec<Self> {
        let plain = Self { bytes: value.as_bytes().to_vec(), before: false, after: false };
        let mut patterns = vec![plain];
        patterns.extend((0..3).flat_map(|before| base64(value, before)));
        patterns
    }
}

/// Returns the patterns of a value inside longer base64, such as the `user:password` of `Basic` credentials. The first
/// and last characters may depend on the neighbouring bytes, so the patterns leave them out. `before` is the number of
/// bytes before the value, modulo three.
fn base64(value: &str, before: usize) -> impl Iterator<Item = Pattern> {
    let padded = [&[0; 2][..before], value.as_bytes()].concat();
    let bits = padded.len() * 8;
    let own = before * 4 / 3 + usize::from(before > 0)..bits / 6;
    let pattern = move |encoded: String| Pattern {
        bytes: encoded.as_bytes().get(own.clone()).unwrap_or_default().to_vec(),
        before: before > 0,
        after: !bits.is_multiple_of(6),
    };
    let standard = pattern(STANDARD_NO_PAD.encode(&padded));
    let url_safe = pattern(URL_SAFE_NO_PAD.encode(&padded));
    let differs = url_safe.bytes != standard.bytes;
    [Some(standard), differs.then_some(url_safe)].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn a_value_is_found_in_base64_whatever_is_around_it() {
        let patterns = Pattern::for_value("pass?word>~~");
        assert_eq!(patterns.len(), 7, "plain, and three in each alphabet");
        for before in 0..4 {
            for after in 0..4 {
                let text = format!("{}pass?word>~~{}", "u".repeat(before), "z".repeat(after));
                let encoded = STANDARD.encode(&text);
                let at = |pattern: &Pattern| {
                    encoded.as_bytes().windows(pattern.bytes.len()).position(|it| it == pattern.bytes)
                };
                let found: Vec<usize> = patterns.iter().filter_map(at).collect();
                // The first character with a bit of it may be left out, and no other.
                assert_eq!(found, [(before * 8).div_ceil(6)], "{text}");
            }
        }
    }

    #[test]
    fn the_shortest_value_has_patterns_that_are_not_met_by_chance() {
        for pattern in Pattern::for_value("12345678") {
            assert!(pattern.bytes.len() >= 8, "{:?}", pattern.bytes);
        }
    }
}
