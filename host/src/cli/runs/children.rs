//! Reads the runs that a run has started.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use uuid::Uuid;

use crate::cli::CliError;
use crate::cli::client::Client;
use crate::cli::tree::{Child, Children};
use crate::executor::StepRecord;
use forge_journal::RunId;

/// The most runs that are read. Of the others, the calls that started them tell how they ended.
const MOST: usize = 100;

/// The number of runs that are read at the same time.
const AT_ONCE: usize = 8;

/// Returns the runs that these calls have started. With `deep`, their calls too, and the runs that these have started, and so
/// on.
pub(super) async fn below(client: &Client, steps: &[StepRecord], deep: bool) -> Result<Children, CliError> {
    let mut found = Children::new();
    let mut next = started_by(steps);
    while !next.is_empty() {
        next.retain(|run| !found.contains_key(run));
        next.truncate(MOST - found.len());
        let reads =
            next.iter().map(|run| async { Ok::<_, CliError>((*run, read(client, *run, deep).await?)) });
        let level: Vec<(Uuid, Child)> = futures::stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
        next = level.iter().flat_map(|(_, child)| started_by(&child.steps)).collect();
        found.extend(level);
    }
    Ok(found)
}

fn started_by(steps: &[StepRecord]) -> Vec<Uuid> {
    steps.iter().filter_map(|step| step.child_run).collect()
}

async fn read(client: &Client, run: Uuid, deep: bool) -> Result<Child, CliError> {
    let record = match client.run(RunId(run), Duration::ZERO).await {
        Ok(record) => record,
        Err(CliError::Api { status: 404, .. }) => return Ok(Child { record: None, steps: Vec::new() }),
        Err(error) => return Err(error),
    };
    let steps = if deep { client.steps(RunId(run), 0).await? } else { Vec::new() };
    Ok(Child { record: Some(record), steps })
}
