use std::time::Duration;

use sqlx::postgres::PgDatabaseError;

use crate::StoreError;

/// The SQLSTATE of a statement that would write a row over a newer one.
pub(super) const OUTDATED: &str = "FG001";

/// Why a statement failed.
#[derive(Debug)]
pub(super) enum QueryError {
    /// PostgreSQL did not answer within this time.
    TimedOut(Duration),
    /// The server is a standby.
    Standby,
    /// The server is read-only.
    ReadOnly,
    /// The server has a lower timeline than one that has answered before.
    OlderServer {
        /// Its timeline.
        found: i64,
        /// The timeline of the other one.
        known: i64,
    },
    /// The server is not a copy of the one that has answered before.
    OtherServer {
        /// Its identifier.
        found: i64,
        /// The identifier of the other one.
        known: i64,
    },
    /// A pooler gives connections sessions of the server for one transaction at a time.
    Pooler,
    /// PostgreSQL or the connection reported an error.
    Failed(sqlx::Error),
}

impl From<sqlx::Error> for QueryError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

impl QueryError {
    /// Whether the connection is lost.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Self::TimedOut(_) => true,
            Self::Standby
            | Self::ReadOnly
            | Self::OlderServer { .. }
            | Self::OtherServer { .. }
            | Self::Pooler => false,
            Self::Failed(sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_)) => true,
            Self::Failed(_) => {
                self.code().is_some_and(|code| code.starts_with("57P") || code.starts_with("08"))
            }
        }
    }

    /// Whether the server has answered that it does not execute the statement, and goes on.
    pub(super) fn is_answer(&self) -> bool {
        self.code().is_some() && !self.casts_doubt()
    }

    /// Whether another server may answer from now on, or the server has become read-only.
    pub(super) fn casts_doubt(&self) -> bool {
        self.is_lost() || self.code().is_some_and(|code| code == "25006")
    }

    /// Whether the statement failed because of a concurrent one, and may succeed if it is repeated.
    pub(super) fn is_conflict(&self) -> bool {
        self.code().is_some_and(|code| code == "40001" || code == "40P01")
    }

    /// Whether an inserted row exists.
    pub(super) fn is_duplicate(&self) -> bool {
        self.code().is_some_and(|code| code == "23505")
    }

    /// Whether the role lacks a privilege, or the server is read-only.
    pub(super) fn is_forbidden(&self) -> bool {
        self.code().is_some_and(|code| code == "42501" || code == "25006")
    }

    /// Whether PostgreSQL cannot store the data: SQLSTATE class 22 (data exception) or 54 (program limit exceeded).
    fn is_rejected(&self) -> bool {
        self.code().is_some_and(|code| code.starts_with("22") || code.starts_with("54"))
    }

    /// Whether a row in the database is newer than what was to be written to it.
    pub(super) fn is_outdated(&self) -> bool {
        self.code() == Some(OUTDATED)
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

/// What to do about a pooler.
const POOLER: &str = "a pooler in transaction mode is between this host and PostgreSQL: set it to session mode (pgbouncer: \
     pool_mode = session), or connect to PostgreSQL directly";

impl std::fmt::Display for QueryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let error = match self {
            Self::TimedOut(limit) => {
                let limit = humantime::format_duration(*limit);
                return write!(
                    f,
                    "PostgreSQL has not answered for {limit}: check its load, its locks and the network"
                );
            }
            Self::Standby => {
                return f.write_str(
                    "the server is a standby, which may lag behind the primary: connect to the primary",
                );
            }
            Self::ReadOnly => {
                return f.write_str(
                    "the server is read-only: connect to the primary, or set default_transaction_read_only = off",
                );
            }
            Self::OlderServer { found, known } => {
                return write!(
                    f,
                    "the server is a primary from before a failover: its timeline is {found}, and this node has used timeline \
                     {known}. Stop that server, and let the address of the database lead to the new primary"
                );
            }
            Self::OtherServer { found, known } => {
                return write!(
                    f,
                    "the server is another one than before: its system identifier is {found}, and was {known}. Let the address \
                     of the database lead to the server from before, or restart this node if the database was moved"
                );
            }
            Self::Pooler => return f.write_str(POOLER),
            Self::Failed(error) => error,
        };
        let what_to_do = match self.code() {
            // Prepared statements of another connection, or those of this one gone.
            Some("42P05" | "26000") => POOLER,
            Some("53300") => "raise max_connections of the server, or lower the connections of the nodes",
            Some("53100") => "the disk of the server is full: free some space",
            Some(code) if code.starts_with("28") => "check the user, the password and pg_hba.conf",
            Some("3D000") => "create the database",
            Some("42501") => "grant the privilege to the role",
            Some("25006") => "the server is a standby or read-only: connect to the primary",
            Some("55P03") => "another transaction holds a lock: end long transactions, and try again",
            Some("57014") => "a statement took too long: check the load and the locks of the server",
            Some(code) if code.starts_with("57P") => "the server restarts or stops",
            Some("42P01" | "42883" | "42703") => "the schema is not complete: run `forge migrate`",
            _ => match error {
                // rustls reports an invalid certificate with this kind.
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

impl QueryError {
    /// Returns the error of a statement that changes something.
    pub(super) fn of_change(self) -> StoreError {
        if self.is_lost() { StoreError::OutcomeUnknown(self.to_string()) } else { self.into() }
    }
}

impl From<QueryError> for StoreError {
    fn from(error: QueryError) -> Self {
        if error.is_outdated() {
            return Self::Outdated;
        }
        let why = error.to_string();
        if error.is_rejected() { Self::Rejected(why) } else { Self::Unavailable(why) }
    }
}
