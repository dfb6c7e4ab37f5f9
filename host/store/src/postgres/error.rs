use std::time::Duration;

use sqlx::postgres::PgDatabaseError;

use crate::StoreError;

/// Why a statement was not answered.
#[derive(Debug)]
pub(super) enum QueryError {
    /// In time.
    TimedOut(Duration),
    /// Something else.
    Failed(sqlx::Error),
}

impl From<sqlx::Error> for QueryError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

impl QueryError {
    /// The connection is of no use any more, as all that were made before it may be.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Self::TimedOut(_) => true,
            Self::Failed(sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_)) => true,
            Self::Failed(_) => {
                self.code().is_some_and(|code| code.starts_with("57P") || code.starts_with("08"))
            }
        }
    }

    /// Nothing was done, and would be if it were tried again.
    pub(super) fn is_conflict(&self) -> bool {
        self.code().is_some_and(|code| code == "40001" || code == "40P01")
    }

    /// A row is there that was to be new.
    pub(super) fn is_duplicate(&self) -> bool {
        self.code().is_some_and(|code| code == "23505")
    }

    /// The role has not the right to do that.
    pub(super) fn is_forbidden(&self) -> bool {
        self.code().is_some_and(|code| code == "42501" || code == "25006")
    }

    fn code(&self) -> Option<&str> {
        match self {
            Self::Failed(sqlx::Error::Database(error)) => {
                error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::code)
            }
            _ => None,
        }
    }
}

impl std::fmt::Display for QueryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let error = match self {
            Self::TimedOut(limit) => {
                let limit = humantime::format_duration(*limit);
                return write!(
                    f,
                    "PostgreSQL has not answered for {limit}: look at its load, its locks and the network"
                );
            }
            Self::Failed(error) => error,
        };
        let what_to_do = match self.code() {
            Some("53300") => "raise its max_connections, or lower the nodes' connections",
            Some("53100") => "its disk is full",
            Some(code) if code.starts_with("28") => "check the user, the password and pg_hba.conf",
            Some("3D000") => "create the database",
            Some("42501") => "grant the role what it needs",
            Some("25006") => "it is a standby: connect to the primary",
            Some("55P03") => {
                "somebody has locked what is to be changed: end long transactions, and try again"
            }
            Some("57014") => "a statement took too long: look at its load and its locks",
            Some(code) if code.starts_with("57P") => "it restarts or stops",
            Some("42P01" | "42883" | "42703") => "its schema is not complete: run `forge migrate`",
            _ => match error {
                // What rustls finds wrong with a certificate comes as this.
                sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                    "check sslmode and sslrootcert"
                }
                sqlx::Error::Io(_) => "check that it runs and can be reached",
                sqlx::Error::Tls(_) => "check sslmode and sslrootcert",
                _ => "",
            },
        };
        match error {
            sqlx::Error::Database(error) => write!(f, "PostgreSQL: {}", error.message())?,
            sqlx::Error::Io(error) => write!(f, "the connection to PostgreSQL: {error}")?,
            error => write!(f, "PostgreSQL: {error}")?,
        }
        if !what_to_do.is_empty() {
            write!(f, " ({what_to_do})")?;
        }
        Ok(())
    }
}

impl From<QueryError> for StoreError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Failed(
                error @ (sqlx::Error::ColumnDecode { .. }
                | sqlx::Error::Decode(_)
                | sqlx::Error::ColumnIndexOutOfBounds { .. }
                | sqlx::Error::ColumnNotFound(_)),
            ) => Self::Corrupt { table: "a table", why: error.to_string() },
            error => Self::Unavailable(error.to_string()),
        }
    }
}
