//! One execution of a guest: its session, its limits and its host.

use std::sync::Arc;

use forge_clock as clock;
use forge_journal::{CallId, Event, Failure, Journal, Next, Session, kind};

use crate::limits::size;
use crate::log::LogBudget;
use crate::{Host, InstanceLimits, Stop};

/// The factor by which a replay may use more fuel: skipping a step costs fuel that executing it did not, and a replay
/// must not run out of fuel where the first execution did not.
const REPLAY_FUEL_FACTOR: u64 = 2;

/// One execution of a guest.
pub(crate) struct Execution {
    pub(crate) session: Session,
    pub(crate) limits: Arc<InstanceLimits>,
    /// The bytes that the guest may still log.
    pub(crate) log: LogBudget,
    pub(crate) host: Box<dyn Host>,
}

impl Execution {
    pub(crate) fn new(session: Session, limits: Arc<InstanceLimits>, host: Box<dyn Host>) -> Self {
        Self { session, log: LogBudget::new(limits.log_bytes_per_run), limits, host }
    }

    /// Returns the fuel that the guest has until it next waits.
    pub(crate) fn fuel(&self) -> u64 {
        let factor = if self.is_past_replay() { 1 } else { REPLAY_FUEL_FACTOR };
        self.limits.fuel_per_activation.saturating_mul(factor)
    }

    /// Accounts for fuel that the guest has used.
    pub(crate) fn used_fuel(&mut self, fuel: u64) {
        self.host.used_fuel(fuel);
        if self.is_past_replay() {
            self.session.journal_mut().computed(fuel);
        }
    }

    /// Checks that the run has fuel left.
    pub(crate) fn check_fuel(&self) -> Result<(), Stop> {
        let (used, most) = (self.session.journal().run().fuel, self.limits.fuel_per_run);
        if used <= most || self.session.is_unwinding() {
            return Ok(());
        }
        let message = format!(
            "out of fuel: the run has used {used} units of fuel; the most is {most} (fuel_per_run). Move heavy computing \
             out of the workflow, or ask for a higher limit"
        );
        Err(Stop::Failed(Failure::permanent(kind::OUT_OF_FUEL, message)))
    }

    /// Returns the arguments of the guest's `run`: workflow, version and input.
    pub(crate) fn arguments(&self) -> (String, u32, String) {
        let run = self.session.journal().run();
        (run.workflow.to_string(), run.version, run.input.to_string())
    }

    /// Returns whether the guest has reached the end of the journal, or is rolling back.
    pub(crate) fn is_past_replay(&self) -> bool {
        self.session.is_live() || self.session.is_unwinding()
    }

    /// Records what the guest returned.
    pub(crate) fn returned(&mut self, returned: Result<String, Failure>) -> Result<(), Stop> {
        let now = clock::now();
        match returned {
            Ok(output) => {
                self.check_size(output.len(), |_| "its output".to_owned())?;
                self.session.finish(&output, now)?;
            }
            // The SDK reports the failure before it runs handlers. A guest that has none may return it alone.
            Err(failure) if !self.session.is_unwinding() => {
                self.session.fail(failure, now)?;
            }
            Err(_) => {}
        }
        Ok(())
    }

    /// Records that the workflow failed. Returns whether the rollback begins, or waits for children.
    pub(crate) fn fail(&mut self, failure: &Failure) -> Result<bool, Stop> {
        Ok(self.session.fail(failure.clone(), clock::now())?)
    }

    /// Waits until the children of a run that failed have ended, and its rollback begins.
    pub(crate) async fn children_ended(&mut self, failure: &Failure) -> Result<(), Stop> {
        loop {
            self.host.check(&mut self.session)?;
            self.host.wait(&mut self.session).await?;
            if self.fail(failure)? {
                return Ok(());
            }
        }
    }

    /// Checks that `what` is not larger than the limit on payloads.
    pub(crate) fn check_size(&self, bytes: usize, what: impl FnOnce(&Journal) -> String) -> Result<(), Stop> {
        let limit = size(self.limits.payload_bytes);
        if bytes <= limit {
            return Ok(());
        }
        let what = what(self.session.journal());
        Err(Stop::Failed(Failure::permanent(
            kind::LIMIT,
            format!(
                "{what} has {bytes} bytes; the most is {limit} (payload_bytes). Store large data elsewhere and pass a reference"
            ),
        )))
    }

    /// Waits for the next call that completes, and returns it. Returns `None` if the guest must unwind.
    pub(crate) async fn next(&mut self) -> Result<Option<CallId>, Stop> {
        loop {
            self.host.check(&mut self.session)?;
            match self.session.next(clock::now())? {
                Next::Deliver(call) => {
                    if self.session.journal().run().wake_at.is_some() {
                        self.session.journal_mut().apply(Event::Running, clock::now())?;
                    }
                    return Ok(Some(call));
                }
                Next::Unwind => {
                    self.host.roll_back(&mut self.session)?;
                    return Ok(None);
                }
                Next::Wait => self.host.wait(&mut self.session).await?,
            }
        }
    }

    /// Stops waiting for a call.
    pub(crate) fn cancel(&mut self, call: CallId) -> Result<(), Stop> {
        if let Some(seq) = self.session.cancel(call, clock::now())? {
            self.host.abandon(&mut self.session, seq)?;
        }
        Ok(())
    }
}
