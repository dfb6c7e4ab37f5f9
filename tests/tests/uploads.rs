//! Uploads: tenants take turns, runs do not wait for them, and the process that compiles them can do nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![cfg(target_os = "linux")]

use std::fs;
use std::process::Command;

use forge_tests::expensive_components::{of_many_functions, of_seconds};
use forge_tests::{Answer, Api, Host, HostBuilder, binary, component, eventually, eventually_some};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

/// A host on which compiling may take as long as it takes on a busy machine.
fn patient() -> HostBuilder {
    Host::builder().flag(["--compile-time", "60s"])
}

/// Makes two tenants, and returns an API for each. There are no keys: everybody may act for each.
async fn two_tenants(host: &Host) -> (Api, Api) {
    for name in ["acme", "umbrella"] {
        host.api().post_json("/_api/tenants", &json!({ "name": name })).await.ok();
    }
    (host.api().for_tenant("acme"), host.api().for_tenant("umbrella"))
}

/// Uploads a component, without waiting for the answer.
fn uploading(api: &Api, component: Vec<u8>) -> JoinHandle<Answer> {
    let api = api.clone();
    tokio::spawn(async move { api.upload(&component).await })
}

/// Returns the process that compiles for a host, if there is one.
fn compiler_of(host: &Host) -> Option<u32> {
    let children = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).ok();
    let threads = fs::read_dir(format!("/proc/{}/task", host.pid())).unwrap().flatten();
    let children: Vec<String> = threads.filter_map(children).collect();
    let compiles = |pid: &u32| {
        let arguments = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        arguments.contains("compile-component") && !arguments.contains("--check")
    };
    children.iter().flat_map(|list| list.split(' ')).filter_map(|pid| pid.parse().ok()).find(compiles)
}

async fn until_compiling(host: &Host) -> u32 {
    eventually_some("a component is compiled", async || compiler_of(host)).await
}

async fn compile_ms(api: &Api) -> u64 {
    api.get("/_api/usage").await.ok()["total"]["compile_ms"].as_u64().unwrap()
}

#[tokio::test]
async fn a_run_does_not_wait_for_the_upload_of_another_tenant() {
    let mut host = patient().start().await;
    let (acme, umbrella) = two_tenants(&host).await;
    acme.deploy(&component("greeting")).await;
    host.terminate().await;
    host.restart().await;
    let upload = uploading(&umbrella, of_seconds(1));
    until_compiling(&host).await;
    // From the cache.
    let run = acme.start("greeting", json!("Ada")).await;
    assert_eq!(acme.settled(&run).await["status"], "completed");
    assert!(!upload.is_finished(), "the upload is still compiled");
    host.kill();
    fs::remove_dir_all(host.component_cache()).unwrap();
    host.restart().await;
    let upload = uploading(&umbrella, of_seconds(2));
    until_compiling(&host).await;
    // Compiled beside it.
    let run = acme.start("greeting", json!("Ada")).await;
    assert_eq!(acme.settled(&run).await["status"], "completed");
    upload.abort();
}

#[tokio::test]
async fn one_upload_of_a_tenant_waits_and_further_ones_are_refused() {
    let host = patient().start().await;
    let (acme, umbrella) = two_tenants(&host).await;
    let first = uploading(&umbrella, of_seconds(1));
    until_compiling(&host).await;
    // Of two more, one waits, and the other is refused.
    let (mut second, mut third) = (uploading(&umbrella, of_seconds(2)), uploading(&umbrella, of_seconds(3)));
    let refused = tokio::select! { done = &mut second => done, done = &mut third => done }.unwrap();
    assert_eq!(refused.retry_after.as_deref(), Some("1"));
    let (code, message) = refused.refused(429);
    assert_eq!(code, "busy");
    assert!(message.contains("`umbrella` has an upload under way and one that waits"), "{message}");
    // Another tenant has its turn before the one that waits.
    let waiting = if second.is_finished() { third } else { second };
    acme.deploy(&component("greeting")).await;
    assert!(!waiting.is_finished());
    assert_eq!(first.await.unwrap().refused(422).0, "invalid_component");
    waiting.abort();
}

#[tokio::test]
async fn compile_time_is_charged_and_bounded_in_each_hour() {
    let host = patient().start().await;
    let (acme, umbrella) = two_tenants(&host).await;
    acme.deploy(&component("greeting")).await;
    umbrella.deploy(&component("greeting")).await;
    let of_acme = compile_ms(&acme).await;
    let of_umbrella = compile_ms(&umbrella).await;
    assert!(of_umbrella * 4 > of_acme, "it was compiled again: {of_umbrella} ms, before {of_acme} ms");
    assert_eq!(umbrella.upload(&of_seconds(1)).await.status, 422, "it has no workflows, and was compiled");
    assert!(compile_ms(&umbrella).await > 1_000);
    let limits = json!({ "limits": { "compile_seconds": 1 } });
    host.api().send(Method::PATCH, "/_api/tenants/umbrella", Some(&limits)).await.ok();
    let refused = umbrella.upload(&of_seconds(2)).await;
    let seconds: u64 = refused.retry_after.as_deref().unwrap().parse().unwrap();
    assert!(seconds > 1, "{seconds}");
    let (code, message) = refused.refused(429);
    assert_eq!(code, "busy");
    assert!(message.contains("compile_seconds = 1"), "{message}");
    // What is registered costs nothing, and others are not concerned.
    assert_eq!(umbrella.upload(&component("greeting")).await.status, 200);
    acme.deploy(&component("interpreter")).await;
}

#[tokio::test]
async fn a_component_that_takes_too_long_by_estimate_is_refused_before_it_is_compiled() {
    let host = Host::start().await;
    let (_, message) = host.api().upload(&of_many_functions()).await.refused(422);
    assert!(message.contains("by estimate, and the most is 10 s. Its function"), "{message}");
    assert!(compile_ms(&host.api()).await > 0, "looking at it is charged, too");
}

#[tokio::test]
async fn an_upload_waits_for_memory_before_its_body_is_read_and_a_slow_body_is_given_up() {
    let host = patient().flag(["--upload-memory", "1MiB"]).flag(["--upload-time", "2s"]).start().await;
    let (acme, _) = two_tenants(&host).await;
    let address = host.url().trim_start_matches("http://").to_owned();
    let mut slow = tokio::net::TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST /_api/workflows HTTP/1.1\r\nhost: {address}\r\nforge-tenant: umbrella\r\ncontent-type: application/wasm\r\n\
         content-length: 1048576\r\nexpect: 100-continue\r\n\r\n"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    // The host wants the body: the upload has the memory.
    let mut answer = [0; 25];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    let upload = uploading(&acme, component("greeting").to_vec());
    let mut rest = String::new();
    slow.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 408") && rest.contains("body_timeout"), "{rest}");
    assert!(rest.contains("does not arrive within 2s"), "{rest}");
    assert_eq!(upload.await.unwrap().status, 201);
}

#[tokio::test]
async fn an_upload_needs_its_content_type_and_a_start_its_body() {
    let host = Host::start().await;
    host.api().deploy(&component("greeting")).await;
    let upload = host.api().request(Method::POST, "/_api/workflows").await.body("\0asm");
    let answer = upload.send().await.unwrap();
    assert_eq!(answer.status(), 415);
    let text = answer.text().await.unwrap();
    assert!(
        text.contains("must be application/wasm or application/octet-stream; this request has none"),
        "{text}"
    );
    let (code, message) = host.api().post("/_api/workflows/greeting/start").await.refused(400);
    assert_eq!((&*code, &*message), ("invalid_body", "the body is empty; it must have at least `{}`"));
    assert_eq!(host.api().get("/_api/runs").await.ok()["runs"], json!([]));
}

#[tokio::test]
async fn the_process_that_compiles_can_only_compile() {
    let key = String::from_utf8(run(&["secrets", "generate-key"])).unwrap();
    let host = patient().variable("FORGE_SECRETS_KEY", key.trim()).start().await;
    let upload = uploading(&host.api(), of_seconds(1));
    let pid = until_compiling(&host).await;
    let of = |pid: u32, file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap();
    let field = |name: &str| {
        let status = String::from_utf8(of(pid, "status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    eventually("it has a filter of system calls", async || field("Seccomp:") == ["2"]).await;
    assert_eq!(field("NoNewPrivs:"), ["1"]);
    if rustix::process::geteuid().is_root() {
        for ids in [field("Uid:"), field("Gid:")] {
            assert!(!ids.contains(&"0".to_owned()), "{ids:?}");
        }
        assert_eq!(field("CapEff:"), ["0000000000000000"]);
        assert_eq!(field("Groups:"), Vec::<String>::new());
    }
    assert_eq!(of(pid, "environ"), b"");
    let group = |pid: u32| String::from_utf8(of(pid, "stat")).unwrap().split(' ').nth(4).unwrap().to_owned();
    assert_eq!(group(pid), pid.to_string(), "Ctrl-C does not reach it");
    // The host's own environment does not have the key any more.
    let environment = of(host.pid(), "environ");
    let has = |text: &str| environment.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("PATH=") && !has(key.trim()));
    upload.abort();
    eventually("a client that disconnects ends it", async || compiler_of(&host).is_none()).await;
}

#[test]
fn this_machine_has_what_confines_the_compiler() {
    let missing = run(&["compile-component", "--check", "--time-ms", "10000", "--memory", "1000000000"]);
    assert_eq!(String::from_utf8(missing).unwrap(), "");
}

/// Runs a command, and returns its output.
fn run(arguments: &[&str]) -> Vec<u8> {
    let done = Command::new(binary::forge()).args(arguments).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    done.stdout
}

#[tokio::test]
async fn an_upload_during_a_stop_is_answered_with_shutting_down() {
    let mut host = patient().start().await;
    let upload = uploading(&host.api(), of_seconds(1));
    until_compiling(&host).await;
    host.terminate().await;
    let answer: Answer = upload.await.unwrap();
    assert_eq!(answer.retry_after.as_deref(), Some("1"));
    assert_eq!(answer.refused(503).0, "shutting_down");
}
