//! Amounts with a suffix, and durations.

use std::time::Duration;

use crate::config::TenantLimits;

/// Bytes: `65536`, `64KiB`, `64MiB`, `1GiB`; `k`, `M` and `G` mean the same.
pub(in crate::cli) fn bytes(text: &str) -> Result<usize, String> {
    let wrong = || format!("`{text}` is no number of bytes: write it as 65536, 64KiB, 64MiB or 1GiB");
    let (number, suffix) = split(text);
    let factor: usize = match suffix.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(wrong()),
    };
    let bytes = number.parse::<usize>().ok().and_then(|number| number.checked_mul(factor));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

/// A count: `5000000000`, `500k`, `50M`, `5G`.
pub(in crate::cli) fn count(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no count: write it as 500000, 500k, 50M or 5G");
    let (number, suffix) = split(text);
    let factor: u64 = match suffix.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        _ => return Err(wrong()),
    };
    let count = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    count.filter(|count| *count > 0).ok_or_else(wrong)
}

/// A count that a run's calls can reach.
pub(super) fn calls(text: &str) -> Result<u64, String> {
    let most = TenantLimits::MOST_CALLS_PER_RUN;
    match count(text)? {
        calls if calls <= most => Ok(calls),
        calls => Err(format!("a run can make {most} calls at most, not {calls}")),
    }
}

/// A duration that is not too short for what it is for.
pub(super) fn at_least(text: &str, shortest: Duration) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration < shortest {
        return Err(format!("it must be {} at least", humantime::format_duration(shortest)));
    }
    Ok(duration)
}

/// A duration in which something can happen.
pub(super) fn some_time(text: &str) -> Result<Duration, String> {
    at_least(text, Duration::from_millis(1))
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    (number, suffix.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_may_have_a_suffix() {
        assert_eq!(bytes("65536"), Ok(65_536));
        assert_eq!(bytes("64MiB"), Ok(64 << 20));
        assert_eq!(bytes("64 k"), Ok(64 << 10));
        assert_eq!(count("5G"), Ok(5_000_000_000));
        assert_eq!(count("1000"), Ok(1_000));
        assert_eq!(calls("8M"), Ok(8_000_000));
        assert!(calls("9M").is_err());
    }

    #[test]
    fn a_duration_in_which_nothing_can_happen_is_refused() {
        assert_eq!(some_time("1ms"), Ok(Duration::from_millis(1)));
        assert_eq!(some_time("0s"), Err("it must be 1ms at least".to_owned()));
        assert!(some_time("soon").is_err());
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for wrong in ["", "0", "-1", "1.5GiB", "64 miles", "99999999999999999999", "99999999999999999999G"] {
            assert!(bytes(wrong).is_err() && count(wrong).is_err(), "{wrong}");
        }
    }
}
