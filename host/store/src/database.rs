use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

/// Where runs, journals and components are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// An SQLite file, created if it is not there. One host process at a time.
    Sqlite(PathBuf),
    /// A PostgreSQL database, which any number of hosts can share.
    Postgres(PostgresUrl),
}

/// A database URL that Forge does not understand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no database that Forge knows: use sqlite:PATH, for example sqlite:forge.db, or \
     postgres://USER@HOST/NAME"
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

/// The URL of a PostgreSQL database, with what libpq allows in it (`sslmode`, `sslrootcert` and so on); what it
/// does not say is in `PGHOST`, `PGPASSWORD` and the like. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

impl PostgresUrl {
    /// How sqlx connects to it.
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
        // Where there is no telling what is the password, nothing is shown.
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

/// One of several hosts that share a PostgreSQL database.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Its name, which no other may have, and which it should have again after a restart: it then gets
    /// its runs back at once. Default: the machine's name.
    pub name: String,
    /// How long the others wait for a sign of life before they take its runs over. A sign comes three
    /// times as often. Default 10 s, 1 s at least.
    pub lease: Duration,
    /// Connections to the database for reading, beside one each for writing, signs of life and notices.
    /// Default 8.
    pub connections: u32,
    /// How long the database may take for an answer before it counts as not available. Default 10 s.
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

/// The name of this machine, as far as it has one.
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
