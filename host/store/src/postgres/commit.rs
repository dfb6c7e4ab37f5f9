//! The commit of a batch: one statement, and so one round trip.

use uuid::Uuid;

use super::batch::{Batch, key};
use super::connection::{Connection, End};
use super::decode::Columns;
use super::error::QueryError;
use super::operations::{self, Done};
use super::statement::{FencingToken, Rows};
use super::{statement, text};
use crate::{Committed, StoreError, Write, Written};
use forge_journal::{Run, RunId};

/// Returns the runs that were started with these tenants, workflows and keys.
const HOLDERS: &str = "SELECT run.id, wanted.place FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[]) \
     WITH ORDINALITY AS wanted (tenant, workflow_name, idempotency_key, place) \
     JOIN forge_runs run USING (tenant, workflow_name, idempotency_key)";

/// Takes the key of a run that can be restarted away from it.
const RELEASE_KEY: &str = "UPDATE forge_runs SET idempotency_key = NULL, restarted_as = $1 \
     WHERE id = $2 AND tenant = $3 AND workflow_name = $4 AND idempotency_key = $5 \
       AND status IN ('failed', 'compensated') AND stuck IS NULL";

/// Attempts to commit a batch that conflicts with those of other nodes.
const ATTEMPTS: u32 = 5;

/// Why a batch was not committed, or may not have been.
pub(super) enum CommitError {
    /// The epoch has ended, or another connection writes in it.
    Fenced,
    /// The batch was committed, and the outcome of each write could not be read.
    Committed(StoreError),
    Failed(QueryError),
    /// The batch cannot be encoded, or the answer cannot be decoded.
    Store(StoreError),
}

impl From<QueryError> for CommitError {
    fn from(error: QueryError) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for CommitError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Commits a batch, and returns the outcome of each write. The same batch may be committed twice.
pub(super) async fn commit(
    connection: &mut Connection,
    token: &FencingToken<'_>,
    writes: &[Write],
) -> Result<Committed, CommitError> {
    let mut attempts = 0;
    let mut rows = Rows::MayBeNew;
    let (begun, done) = loop {
        attempts += 1;
        match commit_once(connection, token, writes, rows).await {
            // The batch was committed before.
            Err(CommitError::Failed(error)) if error.is_duplicate() && rows == Rows::MayBeNew => {
                rows = Rows::MayExist;
                connection.finish(End::Rollback).await?;
            }
            Err(CommitError::Failed(error)) if error.is_conflict() && attempts < ATTEMPTS => {
                connection.finish(End::Rollback).await?;
            }
            done => break done?,
        }
    };
    let written = outcomes(connection, writes, &begun).await.map_err(CommitError::Committed)?;
    Ok(done.complete(written, &begun, writes))
}

/// Returns the runs that began, and what else was done.
async fn commit_once(
    connection: &mut Connection,
    token: &FencingToken<'_>,
    writes: &[Write],
    rows: Rows,
) -> Result<(Vec<Uuid>, Done), CommitError> {
    let restarts: Vec<_> = writes.iter().filter_map(Write::restart).collect();
    let has_operations = operations::has_any(writes);
    if restarts.is_empty()
        && !has_operations
        && let [part] = Batch::of(writes).parts().as_slice()
    {
        return Ok((write_part(connection, token, part, rows).await?, Done::default()));
    }
    let mut begun = Vec::new();
    connection.begin("BEGIN").await?;
    for (run, old) in restarts {
        release_key(connection, first_with_key_of(run, writes), old).await?;
    }
    if !has_operations {
        for part in &Batch::of(writes).parts() {
            begun.append(&mut write_part(connection, token, part, rows).await?);
        }
        connection.finish(End::Commit).await?;
        return Ok((begun, Done::default()));
    }
    operations::lock(connection, writes).await?;
    // First the runs, which may send to themselves; the rows have the outcomes.
    for part in &Batch::of(writes).runs_only().parts() {
        begun.append(&mut write_part(connection, token, part, rows).await?);
    }
    let done = operations::perform(connection, token, writes, &begun).await?;
    let with_outcomes = operations::with_outcomes(writes, &done);
    for part in &Batch::of(&with_outcomes).rows_only().parts() {
        write_part(connection, token, part, rows).await?;
    }
    connection.finish(End::Commit).await?;
    Ok((begun, done))
}

/// Returns the run of the batch that gets the key of this run if the key is free: the first with this key.
fn first_with_key_of<'w>(run: &'w Run, writes: &'w [Write]) -> &'w Run {
    let mut starts = writes.iter().filter_map(Write::start).map(|(run, _)| run);
    starts.find(|other| key(other) == key(run)).unwrap_or(run)
}

/// In the transaction in which the run starts, so that the key is never free.
async fn release_key(connection: &mut Connection, run: &Run, old: RunId) -> Result<(), CommitError> {
    let Some((tenant, workflow, key)) = key(run) else { return Ok(()) };
    let [tenant, workflow, key] = [tenant, workflow, key].map(|part| text::encode(part));
    let query = sqlx::query(RELEASE_KEY).bind(run.id.to_string()).bind(old.0);
    connection.all(query.bind(&*tenant).bind(&*workflow).bind(&*key)).await?;
    Ok(())
}

async fn write_part(
    connection: &mut Connection,
    token: &FencingToken<'_>,
    part: &Batch<'_>,
    rows: Rows,
) -> Result<Vec<Uuid>, CommitError> {
    let query = statement::query(token, part, rows)?;
    let row = connection.first(query).await?.ok_or(CommitError::Fenced)?;
    Ok(Columns::new("forge_runs", &row).ids()?)
}

/// Returns the outcome of each write.
async fn outcomes(
    connection: &mut Connection,
    writes: &[Write],
    begun: &[Uuid],
) -> Result<Vec<Written>, StoreError> {
    let mut written = vec![Written::Done; writes.len()];
    let mut losers = Vec::new();
    for (place, write) in writes.iter().enumerate() {
        if let Some((run, _)) = write.start()
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
        let deleted = || StoreError::Unavailable("the run with this key was deleted meanwhile".to_owned());
        let holder: RunId = holder.ok_or_else(deleted)?;
        // An earlier attempt may have committed it.
        if holder != id {
            written[place] = Written::KeyTaken(holder);
        }
    }
    Ok(written)
}
