//! Time and randomness enter the host here and nowhere else, so that what the journal must record
//! is easy to find.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uuid::{ContextV7, Uuid};

use crate::journal::{RunId, Timestamp};

/// A clock that is followed is read over a network: by less than this it is not known to differ.
const TOLERANCE_MS: i64 = 500;

/// Milliseconds to add to this machine's clock.
static OFFSET_MS: AtomicI64 = AtomicI64::new(0);

/// Ids of one millisecond are in the order in which they were made.
static RUN_IDS: Mutex<ContextV7> = Mutex::new(ContextV7::new());

/// The wall clock: this machine's, or the one that is followed.
pub fn now() -> Timestamp {
    let time = machine().saturating_add(OFFSET_MS.load(Ordering::Relaxed));
    Timestamp(time.clamp(0, Timestamp::MAX.0))
}

/// Follows another clock, which shows this time now: nodes that share a database must agree on when a timer ends.
pub fn follow(other: Timestamp) {
    if (other.0 - now().0).abs() > TOLERANCE_MS {
        let offset = other.0 - machine();
        tracing::warn!(
            milliseconds = offset,
            "this machine's clock differs from the database's, which is followed"
        );
        OFFSET_MS.store(offset, Ordering::Relaxed);
    }
}

/// Milliseconds since 1970 by this machine's clock.
#[expect(clippy::disallowed_methods, reason = "this is the place that the rule points to")]
fn machine() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// The id of a run that starts now.
pub fn new_run_id() -> RunId {
    let now = now().0.unsigned_abs();
    let nanoseconds = u32::try_from(now % 1_000).unwrap_or(0) * 1_000_000;
    RunId(Uuid::new_v7(uuid::Timestamp::from_unix(&RUN_IDS, now / 1_000, nanoseconds)))
}

/// How long it is until `time`; zero if it has passed.
pub fn until(time: Timestamp) -> Duration {
    Duration::from_millis(time.since(now()))
}
