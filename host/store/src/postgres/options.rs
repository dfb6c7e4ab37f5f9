use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

use crate::PostgresUrl;
use crate::StoreError;

/// The options of a [`PostgresStore`](super::PostgresStore).
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// The URL of the database.
    pub url: PostgresUrl,
    /// This node's name. Nodes that run at the same time need different names: a process that starts with the name of
    /// another one replaces it.
    pub node: String,
    /// The time after which other nodes take this node's runs if it does not renew its lease. At least
    /// [`PostgresOptions::SHORTEST_LEASE`].
    pub lease: Duration,
    /// The number of connections for reads and claims. Three others write, renew the lease and receive notifications.
    pub connections: u32,
    /// The time limit of a connection attempt, and of a statement.
    pub timeout: Duration,
}

impl PostgresOptions {
    /// The default lease. The runs of a killed node continue on other nodes after this time.
    pub const LEASE: Duration = Duration::from_secs(10);

    /// The shortest lease. A shorter one would expire while a live node waits for a slow disk.
    pub const SHORTEST_LEASE: Duration = Duration::from_secs(1);

    /// The default number of connections for reads and claims.
    pub const CONNECTIONS: u32 = 8;

    /// The default time limit: a client gives up after about this time.
    pub const TIMEOUT: Duration = Duration::from_secs(10);

    /// Returns the default options for this database and node.
    pub fn new(url: impl Into<PostgresUrl>, node: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            node: node.into(),
            lease: Self::LEASE,
            connections: Self::CONNECTIONS,
            timeout: Self::TIMEOUT,
        }
    }

    /// Returns the options with which sqlx connects.
    pub(super) fn connect(&self) -> Result<PgConnectOptions, StoreError> {
        connect_options(&self.url, &format!("forge:{}", self.node))
    }
}

/// The maximum length of an application name in PostgreSQL.
const APPLICATION_NAME: usize = 63;

pub(super) fn connect_options(url: &PostgresUrl, application: &str) -> Result<PgConnectOptions, StoreError> {
    let options = url.options().map_err(|error| StoreError::CannotOpen {
        database: url.to_string(),
        why: format!("the URL is not a PostgreSQL URL: {error}"),
    })?;
    let printable = |character: &char| character.is_ascii() && !character.is_ascii_control();
    let application: String = application.chars().filter(printable).take(APPLICATION_NAME).collect();
    Ok(options.application_name(&application).disable_statement_logging())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_do_not_contain_the_password() {
        let error = connect_options(&"postgres://forge:s3cret@[db/flows".into(), "a").unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}
