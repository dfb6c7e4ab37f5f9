use std::time::Duration;

use super::record::{record, step_record};
use super::waiters::Waiter;
use super::{ExecutorError, RunFilter, RunPage, StepRecord, WorkflowExecutor, WorkflowRecord};
use forge_journal::{Row, Run, RunId};
use forge_store::{Loaded, StoreError};

/// Runs in a page by default.
const PAGE: u32 = 50;

/// The most runs in a page.
const LARGEST_PAGE: u32 = 500;

impl WorkflowExecutor {
    /// Returns a run as it is now (spec: *WorkflowExecutor Methods*).
    ///
    /// # Errors
    /// [`ExecutorError::UnknownRun`].
    pub async fn status(&self, run: RunId) -> Result<WorkflowRecord, ExecutorError> {
        let Loaded { run: found, rows } = self.read_any(run).await?;
        if found.tenant != self.tenant {
            return Err(ExecutorError::UnknownRun(run));
        }
        match rows {
            Ok(rows) => Ok(record(&found, &rows)),
            // The run itself says so: it is paused or was terminated.
            Err(StoreError::Corrupt { .. }) if found.is_at_rest() => Ok(record(&found, &[])),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns a run when it is final or paused, or as it is after `at_most`.
    ///
    /// # Errors
    /// [`ExecutorError::UnknownRun`].
    pub async fn wait(&self, run: RunId, at_most: Duration) -> Result<WorkflowRecord, ExecutorError> {
        self.wait_until(run, tokio::time::sleep(at_most)).await
    }

    /// Returns a run when it is final or paused, or as it is when `patience` completes.
    ///
    /// # Errors
    /// [`ExecutorError::UnknownRun`].
    pub async fn wait_until(
        &self,
        run: RunId,
        patience: impl Future<Output = ()>,
    ) -> Result<WorkflowRecord, ExecutorError> {
        let mut waiter = self.inner.waiters.wait_for(run);
        let record = self.status(run).await?;
        if record.status.is_at_rest() {
            return Ok(record);
        }
        match self.at_rest(run, &mut waiter, patience).await {
            Some(record) => Ok(record),
            None => self.status(run).await,
        }
    }

    /// Completes when a run is at rest, `patience` completes, or the host stops. Returns the record of a run that is at
    /// rest, if it need not be read.
    pub(super) async fn at_rest(
        &self,
        run: RunId,
        waiter: &mut Waiter,
        patience: impl Future<Output = ()>,
    ) -> Option<WorkflowRecord> {
        tokio::select! {
            biased;
            record = waiter.at_rest() => record,
            () = patience => None,
            () = self.inner.shutdown.cancelled() => None,
            never = self.follow_elsewhere(run) => never,
        }
    }

    /// Returns one of this tenant's runs.
    async fn read(&self, run: RunId) -> Result<(Run, Vec<Row>), ExecutorError> {
        let Loaded { run: found, rows } = self.read_any(run).await?;
        if found.tenant == self.tenant { Ok((found, rows?)) } else { Err(ExecutorError::UnknownRun(run)) }
    }

    /// Returns a run of any tenant.
    pub(super) async fn read_any(&self, run: RunId) -> Result<Loaded, ExecutorError> {
        let loaded = self.inner.store.load(&[run]).await?.pop();
        loaded.transpose()?.flatten().ok_or(ExecutorError::UnknownRun(run))
    }

    /// Returns all journaled calls of a run, in the order in which they began.
    ///
    /// # Errors
    /// [`ExecutorError::UnknownRun`].
    pub async fn steps(&self, run: RunId) -> Result<Vec<StepRecord>, ExecutorError> {
        let (_, rows) = self.read(run).await?;
        Ok(rows.iter().map(step_record).collect())
    }

    /// Returns a page of runs, the newest first.
    ///
    /// # Errors
    /// [`ExecutorError::Store`].
    pub async fn list(&self, filter: RunFilter) -> Result<RunPage, ExecutorError> {
        let size = if filter.limit == 0 { PAGE } else { filter.limit.min(LARGEST_PAGE) };
        // One more than asked for tells whether there is a next page.
        let mut runs = self.inner.store.list(&self.tenant, &RunFilter { limit: size + 1, ..filter }).await?;
        let more = runs.len() > size as usize;
        runs.truncate(size as usize);
        let next_cursor = runs.last().map(|run| run.id).filter(|_| more);
        Ok(RunPage { runs, next_cursor })
    }
}
