use serde::{Deserialize, Serialize};

/// The words that [`Failure::kind`] uses. Guests may use words of their own.
pub mod kind {
    /// The workflow or a step returned an error.
    pub const ERROR: &str = "error";
    /// A run, a step or a request took longer than it may.
    pub const TIMEOUT: &str = "timeout";
    /// Somebody cancelled the run.
    pub const CANCELLED: &str = "cancelled";
    /// A request got no answer, or one that the workflow treats as an error.
    pub const HTTP: &str = "http";
    /// A request to a server that may not be reached.
    pub const DENIED: &str = "denied";
    /// The workflow panicked.
    pub const PANIC: &str = "panic";
    /// The instance trapped for another reason.
    pub const TRAP: &str = "trap";
    /// The workflow computed for longer than its fuel allows.
    pub const OUT_OF_FUEL: &str = "out-of-fuel";
    /// The workflow asked for more memory than it may have.
    pub const OUT_OF_MEMORY: &str = "out-of-memory";
    /// The run's input does not fit the workflow.
    pub const INVALID_INPUT: &str = "invalid-input";
    /// A result is not what the workflow expects of it.
    pub const INVALID_OUTPUT: &str = "invalid-output";
    /// A limit other than fuel and memory was reached.
    pub const LIMIT: &str = "limit";
}

/// Why a run, a step or a call failed. Stored, matched on and shown to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, utoipa::ToSchema)]
#[error("{message}")]
pub struct Failure {
    /// One of the words in [`kind`], or a guest's own.
    pub kind: String,
    /// What happened, for a person.
    pub message: String,
    /// Whether a retry policy may try again.
    pub retryable: bool,
}

impl Failure {
    /// A failure that a retry policy may try again.
    pub fn new(kind: &str, message: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), message: message.into(), retryable: true }
    }

    /// A failure that stays one however often it is tried.
    pub fn permanent(kind: &str, message: impl Into<String>) -> Self {
        Self { retryable: false, ..Self::new(kind, message) }
    }
}
