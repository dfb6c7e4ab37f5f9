//! Claims of unowned runs.
//!
//! A run is unowned if its owner is 0 or an epoch that has ended. Epochs are assigned in ascending order: an epoch that is
//! lower than this node's and not in the database has ended.

use uuid::Uuid;

use super::connection::Connections;
use super::decode::Columns;
use super::error::QueryError;
use super::runs;
use crate::schema::runs::TABLE;
use crate::{Due, Epoch, StoreError};
use forge_journal::Timestamp;

/// Picks the first runs of each ended epoch by the index, and of these the first ones. Runs that another node is claiming
/// are skipped. Returns one row without a run if there are none, and no row if the epoch has ended.
const CLAIM: &str = "WITH fence AS MATERIALIZED ( \
    SELECT epoch FROM forge_nodes WHERE epoch = $1 AND ended_at IS NULL FOR KEY SHARE \
), picked AS MATERIALIZED ( \
    SELECT run.id FROM (SELECT 0::BIGINT AS epoch FROM fence \
        UNION ALL SELECT node.epoch FROM forge_nodes node, fence WHERE node.ended_at IS NOT NULL) AS free \
    CROSS JOIN LATERAL (SELECT id, due_at FROM forge_runs \
        WHERE owner = free.epoch AND due_at IS NOT NULL AND due_at <= $2 \
        ORDER BY due_at, id LIMIT $3 FOR UPDATE SKIP LOCKED) AS run \
    ORDER BY run.due_at, run.id LIMIT $3 \
), claimed AS ( \
    UPDATE forge_runs SET owner = $1 WHERE id = ANY (ARRAY(SELECT id FROM picked)) RETURNING due_at, id, tenant \
) SELECT claimed.due_at, claimed.id, claimed.tenant FROM fence LEFT JOIN claimed ON TRUE ORDER BY 1, 2";

/// Locks the runs in the order of their ids, so that nodes that acquire the same runs do not deadlock.
const ACQUIRE: &str = "WITH fence AS MATERIALIZED ( \
    SELECT epoch FROM forge_nodes WHERE epoch = $1 AND ended_at IS NULL FOR KEY SHARE \
), picked AS MATERIALIZED ( \
    SELECT id FROM forge_runs run WHERE EXISTS (SELECT FROM fence) AND id = ANY ($2) AND owner <> $1 \
        AND (owner = 0 \
            OR EXISTS (SELECT FROM forge_nodes WHERE epoch = run.owner AND ended_at IS NOT NULL) \
            OR owner < $1 AND NOT EXISTS (SELECT FROM forge_nodes WHERE epoch = run.owner)) \
    ORDER BY id FOR UPDATE OF run \
), acquired AS ( \
    UPDATE forge_runs SET owner = $1 WHERE id = ANY (ARRAY(SELECT id FROM picked)) \
) SELECT epoch FROM fence";

pub(super) async fn claim(
    connections: &Connections,
    epoch: Epoch,
    until: Timestamp,
    limit: u32,
) -> Result<Vec<Due>, StoreError> {
    let mut lent = connections.take().await?;
    let query = sqlx::query(CLAIM).bind(epoch.0).bind(until.0).bind(i64::from(limit));
    let rows = lent.all(query).await.map_err(QueryError::of_change)?;
    if rows.is_empty() {
        return Err(StoreError::Fenced);
    }
    let mut claimed = Vec::with_capacity(rows.len());
    for row in &rows {
        if Columns::new(TABLE, row).optional_number::<i64>()?.is_some() {
            claimed.push(runs::decode_due(row)?);
        }
    }
    Ok(claimed)
}

/// Makes this epoch the owner of those of the runs that are unowned.
pub(super) async fn acquire(connections: &Connections, epoch: Epoch, ids: &[Uuid]) -> Result<(), StoreError> {
    let fence = connections.first(|| sqlx::query(ACQUIRE).bind(epoch.0).bind(ids)).await?;
    fence.map(|_| ()).ok_or(StoreError::Fenced)
}
