use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::engine::activation::HostState;
use crate::engine::sandbox::EPOCHS;

/// How much more fuel a replay may use: skipping a step costs a little that running it did not, and
/// fuel must not decide what a replay sees.
const REPLAY_FUEL_FACTOR: u64 = 2;

/// `calls` is written by hand because `next` sets the fuel, for which it needs the store.
pub(super) fn add_to_linker(linker: &mut Linker<HostState>, fuel: u64) -> wasmtime::Result<()> {
    let mut calls = linker.instance("forge:workflow/calls@0.1.0")?;
    calls.func_wrap_async("next", move |store, (): ()| Box::new(next(store, fuel)))?;
    calls.func_wrap("cancel", |mut store: StoreContextMut<'_, HostState>, (call,): (u64,)| {
        let state = store.data_mut();
        let cancelled = state.activation()?.cancel(call);
        state.or_stop(cancelled)
    })
}

async fn next(mut store: StoreContextMut<'_, HostState>, fuel: u64) -> wasmtime::Result<(Option<u64>,)> {
    let state = store.data_mut();
    let activation = state.activation()?;
    let call = activation.next().await;
    let factor = if activation.is_past_replay() { 1 } else { REPLAY_FUEL_FACTOR };
    let call = state.or_stop(call)?;
    store.set_fuel(fuel.saturating_mul(factor))?;
    // It has given way by waiting.
    store.set_epoch_deadline(EPOCHS);
    Ok((call,))
}
