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

/// The longest wait without a look at the clock. A clock that was stepped delays a timer by no more than this.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The time of the followed clock when [`Monotonic`] was zero, or [`MACHINE`].
static BASE_MS: AtomicI64 = AtomicI64::new(MACHINE);

/// The value of [`BASE_MS`] while no clock is followed and the time is this machine's.
const MACHINE: i64 = i64::MIN;

/// Orders the ids of one millisecond by their creation.
static RUN_IDS: std::sync::Mutex<ContextV7> = std::sync::Mutex::new(ContextV7::new());

/// Returns the time by this machine's clock, or by the clock that is followed.
pub fn now() -> Timestamp {
    let time = match BASE_MS.load(Ordering::Relaxed) {
        MACHINE => machine(),
        base => base.saturating_add(Monotonic::now().as_millis()),
    };
    Timestamp(time.clamp(0, Timestamp::MAX.0))
}

/// Follows another clock that shows the time `other` now. Nodes that share a database follow its clock, so that they
/// agree on the ends of timers. Between two calls the time goes on by the monotonic clock, so a step of this machine's
/// clock has no effect.
pub fn follow(other: Timestamp) {
    let base = BASE_MS.load(Ordering::Relaxed);
    if let Some(base) = corrected(base, Monotonic::now().as_millis(), other) {
        let difference = other.0.saturating_sub(now().0);
        if difference.saturating_abs() > TOLERANCE_MS {
            tracing::warn!(
                milliseconds = difference,
                "the database's clock, which is followed, differs from this node's"
            );
        }
        BASE_MS.store(base, Ordering::Relaxed);
    }
}

/// Returns the new base, if it has to change: at the first call, and when the followed clock was stepped or has drifted.
fn corrected(base: i64, monotonic: i64, other: Timestamp) -> Option<i64> {
    let wanted = other.0.saturating_sub(monotonic);
    let is_right = base != MACHINE && wanted.saturating_sub(base).saturating_abs() <= TOLERANCE_MS;
    (!is_right).then_some(wanted)
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

/// Waits until the clock shows `time`. The clock may be stepped meanwhile: it is looked at every few seconds.
pub async fn reach(time: Timestamp) {
    loop {
        let left = Duration::from_millis(time.since(now()));
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(LOOK_AGAIN)).await;
    }
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
        assert_eq!(corrected(MACHINE, 10, Timestamp(10_000)), Some(9_990), "the first time sets the base");
        assert_eq!(corrected(9_990, 1_010, Timestamp(11_500)), None);
        assert_eq!(corrected(9_990, 1_010, Timestamp(11_501)), Some(10_491));
        assert_eq!(corrected(9_990, 1_010, Timestamp(10_499)), Some(9_489), "it was stepped back");
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
