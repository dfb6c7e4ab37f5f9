use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The values of [`Failure::kind`]. Guests may use others.
pub mod kind {
    /// The workflow or a step returned an error.
    pub const ERROR: &str = "error";
    /// A run, a step or a request took longer than its timeout.
    pub const TIMEOUT: &str = "timeout";
    /// The run was cancelled.
    pub const CANCELLED: &str = "cancelled";
    /// A person ended the run without its code.
    pub const TERMINATED: &str = "terminated";
    /// A request got no response, or one that the workflow treats as an error.
    pub const HTTP: &str = "http";
    /// The egress policy does not allow the request.
    pub const DENIED: &str = "denied";
    /// What allowed a request was revoked while the request was under way. It may have arrived.
    pub const REVOKED: &str = "revoked";
    /// The workflow panicked.
    pub const PANIC: &str = "panic";
    /// The instance trapped for another reason.
    pub const TRAP: &str = "trap";
    /// The workflow used its fuel.
    pub const OUT_OF_FUEL: &str = "out-of-fuel";
    /// The workflow reached its memory limit.
    pub const OUT_OF_MEMORY: &str = "out-of-memory";
    /// The run's input does not fit the workflow.
    pub const INVALID_INPUT: &str = "invalid-input";
    /// A recorded result does not fit the type that the workflow expects.
    pub const INVALID_OUTPUT: &str = "invalid-output";
    /// An effect may have happened, and nothing undoes it.
    pub const IN_DOUBT: &str = "in-doubt";
    /// A child run failed.
    pub const CHILD: &str = "child";
    /// A transaction of the tenant's store requires another version of a key than the present one.
    pub const CONFLICT: &str = "conflict";
    /// The workflow reached a limit other than fuel and memory.
    pub const LIMIT: &str = "limit";
}

/// The failure of a run, a step or another call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, utoipa::ToSchema)]
#[error("{message}")]
pub struct Failure {
    /// A constant in [`kind`], or a word of the guest.
    pub kind: String,
    /// What happened, for a person.
    pub message: String,
    /// Whether a retry policy may retry.
    pub retryable: bool,
    /// How far the effect came that failed. `None`: the failure is not that of an effect, or an earlier version of Forge
    /// recorded it.
    #[serde(skip)]
    pub reach: Option<Reach>,
}

/// The outcome of an effect or a reading of the time: its result, if it has one, or its failure.
pub type Outcome = Result<Option<Arc<str>>, Failure>;

/// How far an effect came that failed: whether what it does may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// It has done nothing: nothing has left the host, or the server rejected it.
    Nowhere,
    /// It may have arrived, and there is no answer.
    Unanswered,
    /// It was answered, and the answer could not be kept.
    Answered,
}

impl Reach {
    /// Returns the word that the store keeps.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nowhere => "nowhere",
            Self::Unanswered => "unanswered",
            Self::Answered => "answered",
        }
    }
}

impl FromStr for Reach {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let all = [Self::Nowhere, Self::Unanswered, Self::Answered];
        all.into_iter().find(|reach| reach.as_str() == word).ok_or_else(|| format!("unknown reach `{word}`"))
    }
}

impl Failure {
    /// Creates a failure that a retry policy may retry.
    pub fn new(kind: &str, message: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), message: message.into(), retryable: true, reach: None }
    }

    /// Creates a failure that is not retried.
    pub fn permanent(kind: &str, message: impl Into<String>) -> Self {
        Self { retryable: false, ..Self::new(kind, message) }
    }

    /// Returns the same failure, of an effect that came this far.
    #[must_use]
    pub fn with_reach(self, reach: Reach) -> Self {
        Self { reach: Some(reach), ..self }
    }
}
