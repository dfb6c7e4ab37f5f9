//! The run itself: the interface `run`.

use std::fmt::Display;

use tracing::Level;

use super::interfaces::run::{Host, LogLevel, RunInfo};
use super::interfaces::types::{Failure as GuestFailure, Json, Scope as Handle};
use super::{check_document, cut, invalid, shown, text_length};
use crate::Stop;
use crate::execution::Execution;
use crate::log::{Line, LogBudget};
use crate::state::InstanceState;
use forge_clock as clock;
use forge_journal::events::check_name;
use forge_journal::{Document, Failure, InvalidTag, Note, Scope, kind};

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

    fn log(&mut self, scope: Handle, level: LogLevel, message: String) -> wasmtime::Result<()> {
        let execution = self.execution_for(message.len())?;
        let note = execution.session.note(Scope::from_handle(scope));
        let is_shown = !execution.log.is_exhausted() && is_enabled(level);
        let is_kept = execution.session.keeps(level.into());
        let Some(note) = note.filter(|_| is_shown || is_kept) else { return Ok(()) };
        let searched = execution.session.unfinished().saturating_mul(ROW);
        let mut logged = Ok(());
        if execution.session.is_past_records() {
            let message = cut(message, LOG_LINE);
            if is_shown {
                show(execution, level, &message);
            }
            if is_kept {
                logged = execution.session.log(note, level.into(), &message, clock::now());
            }
        }
        self.passed(searched);
        self.or_stop(logged.map_err(Stop::from))
    }

    fn publish(&mut self, scope: Handle, name: String, value: Json) -> wasmtime::Result<()> {
        let execution = self.execution_for(text_length([&name, &value]))?;
        let Some(note) = execution.session.note(Scope::from_handle(scope)) else { return Ok(()) };
        let published = publish(execution, note, &name, &value);
        self.or_stop(published)
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

/// Publishes a value. A line of the run says why one is not published: the guest gets no answer that a replay would need.
fn publish(execution: &mut Execution, note: Note, name: &str, value: &str) -> Result<(), Stop> {
    let now = clock::now();
    let published = match checked(execution, name, value) {
        Ok(value) => execution.session.publish(note, name, value, now)?,
        Err(failure) => Err(failure),
    };
    if let Err(Failure { message, .. }) = published {
        execution.session.log(note, LogLevel::Warn.into(), &cut(message, LOG_LINE), now)?;
    }
    Ok(())
}

/// Returns the value that is published, or why it is not.
fn checked(execution: &Execution, name: &str, value: &str) -> Result<Document, Failure> {
    let refused = |why: &dyn Display| invalid(format!("`{}` is not published: {why}", shown(name)));
    check_name(name).map_err(|why| refused(&why))?;
    match check_document(execution, value, || format!("the value that is published as `{name}`")) {
        Some(failure) => Err(failure),
        None => Document::parse(value).map_err(|why| refused(&why)),
    }
}

/// Writes a line to the host's log, within the limits on it.
fn show(execution: &mut Execution, level: LogLevel, message: &str) {
    let line = match execution.log.take(message.len()) {
        // The tenant's limit on all of its runs. What it drops is counted, and told of now and then.
        Line::Written if !execution.host.may_log(LogBudget::line(message.len())) => Line::Dropped,
        line => line,
    };
    write(line, execution, level, message);
}

impl From<LogLevel> for forge_journal::LogLevel {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Trace => Self::Trace,
            LogLevel::Debug => Self::Debug,
            LogLevel::Info => Self::Info,
            LogLevel::Warn => Self::Warn,
            LogLevel::Error => Self::Error,
        }
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
                "the run has logged {limit} bytes, which is the limit `log_bytes_per_run`: its further lines are not in this log"
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
