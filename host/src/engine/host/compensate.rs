use super::interfaces::compensate::Host;
use super::interfaces::step::{Entry, Verdict};
use super::interfaces::types::{CallId, Failure, Scope as Handle, StepId};
use super::size;
use crate::clock;
use crate::engine::activation::Stop;
use crate::engine::state::HostState;
use crate::journal::Scope;

impl Host for HostState {
    fn unwind(&mut self, failure: Failure) -> wasmtime::Result<()> {
        let activation = self.activation_for(size(&failure))?;
        let unwound = activation.session.unwind(failure.into(), clock::now());
        self.or_stop(unwound.map_err(Stop::from))
    }

    fn begin(&mut self, step: StepId) -> wasmtime::Result<Entry> {
        let entry = self.activation()?.session.begin_compensation(step, clock::now());
        self.or_stop(entry.map_err(Stop::from)).map(Entry::from)
    }

    fn resume(&mut self, call: CallId) -> wasmtime::Result<Entry> {
        let entry = self.activation()?.session.resume_step(call);
        self.or_stop(entry.map_err(Stop::from)).map(Entry::from)
    }

    fn complete(&mut self, scope: Handle) -> wasmtime::Result<()> {
        let scope = Scope::from_handle(scope);
        let receipt = self.activation()?.session.complete_step(scope, None, clock::now());
        self.or_stop(receipt.map_err(Stop::from)).map(|_| ())
    }

    fn fail(&mut self, scope: Handle, failure: Failure) -> wasmtime::Result<Verdict> {
        let scope = Scope::from_handle(scope);
        let activation = self.activation_for(size(&failure))?;
        let verdict = activation.session.fail_step(scope, failure.into(), clock::now());
        self.or_stop(verdict.map_err(Stop::from)).map(Verdict::from)
    }
}
