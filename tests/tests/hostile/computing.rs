//! Time, memory, and what is too large.

use forge_tests::LimitedHost;
use forge_tests::limited_host::{Ending, ending};

const FUEL: &[&str] = &["out of fuel", "200000000 units"];

const COMPUTING: &[Ending] = &[
    ending("spin", "failed", "out-of-fuel", FUEL),
    ending("spin_in_step", "failed", "out-of-fuel", FUEL),
    ending("grow_by_nothing", "failed", "out-of-fuel", FUEL),
    ending("fill", "failed", "out-of-fuel", FUEL),
    ending("recurse", "failed", "trap", &["stack overflow"]),
    ending("hoard", "failed", "out-of-memory", &["the most is 32 MiB"]),
];

const SIZES: &[Ending] = &[
    ending("log_a_megabyte", "completed", "", &[]),
    ending("log_too_much", "failed", "limit", &["passed more than 4194304 bytes"]),
    ending("name_too_long", "failed", "limit", &["1 to 255 bytes", "has 256"]),
    ending("name_empty", "failed", "limit", &["1 to 255 bytes", "has 0"]),
    ending(
        "result_too_large",
        "failed",
        "limit",
        &["the result of step `large` has 1048578 bytes", "the most is 1048576"],
    ),
    ending("output_too_large", "failed", "limit", &["its output has 1048578 bytes", "the most is 1048576"]),
    ending("request_too_large", "failed", "limit", &["the request POST ", "the most is 1048576"]),
    ending("url_too_long", "failed", "http", &[]),
    ending("headers_too_many", "failed", "limit", &["a request has 40000 headers"]),
    ending("headers_that_share_their_text", "failed", "limit", &["passed more than 4194304 bytes"]),
    ending("panic_too_long", "failed", "panic", &["ppp"]),
    ending("step_failure_too_long", "completed", "", &[]),
];

#[tokio::test]
async fn computing_without_end_ends_at_the_limit_that_it_names() {
    LimitedHost::start().await.all_end(COMPUTING).await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_with_its_size_and_the_limit() {
    let host = LimitedHost::start().await;
    host.all_end(SIZES).await;
    let long = host.host().log().lines().map(str::len).max().unwrap();
    assert!(long < 9_000, "a line of the log has {long} bytes");
}

#[tokio::test]
async fn a_failure_that_is_too_long_is_cut() {
    let host = LimitedHost::start().await;
    let record = host.attacked("failure_too_long").await;
    assert_eq!(record["status"], "failed");
    assert_eq!(record["error_kind"].as_str().unwrap().len(), 64);
    assert_eq!(record["error"].as_str().unwrap().len(), 16 << 10);
    host.is_unharmed().await;
}
