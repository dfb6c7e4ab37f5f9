//! A batch is one statement, so one way to the server and back.

use uuid::Uuid;

use super::batch::{Batch, key};
use super::connection::{Connection, End};
use super::decode::Columns;
use super::error::QueryError;
use super::statement::Rows;
use super::{statement, text};
use crate::{Epoch, StoreError, Write, Written};
use forge_journal::RunId;

/// Which runs were begun with these workflows and keys.
const HOLDERS: &str = "SELECT run.id, wanted.place FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[]) \
     WITH ORDINALITY AS wanted (tenant, workflow_name, idempotency_key, place) \
     JOIN forge_runs run USING (tenant, workflow_name, idempotency_key)";

/// A batch that another node's batch was in the way of is tried so often.
const TRIES: u32 = 5;

/// Why a batch is not in the database, or may not be.
pub(super) enum NotWritten {
    /// The epoch is over, or another connection writes in it.
    Fenced,
    Failed(QueryError),
    /// What came back makes no sense, or a run was deleted at that moment.
    Odd(StoreError),
}

impl From<QueryError> for NotWritten {
    fn from(error: QueryError) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for NotWritten {
    fn from(error: StoreError) -> Self {
        Self::Odd(error)
    }
}

/// Who writes, and how others hear of it.
pub(super) struct FencingToken<'p> {
    pub(super) epoch: Epoch,
    /// The connection's number in the epoch.
    pub(super) writer: i64,
    pub(super) channel: &'p str,
    /// Tells all that there are runs that are nobody's.
    pub(super) free: &'p str,
}

/// Writes a batch. The same batch may be written twice.
pub(super) async fn write(
    connection: &mut Connection,
    pen: &FencingToken<'_>,
    writes: &[Write],
) -> Result<Vec<Written>, NotWritten> {
    let mut tries = 0;
    let mut rows = Rows::MayBeNew;
    let begun = loop {
        tries += 1;
        match write_once(connection, pen, writes, rows).await {
            // The batch was written before.
            Err(NotWritten::Failed(error)) if error.is_duplicate() && rows == Rows::MayBeNew => {
                rows = Rows::MayBeThere;
                connection.finish(End::Rollback).await?;
            }
            Err(NotWritten::Failed(error)) if error.is_conflict() && tries < TRIES => {
                connection.finish(End::Rollback).await?;
            }
            done => break done?,
        }
    };
    answers(connection, writes, &begun).await
}

/// The runs that began.
async fn write_once(
    connection: &mut Connection,
    pen: &FencingToken<'_>,
    writes: &[Write],
    rows: Rows,
) -> Result<Vec<Uuid>, NotWritten> {
    let parts = Batch::of(writes).parts();
    if let [part] = parts.as_slice() {
        return write_part(connection, pen, part, rows).await;
    }
    let mut begun = Vec::new();
    connection.begin("BEGIN").await?;
    for part in &parts {
        begun.append(&mut write_part(connection, pen, part, rows).await?);
    }
    connection.finish(End::Commit).await?;
    Ok(begun)
}

async fn write_part(
    connection: &mut Connection,
    pen: &FencingToken<'_>,
    part: &Batch<'_>,
    rows: Rows,
) -> Result<Vec<Uuid>, NotWritten> {
    let query = statement::of(pen, part, rows)?;
    let row = connection.first(query).await?.ok_or(NotWritten::Fenced)?;
    Ok(Columns::new("forge_runs", &row).ids()?)
}

/// What became of each write.
async fn answers(
    connection: &mut Connection,
    writes: &[Write],
    begun: &[Uuid],
) -> Result<Vec<Written>, NotWritten> {
    let mut written = vec![Written::Done; writes.len()];
    let mut losers = Vec::new();
    for (place, write) in writes.iter().enumerate() {
        if let Write::Start(run) | Write::InsertUnowned(run) = write
            && let Some((tenant, workflow, key)) = key(run)
            && !begun.contains(&run.id.0)
        {
            losers.push((place, run.id, [tenant, workflow, key].map(|part| text::encode(part))));
        }
    }
    if losers.is_empty() {
        return Ok(written);
    }
    let part = |part: usize| losers.iter().map(|(_, _, key)| key[part].clone()).collect::<Vec<_>>();
    let query = sqlx::query(HOLDERS).bind(part(0)).bind(part(1)).bind(part(2));
    let rows = connection.all(query).await?;
    let mut holders = vec![None; losers.len()];
    for row in &rows {
        let mut columns = Columns::new("forge_runs", row);
        let holder = columns.run_id()?;
        let place = columns.number::<usize>()?;
        if let Some(found) = place.checked_sub(1).and_then(|place| holders.get_mut(place)) {
            *found = Some(holder);
        }
    }
    for ((place, id, ..), holder) in losers.into_iter().zip(holders) {
        let deleted = || StoreError::Unavailable("a run was deleted while another took its key".to_owned());
        let holder: RunId = holder.ok_or_else(deleted)?;
        // An earlier try of this batch may have begun it.
        if holder != id {
            written[place] = Written::KeyTaken(holder);
        }
    }
    Ok(written)
}
