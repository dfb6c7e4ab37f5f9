//! The journal of a run: one row for each call of the guest, in the order in which the calls began.
//!
//! The crate is pure: no I/O, no clock, no randomness. [`Journal::apply`] is the only state machine; live execution,
//! replay and the tests use it. A [`Session`] compares one execution of the guest with the journal: it answers calls
//! from the journal while there are recorded ones (replay), and appends new ones after that (live).
//!
//! # Invariants of the journal
//!
//! 1. A row is never deleted or renumbered.
//! 2. A call is identified by its [`Scope`] and its index in that scope. A scope is the body of the workflow, or one
//!    attempt of one step or compensation. Three kinds of rows have no index: a compensation is found by its step, a
//!    low-level step by its name, the timer of a step's timeout by its attempt.
//! 3. Replay compares the call's kind, its name as the guest gave it, and its input, as one hash ([`fingerprint`]). A
//!    difference is [`SessionError::Nondeterminism`]: the host pauses the run, discards the session's changes, and the
//!    stored journal stays as it was.
//! 4. Everything that the guest sees end has a delivery number: effects, steps, compensations, and the beginnings of
//!    second and later attempts. The number is given when the guest sees the end, and replay delivers in the order of
//!    these numbers. An outcome that arrived and was not delivered has none.
//! 5. A completed step is answered at once in a replay if nothing was delivered between its beginning and its end.
//!    Otherwise the guest gets a call to wait for ([`Entry::Parked`]), so that `join!` sees ends in the recorded order.
//! 6. A completed step is skipped in a replay, with one exception: a step that contains a completed step with a
//!    compensation handler is entered again, because only its code can register that handler.
//! 7. An interrupted step is entered again, and its own calls are replayed one by one.
//! 8. [`Journal::apply`] is the only function that changes a journal. It refuses an event that is not possible in the
//!    current state ([`IllegalEvent`]), and then changes nothing.
//! 9. [`Journal::load`] checks the rows. Rows that contradict each other are a typed error, never a panic.
//!
//! # Invariants of a rollback
//!
//! 1. Compensation handlers are closures in the guest. The journal records only which steps have one.
//! 2. A rollback replays to the last completion of a step with a handler. The answer to that completion has `unwind`
//!    set: the SDK registers the handler, drops the workflow's future and runs the handlers. Code behind that point does
//!    not run again, so a trap there does not happen again.
//! 3. Handlers run one after the other, from the last completed step to the first. A handler that fails does not stop
//!    the others.
//! 4. From the beginning of the rollback on, only calls of compensations are recorded. Calls of code that is being
//!    dropped get answers that never complete.
//! 5. A trap while a compensation runs is a failed attempt of that compensation.
//! 6. Reopening a failed run retries exactly the steps that have a handler and are not compensated.
//! 7. A run may make as many calls again while it is rolled back, so that a run that reached its limit can be rolled
//!    back.

mod call_kind;
pub mod children;
pub mod db;
mod depth;
mod document;
mod event;
pub mod events;
mod failure;
#[cfg(test)]
mod fuzz;
pub mod http;
mod inbox;
mod index;
mod log_line;
mod notes;
mod operation;
mod published;
mod row;
mod run;
mod run_id_prefix;
mod session;
mod state;
mod status;
mod tags;
#[cfg(test)]
mod tests;
mod waits_for;

pub use call_kind::{EffectKind, Kind};
pub use depth::{MOST_DEPTH, is_too_deep};
pub use document::{Document, InvalidDocument};
pub use event::Event;
pub use failure::{Failure, Outcome, Reach, kind};
pub use inbox::{ChildFailure, EntryKind, Inbox, InboxEntry, Message, Sent, Unsent};
pub use log_line::{LogLevel, LogLine};
pub use notes::Notes;
pub use operation::{Operation, Performed};
pub use published::Published;
pub use row::{Begin, RetryPolicy, Row, Scope, StepOptions, fingerprint};
pub use run::{NewRun, Parent, Pause, PauseReason, Run, RunId, Settled, Timestamp};
pub use run_id_prefix::{InvalidPrefix, RunIdPrefix};
pub use session::{
    CallId, DueEffect, Entry, GuestError, NewEffect, Next, Note, Receipt, Session, SessionError,
    SessionLimits, Storage, Verdict,
};
pub use state::{Changes, CorruptJournal, Growth, IllegalEvent, Journal, Unresolvable};
pub use status::{StepStatus, UnknownWord, WorkflowStatus};
pub use tags::{InvalidTag, MOST_TAGS, Tags};
pub use waits_for::WaitsFor;

/// The name of a tenant. Cheap to clone.
pub type TenantId = std::sync::Arc<str>;

/// The tenant that a request without a tenant belongs to.
pub const DEFAULT_TENANT: &str = "default";

use foldhash::fast::RandomState;

/// A hash map that is faster than the standard one. Its seed is random, so a guest cannot choose names that collide.
type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;
type HashSet<T> = std::collections::HashSet<T, RandomState>;
