use crate::{CallId, Failure, IllegalEvent, Kind, Row};

/// Something that no correct guest does. It traps the instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuestError {
    /// A scope that is not one of this run, or is over.
    #[error("the workflow used scope {0}, which is not open")]
    ForeignScope(u64),
    /// A call that is not under way.
    #[error("the workflow used call {0}, which does not exist or has another type")]
    ForeignCall(CallId),
    /// A step that cannot be compensated.
    #[error("the workflow asked to compensate step {0}, which has not completed with a handler")]
    NotCompensable(u64),
    /// A result that is no JSON.
    #[error("{what} is not valid JSON: {why}")]
    InvalidJson {
        /// What is wrong.
        what: String,
        /// Why.
        why: String,
    },
    /// Waiting with nothing under way.
    #[error(
        "the workflow waits for something that never happens: no request, timer or step is under way \
         (a future that no Forge call completes cannot be awaited)"
    )]
    Deadlock,
    /// Rolling back twice.
    #[error("the workflow said that it failed while it was being rolled back")]
    UnwoundTwice,
}

/// Why a session cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The guest broke the contract.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// The guest does something other than what the journal says it did.
    #[error(
        "nondeterminism: the journal has {expected} where the workflow now makes {found}. Nothing is lost: look for \
         what the workflow does differently each time (the order of a HashMap, a clock), or for a component that was \
         changed in the database; resume the run once that is mended, or cancel it to roll it back"
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
    /// The journal does not allow what follows from the guest's call.
    #[error(transparent)]
    Illegal(#[from] IllegalEvent),
}

pub(super) fn nondeterminism(expected: impl Into<String>, found: impl Into<String>) -> SessionError {
    SessionError::Nondeterminism { expected: expected.into(), found: found.into() }
}

/// Checks that a recorded call is the one that the guest makes now.
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

pub(super) fn check_json(text: &str, what: impl FnOnce() -> String) -> Result<(), GuestError> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(GuestError::InvalidJson { what: what(), why: error.to_string() }),
    }
}
