use std::path::Path;
use std::str::FromStr as _;

use anyhow::{Context as _, Result};
use forge_postgres::Server;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};

/// Commits are durable, and buffers have the size that is usual for a server with this much memory.
const SETTINGS: [(&str, &str); 7] = [
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("shared_buffers", "256MB"),
    ("min_wal_size", "1GB"),
    ("max_wal_size", "2GB"),
    ("max_connections", "100"),
];

/// Allocates the files of the write-ahead log up to `min_wal_size`, as in a server that has run for a while: PostgreSQL
/// reuses them from then on, and allocating one costs as much as writing it.
const ALLOCATE_LOG: &str = "SELECT count(pg_logical_emit_message(FALSE, 'forge', 'warm-up')), count(pg_switch_wal()) \
     FROM generate_series(1, 60); CHECKPOINT";

/// A PostgreSQL server, which runs until it is dropped.
pub(crate) struct PostgresServer(Server);

impl PostgresServer {
    /// Starts a server with its files in a folder.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        Ok(Self(Server::start_in(folder, &SETTINGS).context("cannot start PostgreSQL")?))
    }

    /// Allocates the write-ahead log, which takes some seconds.
    pub(crate) fn with_log(self) -> Result<Self> {
        self.sql(&self.0.url("postgres"), ALLOCATE_LOG)?;
        Ok(self)
    }

    /// Creates an empty database; returns its URL.
    pub(crate) fn create_database(&self) -> Result<String> {
        Ok(self.0.create_database()?)
    }

    /// Executes SQL in a database; returns what `psql` prints.
    pub(crate) fn sql(&self, url: &str, sql: &str) -> Result<String> {
        Ok(self.0.sql(url, sql)?)
    }

    /// Returns the version and the settings, in one line.
    pub(crate) fn describe(&self) -> Result<String> {
        let names = SETTINGS.map(|(name, _)| name).join(", ");
        let sql = "SELECT string_agg(name || ' = ' || current_setting(name), ', ') FROM unnest";
        let sql = format!("{sql}('{{server_version, {names}}}'::TEXT[]) AS name");
        Ok(format!("PostgreSQL on the same machine: {}", self.sql(&self.0.url("postgres"), &sql)?))
    }
}

/// Connects to a database.
pub(crate) async fn connect(url: &str) -> Result<PgConnection> {
    let options = PgConnectOptions::from_str(url)?.disable_statement_logging();
    PgConnection::connect_with(&options).await.context("cannot connect to PostgreSQL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_of_the_server_are_durable() {
        let server = PostgresServer::start(&std::env::temp_dir()).unwrap();
        let described = server.describe().unwrap();
        assert!(
            described.contains("fsync = on, synchronous_commit = on, full_page_writes = on"),
            "{described}"
        );
    }
}
