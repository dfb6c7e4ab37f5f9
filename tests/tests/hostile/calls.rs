//! Calls without end, and calls that no correct guest makes.

use forge_tests::limited_host::{Ending, ending};
use forge_tests::{LimitedHost, eventually_some};
use serde_json::json;

const FUEL: &[&str] = &["out of fuel", "200000000 units"];
const CALLS: &[&str] = &["has made 2000 calls"];

const FLOODS: &[Ending] = &[
    ending("flood_info", "failed", "out-of-fuel", FUEL),
    ending("flood_lookup", "failed", "out-of-fuel", FUEL),
    ending("flood_cancel", "failed", "out-of-fuel", FUEL),
    ending("flood_panicked", "failed", "panic", &["not really"]),
    ending("flood_time", "failed", "limit", CALLS),
    ending("flood_begin", "failed", "limit", CALLS),
    ending("flood_enter", "failed", "limit", CALLS),
    ending("flood_steps", "failed", "limit", CALLS),
    ending("flood_abandon", "failed", "limit", CALLS),
    ending("flood_timers", "failed", "limit", &["1000 calls under way"]),
    ending("flood_cancelled_timers", "failed", "limit", CALLS),
    ending("flood_short_timers", "failed", "limit", CALLS),
    ending("flood_requests", "failed", "limit", &["1000 calls under way"]),
    ending("flood_nested", "failed", "limit", &["nested 64 deep"]),
    ending("flood_attempts", "failed", "limit", CALLS),
];

const SCOPE: &[&str] = &["used scope", "which is not open"];
const CALL: &[&str] = &["used call", "does not exist or has another type"];
const JSON: &[&str] = &["the result of step `lies` is not valid JSON"];

const CONTRACT: &[Ending] = &[
    ending("complete_the_body", "failed", "trap", SCOPE),
    ending("complete_what_never_began", "failed", "trap", SCOPE),
    ending("complete_the_last_scope", "failed", "trap", SCOPE),
    ending("complete_twice", "failed", "trap", SCOPE),
    ending("complete_another_attempt", "failed", "trap", SCOPE),
    ending("fail_what_never_began", "failed", "trap", SCOPE),
    ending("fail_what_completed", "failed", "trap", SCOPE),
    ending("abandon_the_body", "failed", "trap", SCOPE),
    ending("call_in_an_ended_scope", "failed", "trap", SCOPE),
    ending("call_in_a_foreign_scope", "failed", "trap", SCOPE),
    ending("resume_nothing", "failed", "trap", CALL),
    ending("resume_a_timer", "failed", "trap", CALL),
    ending("take_nothing", "failed", "trap", CALL),
    ending("take_a_timer", "failed", "trap", CALL),
    ending("wait_for_nothing", "failed", "trap", &["waits for something that never happens"]),
    ending("wait_for_what_was_cancelled", "failed", "trap", &["waits for something that never happens"]),
    ending("compensate_nothing", "failed", "trap", &["compensate step 1"]),
    ending("compensate_what_has_no_handler", "failed", "trap", &["compensate step 1"]),
    ending("complete_no_compensation", "failed", "trap", SCOPE),
    ending("result_that_is_no_json", "failed", "trap", JSON),
    ending("result_that_is_two", "failed", "trap", JSON),
    ending("result_that_is_too_deep", "failed", "limit", &["has more than 127 levels of arrays and objects"]),
    ending("output_that_is_no_json", "failed", "trap", &["the workflow's output is not valid JSON"]),
    ending("output_that_is_empty", "failed", "trap", &["the workflow's output is not valid JSON"]),
    ending("deadline_twice", "paused", "", &[]),
    ending("text_that_is_no_utf8", "failed", "trap", &["utf-8"]),
    ending("text_beyond_memory", "failed", "trap", &["out of bounds"]),
    ending("text_without_end", "failed", "trap", &["out of bounds"]),
    ending("level_that_does_not_exist", "failed", "trap", &["discriminant"]),
];

const TIMES: &[Ending] = &[
    ending("retry_never", "failed", "error", &["no attempts at all"]),
    ending("sleep_not_at_all", "completed", "", &[]),
    ending("timeout_forever", "completed", "", &[]),
];

#[tokio::test]
async fn calls_without_end_end_at_the_limit_that_they_name() {
    let host = LimitedHost::start().await;
    host.all_end(FLOODS).await;
    assert_eq!(host.services().asked("flood").len(), 0, "what nobody waits for is not sent");
}

#[tokio::test]
async fn what_the_contract_forbids_is_a_trap_that_says_what_it_was() {
    LimitedHost::start().await.all_end(CONTRACT).await;
}

#[tokio::test]
async fn a_log_without_end_is_cut_and_that_is_said_once() {
    let host = LimitedHost::start().await;
    let record = host.attacked("flood_log").await;
    assert_eq!(record["error_kind"], "out-of-fuel", "{record:#}");
    let log = host.host().log();
    let lines = log.lines().filter(|line| line.contains("again")).count();
    assert!((5_000..12_000).contains(&lines), "{lines} lines of a MiB");
    assert_eq!(log.matches("which is the limit `log_bytes_per_run`").count(), 1);

    let kept = host.api().logs(record["id"].as_str().unwrap(), "level=info").await;
    assert_eq!(kept.iter().filter(|line| line["message"] == "again").count(), kept.len() - 1);
    assert!((8_000..11_000).contains(&kept.len()), "{} lines of a MiB", kept.len());
    let last = &kept[kept.len() - 1];
    assert!(last["message"].as_str().unwrap().contains("is 1048576 (log_bytes_per_run)"), "{last:#}");
    host.is_unharmed().await;
}

#[tokio::test]
async fn times_at_the_ends_of_their_range() {
    let host = LimitedHost::start().await;
    host.all_end(TIMES).await;
    // The answer may be there at once, too.
    let record = host.attacked("timeout_at_once").await;
    assert!(record["status"] == "completed" || record["error_kind"] == "timeout", "{record:#}");
    for attack in ["sleep_forever", "deadline_forever", "retry_in_eternity"] {
        let run = host.api().start(attack, json!("")).await;
        let waiting = eventually_some("it waits", async || {
            Some(host.api().record(&run).await).filter(|record| record["status"] == "waiting")
        })
        .await;
        assert!(waiting["error"].is_null(), "{attack}: {waiting:#}");
        host.api().cancel(&run).await.ok();
        assert_eq!(host.api().settled(&run).await["status"], "compensated", "{attack}");
    }
    host.is_unharmed().await;
}
