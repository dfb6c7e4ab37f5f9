//! What runs wait for, as text.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::printable::Printable;
use super::text::time;
use forge_journal::WaitsFor;

/// The most calls that are named.
pub(super) const MOST: usize = 3;

/// Returns what a waiting run does: `waiting for event approval until …`, `sleeping until …`. `None`: it is not known.
pub(super) fn doing(calls: &[WaitsFor]) -> Option<String> {
    // The timers of timeouts say nothing beside what they bound.
    let calls = calls.iter().filter(|call| call.kind != "timeout");
    let named = list(calls.map(|WaitsFor { kind, name, until, run }| match (kind.as_str(), until) {
        ("sleep", Some(until)) => format!("sleeping until {}", time(*until)),
        ("retry", Some(until)) => format!("retrying `{}` at {}", Printable::line(name), time(*until)),
        (kind, until) => format!("waiting for {}", target(kind, name, *until, *run)),
    }));
    (!named.is_empty()).then_some(named)
}

/// Returns what a call waits for: `event approval until …`, `child ship_order (run …)`.
pub(super) fn target(kind: &str, name: &str, until: Option<DateTime<Utc>>, run: Option<Uuid>) -> String {
    let run = run.map(|run| format!(" (run {run})")).unwrap_or_default();
    let until = until.map(|until| format!(" until {}", time(until))).unwrap_or_default();
    format!("{} {}{run}{until}", Printable::line(kind), Printable::line(name))
}

/// Returns the first texts of a list, and the number of the others.
pub(super) fn list(texts: impl Iterator<Item = String>) -> String {
    let mut named: Vec<String> = texts.collect();
    if named.len() > MOST {
        let others = named.len() - MOST;
        named.truncate(MOST);
        named.push(format!("{others} more"));
    }
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(kind: &str, name: &str) -> WaitsFor {
        WaitsFor { kind: kind.to_owned(), name: name.to_owned(), until: None, run: None }
    }

    #[test]
    fn what_a_run_waits_for_is_named_with_its_end_or_its_run() {
        let until = DateTime::from_timestamp(1_763_865_850, 0);
        let event = WaitsFor { until, ..call("event", "approval") };
        assert_eq!(doing(&[event]).unwrap(), "waiting for event approval until 2025-11-23 02:44:10 UTC");
        let child = WaitsFor { run: Some(Uuid::nil()), ..call("child", "ship_order") };
        let named = "waiting for child ship_order (run 00000000-0000-0000-0000-000000000000)";
        assert_eq!(doing(&[child]).unwrap(), named);
        let sleep = WaitsFor { until, ..call("sleep", "10s") };
        assert_eq!(
            doing(&[sleep, call("timeout", "30s")]).unwrap(),
            "sleeping until 2025-11-23 02:44:10 UTC"
        );
        assert_eq!(doing(&[]), None);
    }

    #[test]
    fn many_calls_are_counted_and_no_name_controls_the_terminal() {
        let calls: Vec<WaitsFor> = (0..5).map(|number| call("event", &format!("e{number}"))).collect();
        let named = doing(&calls).unwrap();
        assert!(named.ends_with("waiting for event e2, 2 more"), "{named}");
        assert_eq!(doing(&[call("event", "a\u{1b}[2J")]).unwrap(), "waiting for event a\\u{1b}[2J");
    }
}
