//! A failover to a standby that lags behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use forge_postgres::Server;
use forge_tests::program::{block, effect, gate};
use forge_tests::{Cluster, Host, Proxy, Services, component, eventually};

const RUNS: usize = 10;

/// How long the standby answers before it is promoted.
const FAILOVER: Duration = Duration::from_secs(3);

fn rows(server: &Server, url: &str, sql: &str) -> String {
    server.sql(url, sql).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_over_a_lagging_standby_loses_no_run_and_repeats_no_request() {
    let mut cluster = Cluster::builder().start([]).await;
    let proxy = Proxy::start(cluster.address()).await;
    let url = cluster.url_at(proxy.address());
    for name in ["a", "b"] {
        cluster
            .add(Host::builder().database(url.clone()).flag(["--node", name]).flag(["--lease", "5s"]))
            .await;
    }
    let apis = [cluster.api(0), cluster.api(1)];
    let services = Services::start().await;
    apis[0].deploy(&component("interpreter")).await;
    let mut runs = Vec::new();
    for number in 0..RUNS {
        let body = block![effect(format!("first-{number}")), gate("door"), effect(format!("last-{number}"))];
        runs.push(apis[number % 2].start_program(&services, body).await);
    }
    services.until_asked("door", RUNS).await;

    // The standby shows the runs as they are now, whatever happens from here on.
    let standby = cluster.standby();
    let behind = cluster.url_at((Ipv4Addr::LOCALHOST, standby.port()).into());
    let running = "SELECT count(*) FROM forge_runs WHERE status = 'running'";
    eventually("the standby follows", async || rows(&standby, &behind, running) == RUNS.to_string()).await;
    rows(&standby, &behind, "SELECT pg_wal_replay_pause()");
    eventually("it stands still", async || {
        rows(&standby, &behind, "SELECT pg_get_wal_replay_pause_state()") == "paused"
    })
    .await;
    services.open("door");
    for run in &runs {
        assert_eq!(apis[0].settled(run).await["status"], "completed");
    }
    let written = cluster.rows("SELECT pg_current_wal_flush_lsn()").remove(0);
    let received = format!("SELECT pg_last_wal_receive_lsn() >= '{written}'");
    eventually("it has everything", async || rows(&standby, &behind, &received) == "t").await;

    cluster.stop_database();
    proxy.lead_to(SocketAddr::from((Ipv4Addr::LOCALHOST, standby.port())));
    assert_eq!(rows(&standby, &behind, running), RUNS.to_string(), "it shows the past");
    let begun = Instant::now();
    while begun.elapsed() < FAILOVER {
        for (run, api) in runs.iter().flat_map(|run| apis.iter().map(move |api| (run, api))) {
            let answer = api.get(&format!("/_api/runs/{run}")).await;
            assert_eq!(answer.status, 503, "{}", answer.body);
        }
    }
    standby.promote().unwrap();
    for api in &apis {
        eventually("the node works again", async || api.get("/_api/health").await.status == 200).await;
    }
    for run in &runs {
        assert_eq!(apis[1].settled(run).await["status"], "completed");
    }
    let run = apis[1].start_program(&services, block![effect("new")]).await;
    assert_eq!(apis[0].settled(&run).await["status"], "completed");
    for number in 0..RUNS {
        assert_eq!(services.asked(&format!("first-{number}")).len(), 1);
        assert_eq!(services.asked(&format!("last-{number}")).len(), 1);
    }
}
