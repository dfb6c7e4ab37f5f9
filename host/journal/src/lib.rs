//! The journal of a run: what happened, in the order in which the guest saw it.
//!
//! Everything here is pure: no I/O, no clock, no randomness. [`Journal::apply`] is the one state
//! machine, used by live execution, by replay and by the tests. [`Session`] holds the journal
//! against one execution of the guest: it answers calls from the journal as far as that goes, and
//! extends it from there on.

mod call_kind;
mod event;
mod failure;
#[cfg(test)]
mod fuzz;
pub mod http;
mod index;
mod row;
mod run;
mod session;
mod state;
mod status;
#[cfg(test)]
mod tests;

pub use call_kind::{EffectKind, Kind};
pub use event::{Begin, Event, Outcome};
pub use failure::{Failure, kind};
pub use row::{RetryPolicy, Row, Scope, StepOptions, fingerprint};
pub use run::{NewRun, Pause, PauseReason, Run, RunId, Timestamp};
pub use session::{
    CallId, DueEffect, Entry, GuestError, NewEffect, Next, Receipt, Session, SessionError, SessionLimits,
    Verdict,
};
pub use state::{Changes, CorruptJournal, IllegalEvent, Journal};
pub use status::{StepStatus, UnknownWord, WorkflowStatus};

/// The tenant of everything on a host that has no others.
pub const DEFAULT_TENANT: &str = "default";

use foldhash::fast::RandomState;

/// Faster than the standard one; its seed is random, so guests cannot choose names that collide.
type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;
type HashSet<T> = std::collections::HashSet<T, RandomState>;
