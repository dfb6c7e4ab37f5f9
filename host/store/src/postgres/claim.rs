//! Runs that are nobody's become this node's.
//!
//! A run is nobody's if its owner is 0 or an epoch that is over. An epoch that is not in the database was over long
//! ago, if it is lower than this node's: epochs are given out one after the other.

use uuid::Uuid;

use super::connection::Connections;
use super::decode::Columns;
use super::runs::{self, TABLE};
use crate::{Due, Epoch, StoreError};
use forge_journal::Timestamp;

/// Each owner's first ones by the index, and of these the first ones. Those that somebody claims at this moment
/// are left to them. One row without a run is the answer if there are none, and no row if the epoch is over.
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

/// In the order of their ids, so that two nodes that take the same runs do not wait for each other in a circle.
const TAKE: &str = "WITH fence AS MATERIALIZED ( \
    SELECT epoch FROM forge_nodes WHERE epoch = $1 AND ended_at IS NULL FOR KEY SHARE \
), picked AS MATERIALIZED ( \
    SELECT id FROM forge_runs run WHERE EXISTS (SELECT FROM fence) AND id = ANY ($2) AND owner <> $1 \
        AND (owner = 0 \
            OR EXISTS (SELECT FROM forge_nodes WHERE epoch = run.owner AND ended_at IS NOT NULL) \
            OR owner < $1 AND NOT EXISTS (SELECT FROM forge_nodes WHERE epoch = run.owner)) \
    ORDER BY id FOR UPDATE OF run \
), taken AS ( \
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
    let rows = lent.all(query).await?;
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

/// Makes those of the runs this node's that are nobody's.
pub(super) async fn take(connections: &Connections, epoch: Epoch, ids: &[Uuid]) -> Result<(), StoreError> {
    let fence = connections.first(|| sqlx::query(TAKE).bind(epoch.0).bind(ids)).await?;
    fence.map(|_| ()).ok_or(StoreError::Fenced)
}
