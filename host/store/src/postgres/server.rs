//! Which server answers. After a failover, the address of the database may lead to the primary from before again, which does not
//! have what was committed since.

use parking_lot::Mutex;

use super::error::QueryError;

/// Returns the identifier of the server, which its standbys share, and its timeline, which grows with each promotion. Every
/// role may call these functions, unless an administrator has revoked that.
pub(super) const IDENTIFY: &str = "SELECT (SELECT system_identifier FROM pg_control_system()) AS system, \
     ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::BIT(32)::BIGINT AS timeline";

/// A server, at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Server {
    /// The identifier, which its standbys share.
    pub(super) system: i64,
    /// The number of promotions before.
    pub(super) timeline: i64,
}

/// The newest server that has answered since the process began.
#[derive(Debug, Default)]
pub(super) struct Newest(Mutex<Option<Server>>);

impl Newest {
    /// Checks that a server is not older than the newest one. Returns whether it is newer.
    ///
    /// # Errors
    /// [`QueryError::OlderServer`], or [`QueryError::OtherServer`] if it is no copy of that server.
    pub(super) fn check(&self, found: Server) -> Result<bool, QueryError> {
        let mut newest = self.0.lock();
        match *newest {
            Some(known) if found.system != known.system => {
                Err(QueryError::OtherServer { found: found.system, known: known.system })
            }
            Some(known) if found.timeline < known.timeline => {
                Err(QueryError::OlderServer { found: found.timeline, known: known.timeline })
            }
            Some(known) if found == known => Ok(false),
            known => {
                *newest = Some(found);
                Ok(known.is_some())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_never_older_than_the_one_before() {
        let newest = Newest::default();
        let check = |system, timeline| newest.check(Server { system, timeline });
        assert!(!check(7, 2).unwrap() && !check(7, 2).unwrap() && check(7, 4).unwrap());
        assert!(matches!(check(7, 3), Err(QueryError::OlderServer { found: 3, known: 4 })));
        assert!(matches!(check(8, 5), Err(QueryError::OtherServer { found: 8, known: 7 })));
        assert!(!check(7, 4).unwrap());
    }
}
