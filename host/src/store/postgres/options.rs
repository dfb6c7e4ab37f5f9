use std::fmt::{self, Display};
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

use crate::store::StoreError;

/// How to use a PostgreSQL database.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database?sslmode=..`, and what else the URL may say. What it does not say
    /// is in the variables `PGHOST`, `PGPASSWORD`, ...
    pub url: String,
    /// This node's name. Nodes that run at the same time have different ones; a process that is started with the
    /// name of another one replaces it.
    pub node: String,
    /// For how long the others wait for this node to renew its lease before they take its runs.
    /// [`PostgresOptions::SHORTEST_LEASE`] at least.
    pub lease: Duration,
    /// Connections for reads and claims, beside the three that every node has.
    pub connections: u32,
    /// How long a connection may take to be made, and a statement to be answered.
    pub timeout: Duration,
}

impl PostgresOptions {
    /// The lease unless somebody says otherwise: a node that was killed has its runs elsewhere after that.
    pub const LEASE: Duration = Duration::from_secs(10);

    /// A shorter one would take nodes for dead that wait for a slow disk.
    pub const SHORTEST_LEASE: Duration = Duration::from_secs(1);

    /// More than the processors of a small database server can use at once.
    pub const CONNECTIONS: u32 = 8;

    /// A database that has not answered for so long will not before whoever asked has given up.
    pub const TIMEOUT: Duration = Duration::from_secs(10);

    /// A database with all else as it usually is.
    pub fn new(url: impl Into<String>, node: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            node: node.into(),
            lease: Self::LEASE,
            connections: Self::CONNECTIONS,
            timeout: Self::TIMEOUT,
        }
    }

    /// How sqlx connects.
    pub(super) fn connect(&self) -> Result<PgConnectOptions, StoreError> {
        connect_options(&self.url, &format!("forge:{}", self.node))
    }
}

/// Without the password.
impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("url", &describe(&self.url))
            .field("node", &self.node)
            .field("lease", &self.lease)
            .field("connections", &self.connections)
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// The longest name that PostgreSQL shows of an application.
const APPLICATION_NAME: usize = 63;

pub(super) fn connect_options(url: &str, application: &str) -> Result<PgConnectOptions, StoreError> {
    let options = PgConnectOptions::from_str(url).map_err(|error| StoreError::CannotOpen {
        database: describe(url),
        why: format!("the URL is not one of a PostgreSQL database: {error}"),
    })?;
    let printable = |character: &char| character.is_ascii() && !character.is_ascii_control();
    let application: String = application.chars().filter(printable).take(APPLICATION_NAME).collect();
    Ok(options.application_name(&application).disable_statement_logging())
}

/// The database as people may see it: without the password and what else the URL says.
pub(super) fn describe(url: &str) -> String {
    match PgConnectOptions::from_str(url) {
        Ok(options) => Described(&options).to_string(),
        Err(_) => "postgres://?".to_owned(),
    }
}

struct Described<'o>(&'o PgConnectOptions);

impl Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(options) = self;
        write!(f, "postgres://{}@", options.get_username())?;
        match options.get_socket() {
            Some(socket) => write!(f, "[{}]", socket.display())?,
            None => write!(f, "{}", options.get_host())?,
        }
        write!(f, ":{}/{}", options.get_port(), options.get_database().unwrap_or(options.get_username()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_shows_the_password() {
        let url = "postgres://forge:s3cret@db.example:5433/flows?sslmode=require&password=s3cret";
        assert_eq!(describe(url), "postgres://forge@db.example:5433/flows");
        assert!(!format!("{:?}", PostgresOptions::new(url, "a")).contains("s3cret"));
        let error = connect_options("postgres://forge:s3cret@[db/flows", "a").unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}
