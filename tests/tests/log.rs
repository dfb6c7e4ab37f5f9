//! A log that cannot be written costs lines, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs::File;
use std::io::{BufRead as _, BufReader, PipeReader, pipe};
use std::process::Stdio;
use std::time::Duration;

use forge_tests::program::{Statement, block, effect};
use forge_tests::{Host, PATIENCE, Services, component};

/// Executes a run that logs more than a pipe has room for, on a host that logs to `output`.
async fn logs_much(output: impl Into<Stdio>) -> Host {
    let services = Services::start().await;
    let host = Host::builder().log_to(output).start().await;
    let api = host.api();
    api.deploy(&component("interpreter")).await;
    let lines = Statement::Repeat(200, block![Statement::Log("x".repeat(1_000))]);
    let run = api.start_program(&services, block![lines, effect("done")]).await;
    assert_eq!(api.settled(&run).await["status"], "completed");
    assert!(host.is_running());
    host
}

async fn ends_in_time(mut host: Host) {
    let (status, took) = host.terminate().await;
    assert!(status.success() && took < Duration::from_secs(7), "{status} after {took:?}");
}

#[tokio::test]
async fn a_host_goes_on_when_its_log_has_no_reader() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    ends_in_time(logs_much(writer).await).await;
}

#[tokio::test]
async fn a_host_goes_on_when_the_disk_of_its_log_is_full() {
    ends_in_time(logs_much(File::options().write(true).open("/dev/full").unwrap()).await).await;
}

#[tokio::test]
async fn a_host_goes_on_when_the_reader_of_its_log_stands_still() {
    let (reader, writer) = pipe().unwrap();
    ends_in_time(logs_much(writer).await).await;
    drop(reader);
}

#[tokio::test]
async fn the_log_says_how_many_lines_were_lost() {
    let services = Services::start().await;
    let (reader, writer) = pipe().unwrap();
    let host = Host::builder().log_to(writer).start().await;
    let api = host.api();
    api.deploy(&component("interpreter")).await;
    // Otherwise the lines are dropped before they are written.
    host.cli().run(["tenants", "set", "default", "--limit", "log_rate=1G"]).await.ok();
    // Together more than the pipe and the queue have room for.
    let lines = Statement::Repeat(200, block![Statement::Log("x".repeat(4_000))]);
    for _ in 0..10 {
        let run = api.start_program(&services, block![lines.clone(), effect("done")]).await;
        assert_eq!(api.settled(&run).await["status"], "completed");
    }
    let reading = tokio::task::spawn_blocking(move || lost_lines(reader));
    let found = tokio::time::timeout(PATIENCE, reading).await.expect("it is in the log").unwrap();
    assert!(found.contains(" WARN forge_host::cli::serve::logging: "), "{found}");
    drop(host);
}

fn lost_lines(log: PipeReader) -> String {
    let mut lines = BufReader::new(log).lines().map_while(Result::ok);
    lines.find(|line| line.contains("lines of the log were lost")).expect("the log has such a line")
}
