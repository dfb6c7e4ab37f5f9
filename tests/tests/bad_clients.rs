//! Clients that send nothing, read nothing, or do either slowly: they hold little, for a bounded time, and others get their
//! answers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use forge_tests::program::{Statement, block};
use forge_tests::{Host, HostBuilder, Services, component, eventually};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// More than enough for what takes a second.
const SOON: Duration = Duration::from_secs(20);

/// A host with short times for clients.
fn impatient() -> HostBuilder {
    Host::builder()
        .flag(["--api-head-time", "1s"])
        .flag(["--api-idle-time", "1s"])
        .flag(["--api-body-time", "1s"])
        .flag(["--api-write-time", "1s"])
}

async fn connect(host: &Host) -> TcpStream {
    TcpStream::connect(host.url().strip_prefix("http://").unwrap()).await.unwrap()
}

/// A connection that buffers little for a client that does not read.
async fn connect_narrowly(host: &Host) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    socket.connect(host.url().strip_prefix("http://").unwrap().parse().unwrap()).await.unwrap()
}

/// Returns what the host sends until it closes the connection, which it must do soon.
async fn until_closed(mut client: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset is an end, too.
    let _ = timeout(SOON, client.read_to_end(&mut answer)).await.expect("the host closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Waits until the host has read what a client has sent.
async fn until_read(client: &TcpStream) {
    let (client, host) = (client.local_addr().unwrap().port(), client.peer_addr().unwrap().port());
    let ends = (format!(":{host:04X}"), format!(":{client:04X}"));
    eventually("the host has read the request", async || {
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let mut lines = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.any(|parts| {
            parts[1].ends_with(&ends.0) && parts[2].ends_with(&ends.1) && parts[4].ends_with(":00000000")
        })
    })
    .await;
}

/// The connections that the process has.
fn sockets(host: &Host) -> usize {
    let files = std::fs::read_dir(format!("/proc/{}/fd", host.pid())).unwrap();
    let is_socket = |file: &std::fs::DirEntry| {
        std::fs::read_link(file.path()).is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
    };
    files.filter_map(Result::ok).filter(is_socket).count()
}

#[tokio::test]
async fn silent_clients_do_not_lock_others_out() {
    let host = Host::builder().flag(["--api-connections", "100"]).start().await;
    let mut silent = Vec::new();
    for _ in 0..2_000 {
        silent.push(connect(&host).await);
    }
    // A client in time gets its answer, on each of many new connections.
    for _ in 0..20 {
        let mut client = connect(&host).await;
        client
            .write_all(b"GET /_api/health HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        assert!(until_closed(client).await.starts_with("HTTP/1.1 200"));
    }
    eventually("the others were closed", async || sockets(&host) < 200).await;
    drop(silent);
    assert_eq!(host.api().health().await["status"], "ok");
}

#[tokio::test]
async fn connections_that_all_have_requests_are_not_displaced_and_a_further_one_is_refused() {
    let services = Services::start().await;
    let host = impatient().flag(["--api-connections", "3"]).start().await;
    let api = host.api();
    api.deploy(&component("interpreter")).await;
    let run = api.start_program(&services, block![Statement::Sleep(4_000)]).await;
    // Long polls wait for much longer than any of the times.
    let request =
        format!("GET /_api/runs/{run}?wait=30 HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
    let mut polls = Vec::new();
    for _ in 0..3 {
        let mut client = connect(&host).await;
        client.write_all(request.as_bytes()).await.unwrap();
        until_read(&client).await;
        polls.push(client);
    }
    let refused = until_closed(connect(&host).await).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("too_many_connections"), "{refused}");
    for poll in polls {
        let answer = until_closed(poll).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"completed\""), "{answer}");
    }
    assert_eq!(host.api().health().await["status"], "ok");
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_cut_off() {
    let host = impatient().start().await;
    let begun = Instant::now();
    let mut client = connect(&host).await;
    for byte in b"GET /_api/health HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ".iter().cycle() {
        let sent = client.write_all(&[*byte]).await;
        if sent.is_err() {
            break;
        }
        assert!(begun.elapsed() < SOON, "the client may go on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The same after a request.
    let mut client = connect(&host).await;
    client.write_all(b"GET /_api/health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\nGET /_api").await.unwrap();
    assert!(until_closed(client).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_body_that_stops_or_trickles_is_answered_with_408() {
    let host = impatient().start().await;
    let head = b"POST /_api/workflows HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/wasm\r\n\
        content-length: 100000\r\n\r\n";
    let mut stopped = connect(&host).await;
    stopped.write_all(head).await.unwrap();
    stopped.write_all(b"\0asm").await.unwrap();
    let answer = until_closed(stopped).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("body_timeout"), "{answer}");

    let trickling = connect(&host).await;
    let (mut reader, mut writer) = trickling.into_split();
    writer.write_all(head).await.unwrap();
    let trickle = async {
        while writer.write_all(&[0; 10]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut answer = Vec::new();
    let read = async {
        let _ = timeout(SOON, reader.read_to_end(&mut answer)).await.expect("the host closes the connection");
    };
    tokio::select! { () = trickle => {} () = read => {} }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.is_empty() || answer.contains("body_timeout"), "{answer}");
    assert_eq!(host.api().health().await["status"], "ok");
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_dropped() {
    let services = Services::start().await;
    let host = impatient().start().await;
    let api = host.api();
    api.deploy(&component("interpreter")).await;
    let input = services.program(block![Statement::Log("x".repeat(900_000))]);
    let run = api.start("program", input.clone()).await;
    api.settled(&run).await;
    let before = sockets(&host);
    let request = format!("GET /_api/runs/{run} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
    let mut stalled = Vec::new();
    for _ in 0..50 {
        let mut client = connect_narrowly(&host).await;
        // Several requests at once: their answers are more than the kernel buffers.
        client.write_all(request.repeat(8).as_bytes()).await.unwrap();
        stalled.push(client);
    }
    eventually("they were dropped", async || sockets(&host) <= before + 2).await;
    drop(stalled);

    // A client that reads slowly, and not too slowly, gets the whole answer.
    let mut client = connect_narrowly(&host).await;
    client.write_all(request.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let (mut answer, mut part) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let read = client.read(&mut part).await.unwrap();
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&part[..read]);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let answer = String::from_utf8(answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let record: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&record["input"], &record["status"]), (&input, &json!("completed")));
}

#[tokio::test]
async fn answers_that_are_not_read_take_bounded_memory_and_other_tenants_get_theirs() {
    let services = Services::start().await;
    let host = Host::builder().flag(["--api-answers", "16MiB"]).start().await;
    let mut runs = Vec::new();
    for tenant in ["acme", "umbrella"] {
        host.api().post_json("/_api/tenants", &json!({ "name": tenant })).await.ok();
        let api = host.api().for_tenant(tenant);
        api.deploy(&component("interpreter")).await;
        let run = api.start_program(&services, block![Statement::Log("x".repeat(900_000))]).await;
        api.settled(&run).await;
        runs.push((api, format!("/_api/runs/{run}")));
    }
    let (acme, path) = &runs[0];
    let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nforge-tenant: acme\r\n\r\n");
    let mut stalled = Vec::new();
    for _ in 0..50 {
        let mut client = connect_narrowly(&host).await;
        client.write_all(request.repeat(8).as_bytes()).await.unwrap();
        stalled.push(client);
    }
    eventually("there is no room for another answer", async || acme.get(path).await.status == 429).await;
    let (code, message) = acme.get(path).await.refused(429);
    assert!(code == "busy" && message.contains("--api-answers"), "{message}");
    let (umbrella, path) = &runs[1];
    assert_eq!(umbrella.get(path).await.ok()["status"], "completed");
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap());
    drop(stalled);
    let (acme, path) = &runs[0];
    eventually("there is room again", async || acme.get(path).await.status == 200).await;
}
