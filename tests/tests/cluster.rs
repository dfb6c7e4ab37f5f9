//! Several hosts with one PostgreSQL database: any of them serves for all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use forge_tests::components::describing;
use forge_tests::program::{Statement, block, effect, fail, gate, reversible};
use forge_tests::{Cli, Cluster, Host, Refused, Services, component, eventually, example};
use futures::future::join_all;
use serde_json::json;

/// A lease that does not end during a test.
const LONG: [&str; 2] = ["--lease", "10m"];

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_seen_waited_for_and_steered_through_any_node() {
    let cluster = Cluster::builder().flag(LONG).start(["a", "b"]).await;
    let [a, b] = [cluster.api(0), cluster.api(1)];
    let services = Services::start().await;
    a.deploy(&component("interpreter")).await;
    let body = || block![reversible("seat"), gate("door"), effect("thanks")];

    let run = a.start_program(&services, body()).await;
    services.until_asked("door", 1).await;
    assert_eq!(b.record(&run).await["status"], "running");
    assert_eq!(b.steps(&run).await.len(), a.steps(&run).await.len());

    // Paused through one, resumed through the other.
    b.pause(&run).await.ok();
    assert_eq!(a.record(&run).await["status"], "paused");
    b.resume(&run).await.ok();
    let waiting = {
        let (b, path) = (b.clone(), format!("/_api/runs/{run}?wait=60"));
        tokio::spawn(async move { b.get(&path).await.ok() })
    };
    services.until_asked("door", 2).await;
    let opened = Instant::now();
    services.open("door");
    assert_eq!(waiting.await.unwrap()["status"], "completed");
    assert!(opened.elapsed() < Duration::from_secs(10), "who waits elsewhere is told");

    // What the status does not allow is refused with the same words as on the node that has the run.
    let (code, message) = b.cancel(&run).await.refused(409);
    assert_eq!((code, message), a.cancel(&run).await.refused(409));
    let nobody = "0190b5a4-0000-7000-8000-000000000000";
    assert_eq!(b.cancel(nobody).await.refused(404).0, "unknown_run");

    let run = a.start_program(&services, block![reversible("seat"), gate("exit")]).await;
    services.until_asked("exit", 1).await;
    b.cancel(&run).await.ok();
    assert_eq!(b.settled(&run).await["status"], "compensated");
    assert_eq!(a.record(&run).await, b.record(&run).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_and_keys_that_one_node_made_count_on_the_other_at_once() {
    let cluster = Cluster::builder().flag(LONG).start(["a", "b"]).await;
    let [a, b] = [cluster.api(0), cluster.api(1)];
    let services = Services::start().await;
    let body = json!({ "name": "acme", "egress": [services.url()], "limits": { "calls_per_run": 3 } });
    a.post_json("/_api/tenants", &body).await.ok();
    b.for_tenant("acme").deploy(&component("interpreter")).await;
    let made = a.post_json("/_api/keys", &json!({ "role": "admin", "name": "ops", "host": true })).await.ok();
    let token = made["token"].as_str().unwrap();
    eventually("the other node asks for the key", async || b.get("/_api/caller").await.status == 401).await;
    let [a, b] = [a.with_token(token), b.with_token(token)];
    let run = b.for_tenant("acme").start_program(&services, vec![effect("e"); 9]).await;
    let record = a.for_tenant("acme").settled(&run).await;
    assert_eq!(record["error_kind"], "limit", "{record:#}");
    assert_eq!(a.get(&format!("/_api/runs/{run}")).await.refused(404).0, "unknown_run");
    let usage = a.get("/_api/usage?all=true").await.ok();
    assert!(
        usage.to_string().contains("acme")
            || b.get("/_api/usage?all=true").await.ok().to_string().contains("acme")
    );
    let id = made["id"].as_str().unwrap();
    b.send(reqwest::Method::DELETE, &format!("/_api/keys/{id}?host=true"), None).await.ok();
    let revoked = Instant::now();
    eventually("the key is refused by the other node", async || a.get("/_api/caller").await.status == 401)
        .await;
    assert!(revoked.elapsed() < Duration::from_secs(5), "it took {:?}", revoked.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_one_node_got_starts_on_the_other_within_a_second() {
    let cluster = Cluster::builder().flag(LONG).start(["a", "b"]).await;
    let [a, b] = [cluster.api(0), cluster.api(1)];
    let services = Services::start().await;
    let empty = json!({ "input": services.program(block![]) });
    b.try_start("program", &empty).await.refused(404);
    a.deploy(&component("interpreter")).await;
    let run = b.start("program", services.program(block![effect("hello")])).await;
    assert_eq!(b.settled(&run).await["status"], "completed");

    // What a node knows of a workflow changes when another changes it.
    for version in [1, 2] {
        a.deploy(&describing(&[("swap", version)])).await;
        let deployed = Instant::now();
        eventually("the other node takes the new version", async || {
            b.get("/_api/workflows/swap").await.body["current"] == version
        })
        .await;
        assert!(deployed.elapsed() < Duration::from_secs(1), "it took {:?}", deployed.elapsed());
    }
    a.post("/_api/workflows/swap/versions/1/activate").await.ok();
    eventually("the other node takes the activated version", async || {
        b.get("/_api/workflows/swap").await.body["current"] == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_starts_with_one_key_and_uploads_of_one_version_one_wins_on_all_nodes() {
    let cluster = Cluster::builder().flag(LONG).start(["a", "b"]).await;
    let apis = [cluster.api(0), cluster.api(1)];
    let services = Services::start().await;
    let interpreter = component("interpreter");
    let uploads = join_all(apis.iter().map(|api| api.upload(&interpreter))).await;
    assert!(uploads.iter().all(|upload| upload.status < 300), "{uploads:#?}");
    assert_eq!(uploads[0].body["workflows"], uploads[1].body["workflows"]);

    for round in 0..10 {
        let order =
            json!({ "key": format!("order-{round}"), "input": services.program(block![effect("sell")]) });
        let starts = (0..8).map(|number| apis[number % 2].start_acknowledged("program", &order));
        let runs = join_all(starts).await;
        assert!(runs.iter().all(|run| *run == runs[0]), "{runs:?}");
        assert_eq!(apis[round % 2].settled(&runs[0]).await["status"], "completed");
    }
    assert_eq!(services.performed().len(), 10);

    // Of restarts of a failed run on all nodes, one wins, too.
    let order = |on_failed: &str| json!({ "key": "failed", "input": services.program(block![fail("no")]), "on_failed": on_failed });
    let mut last = apis[0].start_acknowledged("program", &order("return")).await;
    for _ in 0..5 {
        assert_eq!(apis[1].settled(&last).await["status"], "failed");
        let body = json!({ "key": "failed", "input": services.program(block![fail("no"), gate("g")]), "on_failed": "restart" });
        let starts = (0..8).map(|number| apis[number % 2].start_acknowledged("program", &body));
        let runs = join_all(starts).await;
        let restarted: Vec<&String> = runs.iter().filter(|run| **run != last).collect();
        assert!(!restarted.is_empty(), "{runs:?}");
        let record = apis[0].record(&last).await;
        assert!(record["restarted_as"].is_string() && record["key"].is_null(), "{record:#}");
        last = record["restarted_as"].as_str().unwrap().to_owned();
        while let Some(next) = apis[0].settled(&last).await["restarted_as"].as_str() {
            last = next.to_owned();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_had_goes_on_at_once_when_it_stops_and_when_it_comes_back() {
    let mut cluster = Cluster::builder().flag(LONG).start(["a", "b"]).await;
    let services = Services::start().await;
    cluster.api(0).deploy(&component("interpreter")).await;
    let asleep =
        cluster.api(0).start_program(&services, block![Statement::Sleep(15_000), effect("awake")]).await;
    let run = cluster.api(0).start_program(&services, block![gate("one"), gate("two"), gate("three")]).await;
    services.until_asked("one", 1).await;

    // It stops: the other node takes its runs, although its lease goes on for minutes.
    let (status, _) = cluster.host(0).terminate().await;
    assert!(status.success());
    services.until_asked("one", 2).await;
    services.open("one");
    services.until_asked("two", 1).await;

    // It is killed, and comes back under its name.
    cluster.host(1).kill();
    cluster.host(1).restart().await;
    services.until_asked("two", 2).await;
    services.open("two");
    services.until_asked("three", 1).await;
    services.open("three");
    assert_eq!(cluster.api(1).settled(&run).await["status"], "completed");
    assert_eq!(cluster.api(1).settled(&asleep).await["status"], "completed");
    assert_eq!(services.asked("awake").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_node_had_goes_on_elsewhere_after_its_lease() {
    let mut cluster = Cluster::start(["a", "b"]).await;
    let services = Services::start().await;
    cluster.api(0).deploy(&component("interpreter")).await;
    let mut runs = Vec::new();
    for number in 0..20 {
        let body = block![effect(format!("first-{number}")), gate("door"), effect(format!("last-{number}"))];
        runs.push(cluster.api(0).start_program(&services, body).await);
    }
    services.until_asked("door", 20).await;
    cluster.host(0).kill();
    services.until_asked("door", 40).await;
    services.open("door");
    for run in &runs {
        assert_eq!(cluster.api(1).settled(run).await["status"], "completed");
    }
    for number in 0..20 {
        assert_eq!(services.asked(&format!("first-{number}")).len(), 1, "what was durable is not done again");
        assert_eq!(services.asked(&format!("last-{number}")).len(), 1);
    }
    let nodes = cluster.api(1).get("/_api/nodes").await.ok();
    let node = |name: &str| {
        let nodes = nodes["nodes"].as_array().unwrap();
        nodes
            .iter()
            .find(|node| node["name"] == name)
            .unwrap_or_else(|| panic!("{name} is listed: {nodes:#?}"))
            .clone()
    };
    assert!(node("a")["ended_at"].is_string(), "{nodes:#}");
    assert!(node("b")["ended_at"].is_null() && node("b")["here"] == true, "{nodes:#}");
    let listed = cluster.host(1).cli().run(["nodes"]).await.ok();
    assert!(listed.contains("lives (answers)") && listed.contains("ended"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_cannot_have_one_name() {
    let mut cluster = Cluster::builder().flag(LONG).start(["a"]).await;
    let services = Services::start().await;
    cluster.api(0).deploy(&component("interpreter")).await;
    let run = cluster.api(0).start_program(&services, block![gate("door")]).await;
    services.until_asked("door", 1).await;
    let other = Host::builder().database(cluster.url()).flag(["--node", "a"]).start().await;
    services.until_asked("door", 2).await;
    let status = cluster.host(0).ended().await;
    assert_eq!(status.code(), Some(1));
    let log = cluster.host(0).log();
    assert!(log.contains("another process serves this database under this node's name"), "{log}");
    services.open("door");
    assert_eq!(other.api().settled(&run).await["status"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_has_no_place_for_begins_on_another() {
    let cluster = Cluster::builder().flag(LONG).flag(["--live-instances", "4"]).start(["a", "b"]).await;
    let services = Services::start().await;
    cluster.api(0).deploy(&component("interpreter")).await;
    let mut runs = Vec::new();
    for _ in 0..8 {
        runs.push(cluster.api(0).start_program(&services, block![gate("door")]).await);
    }
    // Four have a place on the first node, one waits for one there.
    services.until_asked("door", 7).await;
    let owners = cluster.rows("SELECT n.name FROM forge_runs r JOIN forge_nodes n ON n.epoch = r.owner");
    let on = |name: &str| owners.iter().filter(|owner| *owner == name).count();
    assert!(on("a") <= 5 && on("b") >= 2, "{owners:?}");
    services.open("door");
    for run in &runs {
        assert_eq!(cluster.api(0).settled(run).await["status"], "completed");
    }
}

/// Statements a minute. Signs of life come every third of a lease, changes of the directory are read with them or every 3.5 seconds,
/// runs that are nobody's are looked for every five seconds, timers are read twice a minute.
const IDLE: i64 = 80;

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_node_costs_the_database_next_to_nothing() {
    let cluster = Cluster::builder().flag(["--lease", "10s"]).start(["a"]).await;
    cluster.api(0).deploy(&example("payment")).await;
    let transactions = async || {
        let count = "SELECT (xact_commit + xact_rollback)::text FROM pg_stat_database WHERE datname = current_database()";
        cluster.rows(count)[0].parse::<i64>().unwrap()
    };
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = transactions().await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let cost = (transactions().await - before) * 3;
    println!("an idle node: {cost} transactions a minute");
    assert!(cost <= IDLE, "{cost} transactions a minute");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_too_new_is_refused_and_one_that_can_be_lived_with_is_not() {
    let cluster = Cluster::start(["a"]).await;
    // The next version of Forge, which hosts of this one can work with.
    cluster.rows(
        "INSERT INTO forge_schema (version, needs) SELECT max(version) + 1, max(version) FROM forge_schema",
    );
    let host = Host::builder().database(cluster.url()).flag(["--node", "b"]).start().await;
    drop(host);
    cluster.rows("INSERT INTO forge_schema (version, needs) SELECT max(version) + 1, max(version) + 1 FROM forge_schema");
    let refused = Host::builder().database(cluster.url()).flag(["--node", "b"]).try_start().await;
    let Err(Refused { status, log }) = refused else { panic!("it serves") };
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("newer version of Forge"), "{log}");
    let migrated = Cli::default().run(["migrate", "--database", &cluster.url()]).await;
    assert!(migrated.failed(1).contains("newer version of Forge"));
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_says_what_it_did() {
    let cluster = Cluster::builder().start([]).await;
    let migrate =
        async || Cli::default().run(["migrate", "--database", &cluster.url(), "--json"]).await.json();
    let (first, second) = (migrate().await, migrate().await);
    assert_ne!(first["applied"], json!([]));
    assert_eq!(second["applied"], json!([]));
    Host::builder().database(cluster.url()).start().await;
}
