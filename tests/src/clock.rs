//! The wall clock, for comparison with the times in the ledger.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use serde_json::Value;

/// Returns the milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the ledger has the wall clock's times")]
pub(crate) fn now() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    u64::try_from(since_epoch.as_millis()).expect("it is before the year 584 million")
}

/// Returns a time of the API in milliseconds since 1970.
pub(crate) fn parse(time: &Value) -> u64 {
    let text = time.as_str().unwrap_or_else(|| panic!("{time} is no time"));
    let time = DateTime::parse_from_rfc3339(text).expect("it is in RFC 3339");
    u64::try_from(time.timestamp_millis()).expect("it is after 1970")
}
