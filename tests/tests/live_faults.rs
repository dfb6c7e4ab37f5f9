//! Subscriptions through crashes, moves between nodes, clients that do not read, and clients that may not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use forge_tests::program::{Block, Statement, block, effect, gate};
use forge_tests::{
    Api, Cluster, Crashes, Host, LiveSocket, Replica, Services, component, eventually, random,
};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::net::TcpSocket;

const KILLS: usize = 20;

/// Subscribes again and again until the run ends, from the position that is known.
async fn follow_through_crashes(url: impl Fn() -> String, run: &str) -> Replica {
    let mut replica = Replica::default();
    while !replica.ended {
        // While the host is down, the connection is refused at once.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let Ok(mut socket) = LiveSocket::try_connect(&url(), None).await else { continue };
        let message = json!({ "subscribe": { "run": run, "since": replica.position } });
        if socket.send(&message).await.is_err() {
            continue;
        }
        while !replica.ended
            && let Some(frame) = socket.frame().await
        {
            if frame["type"] == "error" {
                // The host stops, or its database is not open yet.
                break;
            }
            replica.add(&frame);
        }
        replica.interrupt();
    }
    replica
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_through_twenty_kills_of_the_host_ends_with_what_the_api_has() {
    let seed = random::seed("live");
    let mut host = Host::with_interpreter().await;
    let services = Services::start().await;
    let api = host.api();
    let turn = block![effect("again"), Statement::Sleep(20), Statement::Draw];
    let run = api.start_program(&services, block![Statement::Repeat(250, turn)]).await;
    let mut crashes = Crashes::new(seed);
    let url = api.clone();
    let following = {
        let run = run.clone();
        tokio::spawn(async move { follow_through_crashes(|| url.url(), &run).await })
    };
    while crashes.kills().len() < KILLS && crashes.crash(&mut host, &services, 200).await {}
    let replica = following.await.unwrap();
    println!("{} kills, frames {:?}", crashes.kills().len(), replica.types);
    assert_eq!(replica.run["status"], "completed", "{}", replica.run);
    replica.is_complete(&api, &run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_one_node_follows_a_run_that_moves_between_others() {
    let mut cluster = Cluster::start(["a", "b", "c"]).await;
    let apis = [0, 1, 2].map(|node| cluster.api(node));
    let services = Services::start().await;
    apis[0].deploy(&component("interpreter")).await;
    let body = block![effect("one"), gate("first"), effect("two"), gate("second"), effect("three")];
    let run = apis[0].start_program(&services, body).await;
    services.until_asked("first", 1).await;

    let mut socket = LiveSocket::connect(&apis[2].url()).await;
    socket.follow(&run).await;
    let mut replica = Replica::default();
    replica.until(&mut socket, |replica| replica.position.is_some()).await;
    services.open("first");
    let asks = |gate: &'static str| {
        move |replica: &Replica| {
            let name = format!("/gate/{gate}");
            replica.steps.values().any(|step| step["step_name"].as_str().unwrap().ends_with(&name))
        }
    };
    replica.until(&mut socket, asks("second")).await;

    // The run goes on elsewhere once the node's lease has ended.
    cluster.host(0).kill();
    services.until_asked("second", 2).await;
    services.open("second");
    replica.until_end(&mut socket).await;
    replica.is_complete(&apis[1], &run).await;
}

/// A program with more than 40,000 calls.
fn many_calls() -> Block {
    block![Statement::Repeat(101, block![Statement::Repeat(400, block![Statement::Draw])])]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_costs_nothing_and_gets_a_snapshot_when_it_does() {
    let host = Host::builder().flag(["--api-write-time", "10m"]).flag(["--live-ping", "10m"]);
    // The output has what the run has drawn. Clients that do not read hold their part of the frames for as long as they may.
    let host =
        host.flag(["--fuel", "200G"]).flag(["--payload-size", "64MiB"]).flag(["--live-frames", "1GiB"]);
    let host = host.start().await;
    let services = Services::start().await;
    let api = host.api();
    api.deploy(&component("interpreter")).await;
    let run = api.start_program(&services, block![gate("door"), many_calls().remove(0)]).await;
    services.until_asked("door", 1).await;

    let mut sockets = Vec::new();
    for number in 0..100 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 << 10).unwrap();
        let address = host.url().strip_prefix("http://").unwrap().parse().unwrap();
        let mut socket = LiveSocket::over(socket.connect(address).await.unwrap()).await;
        let message = json!({ "subscribe": { "run": run, "payloads": number < 3 } });
        socket.send(&message).await.unwrap();
        let snapshot = socket.frame().await.unwrap();
        sockets.push((socket, snapshot));
    }
    let before = resident(&host);
    services.open("door");
    let record = api.settled(&run).await;
    assert_eq!(record["status"], "completed", "{record}");
    assert!(record["calls"].as_u64().unwrap() > 40_000, "{record}");
    // The run itself takes memory, too; a queue of all frames for each client would take more than 1 GiB.
    let grown = resident(&host).saturating_sub(before);
    assert!(grown < 256 << 20, "{grown} bytes");

    for (mut socket, snapshot) in sockets.into_iter().take(3) {
        let mut replica = Replica::default();
        replica.add(&snapshot);
        replica.until_end(&mut socket).await;
        // No delta has waited for it: its first snapshot is followed by another one.
        assert_eq!(replica.types, ["snapshot", "end"]);
        replica.is_complete(&api, &run).await;
    }
}

/// Returns the bytes of memory that a host uses.
fn resident(host: &Host) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_has_a_thousand_subscriptions_and_no_more() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let starts = (0..10).map(|_| api.start_program(&services, block![gate("door"), effect("one")]));
    let runs = join_all(starts).await;
    services.until_asked("door", 10).await;
    let mut socket = LiveSocket::connect(&host.url()).await;
    let mut replicas: Vec<Replica> = (0..1_000).map(|_| Replica::default()).collect();
    for subscription in 0..=1_000 {
        let run = &runs[subscription % runs.len()];
        let message = json!({ "subscribe": { "run": run }, "id": subscription.to_string() });
        socket.send(&message).await.unwrap();
    }
    let mut refused = Vec::new();
    let mut ended = 0;
    let mut opened = false;
    while ended < replicas.len() {
        let frame = socket.frame().await.unwrap();
        let id: usize = frame["id"].as_str().unwrap().parse().unwrap();
        if frame["type"] == "error" {
            refused.push((id, frame["error"]["code"].clone()));
            continue;
        }
        replicas[id].add(&frame);
        ended += usize::from(frame["type"] == "end");
        if !opened && replicas.iter().all(|replica| replica.position.is_some()) {
            services.open("door");
            opened = true;
        }
    }
    assert_eq!(refused, [(1_000, json!("busy"))]);
    for (subscription, replica) in replicas.iter().enumerate().step_by(111) {
        replica.is_complete(&api, &runs[subscription % runs.len()]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_that_end_at_once_count_until_their_reads_have_ended() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let run = host.api().start_program(&services, block![gate("door")]).await;
    services.until_asked("door", 1).await;
    let mut socket = LiveSocket::connect(&host.url()).await;
    for number in 0..5_000 {
        let id = format!("short-{number}");
        socket.send(&json!({ "subscribe": { "run": run }, "id": id })).await.unwrap();
        socket.send(&json!({ "unsubscribe": id })).await.unwrap();
    }
    // Those before it may still be counted, but not for long.
    let mut attempts = 0..;
    eventually("there is room for a subscription", async || {
        let id = format!("long-{}", attempts.next().unwrap_or(0));
        socket.send(&json!({ "subscribe": { "run": run }, "id": id })).await.unwrap();
        loop {
            let frame = socket.frame().await.unwrap();
            if frame["id"] == *id {
                return frame["type"] == "snapshot";
            }
        }
    })
    .await;
}

/// Creates an API key.
async fn key(api: &Api, body: Value) -> (String, String) {
    let created = api.post_json("/_api/keys", &body).await.ok();
    (created["token"].as_str().unwrap().to_owned(), created["id"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_another_tenant_is_unknown_and_a_revoked_key_ends_the_connection() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let run = host.api().start_program(&services, block![gate("door")]).await;
    let operator = json!({ "name": "operator", "role": "admin", "host": true });
    let (ops, _) = key(&host.api(), operator).await;
    let ops = host.api().with_token(&ops);
    ops.post_json("/_api/tenants", &json!({ "name": "acme" })).await.ok();
    let acme = ops.for_tenant("acme");
    let (reader, id) = key(&acme, json!({ "name": "reader", "role": "read" })).await;

    let mut socket = LiveSocket::try_connect(&host.url(), Some(&reader)).await.unwrap();
    socket.follow(&run).await;
    assert_eq!(socket.error().await, ("unknown_run".to_owned(), Some(run.clone())));
    socket.send(&json!({ "subscribe": { "runs": {} } })).await.unwrap();
    assert_eq!(socket.frame().await.unwrap()["runs"], json!([]));
    acme.send(reqwest::Method::DELETE, &format!("/_api/keys/{id}"), None).await.ok();
    assert_eq!(socket.error().await, ("unauthorized".to_owned(), None));
    assert_eq!(socket.frame().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stops_says_so_and_a_run_that_is_deleted_is_unknown() {
    let (mut host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let paused = api.start_program(&services, block![gate("door")]).await;
    services.until_asked("door", 1).await;
    let mut socket = LiveSocket::connect(&host.url()).await;
    socket.follow(&paused).await;
    assert_eq!(socket.frame().await.unwrap()["type"], "snapshot");
    host.terminate().await;
    assert_eq!(socket.error().await, ("shutting_down".to_owned(), None));
    assert_eq!(socket.frame().await, None);

    host.restart().await;
    eventually("the host serves", async || api.record(&paused).await["status"] == "running").await;
}
