//! The clock and the randomness of the host.
//!
//! No other crate reads the clock or makes random bytes, so the values that a journal must record are easy to find. The
//! clippy rule `disallowed_methods` enforces it.

mod monotonic;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uuid::{ContextV7, Uuid};

pub use self::monotonic::Monotonic;

use forge_journal::{RunId, Timestamp};

/// The difference to a followed clock that is ignored, in milliseconds: that clock is read over a network.
const TOLERANCE_MS: i64 = 500;

/// The milliseconds to add to this machine's clock.
static OFFSET_MS: AtomicI64 = AtomicI64::new(0);

/// Orders the ids of one millisecond by their creation.
static RUN_IDS: std::sync::Mutex<ContextV7> = std::sync::Mutex::new(ContextV7::new());

/// Returns the time by this machine's clock, or by the clock that is followed.
pub fn now() -> Timestamp {
    let time = machine().saturating_add(OFFSET_MS.load(Ordering::Relaxed));
    Timestamp(time.clamp(0, Timestamp::MAX.0))
}

/// Follows another clock that shows the time `other` now. Nodes that share a database follow its clock, so that they
/// agree on the ends of timers.
pub fn follow(other: Timestamp) {
    if let Some(offset) = corrected(OFFSET_MS.load(Ordering::Relaxed), machine(), other) {
        tracing::warn!(
            milliseconds = offset,
            "this machine's clock differs from the database's, which is followed"
        );
        OFFSET_MS.store(offset, Ordering::Relaxed);
    }
}

/// Returns the new offset of this machine's clock, if it has to change.
fn corrected(offset: i64, machine: i64, other: Timestamp) -> Option<i64> {
    let wanted = other.0.saturating_sub(machine);
    (wanted.saturating_sub(offset).saturating_abs() > TOLERANCE_MS).then_some(wanted)
}

/// Returns the milliseconds since 1970 by this machine's clock.
#[expect(clippy::disallowed_methods, reason = "this is the place that the rule points to")]
fn machine() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// Creates the id of a run that starts now.
pub fn new_run_id() -> RunId {
    let now = now().0.unsigned_abs();
    let nanoseconds = u32::try_from(now % 1_000).unwrap_or(0) * 1_000_000;
    RunId(Uuid::new_v7(uuid::Timestamp::from_unix(&RUN_IDS, now / 1_000, nanoseconds)))
}

/// Returns the duration until `time`, or zero if it has passed.
pub fn until(time: Timestamp) -> Duration {
    Duration::from_millis(time.since(now()))
}

/// Returns random bytes from the operating system, for keys and secrets.
///
/// # Errors
/// [`std::io::Error`] if the operating system has none.
pub fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(std::io::Error::from)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_followed_when_it_differs_by_more_than_reading_it_may() {
        assert_eq!(corrected(0, 10_000, Timestamp(10_500)), None);
        assert_eq!(corrected(0, 10_000, Timestamp(10_501)), Some(501));
        assert_eq!(corrected(501, 10_000, Timestamp(10_400)), None, "it is followed already");
        assert_eq!(corrected(501, 10_000, Timestamp(10_000)), Some(0), "and again when it is right");
        assert_eq!(corrected(0, i64::MAX, Timestamp(i64::MIN)), Some(i64::MIN));
    }

    #[test]
    fn ids_are_in_the_order_in_which_they_were_made() {
        let before = now();
        let ids: Vec<RunId> = (0..2_000).map(|_| new_run_id()).collect();
        assert!(ids.is_sorted_by(|one, next| one < next));
        let (seconds, nanoseconds) = ids[0].0.get_timestamp().unwrap().to_unix();
        let milliseconds = seconds * 1_000 + u64::from(nanoseconds) / 1_000_000;
        assert!(milliseconds >= before.0.unsigned_abs() && milliseconds <= now().0.unsigned_abs());
    }
}
