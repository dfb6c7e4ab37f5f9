//! What fuel pays for beside the guest's own instructions: the host's work for it. Without that, a loop over cheap
//! host calls would cost the guest next to nothing, and the host a core.

use wasmtime::{OperatorCost, StoreContextMut, Trap};

use super::state::InstanceState;

/// Fuel for any call of the host: about the instructions that the cheapest one takes.
pub(super) const HOST_CALL: u64 = 1_000;

/// Fuel for each KiB that is passed: it is copied, checked and hashed, and some of it is written.
const PER_KIB: u64 = 1_000;

/// Fuel for instructions that are calls of the runtime's functions. It has room for no more.
const RUNTIME_CALL: u8 = u8::MAX;

/// What instructions cost: one unit each, but for those that only look like one. Filling and copying cost a unit for
/// each byte or element already.
pub(super) fn instructions() -> OperatorCost {
    OperatorCost {
        MemoryGrow: RUNTIME_CALL,
        TableGrow: RUNTIME_CALL,
        MemoryInit: RUNTIME_CALL,
        TableInit: RUNTIME_CALL,
        TableCopy: RUNTIME_CALL,
        DataDrop: RUNTIME_CALL,
        ElemDrop: RUNTIME_CALL,
        RefFunc: RUNTIME_CALL,
        ..OperatorCost::new()
    }
}

/// Takes the fuel for what the host did since this was last done: when the guest waits, and at each tick of the epoch.
/// Taking it at each call would cost a replay, which is made of such calls, more than the calls themselves.
///
/// # Errors
/// [`Trap::OutOfFuel`] if there is less.
pub(super) fn settle(store: &mut StoreContextMut<'_, InstanceState>) -> wasmtime::Result<()> {
    let due = store.data_mut().take_owed();
    let left = store.get_fuel()?.checked_sub(due);
    // None of it is left either: what the guest would catch and go on from is no limit.
    store.set_fuel(left.unwrap_or(0))?;
    if left.is_some() { Ok(()) } else { Err(Trap::OutOfFuel.into()) }
}

/// For passing so many bytes.
pub(super) fn of_bytes(passed: usize) -> u64 {
    (passed as u64 >> 10).saturating_mul(PER_KIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_costs_beyond_a_kibibyte() {
        assert_eq!([0, 1_023, 1_024, 1 << 20].map(of_bytes), [0, 0, 1_000, 1_024_000]);
        assert_eq!(of_bytes(usize::MAX), (usize::MAX as u64 >> 10) * 1_000);
    }
}
