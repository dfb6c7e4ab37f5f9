use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::engine::EPOCHS;
use crate::fuel;
use crate::state::InstanceState;

/// Adds `calls`, which is written by hand because `next` sets the fuel, for which it needs the store.
pub(super) fn add_to_linker(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    let mut calls = linker.instance("forge:workflow/calls@0.1.0")?;
    calls.func_wrap_async("next", |store, (): ()| Box::new(next(store)))?;
    calls.func_wrap("cancel", |mut store: StoreContextMut<'_, InstanceState>, (call,): (u64,)| {
        let state = store.data_mut();
        let cancelled = state.execution()?.cancel(call);
        state.or_stop(cancelled)
    })
}

async fn next(mut store: StoreContextMut<'_, InstanceState>) -> wasmtime::Result<(Option<u64>,)> {
    fuel::settle(&mut store)?;
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
    // It has given way by waiting.
    store.set_epoch_deadline(EPOCHS);
    Ok((call,))
}
