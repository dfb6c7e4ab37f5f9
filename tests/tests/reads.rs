//! Reads for callers: they end when their client hangs up, and those of one tenant do not delay others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use forge_postgres::Server;
use forge_tests::program::{Statement, block, effect};
use forge_tests::{Host, Services, component, eventually};
use serde_json::json;

/// Has each read of a run of the tenant `acme` take longer than the test. Superusers are not subject to it.
const SLOW: &str = "
    CREATE FUNCTION forge_test_slow() RETURNS BOOL LANGUAGE sql VOLATILE AS $$
        SELECT pg_sleep(3600) IS NOT NULL
    $$;
    ALTER TABLE forge_runs ENABLE ROW LEVEL SECURITY;
    ALTER TABLE forge_runs FORCE ROW LEVEL SECURITY;
    CREATE POLICY forge_test_slow ON forge_runs
        USING (tenant <> 'acme' OR forge_test_slow()) WITH CHECK (TRUE);";

/// The reads that the server executes.
const READS: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";

/// The time for what would take an hour if it waited for the reads.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_one_tenant_do_not_delay_others_and_end_when_their_clients_hang_up() {
    let server = Server::start(&[]).unwrap();
    let url = server.create_database().unwrap();
    server.sql(&url, "CREATE ROLE plain LOGIN; GRANT CREATE ON SCHEMA public TO plain").unwrap();
    let (_, rest) = url.split_once('@').unwrap();
    let host = Host::builder()
        .database(format!("postgres://plain@{rest}"))
        .flag(["--lease", "10m"])
        .flag(["--database-timeout", "30m"])
        .flag(["--read-time", "30m"])
        .flag(["--evict-after", "50ms"])
        .start()
        .await;
    let services = Services::start().await;
    let api = host.api();
    let acme = api.for_tenant("acme");
    api.post_json("/_api/tenants", &json!({"name": "acme"})).await.ok();
    for tenant in [&api, &acme] {
        tenant.deploy(&component("interpreter")).await;
    }
    let run = acme.start_program(&services, block![effect("tea")]).await;
    acme.settled(&run).await;
    server.sql(&url, SLOW).unwrap();

    let paths =
        ["/_api/runs".to_owned(), format!("/_api/runs/{run}"), "/_api/runs?status=completed".to_owned()];
    let clients: Vec<_> = (0..30)
        .map(|client| {
            let (acme, path) = (acme.clone(), paths[client % paths.len()].clone());
            tokio::spawn(async move { acme.get(&path).await })
        })
        .collect();
    let reads = || server.sql(&url, READS).unwrap();
    // Its share of eight connections.
    eventually("its reads take their share of the connections", async || reads() == "2").await;

    let others = async {
        assert_eq!(api.health().await["status"], "ok");
        let start =
            json!({"input": services.program(block![Statement::Sleep(200), effect("milk")]), "key": "k"});
        let run = api.start_acknowledged("program", &start).await;
        assert_eq!(api.settled(&run).await["status"], "completed");
        api.get("/_api/runs").await.ok();
    };
    tokio::time::timeout(PATIENCE, others).await.expect("others are not delayed");
    assert_eq!(reads(), "2", "the reads are still there");

    clients.iter().for_each(tokio::task::JoinHandle::abort);
    eventually("the reads end", async || reads() == "0").await;
    let still = clients.iter().filter(|client| !client.is_finished()).count();
    assert_eq!(still, 0);
    assert_eq!(api.health().await["status"], "ok");
}
