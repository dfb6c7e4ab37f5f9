//! Points in time as people write them.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use forge_clock as clock;

/// Reads a time, or how long ago it was. A time without a zone is in UTC, and a date is its first moment.
///
/// # Errors
/// A message that says which forms there are.
pub(crate) fn parse(text: &str) -> Result<DateTime<Utc>, String> {
    let wrong = || {
        format!(
            "`{text}` is neither a duration, such as 30m, 2h or 3d, nor a time, such as 2026-01-31T08:30:00Z"
        )
    };
    if let Some(time) = time(text) {
        return Ok(time);
    }
    let ago = humantime::parse_duration(text).map_err(|_| wrong())?;
    let ago = TimeDelta::from_std(ago).map_err(|_| wrong())?;
    clock::now().to_datetime().checked_sub_signed(ago).ok_or_else(wrong)
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    let local = ["%FT%H:%M", "%FT%H:%M:%S", "%F %H:%M", "%F %H:%M:%S"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .or_else(|| NaiveDate::parse_from_str(text, "%F").ok().map(|date| date.and_time(NaiveTime::MIN)));
    local.map(|local| local.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_several_forms_and_are_in_utc() {
        for (text, time) in [
            ("2026-01-31T08:30:00Z", "2026-01-31T08:30:00+00:00"),
            ("2026-01-31T08:30:00+02:00", "2026-01-31T06:30:00+00:00"),
            ("2026-01-31T08:30", "2026-01-31T08:30:00+00:00"),
            ("2026-01-31 08:30:15", "2026-01-31T08:30:15+00:00"),
            ("2026-01-31", "2026-01-31T00:00:00+00:00"),
        ] {
            assert_eq!(parse(text).unwrap().to_rfc3339(), time, "{text}");
        }
    }

    #[test]
    fn a_duration_is_the_time_so_long_ago() {
        let ago = clock::now().to_datetime() - parse("2h").unwrap();
        assert!(ago >= TimeDelta::hours(2) && ago < TimeDelta::hours(3), "{ago}");
        for wrong in ["", "yesterday", "2", "-2h", "999999999y", "2026-13-01"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
