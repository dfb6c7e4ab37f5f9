use std::time::Duration;

use forge_journal::{Changes, NewRun, Run, RunId, Timestamp, WorkflowStatus};
use forge_postgres::Server;
use forge_store::postgres::{PostgresOptions, PostgresStore};
use forge_store::{Epoch, Notification, Store, StoreError, Write, Written};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;
use uuid::Uuid;

/// A time within which everything happens that is expected to happen.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The shortest lease.
pub(crate) const LEASE: Duration = PostgresOptions::SHORTEST_LEASE;

/// A new database on the server that all tests share.
pub(crate) fn database() -> String {
    Server::shared().unwrap().create_database().unwrap()
}

pub(crate) fn options(url: &str, node: &str) -> PostgresOptions {
    PostgresOptions { lease: LEASE, ..PostgresOptions::new(url, node) }
}

pub(crate) async fn open(url: &str, node: &str) -> PostgresStore {
    PostgresStore::open(&options(url, node)).await.unwrap()
}

/// A connection of another program.
pub(crate) async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

pub(crate) async fn execute(connection: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(connection).await.unwrap();
}

pub(crate) async fn text(connection: &mut PgConnection, sql: &'static str) -> String {
    sqlx::query_scalar::<_, Option<String>>(sql).fetch_one(connection).await.unwrap().unwrap_or_default()
}

/// Repeats the query until it returns this answer.
pub(crate) async fn eventually(connection: &mut PgConnection, sql: &'static str, answer: &str) {
    let asking = async {
        while text(connection, sql).await != answer {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, asking).await.unwrap_or_else(|_| panic!("{sql} is not {answer}"));
}

pub(crate) fn run(number: u128) -> Run {
    let new = NewRun {
        id: RunId(Uuid::from_u128(number)),
        tenant: "default".into(),
        workflow: "payment".into(),
        version: 1,
        digest: "d1".into(),
        input: "{}".into(),
        started_at: Timestamp(1_000),
        timeout_ms: 89_000,
    };
    Run { status: WorkflowStatus::Running, ..Run::new(new) }
}

pub(crate) fn start(number: u128) -> Write {
    Write::Start(Box::new(run(number)))
}

pub(crate) fn insert_unowned(number: u128) -> Write {
    Write::InsertUnowned(Box::new(run(number)))
}

/// Saves the run with this output, a number, as its revision.
pub(crate) fn save(number: u128, output: &str) -> Write {
    let run = Run { output: Some(output.into()), revision: output.parse().unwrap(), ..run(number) };
    Write::Save(
        run.id,
        Changes {
            run: Some(Box::new(run)),
            new_run: false,
            rows: Vec::new(),
            new_rows: 0,
            ..Changes::default()
        },
    )
}

pub(crate) async fn commit(store: &PostgresStore, writes: &[Write]) -> Result<Vec<Written>, StoreError> {
    store.commit(store.epoch(), writes).await.map(|committed| committed.written)
}

/// Claims runs, and returns their numbers.
pub(crate) async fn claim(store: &PostgresStore, epoch: Epoch, limit: u32) -> Result<Vec<u128>, StoreError> {
    let claimed = store.claim(epoch, Timestamp::MAX, limit).await?;
    Ok(claimed.into_iter().map(|due| due.run.0.as_u128()).collect())
}

/// Claims until there is a run.
pub(crate) async fn claim_something(store: &PostgresStore) -> Vec<u128> {
    let claiming = async {
        loop {
            let claimed = claim(store, store.epoch(), 100).await.unwrap();
            if !claimed.is_empty() {
                return claimed;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, claiming).await.unwrap()
}

/// Waits for a notification. Others before it are skipped.
pub(crate) async fn receives(notifications: &mut UnboundedReceiver<Notification>, wanted: Notification) {
    let receiving = async {
        while let Some(notification) = notifications.recv().await {
            if notification == wanted {
                return;
            }
        }
        panic!("the store is gone");
    };
    timeout(SOON, receiving).await.unwrap_or_else(|_| panic!("{wanted:?} was not received"));
}
