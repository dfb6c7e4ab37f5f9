//! What an error of wasmtime means to the author of a workflow.

use forge_journal::{Failure, kind};
use wasmtime::Trap;

use super::state::InstanceState;

/// Returns the failure that a guest's trap is recorded as. `fuel` is what the guest could use.
pub(super) fn classify(error: &wasmtime::Error, state: &mut InstanceState, fuel: u64) -> Failure {
    if let Some(failure) = state.take_failure() {
        return failure;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Failure::permanent(
            kind::OUT_OF_FUEL,
            format!(
                "out of fuel: the workflow computed for {fuel} units of fuel (fuel_per_activation) without waiting \
                 for anything; look for an endless loop, or move heavy computing out of the workflow"
            ),
        ),
        Some(Trap::StackOverflow) => {
            Failure::permanent(kind::TRAP, "stack overflow: look for a recursion without end")
        }
        Some(trap) => Failure::permanent(kind::TRAP, format!("the workflow trapped: {trap}")),
        None if is_hostcall_fuel_exhausted(error) => Failure::permanent(
            kind::LIMIT,
            format!(
                "the workflow passed more than {} bytes to the host in one call, the most allowed (payload_bytes)",
                state.most_passed
            ),
        ),
        None => Failure::permanent(kind::TRAP, format!("the workflow trapped: {error:#}")),
    }
}

/// Returns whether the guest passed more to the host in one call than the store's hostcall fuel allows. wasmtime keeps
/// the type of this error private, so its text is compared.
fn is_hostcall_fuel_exhausted(error: &wasmtime::Error) -> bool {
    format!("{error:#}").contains("fuel allocated for hostcalls has been exhausted")
}

#[cfg(test)]
mod tests {
    use wasmtime::component::{Component, Linker};
    use wasmtime::{Engine, Store};

    use super::*;

    /// Passes a text of 1,000 bytes to the host.
    const GUEST: &str = r#"(component
        (import "take" (func $take (param "text" string)))
        (core module $memory (memory (export "memory") 1))
        (core instance $memory (instantiate $memory))
        (core func $lowered (canon lower (func $take) (memory $memory "memory")))
        (core module $main
            (import "host" "take" (func $take (param i32 i32)))
            (func (export "run") (call $take (i32.const 0) (i32.const 1000))))
        (core instance $main (instantiate $main
            (with "host" (instance (export "take" (func $lowered))))))
        (func (export "run") (canon lift (core func $main "run"))))"#;

    #[test]
    fn wasmtime_says_in_these_words_that_a_call_passes_too_much() {
        let engine = Engine::default();
        let component = Component::new(&engine, wat::parse_str(GUEST).unwrap()).unwrap();
        let mut linker = Linker::new(&engine);
        linker.root().func_wrap("take", |_, (_,): (String,)| Ok(())).unwrap();
        let call = |hostcall_fuel: usize| {
            let mut store = Store::new(&engine, ());
            store.set_hostcall_fuel(hostcall_fuel);
            let instance = linker.instantiate(&mut store, &component).unwrap();
            let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
            run.call(&mut store, ())
        };
        call(1_000).unwrap();
        let error = call(999).unwrap_err();
        assert!(is_hostcall_fuel_exhausted(&error), "{error:#}");
        assert!(error.downcast_ref::<Trap>().is_none());
    }
}
