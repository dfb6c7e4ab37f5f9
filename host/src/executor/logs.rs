//! The lines that runs have logged, as the API, the CLI and embedders see them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::query::{LARGEST_PAGE, PAGE_BYTES};
use super::{ExecutorError, WorkflowExecutor};
use forge_journal::{LogLevel, LogLine, RunId};
use forge_store::{LogFilter, LogPage};

/// A page of the lines that a run has logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// Selects lines after the one with this `seq`; 0 for the first page.
    pub cursor: u64,
    /// The maximum number of lines; 0 stands for 500, the most. A page may be shorter, because its bytes are bounded.
    pub limit: u32,
    /// Selects lines of this level and of more severe ones.
    pub level: LogLevel,
    /// Selects lines of the steps with this name or with `name#2`, `name#3` and so on, as later passes of a step in a loop have
    /// it, and of their compensations.
    pub step: Option<String>,
}

impl Default for LogQuery {
    /// Selects all lines.
    fn default() -> Self {
        Self { cursor: 0, limit: 0, level: LogLevel::Trace, step: None }
    }
}

/// A page of the lines that a run has logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = LogPage)]
pub struct Logs {
    /// The lines, in the order in which they were logged.
    pub lines: Vec<LogRecord>,
    /// Give this as `cursor` to get the next page; absent on the last.
    #[serde(default)]
    pub next_cursor: Option<u64>,
}

/// A line that a run has logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = LogLine)]
pub struct LogRecord {
    /// Its position among the lines of the run, from 1.
    pub seq: u64,
    /// When it was logged.
    pub at: DateTime<Utc>,
    /// Its severity.
    pub level: LogLevel,
    /// The name of the step that logged it, or whose compensation did; absent for the workflow's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The `seq` of that step or compensation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_seq: Option<u64>,
    /// The attempt of the step or compensation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The message, with the fields of the event.
    pub message: String,
}

impl WorkflowExecutor {
    /// Returns a page of the lines that a run has logged, in the order in which it logged them. A line is there as soon as the
    /// run's next change is durable.
    ///
    /// # Errors
    /// [`ExecutorError::UnknownRun`].
    pub async fn logs(&self, run: RunId, query: LogQuery) -> Result<Logs, ExecutorError> {
        let LogQuery { cursor, limit, level, step } = query;
        let limit = if limit == 0 { LARGEST_PAGE } else { limit.min(LARGEST_PAGE) };
        let filter =
            LogFilter { after: cursor, level, step, limit, bytes: PAGE_BYTES, ..LogFilter::default() };
        self.reading(async || {
            let page = self.inner.store.logs(run, &filter).await?;
            let page = page.filter(|page| page.tenant == self.tenant);
            let LogPage { lines, has_more, .. } = page.ok_or(ExecutorError::UnknownRun(run))?;
            let next_cursor = lines.last().map(|line| line.seq).filter(|_| has_more);
            Ok(Logs { lines: lines.iter().map(log_record).collect(), next_cursor })
        })
        .await
    }
}

/// Returns a line as callers see it.
pub(super) fn log_record(line: &LogLine) -> LogRecord {
    let LogLine { seq, at, level, scope, step, message, revision: _ } = line;
    let in_step = scope.step > 0;
    LogRecord {
        seq: *seq,
        at: at.to_datetime(),
        level: *level,
        step: step.as_deref().map(str::to_owned),
        step_seq: in_step.then_some(scope.step),
        attempt: in_step.then_some(scope.attempt),
        message: String::from(&**message),
    }
}
