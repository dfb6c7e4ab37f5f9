//! Time and randomness enter the host here and nowhere else, so that what the journal must record
//! is easy to find.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use crate::journal::{RunId, Timestamp};

/// The wall clock.
#[expect(clippy::disallowed_methods, reason = "this is the place that the rule points to")]
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX).min(Timestamp::MAX.0))
}

/// The id of a run that starts now.
#[expect(clippy::disallowed_methods, reason = "this is the place that the rule points to")]
pub fn new_run_id() -> RunId {
    RunId(Uuid::now_v7())
}

/// How long it is until `time`; zero if it has passed.
pub fn until(time: Timestamp) -> Duration {
    Duration::from_millis(time.since(now()))
}
