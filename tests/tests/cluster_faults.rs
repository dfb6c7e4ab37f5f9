//! What may happen to nodes and to their database, and loses nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::time::{Duration, Instant};

use forge_tests::payments::{self, Payment};
use forge_tests::program::{Statement, block, effect, gate, reversible};
use forge_tests::{
    Api, Cluster, Crashes, Host, Proxy, Services, SteppedClock, component, eventually, example, random,
    skewed_clock,
};
use futures::future::join_all;
use serde_json::{Value, json};

/// Payments in the storm, and customers who make them at the same time.
const PAYMENTS: usize = 1_000;
const CUSTOMERS: usize = 40;

/// Between two kills.
const KILL_EVERY: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn payments_survive_nodes_that_are_killed_every_two_seconds() {
    let mut cluster = Cluster::start(["a", "b", "c"]).await;
    cluster.watch_writes();
    let services = Services::start().await;
    services.slow_down(20);
    let apis: Vec<Api> = (0..3).map(|node| cluster.api(node)).collect();
    apis[0].deploy(&example("payment")).await;
    let seed = random::seed("nodes");
    let mut crashes = Crashes::new(seed);
    let mut random = fastrand::Rng::with_seed(seed);

    let paid = Cell::new(false);
    let customer = async |customer: usize| -> Vec<Payment> {
        let mut payments = Vec::new();
        for number in (customer..PAYMENTS).step_by(CUSTOMERS) {
            let turn = |shift| &apis[(customer + number / CUSTOMERS + shift) % 3];
            let payment =
                Payment::start(&format!("payment-{number}"), number % 5 == 0, turn(0), &services).await;
            turn(1).settled(&payment.run).await;
            payments.push(payment);
        }
        payments
    };
    let customers = async {
        let payments = join_all((0..CUSTOMERS).map(customer)).await;
        paid.set(true);
        payments.into_iter().flatten().collect::<Vec<_>>()
    };
    let storm = async {
        while !paid.get() {
            tokio::time::sleep(KILL_EVERY).await;
            crashes.kill(cluster.host(random.usize(0..3)));
        }
    };
    let (payments, ()) = futures::join!(customers, storm);
    payments::check(&payments, &apis[0], &services, crashes.kills()).await;
    cluster.nothing_was_written_after_a_lease();
}

/// The lease in these tests, and a time that is certainly longer.
const LEASE: [&str; 2] = ["--lease", "2s"];

/// A run whose first effect is done, and which waits at a gate.
async fn at_the_gate(api: &Api, services: &Services) -> String {
    let run = api.start_program(services, block![effect("first"), gate("door"), effect("last")]).await;
    services.until_asked("door", 1).await;
    run
}

/// A node is silent for longer than its lease, then goes on: its runs have moved, nothing that it writes of
/// them counts, and it takes new ones.
async fn is_declared_dead_and_goes_on(
    cluster: &mut Cluster,
    silence: impl FnOnce(&mut Cluster),
    end_of_silence: impl FnOnce(&mut Cluster),
) {
    cluster.watch_writes();
    let services = Services::start().await;
    let [a, b] = [cluster.api(0), cluster.api(1)];
    b.deploy(&component("interpreter")).await;
    let epoch = async |name: &str| {
        let nodes = b.get("/_api/nodes").await.ok();
        let lives = |node: &&Value| node["name"] == name && node["ended_at"].is_null();
        nodes["nodes"].as_array().unwrap().iter().find(lives).map(|node| node["epoch"].as_i64().unwrap())
    };
    let run = at_the_gate(&a, &services).await;
    let old = epoch("a").await.expect("it lives");
    silence(cluster);
    services.until_asked("door", 2).await;
    assert_eq!(epoch("a").await, None, "it is declared dead");
    services.open("door");
    assert_eq!(b.settled(&run).await["status"], "completed");

    end_of_silence(cluster);
    eventually("it has a new lease", async || epoch("a").await.is_some_and(|new| new > old)).await;
    eventually("it has dropped what it had", async || a.health().await["runs_in_memory"] == 0).await;
    assert_eq!(services.asked("last").len(), 1);
    assert_eq!(a.record(&run).await, b.record(&run).await);
    let run = a.start_program(&services, block![effect("new")]).await;
    assert_eq!(b.settled(&run).await["status"], "completed");
    cluster.nothing_was_written_after_a_lease();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_slept_past_its_lease_writes_nothing_more_and_goes_on_with_new_runs() {
    let mut cluster = Cluster::builder().flag(LEASE).start(["a", "b"]).await;
    is_declared_dead_and_goes_on(
        &mut cluster,
        |cluster| cluster.host(0).freeze(),
        |cluster| cluster.host(0).thaw(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_from_the_database_writes_nothing_more_and_goes_on_with_new_runs() {
    let mut cluster = Cluster::builder().flag(LEASE).start([]).await;
    let proxy = Proxy::start(cluster.address()).await;
    let behind = cluster.url_at(proxy.address());
    cluster.add(Host::builder().database(behind).flag(["--node", "a"]).flag(LEASE)).await;
    cluster.add(Host::builder().database(cluster.url()).flag(["--node", "b"]).flag(LEASE)).await;
    is_declared_dead_and_goes_on(&mut cluster, |_| proxy.cut(), |_| proxy.heal()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_node_is_well_again_when_the_database_is_although_nobody_writes() {
    let mut cluster = Cluster::builder().start([]).await;
    let proxy = Proxy::start(cluster.address()).await;
    let host = Host::builder().database(cluster.url_at(proxy.address())).flag(["--node", "a"]);
    cluster.add(host.flag(["--database-timeout", "1s"])).await;
    let services = Services::start().await;
    let api = cluster.api(0);
    api.deploy(&component("interpreter")).await;
    let run = api.start_program(&services, block![effect("before")]).await;
    api.settled(&run).await;
    proxy.cut();
    let start = json!({ "input": services.program(block![effect("refused")]) });
    api.try_start("program", &start).await.refused(503);
    assert_eq!(api.get("/_api/health").await.status, 503);
    proxy.heal();
    eventually("the node is well again", async || api.get("/_api/health").await.status == 200).await;
}

/// The time for which a write waits for a lock: long enough for a test to see it, and shorter than a node waits.
const LOCKED: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_commit_is_not_answered_has_an_unknown_outcome_and_can_be_sent_again() {
    let mut cluster = Cluster::builder().start([]).await;
    let proxy = Proxy::start(cluster.address()).await;
    let host = Host::builder().database(cluster.url_at(proxy.address())).flag(["--node", "a"]);
    cluster.add(host.flag(["--lease", "10m"]).flag(["--database-timeout", "6s"])).await;
    let services = Services::start().await;
    let api = cluster.api(0);
    api.deploy(&component("interpreter")).await;

    // Its statements are prepared on the connection, so that the lock holds up their execution.
    let start = |key: &str| json!({ "key": key, "input": services.program(block![reversible("seat"), gate("door")]) });
    let before = api.start_acknowledged("program", &start("before")).await;
    services.until_asked("door", 1).await;
    api.cancel(&before).await.ok();
    assert_eq!(api.settled(&before).await["status"], "compensated");

    // A start: its commit waits for a lock, and the answer never comes.
    let start = start("order");
    cluster.lock_runs(LOCKED).await;
    let lost = async {
        cluster.until_a_node_waits().await;
        proxy.cut_answers();
    };
    let (answer, ()) = futures::join!(api.try_start("program", &start), lost);
    let (code, message) = answer.refused(503);
    assert_eq!(code, "outcome_unknown", "{message}");
    assert!(
        message.contains("may have taken effect: send it again, a start or an event with the same key"),
        "{message}"
    );
    assert_eq!(cluster.rows("SELECT count(*) FROM forge_runs"), ["2"], "it has taken effect");
    proxy.heal();
    let run = api.start_acknowledged("program", &start).await;
    assert_eq!(cluster.rows("SELECT count(*) FROM forge_runs"), ["2"], "it is the same run");
    services.until_asked("door", 2).await;

    // A cancellation, from the command line.
    let cli = cluster.host(0).cli();
    cluster.lock_runs(LOCKED).await;
    let lost = async {
        cluster.until_a_node_waits().await;
        proxy.cut_answers();
    };
    let (answer, ()) = futures::join!(cli.run(["runs", "cancel", &run]), lost);
    let message = answer.failed(8);
    assert!(message.contains("may have taken effect"), "{message}");
    proxy.heal();
    eventually("the cancellation is sent again", async || matches!(api.cancel(&run).await.status, 202 | 409))
        .await;
    assert_eq!(api.settled(&run).await["status"], "compensated");
}

/// The time limit of a statement, and requests at the same time, more than a node has connections.
const TIMEOUT: Duration = Duration::from_secs(1);
const READERS: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn requests_do_not_wait_for_one_another_while_the_database_hangs() {
    let mut cluster = Cluster::builder().start([]).await;
    let proxy = Proxy::start(cluster.address()).await;
    let host = Host::builder().database(cluster.url_at(proxy.address())).flag(["--node", "a"]);
    cluster.add(host.flag(["--database-timeout", "1s"])).await;
    let services = Services::start().await;
    let api = cluster.api(0);
    api.deploy(&component("interpreter")).await;
    let run = api.start_program(&services, block![effect("before")]).await;
    api.settled(&run).await;
    proxy.cut();
    // The outcome of this commit is unknown, and what the node knows of its tenants gets old.
    let start = json!({ "input": services.program(block![effect("refused")]) });
    api.try_start("program", &start).await.refused(503);
    let status = format!("/_api/runs/{run}");
    eventually("the tenants are read again", async || {
        let begun = Instant::now();
        api.get("/_api/workflows/program").await.status == 503 && begun.elapsed() > TIMEOUT / 2
    })
    .await;
    let begun = Instant::now();
    let read = |number: usize| {
        let (api, path) = (&api, if number.is_multiple_of(2) { &status } else { "/_api/health" });
        async move { api.get(path).await.status }
    };
    let answers = join_all((0..READERS).map(read)).await;
    let took = begun.elapsed();
    assert!(answers.iter().all(|status| *status == 503), "{answers:?}");
    assert!(took < 5 * TIMEOUT, "the last of {READERS} was answered after {took:?}");
    proxy.heal();
    eventually("the node works again", async || api.get(&status).await.status == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_sleeps_between_a_commit_and_its_request_does_not_send_it_afterwards() {
    // One request at a time: the second one is durable and waits.
    let builder = Cluster::builder().flag(LEASE).flag(["--http-requests", "1"]);
    let mut cluster = builder.start(["a", "b"]).await;
    let services = Services::start().await;
    let [a, b] = [cluster.api(0), cluster.api(1)];
    a.deploy(&component("interpreter")).await;
    let first = a.start_program(&services, block![gate("door")]).await;
    services.until_asked("door", 1).await;
    let second = a.start_program(&services, block![effect("late")]).await;
    eventually("the request's row is durable", async || {
        a.steps(&second).await.iter().any(|step| step["kind"] == "http" && step["status"] == "running")
    })
    .await;

    cluster.host(0).freeze();
    services.until_asked("door", 2).await;
    services.open("door");
    for run in [&first, &second] {
        assert_eq!(b.settled(run).await["status"], "completed");
    }
    assert_eq!(services.asked("late").len(), 1);
    // The first request of the frozen node was answered: the second one could leave now.
    cluster.host(0).thaw();
    let lives = "SELECT count(*)::text FROM forge_nodes WHERE name = 'a' AND ended_at IS NULL";
    eventually("it has a new lease", async || cluster.rows(lives) == ["1"]).await;
    eventually("it has dropped what it had", async || a.health().await["runs_in_memory"] == 0).await;
    assert_eq!(services.asked("late").len(), 1, "the node that lost the run sends nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_were_all_stopped_past_their_leases_do_not_declare_one_another_dead() {
    let mut cluster = Cluster::start(["a", "b", "c"]).await;
    let services = Services::start().await;
    cluster.api(0).deploy(&component("interpreter")).await;
    let run = cluster.api(0).start_program(&services, block![gate("door"), effect("last")]).await;
    services.until_asked("door", 1).await;
    let leases = |condition: &str| format!("SELECT count(*) FROM forge_nodes WHERE {condition}");
    for node in 0..3 {
        cluster.host(node).freeze();
    }
    let expired = leases("lease_until < clock_timestamp() - INTERVAL '100 ms'");
    eventually("all leases have expired", async || cluster.rows(&expired) == ["3"]).await;
    let now = cluster.rows("SELECT clock_timestamp()").remove(0);
    for node in 0..3 {
        cluster.host(node).thaw();
    }
    // By then each node has renewed its lease several times, and could have ended the others.
    let renewed = leases(&format!("lease_until > '{now}'::timestamptz + INTERVAL '6 s'"));
    eventually("all nodes renew their leases", async || cluster.rows(&renewed) == ["3"]).await;
    assert_eq!(cluster.rows(&leases("ended_at IS NOT NULL")), ["0"], "nobody is declared dead");
    services.open("door");
    assert_eq!(cluster.api(1).settled(&run).await["status"], "completed");
    assert_eq!(services.asked("door").len(), 1, "the run stayed where it was");
}

/// How long PostgreSQL is restarted, and how often.
const RESTARTS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(5));

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_while_the_database_crashes_every_five_seconds() {
    let cluster = Cluster::start(["a", "b"]).await;
    let services = Services::start().await;
    services.slow_down(20);
    let apis = [cluster.api(0), cluster.api(1)];
    apis[0].deploy(&example("payment")).await;
    let mut crashes = Crashes::new(0);
    let closing_time = Cell::new(false);
    let customers = (0..10).map(|customer| payments::shop(customer, &apis, &services, &closing_time));
    let storm = async {
        let begun = Instant::now();
        while begun.elapsed() < RESTARTS.0 {
            tokio::time::sleep(RESTARTS.1).await;
            crashes.record(|| cluster.crash_database());
        }
        closing_time.set(true);
    };
    let (payments, ()) = futures::join!(join_all(customers), storm);
    let payments: Vec<Payment> = payments.into_iter().flatten().collect();
    assert!(payments.len() >= 10, "every customer paid");
    payments::check(&payments, &apis[0], &services, crashes.kills()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_a_node_s_clock_changes_nothing_also_before_its_next_heartbeat() {
    let mut cluster = Cluster::builder().start([]).await;
    let clock = SteppedClock::new();
    // The runs of one node sleep in memory, those of the other one in the database. No heartbeat comes during the test.
    for (name, evict_after) in [("memory", "1h"), ("evicted", "0s")] {
        let host = Host::builder().database(cluster.url()).flag(["--node", name]).flag(["--lease", "10m"]);
        cluster.add(clock.applied_to(host.flag(["--evict-after", evict_after]))).await;
    }
    let services = Services::start().await;
    let apis = [cluster.api(0), cluster.api(1)];
    apis[0].deploy(&component("interpreter")).await;
    let mut asleep = Vec::new();
    for api in &apis {
        let run = api.start_program(&services, block![Statement::Sleep(600_000), effect("early")]).await;
        eventually("it sleeps", async || api.steps(&run).await.iter().any(|step| step["kind"] == "sleep"))
            .await;
        asleep.push(run);
    }
    for hours in [1, 25, -1] {
        clock.step(hours * 3_600);
        for api in &apis {
            let begun = Instant::now();
            let run = api.start_program(&services, block![Statement::Sleep(1_500), Statement::Draw]).await;
            assert_eq!(api.settled(&run).await["status"], "completed");
            let took = begun.elapsed();
            assert!((Duration::from_millis(1_400)..Duration::from_secs(30)).contains(&took), "{took:?}");
            let off = "SELECT max(abs(extract(epoch FROM clock_timestamp() - started_at)))::int::text \
                       FROM forge_workflow_runs WHERE status = 'completed'";
            let off: i64 = cluster.rows(off)[0].parse().unwrap();
            assert!(off < 600, "{hours} h: a run started {off} s from now");
        }
    }
    for run in &asleep {
        assert_eq!(apis[0].record(run).await["status"], "waiting", "it neither woke up nor timed out");
    }
    assert!(services.asked("early").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_differ_by_minutes_change_nothing() {
    let mut cluster = Cluster::builder().flag(LEASE).start(["a"]).await;
    for (name, skew) in [("ahead", "300"), ("behind", "-300")] {
        let host = Host::builder().database(cluster.url()).flag(["--node", name]).flag(LEASE);
        let preload = skewed_clock().display().to_string();
        cluster.add(host.variable("LD_PRELOAD", preload).variable("CLOCK_SKEW", skew)).await;
    }
    let services = Services::start().await;
    cluster.api(0).deploy(&component("interpreter")).await;
    // Longer than a run may wait in memory: it is the database that knows when they wake up.
    let body = block![Statement::Sleep(12_000), effect("awake"), Statement::Draw];
    let begun = Instant::now();
    let mut runs = Vec::new();
    for node in 0..3 {
        runs.push(cluster.api(node).start_program(&services, body.clone()).await);
    }
    // The one that is ahead dies in its sleep: the others know by the same clock when its run wakes up.
    cluster.host(1).kill();
    for run in &runs {
        assert_eq!(cluster.api(2).settled(run).await["status"], "completed");
    }
    let took = begun.elapsed();
    assert!(
        (Duration::from_secs(12)..Duration::from_secs(40)).contains(&took),
        "they woke up after {took:?}"
    );
    let now =
        cluster.rows("SELECT (extract(epoch FROM now()) * 1000)::bigint::text")[0].parse::<i64>().unwrap();
    for run in &runs {
        let record = cluster.api(0).record(run).await;
        let started = chrono::DateTime::parse_from_rfc3339(record["started_at"].as_str().unwrap()).unwrap();
        assert!(
            (now - started.timestamp_millis()).abs() < 60_000,
            "started at {started} by the database's clock"
        );
    }
    let ended = cluster.rows("SELECT name FROM forge_nodes WHERE ended_at IS NOT NULL");
    assert_eq!(ended, ["ahead"], "nobody else was declared dead");
}
