//! The connection that writes, one batch at a time.

use super::commit::{FencingToken, NotWritten, write};
use super::connection::Connection;
use super::decode::Columns;
use super::error::QueryError;
use super::notices::Message;
use super::{Shared, lease};
use crate::{Epoch, StoreError, Write, Written};

/// From now on no other connection writes in this epoch. A batch of an earlier connection, of which nobody knows
/// what became of it, is waited for if it is under way, and refused if it comes later.
const ADMIT: &str = "WITH mine AS MATERIALIZED ( \
    SELECT epoch FROM forge_nodes WHERE epoch = $1 AND ended_at IS NULL FOR UPDATE \
) UPDATE forge_nodes node SET writer = node.writer + 1 FROM mine WHERE node.epoch = mine.epoch RETURNING node.writer";

/// Made anew after an error.
#[derive(Default)]
pub(super) struct WriteConnection {
    connection: Option<Connection>,
    /// In which epoch it may write, and its number there.
    admitted: Option<(Epoch, i64)>,
    closed: bool,
}

impl WriteConnection {
    pub(super) async fn write(
        &mut self,
        shared: &Shared,
        epoch: Epoch,
        batch: &[Write],
    ) -> Result<Vec<Written>, StoreError> {
        let (mut connection, writer) = self.ready(shared, epoch).await?;
        let free = shared.voice.say(Message::Free);
        let pen = FencingToken { epoch, writer, channel: shared.voice.channel(), free: &free };
        match write(&mut connection, &pen, batch).await {
            Ok(written) => {
                self.connection = Some(connection);
                Ok(written)
            }
            Err(NotWritten::Fenced) => Err(StoreError::Fenced),
            Err(NotWritten::Odd(error)) => Err(error),
            Err(NotWritten::Failed(error)) => {
                if error.is_lost() {
                    shared.doubt();
                }
                Err(error.into())
            }
        }
    }

    /// Makes sure that no batch that failed is written after this.
    pub(super) async fn settle(&mut self, shared: &Shared) -> Result<(), StoreError> {
        match self.ready(shared, shared.voice.epoch()).await {
            Ok((connection, _)) => {
                self.connection = Some(connection);
                Ok(())
            }
            // Who ended the epoch has waited for its batches.
            Err(StoreError::Fenced) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A connection that may write in this epoch, out of its place: after an error it is gone.
    async fn ready(&mut self, shared: &Shared, epoch: Epoch) -> Result<(Connection, i64), StoreError> {
        if self.closed {
            return Err(StoreError::Closed);
        }
        let reused = self.connection.take().filter(Connection::is_healthy);
        let mut connection = match reused {
            Some(connection) => {
                if let Some((admitted, writer)) = self.admitted
                    && admitted == epoch
                {
                    return Ok((connection, writer));
                }
                connection
            }
            None => Connection::open(&shared.options, shared.limit).await?,
        };
        self.admitted = None;
        let admitted = connection.first(sqlx::query(ADMIT).bind(epoch.0)).await?;
        shared.settled();
        let Some(row) = admitted else {
            self.connection = Some(connection);
            return Err(StoreError::Fenced);
        };
        let writer = Columns::new("forge_nodes", &row).number()?;
        self.admitted = Some((epoch, writer));
        Ok((connection, writer))
    }

    /// Ends the node's epoch.
    pub(super) async fn close(&mut self, shared: &Shared) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let connection = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => Connection::open(&shared.options, shared.limit).await,
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
            tracing::warn!(%error, "the lease was not given back: other nodes wait until it is over");
        }
    }
}
