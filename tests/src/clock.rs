//! The wall clock, which the ledger's times are compared with.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the ledger has the wall clock's times")]
pub(crate) fn now() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    u64::try_from(since_epoch.as_millis()).expect("it is before the year 584 million")
}
