use std::any::Any;
use std::pin::Pin;

use async_trait::async_trait;
use forge_journal::{Failure, IllegalEvent, PauseReason, Session, SessionError, kind};

/// A future that borrows nothing.
pub type Detached = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the host does on behalf of one guest.
#[async_trait]
pub trait Host: Any + Send {
    /// Waits until the session may have something to deliver. Called when the guest waits and the session has nothing.
    async fn wait(&mut self, session: &mut Session) -> Result<(), Stop>;

    /// Takes requests to stop while the guest computes: a guest that never waits is asked here whether it shall end.
    fn poll(&mut self, session: &mut Session);

    /// Aborts the effect of a row, for which the guest no longer waits.
    fn abort(&mut self, seq: u64);

    /// Abandons the effects of the workflow's body, because the run is rolled back.
    fn roll_back(&mut self);

    /// Starts to save what the session has changed. Returns `None` if there is nothing to save.
    fn save(&mut self, session: &mut Session) -> Option<Detached>;

    /// Accounts for fuel that the guest has used.
    fn used_fuel(&mut self, fuel: u64);

    /// Waits until the guest may compute.
    fn acquire_cpu(&mut self) -> Detached;

    /// Lets others compute.
    fn release_cpu(&mut self);
}

/// Why an execution is stopped.
#[derive(Debug)]
pub enum Stop {
    /// The run must wait for a person.
    Pause(PauseReason, String),
    /// The workflow broke the contract or reached a limit.
    Failed(Failure),
    /// The host stops it, and knows why.
    ByHost,
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
        Self::Pause(PauseReason::CorruptJournal, error.to_string())
    }
}
