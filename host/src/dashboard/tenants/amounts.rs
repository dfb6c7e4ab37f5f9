//! Amounts with their units, for people.

use bytesize::ByteSize;

use crate::config::Unit;
use crate::dashboard::parts;

/// Returns a number with a space between thousands that does not break, such as `12 345`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Returns an amount in its unit, such as `64.0 MiB`.
pub(super) fn with_unit(unit: Unit, amount: u64) -> String {
    match unit {
        Unit::Bytes => ByteSize(amount).to_string(),
        Unit::Milliseconds => parts::duration(amount),
        Unit::PerSecond => format!("{}/s", count(amount)),
        Unit::BytesPerSecond => format!("{}/s", ByteSize(amount)),
        Unit::SecondsPerHour => format!("{} s/h", count(amount)),
        Unit::Fuel | Unit::Count => count(amount),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_groups_of_three_digits() {
        let shown =
            [0, 999, 1_000, 12_345, 5_000_000_000].map(|number| count(number).replace('\u{202f}', " "));
        assert_eq!(shown, ["0", "999", "1 000", "12 345", "5 000 000 000"]);
        assert_eq!(with_unit(Unit::Bytes, 64 << 20), "64.0 MiB");
    }
}
