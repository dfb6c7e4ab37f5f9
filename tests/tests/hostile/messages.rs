//! Events that nobody should get, runs that nobody should start, and more of both than anybody takes.

use forge_tests::LimitedHost;
use forge_tests::limited_host::{Ending, ending};

const CALL: &[&str] = &["used call", "does not exist or has another type"];
const CALLS: &[&str] = &["has made 2000 calls"];
const LENGTH: &str = "must have 1 to 255 bytes, and has ";
const CONTROL: &str = "must not have control characters";
const PAYLOAD: &str = "the payload of the event `e`";
const NOT_STARTED: &str = "has not started run";

const EVENTS: &[Ending] = &[
    ending("event_without_a_name", "failed", "invalid-input", &["the name of an event", LENGTH, "has 0"]),
    ending("event_with_a_long_name", "failed", "invalid-input", &["the name of an event", LENGTH, "10240"]),
    ending("event_with_a_nul_in_its_name", "failed", "invalid-input", &["the name of an event", CONTROL]),
    ending("send_without_a_name", "failed", "invalid-input", &["the name of an event", LENGTH]),
    ending("send_with_a_long_key", "failed", "invalid-input", &["the key of the event `e`", LENGTH, "10240"]),
    ending("send_with_a_nul_in_its_key", "failed", "invalid-input", &["the key of the event `e`", CONTROL]),
    ending("send_too_much", "failed", "limit", &[PAYLOAD, "1048578 bytes", "1048576 (payload_bytes)"]),
    ending("send_what_is_no_json", "failed", "invalid-input", &[PAYLOAD, "is not JSON"]),
    ending("send_what_is_too_deep", "failed", "limit", &[PAYLOAD, "127 levels"]),
    ending("send_half_a_character", "failed", "invalid-input", &[PAYLOAD, "half a surrogate pair"]),
    ending("send_to_a_path", "failed", "invalid-input", &["`../../etc/passwd`", "not the id of a run"]),
    ending("send_to_nobody", "failed", "error", &["there is no run 01941f29"]),
    ending("take_an_event_of_nothing", "failed", "trap", CALL),
    ending("take_an_event_of_a_timer", "failed", "trap", CALL),
    ending("receive_for_ever_at_once", "failed", "limit", CALLS),
    ending("flood_itself_with_events", "failed", "limit", CALLS),
];

const CHILDREN: &[Ending] = &[
    ending("start_nothing", "failed", "error", &["no_such_workflow"]),
    ending("start_without_a_name", "failed", "invalid-input", &["there is no workflow ``"]),
    ending("start_with_a_long_name", "failed", "invalid-input", &["there is no workflow", "1 to 255 bytes"]),
    ending("start_with_too_much", "failed", "limit", &["the input for a run", "1048576 (payload_bytes)"]),
    ending("start_with_no_json", "failed", "invalid-input", &["the input for a run", "is not JSON"]),
    ending("cancel_a_path", "failed", "invalid-input", &["`..`", NOT_STARTED]),
    ending("cancel_nobody", "failed", "invalid-input", &[NOT_STARTED]),
    ending("cancel_itself", "failed", "invalid-input", &[NOT_STARTED]),
    ending(
        "start_what_fails",
        "failed",
        "child",
        &["failed (error): there is no workflow `no_such_workflow`"],
    ),
    ending("start_itself", "failed", "child", &["child_depth"]),
];

#[tokio::test]
async fn an_event_that_nobody_could_read_is_the_failure_of_its_call() {
    LimitedHost::start().await.all_end(EVENTS).await;
}

#[tokio::test]
async fn a_child_that_must_not_be_started_or_cancelled_is_the_failure_of_its_call() {
    LimitedHost::start().await.all_end(CHILDREN).await;
}
