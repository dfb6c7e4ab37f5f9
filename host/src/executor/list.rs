//! Lists of runs.

use uuid::Uuid;

use super::query::LARGEST_PAGE;
use super::{ExecutorError, RunCounts, RunFilter, RunPage, WorkflowExecutor};
use forge_store::RunList;

/// Runs in a page by default.
const PAGE: u32 = 50;

/// The number up to which the runs of a status are counted: that takes some milliseconds.
const MOST_COUNTED: u32 = 10_000;

impl WorkflowExecutor {
    /// Returns a page of runs, the newest first.
    ///
    /// A page costs the same however many runs there are. If several conditions of the filter leave many runs out, it is short
    /// or empty, and the list goes on at [`RunPage::next_cursor`].
    ///
    /// # Errors
    /// [`ExecutorError::Store`].
    pub async fn list(&self, filter: RunFilter) -> Result<RunPage, ExecutorError> {
        let size = if filter.limit == 0 { PAGE } else { filter.limit.min(LARGEST_PAGE) };
        // One more than asked for tells whether there is another page.
        let filter = RunFilter { limit: size + 1, ..filter };
        let RunList { mut runs, examined_to } =
            self.reading(async || Ok(self.inner.store.list(&self.tenant, &filter).await?)).await?;
        let is_longer = runs.len() > size as usize;
        runs.truncate(size as usize);
        let further = if is_longer { runs.last().map(|run| run.id) } else { examined_to };
        let Some(newer) = filter.newer else {
            // What is newer than the page begins where the page before ended.
            let newer = filter.cursor.map(|cursor| runs.first().map_or(below(cursor), |run| run.id));
            return Ok(RunPage { runs, next_cursor: further, newer });
        };
        runs.reverse();
        let next_cursor = runs.last().map_or(above(newer), |run| run.id);
        Ok(RunPage { runs, next_cursor: Some(next_cursor), newer: further })
    }

    /// Returns the number of runs with each status, up to [`RunCounts::capped`]. The filter has a workflow, a tag or an error
    /// kind, statuses and times: that costs the same however many runs there are.
    ///
    /// # Errors
    /// [`ExecutorError::NotCounted`] if the filter has other conditions.
    pub async fn counts(&self, filter: RunFilter) -> Result<RunCounts, ExecutorError> {
        check_is_counted(&filter)?;
        let count = async || Ok(self.inner.store.counts(&self.tenant, &filter, MOST_COUNTED).await?);
        Ok(RunCounts { counts: self.reading(count).await?, capped: MOST_COUNTED })
    }
}

fn below(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128().saturating_sub(1))
}

fn above(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128().saturating_add(1))
}

/// Checks that one index has the runs of a filter.
fn check_is_counted(filter: &RunFilter) -> Result<(), ExecutorError> {
    let RunFilter { workflow, version, statuses: _, tags, error_kind, key, id_prefix, .. } = filter;
    let refuse = |why: &str| Err(ExecutorError::NotCounted(why.to_owned()));
    if version.is_some() || key.is_some() || id_prefix.is_some() {
        return refuse("leave the version, the key and the prefix out");
    }
    match tags.len() + usize::from(workflow.is_some()) + usize::from(error_kind.is_some()) {
        0 | 1 => Ok(()),
        _ => refuse("give one of these"),
    }
}
