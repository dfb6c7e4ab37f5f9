//! The data of one wasmtime store: the execution, its memory limits and the fuel that it owes.

use forge_journal::{Failure, kind};

use wasmtime::{StoreContextMut, Trap};

use super::execution::Execution;
use super::host::Detached;
use super::memory::MemoryLimiter;
use super::{InstanceLimits, Stop, fuel, limits::size};

/// The factor by which a call may pass more than the limit on payloads: a request has headers, and text may be escaped.
const PASSED_FACTOR: usize = 4;

/// The bytes that a call may pass with any limit: the names of a large component's workflows.
const LEAST_PASSED: usize = 1 << 20;

/// The data of a wasmtime store.
pub(super) struct InstanceState {
    /// `None` during `describe`.
    execution: Option<Execution>,
    limiter: MemoryLimiter,
    /// Why the host trapped the guest.
    stop: Option<Stop>,
    /// The guest's panic message.
    panic: Option<String>,
    /// The guest's fuel when it was last measured.
    fuel: u64,
    /// The fuel for the host's work that was not taken yet.
    owed: u64,
    /// The bytes that a call may pass. The host names a payload that is above its limit but below this one; it does not
    /// even copy a larger one.
    pub(super) most_passed: usize,
}

impl InstanceState {
    pub(super) fn new(execution: Execution) -> Self {
        let state = Self::without_run(&execution.limits);
        Self { execution: Some(execution), ..state }
    }

    pub(super) fn without_run(limits: &InstanceLimits) -> Self {
        Self {
            execution: None,
            limiter: MemoryLimiter::new(size(limits.memory_bytes), size(limits.table_elements)),
            stop: None,
            panic: None,
            owed: 0,
            most_passed: size(limits.payload_bytes).saturating_mul(PASSED_FACTOR).max(LEAST_PASSED),
            fuel: 0,
        }
    }

    /// Returns the CPU permit.
    pub(super) fn release_cpu(&mut self) {
        if let Some(execution) = &mut self.execution {
            execution.host.release_cpu();
        }
    }

    /// Waits for a CPU permit.
    pub(super) fn acquire_cpu(&mut self) -> Detached {
        match &mut self.execution {
            Some(execution) => execution.host.acquire_cpu(),
            None => Box::pin(std::future::ready(())),
        }
    }

    /// Looks for requests to stop, while the guest computes.
    ///
    /// # Errors
    /// An error that traps the guest, if it must stop at once.
    pub(super) fn poll(&mut self) -> wasmtime::Result<()> {
        let polled = match &mut self.execution {
            Some(execution) => execution.host.poll(&mut execution.session),
            None => Ok(()),
        };
        self.or_stop(polled)
    }

    /// Starts to save the changes since the guest last waited, so that a crash loses little of a long computation and
    /// memory holds little of it.
    pub(super) fn save(&mut self) -> Option<Detached> {
        let Execution { session, host, .. } = self.execution.as_mut()?;
        host.save(session)
    }

    /// Records the fuel that the guest now has.
    pub(super) fn refuelled(&mut self, fuel: u64) {
        self.fuel = fuel;
    }

    /// Accounts for the fuel used, given the fuel that is left.
    pub(super) fn account(&mut self, left: u64) {
        let used = self.fuel.saturating_sub(left).saturating_add(self.take_owed());
        self.fuel = left;
        if let Some(execution) = &mut self.execution {
            execution.used_fuel(used);
        }
    }

    pub(super) fn limiter(&mut self) -> &mut MemoryLimiter {
        &mut self.limiter
    }

    /// Charges the guest for a call and returns the execution that it belongs to.
    pub(super) fn execution(&mut self) -> wasmtime::Result<&mut Execution> {
        self.called();
        self.execution.as_mut().ok_or_else(|| wasmtime::Error::msg("`describe` may not call the host"))
    }

    /// Charges the guest for a call that passes this many bytes and returns the execution.
    pub(super) fn execution_for(&mut self, bytes: usize) -> wasmtime::Result<&mut Execution> {
        self.passed(bytes);
        self.execution()
    }

    /// Charges the guest for a call of the host.
    pub(super) fn called(&mut self) {
        self.owed = self.owed.saturating_add(fuel::HOST_CALL);
    }

    /// Charges the guest for passing this many bytes, or for an equal amount of work.
    pub(super) fn passed(&mut self, bytes: usize) {
        self.owed = self.owed.saturating_add(fuel::of_bytes(bytes));
    }

    /// Returns the fuel that the guest owes, and clears it.
    pub(super) fn take_owed(&mut self) -> u64 {
        std::mem::take(&mut self.owed)
    }

    /// Turns a reason to stop into a trap, and keeps the reason.
    pub(super) fn or_stop<T>(&mut self, result: Result<T, Stop>) -> wasmtime::Result<T> {
        result.map_err(|stop| {
            self.stop = Some(stop);
            wasmtime::Error::msg("stopped by the host")
        })
    }

    /// Keeps the guest's panic message.
    pub(super) fn panicked(&mut self, message: String) {
        self.panic = Some(message);
    }

    /// Returns the execution and the reason why it was stopped.
    pub(super) fn into_parts(self) -> (Option<Execution>, Option<Stop>) {
        (self.execution, self.stop)
    }

    /// Returns the limit that was reached, or the panic that came before the trap.
    pub(super) fn take_failure(&mut self) -> Option<Failure> {
        let panic = self.panic.take().map(|message| Failure::permanent(kind::PANIC, message));
        self.limiter.hit.take().or(panic)
    }
}

/// Takes the fuel for the host's work since the last call of this function: when the guest waits, and at each tick of
/// the epoch. Taking it at each call would cost a replay more than the calls themselves.
///
/// # Errors
/// [`Trap::OutOfFuel`] if less fuel is left.
pub(super) fn settle(store: &mut StoreContextMut<'_, InstanceState>) -> wasmtime::Result<()> {
    let due = store.data_mut().take_owed();
    let left = store.get_fuel()?.checked_sub(due);
    // Leave none of it: a guest that could go on after this error would have no limit.
    store.set_fuel(left.unwrap_or(0))?;
    if left.is_some() { Ok(()) } else { Err(Trap::OutOfFuel.into()) }
}
