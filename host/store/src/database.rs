use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

/// A database for runs, journals and components.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// An SQLite file, created if it does not exist. One host process can use it at a time.
    Sqlite(PathBuf),
    /// A PostgreSQL database, which any number of hosts can share.
    Postgres(PostgresUrl),
}

/// The error of a database URL that Forge does not understand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a database URL: use sqlite:PATH, for example sqlite:forge.db, or postgres://USER@HOST/NAME"
)]
pub struct InvalidDatabase(pub String);

impl FromStr for Database {
    type Err = InvalidDatabase;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        if ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Ok(Self::Postgres(url.into()));
        }
        let path = url.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path));
        match path {
            Some(path) if !path.is_empty() && path != ":memory:" => Ok(Self::Sqlite(path.into())),
            _ => Err(InvalidDatabase(url.to_owned())),
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

/// The URL of a PostgreSQL database, with the parameters of libpq (`sslmode`, `sslrootcert` and so on). Missing parts are
/// taken from `PGHOST`, `PGPASSWORD` and so on. Displayed without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

impl PostgresUrl {
    /// Returns the options with which sqlx connects.
    pub(crate) fn options(&self) -> Result<PgConnectOptions, sqlx::Error> {
        self.0.parse()
    }
}

impl<T: Into<String>> From<T> for PostgresUrl {
    fn from(url: T) -> Self {
        Self(url.into())
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The password cannot be told from the rest of an invalid URL.
        let Ok(options) = self.options() else { return write!(f, "postgres://?") };
        write!(f, "postgres://{}@", options.get_username())?;
        match options.get_socket() {
            Some(socket) => write!(f, "[{}]", socket.display())?,
            None => write!(f, "{}", options.get_host())?,
        }
        write!(f, ":{}/{}", options.get_port(), options.get_database().unwrap_or(options.get_username()))
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}

/// The settings of a host that shares a PostgreSQL database.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// The node's name, which must be unique. A node that restarts with the same name gets its runs back at once. Default:
    /// the machine's name.
    pub name: String,
    /// The time after which other nodes take this node's runs if it does not renew its lease. It renews the lease three
    /// times in this time. Default 10 s, at least 1 s.
    pub lease: Duration,
    /// The number of connections for reads and claims. Three others write, renew the lease and receive notifications.
    /// Default 8.
    pub connections: u32,
    /// The time without an answer after which the database counts as unavailable. Default 10 s.
    pub timeout: Duration,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            name: machine_name(),
            lease: Duration::from_secs(10),
            connections: 8,
            timeout: Duration::from_secs(10),
        }
    }
}

/// The limits of SQLite's write-ahead log, in bytes. SQLite reuses the log at 23 MB, unless a transaction of another program
/// keeps pages in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// The length from which on the host truncates the log as soon as nothing keeps pages in it, and warns until then.
    /// Default 64 MiB: the log reaches the length at which it is reused several times only if it cannot be reused.
    pub truncate: u64,
    /// The length from which on no run is started, so that runs under way can end before the disk is full. Default 8 GiB:
    /// the log of a backup that takes an hour, on a host that writes 2 MiB per second.
    pub most: u64,
}

impl LogLimits {
    /// The least of both: above the length at which the log is reused.
    pub const LEAST: u64 = 32 << 20;
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { truncate: 64 << 20, most: 8 << 30 }
    }
}

/// Returns the name of this machine; `node` if it has none.
pub fn machine_name() -> String {
    let name = hostname::get().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "node".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_a_file_or_a_server() {
        let database = |url: &str| url.parse::<Database>().map(|database| database.to_string());
        assert_eq!(database("sqlite:forge.db").unwrap(), "sqlite:forge.db");
        assert_eq!(database("sqlite:///var/forge.db").unwrap(), "sqlite:/var/forge.db");
        assert_eq!(database("postgresql://me@db/forge").unwrap(), "postgres://me@db:5432/forge");
        for wrong in ["forge.db", "sqlite:", "sqlite::memory:", "mysql://db/forge", ""] {
            assert!(
                database(wrong).unwrap_err().to_string().contains("postgres://USER@HOST/NAME"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let url = "postgres://forge:s3cret@db.example:5433/flows?sslmode=require&password=s3cret";
        let database: Database = url.parse().unwrap();
        assert_eq!(database.to_string(), "postgres://forge@db.example:5433/flows");
        assert!(!format!("{database:?}").contains("s3cret"));
        let wrong: Database = "postgres://forge:s3cret@[db/flows".parse().unwrap();
        assert_eq!(wrong.to_string(), "postgres://?");
    }
}
