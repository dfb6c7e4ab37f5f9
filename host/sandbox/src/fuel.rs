//! The fuel that the host's work for a guest costs. Without it, a loop over cheap host calls would cost the guest
//! almost nothing, and the host a core.

use wasmtime::OperatorCost;

/// The fuel for a call of the host: about the instructions of the cheapest one.
pub(super) const HOST_CALL: u64 = 1_000;

/// The fuel for each KiB that a call passes: the host copies, checks and hashes it, and writes some of it.
const PER_KIB: u64 = 1_000;

/// The fuel for instructions that call functions of the runtime. The type limits it to this value.
const RUNTIME_CALL: u8 = u8::MAX;

/// Returns the fuel that instructions cost: one unit each, more for those that call functions of the runtime. wasmtime
/// already charges filling and copying by the byte or element.
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

/// Returns the fuel for passing this many bytes.
pub(super) fn of_bytes(passed: usize) -> u64 {
    (passed as u64 >> 10).saturating_mul(PER_KIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passing_costs_fuel_for_each_whole_kibibyte() {
        assert_eq!([0, 1_023, 1_024, 1 << 20].map(of_bytes), [0, 0, 1_000, 1_024_000]);
        assert_eq!(of_bytes(usize::MAX), (usize::MAX as u64 >> 10) * 1_000);
    }
}
