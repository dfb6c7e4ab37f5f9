//! The trait through which a guest acts on the world.

use std::any::Any;
use std::pin::Pin;

use async_trait::async_trait;
use forge_journal::{Failure, IllegalEvent, PauseReason, Session, SessionError, kind};

/// A future that borrows nothing.
pub type Detached = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The functions that the host performs on behalf of one guest.
#[async_trait]
pub trait Host: Any + Send {
    /// Waits until the session may have a completion to deliver. It is called when the guest waits and there is none.
    async fn wait(&mut self, session: &mut Session) -> Result<(), Stop>;

    /// Checks that the guest may go on. It is called each time that the guest asks for a completion, also in a replay.
    ///
    /// # Errors
    /// [`Stop`] if the guest must stop at once.
    fn check(&mut self, session: &mut Session) -> Result<(), Stop>;

    /// Passes pending requests to stop on to the session, for a guest that computes without ever waiting.
    ///
    /// # Errors
    /// [`Stop`] if the guest must stop at once, or the journal does not allow it.
    fn poll(&mut self, session: &mut Session) -> Result<(), Stop>;

    /// Abandons the effect of a row that the guest no longer waits for.
    ///
    /// # Errors
    /// [`Stop`] if the journal does not allow it.
    fn abandon(&mut self, session: &mut Session, seq: u64) -> Result<(), Stop>;

    /// Abandons all effects under way, because the run is being rolled back.
    ///
    /// # Errors
    /// [`Stop`] if the journal does not allow it.
    fn roll_back(&mut self, session: &mut Session) -> Result<(), Stop>;

    /// Starts to save the changes of the session. Returns `None` if there are none.
    fn save(&mut self, session: &mut Session) -> Option<Detached>;

    /// Returns whether the guest may log a line of this many bytes, and counts the line.
    fn may_log(&mut self, bytes: u64) -> bool;

    /// Accounts for fuel that the guest has used.
    fn used_fuel(&mut self, fuel: u64);

    /// Waits for a CPU permit.
    fn acquire_cpu(&mut self) -> Detached;

    /// Returns the CPU permit.
    fn release_cpu(&mut self);
}

/// The reason why an execution is stopped.
#[derive(Debug)]
pub enum Stop {
    /// The run is paused until an operator resumes it. Holds the message for the operator: what happened, and what to do.
    Pause(PauseReason, String),
    /// The workflow violated the contract or reached a limit.
    Failed(Failure),
    /// The host stops the execution for a reason of its own.
    ByHost,
}

impl Stop {
    /// Pauses a run whose journal contradicts itself or cannot be read. `what` says what is wrong with it.
    pub fn corrupt(what: impl std::fmt::Display) -> Self {
        Self::Pause(PauseReason::CorruptJournal, PauseReason::corrupt_journal(what))
    }
}

impl From<SessionError> for Stop {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Guest(error) => Self::Failed(Failure::permanent(kind::TRAP, error.to_string())),
            SessionError::Limit(failure) => Self::Failed(failure),
            SessionError::Nondeterminism { .. } => {
                Self::Pause(PauseReason::Nondeterminism, error.to_string())
            }
            SessionError::Illegal(error) => error.into(),
        }
    }
}

impl From<IllegalEvent> for Stop {
    fn from(error: IllegalEvent) -> Self {
        Self::corrupt(error)
    }
}
