use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

use crate::PostgresUrl;
use crate::StoreError;

/// How to use a PostgreSQL database.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Where it is.
    pub url: PostgresUrl,
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
    pub fn new(url: impl Into<PostgresUrl>, node: impl Into<String>) -> Self {
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

/// The longest name that PostgreSQL shows of an application.
const APPLICATION_NAME: usize = 63;

pub(super) fn connect_options(url: &PostgresUrl, application: &str) -> Result<PgConnectOptions, StoreError> {
    let options = url.options().map_err(|error| StoreError::CannotOpen {
        database: url.to_string(),
        why: format!("the URL is not one of a PostgreSQL database: {error}"),
    })?;
    let printable = |character: &char| character.is_ascii() && !character.is_ascii_control();
    let application: String = application.chars().filter(printable).take(APPLICATION_NAME).collect();
    Ok(options.application_name(&application).disable_statement_logging())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_shows_the_password() {
        let error = connect_options(&"postgres://forge:s3cret@[db/flows".into(), "a").unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}
