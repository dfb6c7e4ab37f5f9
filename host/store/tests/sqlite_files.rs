//! What happens to the files of an SQLite database while it is open.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

use forge_journal::{Changes, NewRun, Run, RunId, Timestamp};
use forge_store::sqlite::SqliteStore;
use forge_store::{LogLimits, Store, StoreError, Write, Written};
use rusqlite::Connection;
use tempfile::TempDir;
use uuid::Uuid;

/// The length of the log from which on the host warns.
const LONG: u64 = 64 << 20;

async fn opened() -> (TempDir, PathBuf, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forge.db");
    let store = SqliteStore::open(&path).await.unwrap();
    (folder, path, store)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    format!("{}{suffix}", path.display()).into()
}

fn start(number: u128, bytes: usize) -> [Write; 1] {
    let new = NewRun {
        id: RunId(Uuid::from_u128(number)),
        tenant: "default".into(),
        workflow: "payment".into(),
        version: 1,
        digest: "d1".into(),
        input: format!("\"{}\"", "x".repeat(bytes)).into(),
        started_at: Timestamp(1_000),
        timeout_ms: 89_000,
    };
    [Write::Start(Box::new(Run::new(new)))]
}

#[tokio::test]
async fn nothing_is_written_to_files_that_were_deleted_or_replaced() {
    for suffix in ["", "-wal", "-shm", ".lock"] {
        for replaced in [false, true] {
            let (_folder, path, store) = opened().await;
            let file = beside(&path, suffix);
            store.commit(store.epoch(), &start(1, 1)).await.unwrap();
            store.inspect().await.unwrap();
            assert!(store.trouble().is_none());
            std::fs::remove_file(&file).unwrap();
            if replaced {
                // Kept open, so that the new file does not get the number of the old one.
                std::fs::write(&file, "").unwrap();
            }
            let error = store.inspect().await.unwrap_err();
            let what = if replaced { "replaced" } else { "deleted" };
            assert!(
                matches!(&error, StoreError::FilesGone { path, what: found, .. }
                    if path.ends_with(file.file_name().unwrap()) && *found == what),
                "{suffix} {what}: {error}"
            );
            assert!(matches!(store.trouble(), Some(StoreError::FilesGone { .. })));
            let late = store.commit(store.epoch(), &start(2, 1)).await;
            assert!(matches!(late, Err(StoreError::FilesGone { .. })), "{suffix}: {late:?}");
            let read = store.run(RunId(Uuid::from_u128(1))).await;
            assert!(matches!(read, Err(StoreError::FilesGone { .. })), "it might be of another file");
        }
    }
}

#[tokio::test]
async fn the_files_stay_when_the_writing_connection_is_opened_again() {
    let (_folder, path, store) = opened().await;
    let [Write::Start(run)] = start(1, 1) else { panic!("a start") };
    store.commit(store.epoch(), &[Write::Start(run.clone())]).await.unwrap();
    // Refused, after which the writing connection is closed, the only one that was used.
    let other = Run { output: Some("1".into()), ..*run };
    let changes = Changes { run: Some(Box::new(other)), ..Changes::default() };
    let refused = store.commit(store.epoch(), &[Write::Save(RunId(Uuid::from_u128(1)), changes)]).await;
    assert!(matches!(refused, Err(StoreError::Outdated)), "{refused:?}");
    store.inspect().await.unwrap();
    assert_eq!(store.commit(store.epoch(), &start(2, 1)).await.unwrap().written, [Written::Done]);
    store.inspect().await.unwrap();
    store.close().await;
    assert!(path.exists() && !beside(&path, "-wal").exists(), "one file is left");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_second_host_is_kept_out_although_the_lock_file_was_deleted() {
    let (_folder, path, store) = opened().await;
    std::fs::remove_file(beside(&path, ".lock")).unwrap();
    let second = SqliteStore::open(&path).await;
    assert!(matches!(second, Err(StoreError::InUse { .. })), "{:?}", second.err());
    drop(store);
    SqliteStore::open(&path).await.unwrap();
}

#[tokio::test]
async fn the_log_is_cut_when_the_reader_that_needed_it_is_gone() {
    let (_folder, path, store) = opened().await;
    let length = || std::fs::metadata(beside(&path, "-wal")).unwrap().len();
    let reused = length();
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM forge_runs").unwrap();
    let mut number = 0;
    while length() < LONG + (8 << 20) {
        number += 1;
        store.commit(store.epoch(), &start(number, 1 << 20)).await.unwrap();
    }
    store.inspect().await.unwrap();
    assert!(length() > LONG, "the reader still needs it");
    reader.execute_batch("COMMIT").unwrap();
    store.inspect().await.unwrap();
    assert_eq!(length(), reused, "without any further commit");
    let written = store.commit(store.epoch(), &start(number + 1, 1)).await.unwrap().written;
    assert_eq!(written, [Written::Done]);
    store.close().await;
    let store = SqliteStore::open(&path).await.unwrap();
    for number in 1..=number + 1 {
        assert!(store.run(RunId(Uuid::from_u128(number))).await.unwrap().is_some(), "{number}");
    }
}

#[tokio::test]
async fn a_log_at_its_limit_is_reported_and_runs_under_way_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forge.db");
    let limits = LogLimits { truncate: LogLimits::LEAST, most: 40 << 20 };
    let store = SqliteStore::open_with(&path, limits).await.unwrap();
    let length = || std::fs::metadata(beside(&path, "-wal")).unwrap().len();
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM forge_runs").unwrap();
    let mut number = 0;
    while length() < limits.most {
        assert!(store.inspect().await.is_ok(), "the log has {} bytes", length());
        number += 1;
        store.commit(store.epoch(), &start(number, 1 << 20)).await.unwrap();
    }
    let error = store.inspect().await.unwrap_err();
    assert!(matches!(error, StoreError::LogTooLarge { most, .. } if most == limits.most), "{error}");
    assert!(matches!(store.trouble(), Some(StoreError::LogTooLarge { .. })));
    store.commit(store.epoch(), &start(number + 1, 1)).await.unwrap();
    reader.execute_batch("COMMIT").unwrap();
    store.inspect().await.unwrap();
    assert!(store.trouble().is_none() && length() < limits.truncate, "{}", length());
}

#[tokio::test]
async fn commits_cut_a_log_that_became_long() {
    let (_folder, path, store) = opened().await;
    let length = || std::fs::metadata(beside(&path, "-wal")).unwrap().len();
    let reused = length();
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM forge_runs").unwrap();
    let mut number = 0;
    while length() < 2 * reused {
        number += 1;
        store.commit(store.epoch(), &start(number, 1 << 20)).await.unwrap();
    }
    reader.execute_batch("COMMIT").unwrap();
    // The log is copied to the database on another thread, so the number of commits until it is cut varies.
    let last = number + 1_000;
    while length() >= 2 * reused {
        number += 1;
        assert!(number < last, "{} was {reused}", length());
        store.commit(store.epoch(), &start(number, 1 << 20)).await.unwrap();
    }
}
