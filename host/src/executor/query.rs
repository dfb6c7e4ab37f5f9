use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::waiters::Waiter;
use super::{ExecutorError, RunFilter, RunPage, StepRecord, WorkflowExecutor, WorkflowRecord};
use forge_journal::{Kind, Row, Run, RunId, StepStatus, WorkflowStatus};
use forge_store::Loaded;

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
        let (found, rows) = self.read(run).await?;
        Ok(record(&found, &rows))
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
            record = waiter.at_rest() => record.map(Arc::unwrap_or_clone),
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

/// Returns a run as callers see it.
pub(super) fn record(run: &Run, rows: &[Row]) -> WorkflowRecord {
    let steps = || rows.iter().filter(|row| row.kind == Kind::Step);
    let running = steps().rev().find(|row| row.status == StepStatus::Running);
    let current = running.or_else(|| steps().next_back().filter(|_| run.status != WorkflowStatus::Completed));
    let results: Map<String, Value> = steps()
        .filter(|row| matches!(row.status, StepStatus::Completed | StepStatus::Compensated))
        .map(|row| (row.name.to_string(), json_or_null(row.result.as_deref())))
        .collect();
    WorkflowRecord {
        id: run.id.0,
        workflow_name: run.workflow.to_string(),
        version: run.version,
        input: json_or_null(Some(&run.input)),
        output: run.output.as_deref().map(|output| json_or_null(Some(output))),
        status: run.status,
        current_step: current.map(|row| row.name.to_string()),
        step_results: Value::Object(results),
        started_at: run.started_at.to_datetime(),
        completed_at: run.completed_at.map(|time| time.to_datetime()),
        error: run.error(),
        trace_id: run.trace_id.as_deref().map(str::to_owned),
        error_kind: run.failure.as_ref().map(|failure| failure.kind.clone()),
        pause_reason: run.pause.as_ref().map(|pause| pause.reason),
        deadline: run.deadline.to_datetime(),
        digest: run.digest.to_string(),
        key: run.key.as_deref().map(str::to_owned),
        fuel: run.fuel,
    }
}

fn step_record(row: &Row) -> StepRecord {
    let parent = (row.scope.step > 0).then_some(row.scope.step);
    let options = row.options.as_deref().copied().unwrap_or_default();
    StepRecord {
        seq: row.seq,
        parent,
        parent_attempt: parent.and(Some(row.scope.attempt)).filter(|attempt| *attempt > 0),
        kind: row.kind,
        step_name: row.name.to_string(),
        status: row.status,
        attempt: row.attempt,
        optional: options.optional,
        compensable: options.compensable,
        input: row.input.as_deref().map(|input| json_or_null(Some(input))),
        result: row.result.as_deref().map(|result| json_or_null(Some(result))),
        error: row.failure.as_ref().map(|failure| failure.message.clone()),
        error_kind: row.failure.as_ref().map(|failure| failure.kind.clone()),
        wake_at: row.wake_at.map(|time| time.to_datetime()),
        started_at: row.started_at.to_datetime(),
        completed_at: row.completed_at.map(|time| time.to_datetime()),
        duration_ms: row.completed_at.map(|time| time.since(row.started_at)),
    }
}

/// Documents are checked when they enter the journal. One that was changed by hand since is shown as text.
fn json_or_null(text: Option<&str>) -> Value {
    let Some(text) = text else { return Value::Null };
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
