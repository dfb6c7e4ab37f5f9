//! Time and calls: completions in the order of their times, and what happens meanwhile.

use std::any::Any;
use std::time::Duration;

use super::TestHost;
use crate::error::Failure;
use crate::timestamp::millis;

/// The duration of a call that completes only if [`TestHost::complete`] completes it.
pub(crate) const NEVER: u64 = u64::MAX;

/// What happens at a time, or when a call is cancelled.
pub(super) type Action<T> = Box<dyn FnOnce(&mut TestHost, T)>;

impl TestHost {
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    pub(crate) fn elapsed(&self) -> u64 {
        self.now - self.started_at
    }

    /// Submits a call that completes after `duration` with this outcome. Returns its id.
    pub(crate) fn submit(&mut self, duration: u64, outcome: impl Any) -> u64 {
        let call = self.next_id();
        self.calls.insert(call, (self.now.saturating_add(duration), Box::new(outcome)));
        call
    }

    /// Adds what is done with the outcome of a call if it is cancelled: by the guest, or because the run is
    /// rolled back.
    pub(crate) fn when_cancelled<T: 'static>(
        &mut self,
        call: u64,
        action: impl FnOnce(&mut TestHost, T) + 'static,
    ) {
        let action = |host: &mut TestHost, outcome: Box<dyn Any>| {
            let outcome = outcome.downcast().expect("the outcome of a call has one type");
            action(host, *outcome);
        };
        self.when_cancelled.insert(call, Box::new(action));
    }

    /// Gives a call under way another outcome, with which it completes now.
    pub(crate) fn complete(&mut self, call: u64, outcome: impl Any) {
        if let Some(under_way) = self.calls.get_mut(&call) {
            *under_way = (self.now, Box::new(outcome));
        }
    }

    /// Returns `true` if the call is neither delivered nor cancelled.
    pub(crate) fn is_under_way(&self, call: u64) -> bool {
        self.calls.contains_key(&call)
    }

    /// Adds something that happens when this time has elapsed since the start.
    pub(crate) fn schedule(&mut self, after: Duration, action: impl FnOnce(&mut TestHost) + 'static) {
        let key = (millis(after), self.next_id());
        self.scheduled.insert(key, Box::new(|host, ()| action(host)));
    }

    /// Does what was scheduled until now.
    pub(crate) fn happen(&mut self) {
        while let Some(entry) = self.scheduled.first_entry()
            && self.started_at.saturating_add(entry.key().0) <= self.now
        {
            entry.remove()(self, ());
        }
    }

    /// Returns the time at which something is scheduled next.
    fn next_scheduled(&self) -> Option<u64> {
        let ((after, _), _) = self.scheduled.first_key_value()?;
        Some(self.started_at.saturating_add(*after))
    }

    /// Takes the outcome of a delivered call.
    pub(crate) fn take<T: 'static>(&mut self, call: u64) -> T {
        let outcome = self.delivered.remove(&call).and_then(|outcome| outcome.downcast().ok());
        *outcome.expect("an outcome is taken once, after its call was delivered, by its own interface")
    }

    /// Ends the run. The calls under way are cancelled.
    pub(super) fn unwind(&mut self, failure: Failure) {
        self.unwound = Some(failure);
        self.cancel_calls();
        self.delivered.clear();
    }

    /// Cancels the calls under way, because the run is rolled back.
    pub(super) fn cancel_calls(&mut self) {
        self.rolls_back = true;
        for (call, (_, outcome)) in std::mem::take(&mut self.calls) {
            self.cancelled(call, outcome);
        }
    }

    fn cancelled(&mut self, call: u64, outcome: Box<dyn Any>) {
        if let Some(action) = self.when_cancelled.remove(&call) {
            action(self, outcome);
        }
    }
}

/// The host's interface `calls`.
pub(crate) mod calls {
    use super::NEVER;
    use crate::test_host::steps::{Attempt, Kind};
    use crate::test_host::{StepStatus, with};

    /// Jumps to the next call that is due, unless the run ends earlier.
    pub(crate) fn next() -> Option<u64> {
        with(|host| {
            loop {
                let next = host.calls.iter().map(|(call, (due, _))| (*due, *call)).min();
                let (due, call) = next.expect(
                    "the workflow waits for a future that is not a call of the host, so nothing will ever wake it",
                );
                let scheduled = host.next_scheduled().filter(|at| *at <= due);
                let at = scheduled.unwrap_or(due);
                let (end, failure) = host.end();
                if host.unwound.is_none() && end <= at {
                    host.now = end;
                    host.unwind(failure);
                    return None;
                }
                assert!(at < NEVER, "the compensations wait for an event or a child that never comes");
                host.now = host.now.max(at);
                if scheduled.is_some() {
                    host.happen();
                    continue;
                }
                let (_, outcome) = host.calls.remove(&call)?;
                host.when_cancelled.remove(&call);
                host.delivered.insert(call, outcome);
                return Some(call);
            }
        })
    }

    pub(crate) fn cancel(call: u64) {
        with(|host| {
            let Some((_, outcome)) = host.calls.remove(&call) else {
                assert!(host.rolls_back, "only a call under way is cancelled");
                return;
            };
            // The call was the wait of a step for its next attempt.
            if let Some(Attempt { kind: Kind::Step, row }) = outcome.downcast_ref() {
                host.steps[*row].step.status = StepStatus::Skipped;
            }
            host.cancelled(call, outcome);
        });
    }
}
