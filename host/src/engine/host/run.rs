use super::interfaces::run::{Host, LogLevel, RunInfo};
use super::interfaces::types::Scope;
use crate::engine::activation::HostState;

/// Bytes of one log line; what is longer is cut.
const LOG_LINE: usize = 8 << 10;

impl Host for HostState {
    fn info(&mut self) -> wasmtime::Result<RunInfo> {
        let run = self.activation()?.session.journal().run();
        let (high, low) = run.id.0.as_u64_pair();
        Ok(RunInfo {
            run_id: run.id.to_string(),
            workflow: run.workflow.to_string(),
            version: run.version,
            started_at: u64::try_from(run.started_at.0).unwrap_or(0),
            auth: run.auth.to_string(),
            // The id is as random as a seed must be, unique, and known for as long as the run is.
            seed: (high, low),
        })
    }

    fn log(&mut self, _scope: Scope, level: LogLevel, message: String) -> wasmtime::Result<()> {
        let activation = self.activation()?;
        if !activation.session.is_past_records() {
            return Ok(());
        }
        let run = activation.session.journal().run();
        let (id, workflow) = (run.id, &*run.workflow);
        let message = cut(&message, LOG_LINE);
        match level {
            LogLevel::Trace => tracing::trace!(target: "guest", run = %id, workflow, "{message}"),
            LogLevel::Debug => tracing::debug!(target: "guest", run = %id, workflow, "{message}"),
            LogLevel::Info => tracing::info!(target: "guest", run = %id, workflow, "{message}"),
            LogLevel::Warn => tracing::warn!(target: "guest", run = %id, workflow, "{message}"),
            LogLevel::Error => tracing::error!(target: "guest", run = %id, workflow, "{message}"),
        }
        Ok(())
    }

    fn panicked(&mut self, message: String) -> wasmtime::Result<()> {
        HostState::panicked(self, cut(&message, LOG_LINE).to_owned());
        Ok(())
    }
}

fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}
