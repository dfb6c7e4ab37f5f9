use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::engine::fuel;
use crate::engine::sandbox::EPOCHS;
use crate::engine::state::HostState;
use crate::engine::turns::Turns;

/// `calls` is written by hand because `next` sets the fuel, for which it needs the store.
pub(super) fn add_to_linker(linker: &mut Linker<HostState>, turns: &Arc<Turns>) -> wasmtime::Result<()> {
    let turns = Arc::clone(turns);
    let mut calls = linker.instance("forge:workflow/calls@0.1.0")?;
    calls.func_wrap_async("next", move |store, (): ()| Box::new(next(store, Arc::clone(&turns))))?;
    calls.func_wrap("cancel", |mut store: StoreContextMut<'_, HostState>, (call,): (u64,)| {
        let state = store.data_mut();
        let cancelled = state.activation()?.cancel(call);
        state.or_stop(cancelled)
    })
}

async fn next(
    mut store: StoreContextMut<'_, HostState>,
    turns: Arc<Turns>,
) -> wasmtime::Result<(Option<u64>,)> {
    fuel::settle(&mut store)?;
    let left = store.get_fuel()?;
    let state = store.data_mut();
    state.account(left);
    state.give_way();
    let activation = state.activation()?;
    let call = match activation.check_fuel() {
        Ok(()) => activation.next().await,
        Err(stop) => Err(stop),
    };
    let fuel = activation.fuel();
    let call = state.or_stop(call)?;
    state.refuelled(fuel);
    state.take_turn(&turns).await;
    store.set_fuel(fuel)?;
    // It has given way by waiting.
    store.set_epoch_deadline(EPOCHS);
    Ok((call,))
}
