//! Rolling back: the interface `compensate`.

use super::interfaces::compensate::Host;
use super::interfaces::step::{Entry, Verdict};
use super::interfaces::types::{CallId, Failure, Scope as Handle, StepId};
use super::{fail, size};
use crate::Stop;
use crate::state::InstanceState;
use forge_clock as clock;
use forge_journal as journal;
use forge_journal::Scope;
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

/// Replaces `unwind` in the linker. It waits for the children of the run, and the generated trait cannot wait.
pub(super) fn replace_unwind(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut compensate = linker.instance("forge:workflow/compensate@0.1.0")?;
    compensate.func_wrap_async("unwind", |store, (failure,)| Box::new(unwind(store, failure)))?;
    linker.allow_shadowing(false);
    Ok(())
}

async fn unwind(mut store: StoreContextMut<'_, InstanceState>, failure: Failure) -> wasmtime::Result<()> {
    let bytes = size(&failure);
    let failure = journal::Failure::from(failure);
    let state = store.data_mut();
    let unwound = match state.execution_for(bytes)?.fail(&failure) {
        Ok(true) => return Ok(()),
        Ok(false) => {
            state.release_cpu();
            let ended = state.execution()?.children_ended(&failure).await;
            state.acquire_cpu().await;
            ended
        }
        Err(stop) => Err(stop),
    };
    state.or_stop(unwound)
}

impl Host for InstanceState {
    fn unwind(&mut self, _: Failure) -> wasmtime::Result<()> {
        Err(wasmtime::Error::msg("the host has not replaced `compensate.unwind`"))
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
