//! Rolling back: the interface `compensate`.

use super::interfaces::compensate::Host;
use super::interfaces::step::{Entry, Verdict};
use super::interfaces::types::{CallId, Failure, Scope as Handle, StepId};
use super::{fail, size};
use crate::Stop;
use crate::state::InstanceState;
use forge_clock as clock;
use forge_journal::Scope;

impl Host for InstanceState {
    fn unwind(&mut self, failure: Failure) -> wasmtime::Result<()> {
        let execution = self.execution_for(size(&failure))?;
        let unwound = execution.session.unwind(failure.into(), clock::now());
        self.or_stop(unwound.map_err(Stop::from))
    }

    fn begin(&mut self, step: StepId) -> wasmtime::Result<Entry> {
        let entry = self.execution()?.session.begin_compensation(step, clock::now());
        self.or_stop(entry.map_err(Stop::from)).map(Entry::from)
    }

    fn resume(&mut self, call: CallId) -> wasmtime::Result<Entry> {
        let entry = self.execution()?.session.resume_step(call);
        self.or_stop(entry.map_err(Stop::from)).map(Entry::from)
    }

    fn complete(&mut self, scope: Handle) -> wasmtime::Result<()> {
        let scope = Scope::from_handle(scope);
        let receipt = self.execution()?.session.complete_step(scope, None, clock::now());
        self.or_stop(receipt.map_err(Stop::from)).map(|_| ())
    }

    fn fail(&mut self, scope: Handle, failure: Failure) -> wasmtime::Result<Verdict> {
        let execution = self.execution_for(size(&failure))?;
        let verdict = fail(execution, Scope::from_handle(scope), failure.into());
        self.or_stop(verdict).map(Verdict::from)
    }
}
