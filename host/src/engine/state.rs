//! What belongs to one instance and is not in its memory: its run, its limits, and what it owes.

use std::sync::{Arc, Mutex, PoisonError};

use super::activation::{Activation, Stop};
use super::fuel;
use super::limits::MemoryLimiter;
use super::sandbox::most_passed;
use super::turns::{Turn, Turns};
use crate::config::{TenantLimits, size};
use crate::journal::{Failure, kind};

/// What a wasmtime store holds.
pub(super) struct HostState {
    /// None while a component is only asked to describe itself.
    activation: Option<Box<Activation>>,
    limiter: MemoryLimiter,
    /// Why the host trapped the guest.
    stop: Option<Stop>,
    /// What the guest said before it trapped.
    panic: Option<String>,
    /// The fuel that it had when it was last measured.
    fuel: u64,
    /// The turn in which it computes, if it needs one.
    turn: Arc<Mutex<Option<Turn>>>,
    /// Fuel for what the host did for the guest that was not taken yet.
    owed: u64,
    /// Bytes that a call may pass.
    pub(super) most_passed: usize,
}

impl HostState {
    pub(super) fn new(activation: Box<Activation>) -> Self {
        let limits = Arc::clone(&activation.tenant().limits);
        Self { activation: Some(activation), ..Self::without_run(&limits) }
    }

    pub(super) fn without_run(limits: &TenantLimits) -> Self {
        let limiter = MemoryLimiter::new(size(limits.memory_bytes), size(limits.table_elements));
        Self {
            activation: None,
            limiter,
            stop: None,
            panic: None,
            owed: 0,
            most_passed: most_passed(limits),
            fuel: 0,
            turn: Arc::default(),
        }
    }

    /// The guest waits, and others may compute.
    pub(super) fn give_way(&self) {
        drop(self.turn.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// The guest goes on when it is its tenant's turn.
    pub(super) fn take_turn(&self, turns: &Arc<Turns>) -> impl Future<Output = ()> + Send + 'static {
        let account = self.activation.as_ref().map(|activation| Arc::clone(&activation.tenant().account));
        let (turns, place) = (Arc::clone(turns), Arc::clone(&self.turn));
        async move {
            let Some(account) = account else { return };
            if let Some(turn) = turns.enter(&account).await {
                *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(turn);
            }
        }
    }

    /// The guest has so much fuel from now on.
    pub(super) fn refuelled(&mut self, fuel: u64) {
        self.fuel = fuel;
    }

    /// The guest has so much fuel left.
    pub(super) fn account(&mut self, left: u64) {
        let used = self.fuel.saturating_sub(left).saturating_add(self.take_owed());
        self.fuel = left;
        if let Some(activation) = &mut self.activation {
            activation.computed(used);
        }
    }

    pub(super) fn limiter(&mut self) -> &mut MemoryLimiter {
        &mut self.limiter
    }

    /// The activation that the guest's call belongs to. The guest pays for the call.
    pub(super) fn activation(&mut self) -> wasmtime::Result<&mut Activation> {
        self.called();
        self.activation.as_deref_mut().ok_or_else(|| wasmtime::Error::msg("`describe` may not call the host"))
    }

    /// The same for a call that passes so many bytes.
    pub(super) fn activation_for(&mut self, bytes: usize) -> wasmtime::Result<&mut Activation> {
        self.passed(bytes);
        self.activation()
    }

    /// The guest called the host.
    pub(super) fn called(&mut self) {
        self.owed = self.owed.saturating_add(fuel::HOST_CALL);
    }

    /// The call under way passes so many bytes, or is as much work as if it did.
    pub(super) fn passed(&mut self, bytes: usize) {
        self.owed = self.owed.saturating_add(fuel::of_bytes(bytes));
    }

    /// What the guest has to pay.
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

    /// What is to be done while the guest gives way to others.
    pub(super) fn take_unsaved(&mut self) -> Option<impl Future<Output = ()> + Send + 'static> {
        self.activation.as_mut()?.take_unsaved()
    }

    pub(super) fn panicked(&mut self, message: String) {
        self.panic = Some(message);
    }

    /// The activation, and why it was stopped.
    pub(super) fn into_parts(self) -> (Option<Box<Activation>>, Option<Stop>) {
        (self.activation, self.stop)
    }

    /// What the guest or a limit said before the trap.
    pub(super) fn take_failure(&mut self) -> Option<Failure> {
        let panic = self.panic.take().map(|message| Failure::permanent(kind::PANIC, message));
        self.limiter.hit.take().or(panic)
    }
}
