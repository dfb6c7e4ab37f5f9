//! Writes that fail, one at a time, and files that are damaged.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use forge_tests::program::{Statement, block, effect, gate, reversible, step};
use forge_tests::{Host, Refused, Services, component, eventually, eventually_some, failing_writes};
use futures::StreamExt as _;
use serde_json::json;
use tempfile::TempDir;

/// Writes of which each fails once, every so many: a run of the program below makes about 100.
const EVERY: usize = 4;

/// Beyond it the host has nothing more to write, or something is wrong.
const MOST: usize = 400;

/// A folder with a database that has the interpreter, compiled.
async fn prepared() -> TempDir {
    let mut host = Host::with_interpreter().await;
    host.terminate().await;
    host.into_folder()
}

fn copied(from: &Path) -> TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &to)
            } else {
                _ = fs::copy(entry.path(), to).unwrap()
            }
        }
    }
    let folder = TempDir::new().unwrap();
    copy(from, folder.path());
    folder
}

#[tokio::test]
async fn a_deleted_database_is_noticed_and_takes_no_starts() {
    let services = Services::start().await;
    let host = Host::with_interpreter().await;
    let api = host.api();
    api.start_program(&services, block![effect("before")]).await;
    fs::remove_file(host.database_file()).unwrap();
    eventually("the host notices it", async || api.health().await["status"] == "degraded").await;
    let error = api.health().await["error"].take();
    assert!(error.as_str().unwrap().contains("was deleted while the host runs"), "{error}");
    let body = json!({ "input": services.program(block![effect("late")]) });
    assert_eq!(api.try_start("program", &body).await.refused(503).0, "database_gone");
    assert!(host.log().contains("was deleted while the host runs"));
}

#[tokio::test]
async fn whichever_write_fails_nothing_is_lost_and_the_host_goes_on() {
    let template = prepared().await;
    let library = failing_writes();
    let mut hit = 0;
    for fails in (1..MOST).step_by(EVERY) {
        let services = Services::start().await;
        let host = Host::builder()
            .folder(copied(template.path()))
            .variable("LD_PRELOAD", library.display().to_string())
            .variable("FAIL_AT", fails.to_string())
            .flag(["--store-retry", "20ms"])
            .try_start()
            .await;
        let host = match host {
            Ok(host) => host,
            Err(Refused { log, .. }) => {
                assert!(log.contains("cannot open the database"), "write {fails}: {log}");
                hit += 1;
                continue;
            }
        };
        let body = block![
            reversible("a"),
            step("b", block![Statement::Draw, effect("b")]),
            Statement::Join(vec![block![effect("c")], block![effect("d")]]),
            Statement::Sleep(5),
            effect("e"),
        ];
        let start = json!({"input": services.program(body), "key": "the only one"});
        let api = host.api();
        // A start that was not acknowledged may be asked for again.
        let run = eventually_some("the start is taken", async || {
            let answer = api.try_start("program", &start).await;
            answer.body["run_id"].as_str().map(str::to_owned)
        })
        .await;
        let record = api.settled(&run).await;
        assert_eq!(record["status"], "completed", "write {fails}: {record:#}");
        let mut performed = services.performed();
        performed.sort();
        assert_eq!(performed, ["a", "b", "c", "d", "e"], "write {fails}");
        assert_eq!(api.health().await["status"], "ok", "write {fails}");
        let was_hit = host.log().contains("shim: write");
        hit += usize::from(was_hit);
        if !was_hit {
            break;
        }
    }
    assert!(hit > 10, "only {hit} writes failed");
}

/// The compiled components in a folder and below, and when they were written. Their names are digests.
fn files(folder: &Path) -> BTreeMap<String, SystemTime> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if entry.file_name().len() == 64 {
            found.insert(path.display().to_string(), entry.metadata().unwrap().modified().unwrap());
        }
    }
    found
}

#[tokio::test]
async fn a_compiled_component_outlives_a_restart_and_is_compiled_again_if_it_is_damaged() {
    let mut host = Host::with_interpreter().await;
    let services = Services::start().await;
    host.api().deploy(&component("greeting")).await;
    let waiting = host.api().start_program(&services, block![gate("go")]).await;
    services.until_asked("go", 1).await;
    let compiled = files(&host.component_cache());
    assert_eq!(compiled.len(), 2, "one for each component: {compiled:?}");

    host.kill();
    host.restart().await;
    services.until_asked("go", 2).await;
    assert_eq!(files(&host.component_cache()), compiled, "nothing was compiled");

    host.kill();
    for file in compiled.keys() {
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        // Half of what it was, too.
        bytes.truncate(middle + 1);
        fs::write(file, bytes).unwrap();
    }
    host.restart().await;
    services.open("go");
    assert_eq!(host.api().settled(&waiting).await["status"], "completed");
    assert!(host.log().contains("a compiled component is damaged"), "{}", host.log());
    let again = files(&host.component_cache());
    assert!(again.keys().eq(compiled.keys()), "{again:?}");
}

#[tokio::test]
async fn of_ten_thousand_starts_at_once_none_that_was_acknowledged_is_lost() {
    const STARTS: usize = 10_000;
    let host = Host::builder().flag(["--start-queue", "200"]).flag(["--live-instances", "20"]).start().await;
    host.api().deploy(&component("interpreter")).await;
    let services = Services::start().await;
    let (api, start) = (host.api(), json!({"input": services.program(block![step("s", block![])])}));
    let starts = futures::stream::iter(0..STARTS).map(|_| api.try_start("program", &start));
    let answers: Vec<_> = starts.buffer_unordered(1_000).collect().await;
    let mut taken = 0;
    for answer in answers {
        if answer.status == 202 {
            taken += 1;
        } else {
            assert_eq!(
                (answer.status, &answer.body["error"]["code"]),
                (429, &json!("busy")),
                "{}",
                answer.body
            );
            assert_eq!(answer.retry_after.as_deref(), Some("1"));
        }
    }
    assert!(taken > 0);
    println!("{taken} of {STARTS} starts were taken");
    let mut database = host.database().await;
    eventually_some("every run that was taken is completed", async || {
        let sql = "SELECT count(*) FROM forge_runs WHERE status = 'completed'";
        let (completed,): (i64,) = database.row(sql, &[]).await;
        (completed == taken).then_some(())
    })
    .await;
}
