//! The data of one wasmtime store: the execution, its memory limits, and the fuel that it owes.

use forge_journal::{Failure, kind};

use super::execution::Execution;
use super::host::Detached;
use super::memory::MemoryLimiter;
use super::{InstanceLimits, Stop, fuel, limits::size};

/// How much more than its longest text a call may pass: a request has headers, and text may be escaped.
const PASSED_FACTOR: usize = 4;

/// Bytes that a call may pass whatever the limits: the names of a large component's workflows.
const LEAST_PASSED: usize = 1 << 20;

/// The data of a wasmtime store.
pub(super) struct InstanceState {
    /// `None` while a component is only asked to describe itself.
    execution: Option<Execution>,
    limiter: MemoryLimiter,
    /// Why the host trapped the guest.
    stop: Option<Stop>,
    /// The guest's panic message.
    panic: Option<String>,
    /// The fuel that it had when it was last measured.
    fuel: u64,
    /// Fuel for the host's work that was not taken yet.
    owed: u64,
    /// Bytes that a call may pass: a text that is somewhat too large is refused by name, a much larger one is not even
    /// copied.
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

    /// Lets others compute while the guest waits.
    pub(super) fn release_cpu(&mut self) {
        if let Some(execution) = &mut self.execution {
            execution.host.release_cpu();
        }
    }

    /// Waits until the guest may compute.
    pub(super) fn acquire_cpu(&mut self) -> Detached {
        match &mut self.execution {
            Some(execution) => execution.host.acquire_cpu(),
            None => Box::pin(std::future::ready(())),
        }
    }

    /// Starts to save what the guest has done since it last waited: a guest that computes for long loses little of it in
    /// a crash, and keeps little of it in memory.
    pub(super) fn save(&mut self) -> Option<Detached> {
        let Execution { session, host, .. } = self.execution.as_mut()?;
        host.save(session)
    }

    /// Sets the fuel that the guest has from now on.
    pub(super) fn refuelled(&mut self, fuel: u64) {
        self.fuel = fuel;
    }

    /// Accounts for the fuel used, given what is left.
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

    /// The execution that the guest's call belongs to. The guest pays for the call.
    pub(super) fn execution(&mut self) -> wasmtime::Result<&mut Execution> {
        self.called();
        self.execution.as_mut().ok_or_else(|| wasmtime::Error::msg("`describe` may not call the host"))
    }

    /// The same for a call that passes this many bytes.
    pub(super) fn execution_for(&mut self, bytes: usize) -> wasmtime::Result<&mut Execution> {
        self.passed(bytes);
        self.execution()
    }

    /// Charges the guest for a call of the host.
    pub(super) fn called(&mut self) {
        self.owed = self.owed.saturating_add(fuel::HOST_CALL);
    }

    /// Charges the guest for passing this many bytes, or for as much work.
    pub(super) fn passed(&mut self, bytes: usize) {
        self.owed = self.owed.saturating_add(fuel::of_bytes(bytes));
    }

    /// Takes the fuel that the guest owes.
    pub(super) fn take_owed(&mut self) -> u64 {
        std::mem::take(&mut self.owed)
    }

    /// Turns a reason to stop into the trap that ends the guest.
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

    /// The execution, and why it was stopped.
    pub(super) fn into_parts(self) -> (Option<Execution>, Option<Stop>) {
        (self.execution, self.stop)
    }

    /// The limit that was reached or the panic that came before the trap.
    pub(super) fn take_failure(&mut self) -> Option<Failure> {
        let panic = self.panic.take().map(|message| Failure::permanent(kind::PANIC, message));
        self.limiter.hit.take().or(panic)
    }
}
