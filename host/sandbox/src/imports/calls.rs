//! Completions: the interface `calls`.

use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use super::interfaces::calls::Host;
use super::interfaces::types::CallId;
use crate::settings::EPOCHS;
use crate::state::{InstanceState, settle};

impl Host for InstanceState {
    fn next(&mut self) -> wasmtime::Result<Option<CallId>> {
        Err(wasmtime::Error::msg("the host has not replaced `calls.next`"))
    }

    fn cancel(&mut self, call: CallId) -> wasmtime::Result<()> {
        let cancelled = self.execution()?.cancel(call);
        self.or_stop(cancelled)
    }
}

/// Replaces `next` in the linker. It sets the fuel, which needs the store, and the generated trait does not pass that.
pub(super) fn replace_next(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut calls = linker.instance("forge:workflow/calls@0.1.0")?;
    calls.func_wrap_async("next", |store, (): ()| Box::new(next(store)))?;
    linker.allow_shadowing(false);
    Ok(())
}

async fn next(mut store: StoreContextMut<'_, InstanceState>) -> wasmtime::Result<(Option<CallId>,)> {
    settle(&mut store)?;
    let left = store.get_fuel()?;
    let state = store.data_mut();
    state.account(left);
    state.release_cpu();
    let execution = state.execution()?;
    let call = match execution.check_fuel() {
        Ok(()) => execution.next().await,
        Err(stop) => Err(stop),
    };
    let fuel = execution.fuel();
    let call = state.or_stop(call)?;
    state.refuelled(fuel);
    state.acquire_cpu().await;
    store.set_fuel(fuel)?;
    // The guest has just yielded by waiting.
    store.set_epoch_deadline(EPOCHS);
    Ok((call,))
}
