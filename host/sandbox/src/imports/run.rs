//! The run itself: the interface `run`.

use tracing::Level;

use forge_clock as clock;
use forge_journal::{Failure, InvalidTag, kind};

use super::interfaces::run::{Host, LogLevel, RunInfo};
use super::interfaces::types::{Failure as GuestFailure, Scope};
use super::{cut, invalid};
use crate::Stop;
use crate::execution::Execution;
use crate::log::{Line, LogBudget};
use crate::state::InstanceState;

/// The maximum size of a log line, in bytes. Longer lines are cut.
const LOG_LINE: usize = 8 << 10;

/// The bytes that reading one row of the journal counts as when the guest is charged for it.
const ROW: usize = 16;

impl Host for InstanceState {
    fn info(&mut self) -> wasmtime::Result<RunInfo> {
        let run = self.execution()?.session.journal().run();
        let (high, low) = run.id.0.as_u64_pair();
        Ok(RunInfo {
            run_id: run.id.to_string(),
            workflow: run.workflow.to_string(),
            version: run.version,
            started_at: u64::try_from(run.started_at.0).unwrap_or(0),
            auth: run.auth.to_string(),
            // A run id is random, unique and the same on every replay, so it is the seed.
            seed: (high, low),
        })
    }

    fn log(&mut self, _scope: Scope, level: LogLevel, message: String) -> wasmtime::Result<()> {
        let execution = self.execution_for(message.len())?;
        if execution.log.is_exhausted() || !is_enabled(level) {
            return Ok(());
        }
        let searched = execution.session.unfinished().saturating_mul(ROW);
        if execution.session.is_past_records() {
            let bytes = message.len().min(LOG_LINE);
            let line = match execution.log.take(bytes) {
                // The tenant's limit on all of its runs. What it drops is counted, and told of now and then.
                Line::Written if !execution.host.may_log(LogBudget::line(bytes)) => Line::Dropped,
                line => line,
            };
            write(line, execution, level, &cut(message, LOG_LINE));
        }
        self.passed(searched);
        Ok(())
    }

    fn tag(&mut self, name: String, value: String) -> wasmtime::Result<Result<(), GuestFailure>> {
        let session = &mut self.execution_for(name.len().saturating_add(value.len()))?.session;
        let searched = session.unfinished().saturating_mul(ROW);
        let tagged = session.tag(&name, &value, clock::now()).map_err(Stop::from);
        self.passed(searched);
        Ok(self.or_stop(tagged)?.map_err(|refused| {
            GuestFailure::from(match refused {
                InvalidTag::TooMany(_) => Failure::permanent(kind::LIMIT, refused.to_string()),
                _ => invalid(refused.to_string()),
            })
        }))
    }

    fn panicked(&mut self, message: String) -> wasmtime::Result<()> {
        self.called();
        self.passed(message.len());
        InstanceState::panicked(self, cut(message, LOG_LINE));
        Ok(())
    }
}

/// Returns whether the host's log takes lines of this level. Other lines do not count against the limit.
fn is_enabled(level: LogLevel) -> bool {
    match level {
        LogLevel::Trace => tracing::enabled!(target: "guest", Level::TRACE),
        LogLevel::Debug => tracing::enabled!(target: "guest", Level::DEBUG),
        LogLevel::Info => tracing::enabled!(target: "guest", Level::INFO),
        LogLevel::Warn => tracing::enabled!(target: "guest", Level::WARN),
        LogLevel::Error => tracing::enabled!(target: "guest", Level::ERROR),
    }
}

fn write(line: Line, execution: &Execution, level: LogLevel, message: &str) {
    let run = execution.session.journal().run();
    let (id, workflow) = (run.id, &*run.workflow);
    match (line, level) {
        (Line::Dropped, _) => {}
        (Line::FirstDropped, _) => {
            let limit = execution.log.limit();
            tracing::warn!(
                run = %id, workflow,
                "the run has logged {limit} bytes, which is the limit `log_bytes_per_run`: its further lines are dropped"
            );
        }
        (Line::Written, LogLevel::Trace) => {
            tracing::trace!(target: "guest", run = %id, workflow, "{message}")
        }
        (Line::Written, LogLevel::Debug) => {
            tracing::debug!(target: "guest", run = %id, workflow, "{message}")
        }
        (Line::Written, LogLevel::Info) => tracing::info!(target: "guest", run = %id, workflow, "{message}"),
        (Line::Written, LogLevel::Warn) => tracing::warn!(target: "guest", run = %id, workflow, "{message}"),
        (Line::Written, LogLevel::Error) => {
            tracing::error!(target: "guest", run = %id, workflow, "{message}")
        }
    }
}
