use std::str::FromStr;

use uuid::Uuid;

/// The fewest digits of a prefix. The first eight are the minute in which the run was started, so a search reads the ids of a
/// minute and not of months.
const FEWEST: usize = 8;

/// The digits of an id.
const DIGITS: usize = 32;

/// The beginning of a run's id: 8 to 32 hexadecimal digits, with or without the hyphens of the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunIdPrefix {
    first: Uuid,
    last: Uuid,
}

/// The error of a text that is not the beginning of a run's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not the beginning of a run's id: give at least {FEWEST} of its {DIGITS} hexadecimal digits"
)]
pub struct InvalidPrefix(String);

impl RunIdPrefix {
    /// Returns the lowest id with this beginning.
    pub fn first(self) -> Uuid {
        self.first
    }

    /// Returns the highest id with this beginning.
    pub fn last(self) -> Uuid {
        self.last
    }
}

impl FromStr for RunIdPrefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        let digits: String = text.chars().filter(|character| *character != '-').collect();
        let invalid = || InvalidPrefix(text.to_owned());
        let value = u128::from_str_radix(&digits, 16).map_err(|_| invalid())?;
        // `from_str_radix` takes a sign.
        if !(FEWEST..=DIGITS).contains(&digits.len()) || digits.starts_with('+') {
            return Err(invalid());
        }
        let left = u32::try_from(4 * (DIGITS - digits.len())).map_err(|_| invalid())?;
        let first = value << left;
        Ok(Self { first: Uuid::from_u128(first), last: Uuid::from_u128(first | ((1 << left) - 1)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Option<(String, String)> {
        let prefix: RunIdPrefix = text.parse().ok()?;
        Some((prefix.first().to_string(), prefix.last().to_string()))
    }

    #[test]
    fn a_prefix_is_a_range_of_ids() {
        let expected = (
            "0199d1c4-7a3e-7000-0000-000000000000".to_owned(),
            "0199d1c4-7a3e-7fff-ffff-ffffffffffff".to_owned(),
        );
        assert_eq!(range("0199d1c4-7a3e-7").as_ref(), Some(&expected));
        assert_eq!(range("0199D1C47a3e7").as_ref(), Some(&expected));
        let whole = "0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10";
        assert_eq!(range(whole), Some((whole.to_owned(), whole.to_owned())));
    }

    #[test]
    fn what_is_too_short_or_no_number_is_refused() {
        let long = "0".repeat(33);
        for wrong in ["", "0199d1c", "0199d1c-", "last", "0199d1cx", "+199d1c4", &long] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }
}
