//! Settings of a database with which others could read or change what the host does there. The host says so when it starts.

use std::net::IpAddr;

use sqlx::Row as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::connection::Connection;
use super::error::QueryError;

/// Returns the schema and whether every role may create objects in it, as every role may in `public` before PostgreSQL 15.
/// A function there is called instead of the server's own if its types fit better.
const OPEN_SCHEMA: &str =
    "SELECT current_schema()::TEXT, has_schema_privilege('public', current_schema()::TEXT, 'CREATE')";

/// Logs what is exposed.
pub(super) async fn warn(connection: &mut Connection, options: &PgConnectOptions) -> Result<(), QueryError> {
    if !is_verified(options) {
        tracing::warn!(
            server = options.get_host(),
            "the database's server is not verified: whoever can answer at its address or read the network between gets the \
             data and may get the password. Add `sslmode=verify-full&sslrootcert=FILE` to the URL of the database"
        );
    }
    if let Some(row) = connection.first(sqlx::query(OPEN_SCHEMA)).await? {
        let (schema, is_open) = (row.try_get::<Option<String>, _>(0)?, row.try_get::<Option<bool>, _>(1)?);
        if let (Some(schema), Some(true)) = (schema, is_open) {
            tracing::warn!(
                schema,
                "every role of the database may create objects in the host's schema, such as functions that the host would \
                 call. Execute `REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC`"
            );
        }
    }
    Ok(())
}

/// Returns whether the server is on this machine, or proves who it is.
fn is_verified(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let is_here = options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.is_loopback());
    is_here || matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_elsewhere_must_prove_who_it_is() {
        let is_verified = |url: &str| is_verified(&url.parse().unwrap());
        for url in [
            "postgres://a@127.0.0.1/f",
            "postgres://a@localhost/f?sslmode=disable",
            "postgres://a@[::1]/f",
            "postgres:///f?host=/run/postgresql",
            "postgres://a@db.example/f?sslmode=verify-full",
        ] {
            assert!(is_verified(url), "{url}");
        }
        for url in ["postgres://a@db.example/f", "postgres://a@10.0.0.5/f?sslmode=require"] {
            assert!(!is_verified(url), "{url}");
        }
    }
}
