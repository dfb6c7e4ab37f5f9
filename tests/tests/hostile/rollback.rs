//! What can be done to a rollback.

use forge_tests::LimitedHost;
use forge_tests::limited_host::{Ending, ending};
use serde_json::json;

/// All of them have a step to compensate, which they fail to do; what stands in the way is in the record's `error`.
const STUCK: &[(&str, &str)] = &[
    ("spin_in_handler", "out of fuel"),
    ("panic_in_handler", "the handler panics"),
    ("flood_in_handler", "has made 4000 calls, those of its compensations included"),
    ("flood_timers_in_handler", "has made 4000 calls, those of its compensations included"),
    ("flood_retries_in_handler", "never"),
    ("panic_before_every_handler", "trapped"),
    ("leave_handlers_out", "ran no handler"),
    ("go_on_while_unwinding", "ran no handler"),
];

const ENDINGS: &[Ending] = &[
    ending("compensate_twice", "compensated", "error", &["on purpose"]),
    ending("unwind_twice", "failed", "error", &["once"]),
    ending("panic_in_every_replay", "paused", "error", &["trapped while it was prepared for rolling back"]),
];

#[tokio::test]
async fn a_rollback_that_is_sabotaged_ends_and_names_what_is_stuck() {
    let host = LimitedHost::start().await;
    let mut otherwise = Vec::new();
    for (attack, words) in STUCK {
        let record = host.attacked(attack).await;
        if record["status"] != "failed" || !record.to_string().contains(words) {
            otherwise.push(format!("{attack}: {record:#}"));
        }
    }
    assert!(otherwise.is_empty(), "these ended otherwise:\n{}", otherwise.join("\n"));
    host.all_end(ENDINGS).await;
}

#[tokio::test]
async fn a_workflow_that_does_not_roll_back_when_it_is_cancelled_waits_for_a_person() {
    let host = LimitedHost::start().await;
    for attack in ["spin_when_cancelled", "panic_when_cancelled"] {
        let run = host.api().start(attack, json!("")).await;
        host.api().until_status(&run, "waiting").await;
        let (code, message) = host.api().cancel(&run).await.refused(409);
        assert!(code == "cannot_roll_back" && message.contains("terminate the run"), "{code}: {message}");
        let record = host.api().settled(&run).await;
        let (status, reason) = (&record["status"], &record["pause_reason"]);
        assert_eq!((status, reason), (&json!("paused"), &json!("nondeterminism")), "{record:#}");
        assert!(record.to_string().contains("trapped while it was prepared for rolling back"), "{record:#}");
    }
    host.is_unharmed().await;
}
