use std::time::Duration;

use super::record::{PendingEvents, record, step_record};
use super::waiters::Waiter;
use super::{ExecutorError, StepRecord, Steps, WorkflowExecutor, WorkflowRecord, unreadable};
use forge_journal::RunId;
use forge_store::{Overview, RecentSteps, StepFilter, StepPage, StoreError};

/// The most runs, calls or lines in a page.
pub(super) const LARGEST_PAGE: u32 = 500;

/// The bytes of inputs and results in a page of calls, or of messages in a page of lines. With them, a response takes some
/// megabytes of memory.
pub(super) const PAGE_BYTES: u64 = 2 << 20;

/// A page of the journal of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepsQuery {
    /// The `next_cursor` of the previous page; 0 for the first page.
    pub cursor: u64,
    /// The maximum number of calls; 0 stands for 500, the most. A page may be shorter, because its documents are bounded.
    pub limit: u32,
    /// Whether the calls have their inputs and results.
    pub payloads: bool,
}

impl Default for StepsQuery {
    fn default() -> Self {
        Self { cursor: 0, limit: 0, payloads: true }
    }
}

impl WorkflowExecutor {
    /// Returns a run as it is now (spec: *WorkflowExecutor Methods*).
    ///
    /// # Errors
    /// [`ExecutorError::UnknownRun`].
    pub async fn status(&self, run: RunId) -> Result<WorkflowRecord, ExecutorError> {
        self.reading(async || match self.inner.store.overview(run).await {
            Err(error @ StoreError::Corrupt { .. }) => self.what_can_be_read(run, error).await,
            found => {
                let found = found?.filter(|found| found.run.tenant == self.tenant);
                let Overview { run, events, recent } = found.ok_or(ExecutorError::UnknownRun(run))?;
                Ok(WorkflowRecord { events: PendingEvents::of(events), ..record(&run, &recent) })
            }
        })
        .await
    }

    /// Returns a run whose row or journal cannot be read completely. Its record says so: the run is paused or was terminated,
    /// or its own row cannot be read.
    pub(super) async fn what_can_be_read(
        &self,
        run: RunId,
        error: StoreError,
    ) -> Result<WorkflowRecord, ExecutorError> {
        let found = self.inner.store.readable(run).await?;
        let found = found.filter(|found| found.run.tenant == self.tenant);
        let found = found.ok_or(ExecutorError::UnknownRun(run))?;
        let problems = found.problems.join("; ");
        let run = unreadable::run(found);
        if !run.is_at_rest() {
            return Err(error.into());
        }
        let mut record = record(&run, &RecentSteps::default());
        if run.status.is_final() && !problems.is_empty() {
            let note = format!("parts of the run cannot be read: {problems}");
            record.error = Some(record.error.map_or(note.clone(), |error| format!("{error}; {note}")));
        }
        Ok(record)
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

    /// Returns all journaled calls of a run, in the order in which they began. A journal may be large:
    /// [`WorkflowExecutor::steps_page`] returns a part of it.
    ///
    /// # Errors
    /// [`ExecutorError::UnknownRun`].
    pub async fn steps(&self, run: RunId) -> Result<Vec<StepRecord>, ExecutorError> {
        let mut query = StepsQuery::default();
        let mut all = Vec::new();
        loop {
            let Steps { mut steps, next_cursor } = self.steps_page(run, query).await?;
            all.append(&mut steps);
            match next_cursor {
                Some(cursor) => query.cursor = cursor,
                None => return Ok(all),
            }
        }
    }

    /// Returns a page of the journaled calls of a run, in the order in which they began.
    ///
    /// # Errors
    /// [`ExecutorError::UnknownRun`].
    pub async fn steps_page(&self, run: RunId, query: StepsQuery) -> Result<Steps, ExecutorError> {
        let StepsQuery { cursor, limit, payloads } = query;
        let limit = if limit == 0 { LARGEST_PAGE } else { limit.min(LARGEST_PAGE) };
        let filter = StepFilter { after: cursor, limit, bytes: PAGE_BYTES, payloads };
        self.reading(async || {
            let page = self.inner.store.steps(run, filter).await?;
            let page = page.filter(|page| page.tenant == self.tenant);
            let StepPage { rows, has_more, .. } = page.ok_or(ExecutorError::UnknownRun(run))?;
            let next_cursor = rows.last().map(|row| row.seq).filter(|_| has_more);
            Ok(Steps { steps: rows.iter().map(step_record).collect(), next_cursor })
        })
        .await
    }

    /// Reads for a caller: with a permit, so that reads of one tenant do not delay those of others nor the host, and within
    /// the limit of time.
    pub(crate) async fn reading<T>(
        &self,
        read: impl AsyncFnOnce() -> Result<T, ExecutorError>,
    ) -> Result<T, ExecutorError> {
        let limit = self.inner.limits.read_time;
        let reading = async {
            let _permit = self.inner.reads.acquire(&self.tenant).await;
            read().await
        };
        tokio::time::timeout(limit, reading).await.unwrap_or(Err(ExecutorError::ReadTimedOut(limit)))
    }
}
