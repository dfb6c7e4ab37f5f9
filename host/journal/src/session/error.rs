use crate::{CallId, Failure, IllegalEvent, Kind, MOST_DEPTH, Row, is_too_deep, kind};

/// An action of the guest that the contract forbids. The instance traps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuestError {
    /// The scope does not exist, or has ended.
    #[error("the workflow used scope {0}, which is not open")]
    ForeignScope(u64),
    /// The call does not exist, or has another type.
    #[error("the workflow used call {0}, which does not exist or has another type")]
    ForeignCall(CallId),
    /// The step has not completed with a handler.
    #[error("the workflow asked to compensate step {0}, which has not completed with a handler")]
    NotCompensable(u64),
    /// A result is not valid JSON.
    #[error("{what} is not valid JSON: {why}")]
    InvalidJson {
        /// Which result.
        what: String,
        /// The parser's message.
        why: String,
    },
    /// The guest waits with no call under way.
    #[error(
        "the workflow waits for something that never happens: no request, timer or step is under way \
         (a future that no Forge call completes cannot be awaited)"
    )]
    Deadlock,
    /// The guest began a rollback twice.
    #[error("the workflow said that it failed while it was being rolled back")]
    UnwoundTwice,
}

/// The reason why a session ends early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The guest broke the contract.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// The guest's call differs from the recorded one.
    #[error(
        "the journal has {expected} where the workflow now makes {found}. Nothing is lost: look for \
         what the workflow does differently each time (the order of a HashMap, a clock), or for a component that was \
         changed in the database; resume the run once that is fixed, cancel it to roll it back, or terminate it to end it without its code"
    )]
    Nondeterminism {
        /// The call in the journal.
        expected: String,
        /// The call that the guest made.
        found: String,
    },
    /// The guest reached a limit.
    #[error(transparent)]
    Limit(Failure),
    /// The journal does not allow the event that follows from the guest's call.
    #[error(transparent)]
    Illegal(#[from] IllegalEvent),
}

pub(super) fn nondeterminism(expected: impl Into<String>, found: impl Into<String>) -> SessionError {
    SessionError::Nondeterminism { expected: expected.into(), found: found.into() }
}

/// Checks that a recorded call is the call that the guest makes now.
pub(super) fn check_same(row: &Row, kind: Kind, name: &str, input: Option<&str>) -> Result<(), SessionError> {
    if row.is_call(kind, name, input) {
        return Ok(());
    }
    let found = match kind {
        Kind::Time => "workflow_time()".to_owned(),
        kind => format!("{kind} `{name}`"),
    };
    let same_name = row.kind == kind && *row.name == *name;
    let expected = row.describe() + if same_name { " (with other input)" } else { "" };
    let place = row.index.map(|index| format!(" as call {} of its scope", index + 1)).unwrap_or_default();
    Err(nondeterminism(expected + &place, found))
}

/// Checks a document that is to be recorded.
pub(super) fn check_json(text: &str, what: impl FnOnce() -> String) -> Result<(), SessionError> {
    if is_too_deep(text) {
        let message = format!("{} has more than {MOST_DEPTH} levels of arrays and objects", what());
        return Err(SessionError::Limit(Failure::permanent(kind::LIMIT, message)));
    }
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(GuestError::InvalidJson { what: what(), why: error.to_string() }.into()),
    }
}
