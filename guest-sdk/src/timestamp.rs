//! Times and durations as the host counts them: in milliseconds, since 1970.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// Converts to milliseconds, rounded up: a wait is never shorter than asked for.
pub(crate) fn millis(duration: Duration) -> u64 {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    u64::try_from(millis).unwrap_or(u64::MAX)
}

/// Converts a timestamp of the host. A time after chrono's last, some 260,000 years from now, becomes that.
pub(crate) fn from_timestamp(millis: u64) -> DateTime<Utc> {
    let time = i64::try_from(millis).ok().and_then(DateTime::from_timestamp_millis);
    time.unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_round_up_to_milliseconds() {
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_millis(30)), 30);
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }
}
