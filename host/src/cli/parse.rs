//! Parsers for the values of flags: amounts with a suffix, and durations.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::CliError;
use crate::config::TenantLimits;
use forge_journal::{LogLevel, Tags};
use strum::VariantArray as _;

/// Parses a number of bytes: `65536`, `64KiB`, `64MiB`, `1GiB`, `1TiB`; `k`, `M`, `G` and `T` mean the same.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let units: [&[&str]; 5] =
        [&["", "b"], &["k", "kb", "kib"], &["m", "mb", "mib"], &["g", "gb", "gib"], &["t", "tb", "tib"]];
    amount(text, 1_024, &units)
        .ok_or_else(|| format!("`{text}` is not a number of bytes, such as 65536, 64KiB, 64MiB or 1GiB"))
}

/// Parses a count: `5000000000`, `500k`, `50M`, `5G`.
pub(super) fn count(text: &str) -> Result<u64, String> {
    amount(text, 1_000, &[&[""], &["k"], &["m"], &["g"]])
        .ok_or_else(|| format!("`{text}` is not a count, such as 500000, 500k, 50M or 5G"))
}

/// Returns a parser of whole numbers in this range.
pub(super) fn number(
    range: RangeInclusive<u32>,
) -> impl Fn(&str) -> Result<u32, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| match (range.start(), range.end()) {
            (start, &u32::MAX) => format!("`{text}` is not a whole number from {start} on"),
            (start, end) => format!("`{text}` is not a whole number from {start} to {end}"),
        })
    }
}

/// Parses a duration: `500ms`, `30s`, `1h30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = |_| format!("`{text}` is not a duration, such as 500ms, 30s, 5m or 1h30m");
    humantime::parse_duration(text).map_err(wrong)
}

/// Parses a tag: `order=1041`.
pub(super) fn tag(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("`{text}` is not a tag, such as order=1041"))?;
    Tags::default().set(name, value).map_err(|error| error.to_string())?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Returns the tags that a command was given.
pub(super) fn tags(given: Vec<(String, String)>) -> Result<Tags, CliError> {
    let mut tags = Tags::default();
    for (name, value) in given {
        if tags.get(&name).is_some() {
            return Err(CliError::Usage(format!(
                "--tag {name} is given twice: a run has one value of a tag"
            )));
        }
        tags.set(&name, &value).map_err(|error| CliError::Usage(error.to_string()))?;
    }
    Ok(tags)
}

/// Parses the number of calls that a run may make.
pub(super) fn calls(text: &str) -> Result<u64, String> {
    let most = TenantLimits::MOST_CALLS_PER_RUN;
    match count(text)? {
        calls if calls <= most => Ok(calls),
        calls => Err(format!("a run can make at most {most} calls, not {calls}")),
    }
}

/// Parses the level of a line that a workflow logs.
pub(super) fn log_level(word: &str) -> Result<LogLevel, String> {
    word.parse().map_err(|_| {
        let levels: Vec<&str> = LogLevel::VARIANTS.iter().map(|level| level.as_str()).collect();
        format!("it must be one of {}", levels.join(", "))
    })
}

/// Parses a duration of at least `shortest`.
pub(super) fn at_least(text: &str, shortest: Duration) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration < shortest {
        return Err(format!("it must be at least {}", humantime::format_duration(shortest)));
    }
    Ok(duration)
}

/// Parses a duration of at least a millisecond.
pub(super) fn some_time(text: &str) -> Result<Duration, String> {
    at_least(text, Duration::from_millis(1))
}

/// Parses a positive number with a unit. `units` are the names for `base` to the power of 0, 1, 2 and so on.
fn amount(text: &str, base: u64, units: &[&[&str]]) -> Option<u64> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim().to_ascii_lowercase();
    let power =
        (0..).zip(units).find_map(|(power, names)| names.contains(&unit.as_str()).then_some(power))?;
    number.parse::<u64>().ok()?.checked_mul(base.pow(power)).filter(|amount| *amount > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_may_have_a_suffix() {
        assert_eq!(bytes("65536"), Ok(65_536));
        assert_eq!(bytes("64MiB"), Ok(64 << 20));
        assert_eq!(bytes("64 k"), Ok(64 << 10));
        assert_eq!(bytes("2TiB"), Ok(2 << 40));
        assert_eq!(count("5G"), Ok(5_000_000_000));
        assert_eq!(count("1000"), Ok(1_000));
        assert_eq!(calls("8M"), Ok(8_000_000));
        assert!(calls("9M").is_err());
    }

    #[test]
    fn a_number_or_duration_that_is_none_is_refused_with_what_is_one() {
        assert_eq!(number(1..=500)("500"), Ok(500));
        let refused = |text: &str| number(1..=500)(text).unwrap_err();
        assert_eq!(refused("many"), "`many` is not a whole number from 1 to 500");
        assert_eq!(refused("501"), "`501` is not a whole number from 1 to 500");
        assert_eq!(number(1..=u32::MAX)("0").unwrap_err(), "`0` is not a whole number from 1 on");
        assert_eq!(
            duration("soon").unwrap_err(),
            "`soon` is not a duration, such as 500ms, 30s, 5m or 1h30m"
        );
    }

    #[test]
    fn a_tag_is_a_name_and_a_value() {
        assert_eq!(tag("order=a=b"), Ok(("order".to_owned(), "a=b".to_owned())));
        assert_eq!(tag("order"), Err("`order` is not a tag, such as order=1041".to_owned()));
        assert!(tag("or der=1").unwrap_err().starts_with("`or der` cannot be the name of a tag"));
        let twice = tags(vec![tag("a=1").unwrap(), tag("a=2").unwrap()]).unwrap_err();
        assert_eq!(twice.to_string(), "--tag a is given twice: a run has one value of a tag");
    }

    #[test]
    fn a_duration_that_is_too_short_is_refused() {
        assert_eq!(some_time("1ms"), Ok(Duration::from_millis(1)));
        assert_eq!(some_time("0s"), Err("it must be at least 1ms".to_owned()));
        assert!(some_time("soon").is_err());
    }

    #[test]
    fn what_is_not_an_amount_is_refused() {
        for wrong in ["", "0", "-1", "1.5GiB", "64 miles", "99999999999999999999", "99999999999999999999G"] {
            assert!(bytes(wrong).is_err() && count(wrong).is_err(), "{wrong}");
        }
    }
}
