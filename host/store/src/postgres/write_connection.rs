//! The connection that commits batches, one at a time.

use super::commit::{CommitError, commit};
use super::connection::Connection;
use super::decode::Columns;
use super::error::QueryError;
use super::notifications::Message;
use super::statement::FencingToken;
use super::{Shared, lease};
use crate::{Committed, Epoch, StoreError, Write};

/// Makes this connection the only one that writes in this epoch. If the outcome of a batch of an earlier connection is
/// unknown, this statement waits for the batch if the server executes it, and fences it off if it arrives later.
const BECOME_WRITER: &str = "WITH mine AS MATERIALIZED ( \
    SELECT epoch FROM forge_nodes WHERE epoch = $1 AND ended_at IS NULL FOR UPDATE \
) UPDATE forge_nodes node SET writer = node.writer + 1 FROM mine WHERE node.epoch = mine.epoch RETURNING node.writer";

/// Opened again after an error.
#[derive(Default)]
pub(super) struct WriteConnection {
    connection: Option<Connection>,
    /// The epoch in which the connection may write, and its number there.
    writer: Option<(Epoch, i64)>,
    closed: bool,
}

impl WriteConnection {
    pub(super) async fn commit(
        &mut self,
        shared: &Shared,
        epoch: Epoch,
        batch: &[Write],
    ) -> Result<Committed, StoreError> {
        let (mut connection, writer) = self.ready(shared, epoch).await?;
        let unowned = shared.notifier.payload(Message::Unowned);
        let token = FencingToken { epoch, writer, channel: shared.notifier.channel(), unowned: &unowned };
        match commit(&mut connection, &token, batch).await {
            Ok(committed) => {
                self.connection = Some(connection);
                Ok(committed)
            }
            Err(CommitError::Fenced) => Err(StoreError::Fenced),
            Err(CommitError::Store(error)) => Err(error),
            Err(CommitError::Committed(error)) => {
                shared.set_outcome_unknown();
                Err(StoreError::OutcomeUnknown(error.to_string()))
            }
            Err(CommitError::Failed(error)) => {
                if error.is_lost() {
                    shared.set_outcome_unknown();
                }
                Err(error.of_change())
            }
        }
    }

    /// Makes sure that no failed batch is committed after this.
    pub(super) async fn fence_off_failed(&mut self, shared: &Shared) -> Result<(), StoreError> {
        match self.ready(shared, shared.notifier.epoch()).await {
            Ok((connection, _)) => {
                self.connection = Some(connection);
                Ok(())
            }
            // The node that ended the epoch has waited for its batches.
            Err(StoreError::Fenced) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Returns a connection that may write in this epoch. It is taken out of `self`, so that it is dropped after an error.
    async fn ready(&mut self, shared: &Shared, epoch: Epoch) -> Result<(Connection, i64), StoreError> {
        if self.closed {
            return Err(StoreError::Closed);
        }
        let reused = self.connection.take().filter(Connection::is_healthy);
        let mut connection = match reused {
            Some(connection) => {
                if let Some((of, writer)) = self.writer
                    && of == epoch
                {
                    return Ok((connection, writer));
                }
                connection
            }
            None => Connection::open(&shared.endpoint, shared.limit).await?,
        };
        self.writer = None;
        let row = connection.first(sqlx::query(BECOME_WRITER).bind(epoch.0)).await?;
        shared.set_outcomes_known();
        let Some(row) = row else {
            self.connection = Some(connection);
            return Err(StoreError::Fenced);
        };
        let writer = Columns::new("forge_nodes", &row).number()?;
        self.writer = Some((epoch, writer));
        Ok((connection, writer))
    }

    /// Releases the lease, which ends the epoch, and closes the connection.
    pub(super) async fn close(&mut self, shared: &Shared) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let connection = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => Connection::open(&shared.endpoint, shared.limit).await,
        };
        let ended: Result<(), QueryError> = match connection {
            Ok(mut connection) => {
                let ended = lease::end(&mut connection, shared).await;
                connection.close().await;
                ended
            }
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "the lease was not released: other nodes take the runs when it expires");
        }
    }
}
