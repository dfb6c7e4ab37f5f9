//! Which servers workflows may reach.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::program::{block, effect, reversible};
use forge_tests::{Host, Services, component};
use serde_json::json;

#[tokio::test]
async fn a_request_to_a_server_that_no_rule_names_is_denied_and_the_run_says_why() {
    let services = Services::start().await;
    let host = Host::builder().flag(["--egress", "https://*.example.com"]).start().await;
    host.api().deploy(&component("interpreter")).await;
    let run = host.api().start_program(&services, block![effect("steal")]).await;
    let record = host.api().settled(&run).await;
    assert_eq!((&record["status"], &record["error_kind"]), (&json!("failed"), &json!("denied")));
    let error = record["error"].as_str().unwrap();
    assert!(error.contains(services.url()) && error.contains("(https://*.example.com)"), "{error}");
    assert_eq!(services.ledger.entries().len(), 0, "nobody was asked");
}

#[tokio::test]
async fn what_a_rule_names_is_reached_by_its_address_and_by_a_name_only_in_a_network_that_may_be() {
    let services = Services::start().await;
    let by_name = services.url().replace("127.0.0.1", "localhost");
    let flags: [&[[&str; 2]]; 3] = [
        &[["--egress", services.url()]],
        &[["--egress", &by_name]],
        &[["--egress", &by_name], ["--egress-private", "127.0.0.0/8,::1/128"]],
    ];
    for (flags, url, reached) in
        [(flags[0], services.url(), true), (flags[1], &*by_name, false), (flags[2], &*by_name, true)]
    {
        let host = flags.iter().fold(Host::builder(), |host, flag| host.flag(*flag)).start().await;
        host.api().deploy(&component("interpreter")).await;
        let mut program = services.program(block![reversible("seat")]);
        program["services"] = json!(url);
        let run = host.api().start("program", program).await;
        let record = host.api().settled(&run).await;
        let kind = &record["error_kind"];
        assert_eq!(record["status"] == "completed", reached, "{flags:?}: {record:#}");
        assert!(reached || *kind == json!("denied"), "{flags:?}: {record:#}");
    }
}
