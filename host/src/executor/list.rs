//! Lists of runs.

use uuid::Uuid;

use super::query::LARGEST_PAGE;
use super::{ExecutorError, RunCounts, RunFilter, RunPage, WorkflowExecutor};
use forge_store::{RunList, RunNumbers};

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

    /// Returns the number of runs with each status. That costs the same however many runs there are: up to
    /// [`RunCounts::capped`] are counted of each status, and with several conditions some of the newest runs.
    ///
    /// # Errors
    /// [`ExecutorError::Store`].
    pub async fn counts(&self, filter: RunFilter) -> Result<RunCounts, ExecutorError> {
        let count = async || Ok(self.inner.store.counts(&self.tenant, &filter, MOST_COUNTED).await?);
        let RunNumbers { counts, at_least } = self.reading(count).await?;
        Ok(RunCounts { counts, at_least, capped: MOST_COUNTED })
    }
}

fn below(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128().saturating_sub(1))
}

fn above(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128().saturating_add(1))
}
