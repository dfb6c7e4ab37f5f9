//! The workflow's time and timers: the interface `time`.

use super::interfaces::time::Host;
use super::interfaces::types::{CallId, Scope as Handle, Timestamp};
use crate::Stop;
use crate::state::InstanceState;
use forge_clock as clock;
use forge_journal::{EffectKind, NewEffect, Scope};

/// The kind of effect that is a durable timer.
pub const SLEEP: EffectKind = EffectKind::new("sleep");

/// The kind of effect that is the timer of a step's timeout.
pub const TIMEOUT: EffectKind = EffectKind::new("timeout");

impl Host for InstanceState {
    fn workflow_time(&mut self, scope: Handle) -> wasmtime::Result<Timestamp> {
        let scope = Scope::from_handle(scope);
        let time = self.execution()?.session.workflow_time(scope, clock::now());
        let time = self.or_stop(time.map_err(Stop::from))?;
        Ok(u64::try_from(time.0).unwrap_or(0))
    }

    fn sleep(&mut self, scope: Handle, duration: u64) -> wasmtime::Result<CallId> {
        self.timer(SLEEP, scope, duration)
    }

    fn deadline(&mut self, scope: Handle, duration: u64) -> wasmtime::Result<CallId> {
        self.timer(TIMEOUT, scope, duration)
    }
}

impl InstanceState {
    fn timer(&mut self, kind: EffectKind, scope: Handle, duration: u64) -> wasmtime::Result<CallId> {
        let now = clock::now();
        let effect = NewEffect {
            kind,
            name: humantime::format_duration(std::time::Duration::from_millis(duration)).to_string(),
            input: duration.to_string(),
            wake_at: Some(now.plus(duration)),
            awaits: None,
        };
        let scope = Scope::from_handle(scope);
        let session = &mut self.execution()?.session;
        let call = if kind == TIMEOUT {
            session.submit_for_scope(scope, effect, now)
        } else {
            session.submit(scope, effect, now)
        };
        self.or_stop(call.map_err(Stop::from))
    }
}
