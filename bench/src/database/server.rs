use std::path::Path;
use std::str::FromStr as _;

use anyhow::{Context as _, Result};
use forge_postgres::Server;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::observe::Usage;

/// What makes an answer a promise, as everywhere where data matter, and what a server is commonly given that has a
/// machine of this size. All else is as PostgreSQL comes.
const SETTINGS: [(&str, &str); 7] = [
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("shared_buffers", "256MB"),
    ("min_wal_size", "1GB"),
    ("max_wal_size", "2GB"),
    ("max_connections", "100"),
];

/// Makes files of the write-ahead log up to `min_wal_size`, which are used again from then on, as in a server that has
/// run for a while: making one costs as much as writing it.
const WARM_UP: &str = "SELECT count(pg_logical_emit_message(FALSE, 'forge', 'warm-up')), count(pg_switch_wal()) \
     FROM generate_series(1, 60); CHECKPOINT";

/// Counts statements. It is one of those that come with PostgreSQL, but not with every package of it.
const COUNTER: &str = "pg_stat_statements";

/// A PostgreSQL server, until it is dropped.
pub(crate) struct PostgresServer {
    server: Server,
    counts: bool,
}

impl PostgresServer {
    /// Starts one with its files in this folder.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let server = Server::start_in(folder, &SETTINGS).context("cannot start PostgreSQL")?;
        Ok(Self { server, counts: false })
    }

    /// Lets it be as if it had run for a while.
    pub(crate) fn warm_up(&self) -> Result<()> {
        self.server.sql(&self.server.url("postgres"), WARM_UP)?;
        Ok(())
    }

    /// Starts one that counts what it is asked to do, as well as it can.
    pub(crate) fn start_counting(folder: &Path) -> Result<Self> {
        let settings = [&SETTINGS[..], &[("shared_preload_libraries", COUNTER)]].concat();
        match Server::start_in(folder, &settings) {
            Ok(server) => Ok(Self { server, counts: true }),
            Err(_) => Self::start(folder),
        }
    }

    /// A new, empty database, by its URL.
    pub(crate) fn create_database(&self) -> Result<String> {
        let url = self.server.create_database()?;
        if self.counts {
            self.server.sql(&url, &format!("CREATE EXTENSION {COUNTER}"))?;
        }
        Ok(url)
    }

    /// What was asked of this database so far by those who are no longer connected: statements, those that begin and
    /// end transactions included, or else transactions.
    pub(crate) fn asked(&self, url: &str) -> Result<u64> {
        let mine = "(SELECT oid FROM pg_database WHERE datname = current_database())";
        let sql = if self.counts {
            format!("SELECT coalesce(sum(calls), 0) FROM {COUNTER} WHERE dbid = {mine}")
        } else {
            format!("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datid = {mine}")
        };
        let count = self.server.sql(url, &sql)?;
        count.parse().with_context(|| format!("`{count}` is no count"))
    }

    /// What its processes have used so far.
    pub(crate) fn usage(&self) -> Result<Usage> {
        Usage::of_family(self.server.pid()?)
    }

    /// Its version and its settings, in one line.
    pub(crate) fn describe(&self) -> Result<String> {
        let version = self.server.sql(&self.server.url("postgres"), "SHOW server_version")?;
        let settings: Vec<String> =
            SETTINGS.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        Ok(format!("PostgreSQL {version} on the same machine, {}", settings.join(", ")))
    }
}

/// A connection to a database that is read or written beside the hosts.
pub(crate) async fn connect(url: &str) -> Result<PgConnection> {
    let options = PgConnectOptions::from_str(url)?.disable_statement_logging();
    PgConnection::connect_with(&options).await.context("cannot connect to PostgreSQL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_server_is_asked_is_counted() {
        let server = PostgresServer::start_counting(&std::env::temp_dir()).unwrap();
        let url = server.create_database().unwrap();
        let mut connection = connect(&url).await.unwrap();
        let before = server.asked(&url).unwrap();
        for _ in 0..10 {
            sqlx::query("SELECT 1").execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
        let asked = server.asked(&url).unwrap() - before;
        assert!((10..20).contains(&asked), "{asked}");
    }

    #[test]
    fn the_settings_are_those_of_the_server() {
        let server = PostgresServer::start(&std::env::temp_dir()).unwrap();
        let url = server.server.url("postgres");
        for (name, value) in SETTINGS {
            assert_eq!(server.server.sql(&url, &format!("SHOW {name}")).unwrap(), value);
        }
        assert!(server.describe().unwrap().contains("fsync = on, synchronous_commit = on"));
    }
}
