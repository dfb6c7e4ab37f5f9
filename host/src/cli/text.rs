//! Formats numbers and times for people.

use chrono::{DateTime, Utc};

/// Formats milliseconds: `132 ms`, `1.24 s`, `2 min 5 s`, `3 h 12 min`, `2 d 3 h`.
pub(super) fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1_000;
    match seconds {
        0 => format!("{milliseconds} ms"),
        // Truncated, not rounded: 59,999 ms are less than a minute.
        1..=9 => format!("{seconds}.{:02} s", milliseconds % 1_000 / 10),
        10..=59 => format!("{seconds}.{} s", milliseconds % 1_000 / 100),
        60..=3_599 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..=86_399 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// Formats milliseconds for a narrow column: `132ms`, `1.24s`, `2m5s`, `3h12m`, `2d3h`.
pub(super) fn short_duration(milliseconds: u64) -> String {
    duration(milliseconds).replace("min", "m").replace(' ', "")
}

/// Formats milliseconds as an age, in its largest unit: `5s`, `2m`, `3h`, `12d`.
pub(super) fn age(milliseconds: u64) -> String {
    let seconds = milliseconds / 1_000;
    match seconds {
        0..=59 => format!("{seconds}s"),
        60..=3_599 => format!("{}m", seconds / 60),
        3_600..=86_399 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Returns the milliseconds between two times, or zero if `to` is before `from`.
pub(super) fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> u64 {
    u64::try_from((to - from).num_milliseconds()).unwrap_or(0)
}

/// Formats a time: `2026-01-31 08:30:00 UTC`.
pub(super) fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Formats a time without its zone, which the heading of the column has: `2026-01-31 08:30:00`.
pub(super) fn time_in_utc(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Returns the first 12 digits of a digest, enough to tell versions apart.
pub(super) fn short_digest(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// Formats a number with its noun: `1 step`, `2 steps`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_precision_that_matters() {
        let cases = [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_240, "1.24 s"),
            (59_999, "59.9 s"),
            (125_000, "2 min 5 s"),
            (11_520_000, "3 h 12 min"),
            (183_600_000, "2 d 3 h"),
        ];
        for (milliseconds, text) in cases {
            assert_eq!(duration(milliseconds), text);
        }
    }

    #[test]
    fn narrow_columns_have_short_forms() {
        assert_eq!(
            [132, 1_240, 125_000, 11_520_000].map(short_duration),
            ["132ms", "1.24s", "2m5s", "3h12m"]
        );
        assert_eq!([0, 125_000, 11_520_000, 183_600_000].map(age), ["0s", "2m", "3h", "2d"]);
    }

    #[test]
    fn sizes_have_binary_units() {
        let sizes = [812, 75_900, 1_300_000].map(|bytes| bytesize::ByteSize(bytes).to_string());
        assert_eq!(sizes, ["812 B", "74.1 KiB", "1.2 MiB"]);
    }
}
