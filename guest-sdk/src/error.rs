//! Errors: `anyhow` for what authors write, [`Failure`] for what the journal keeps.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::host::bindings::Failure as WireFailure;
use crate::time::Elapsed;

/// The error of workflows, steps and compensation handlers.
pub type Error = anyhow::Error;

/// What workflows, steps and compensation handlers return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a step, a call or a workflow failed, in the form that the journal keeps.
///
/// The error of a failed step is always a `Failure`, also when its attempt ran just now: a replay
/// has only what was recorded, and a workflow must see the same error both times. Find it in an
/// [`Error`] with `downcast_ref`:
///
/// ```
/// use forge::prelude::*;
///
/// fn gave_up_waiting(error: &Error) -> bool {
///     error.downcast_ref::<Failure>().is_some_and(Failure::is_timeout)
/// }
/// # assert!(!gave_up_waiting(&anyhow!("no")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A short stable word. Forge uses `error`, `timeout`, `cancelled`, `http`, `denied`,
    /// `panic`, `trap`, `out-of-fuel`, `out-of-memory`, `invalid-input`, `invalid-output` and `limit`; a workflow
    /// may use words of its own.
    pub kind: String,
    /// For a person: what happened, and what to do if that is known.
    pub message: String,
    /// Whether a [`RetryPolicy`](crate::RetryPolicy) may try again.
    pub retryable: bool,
}

impl Failure {
    pub(crate) const ERROR: &'static str = "error";
    pub(crate) const TIMEOUT: &'static str = "timeout";
    pub(crate) const CANCELLED: &'static str = "cancelled";
    pub(crate) const HTTP: &'static str = "http";
    pub(crate) const INVALID_INPUT: &'static str = "invalid-input";
    pub(crate) const INVALID_OUTPUT: &'static str = "invalid-output";

    /// A failure that a retry policy may try again.
    pub fn new(kind: impl Into<String>, message: impl fmt::Display) -> Self {
        Failure { kind: kind.into(), message: message.to_string(), retryable: true }
    }

    /// A failure of kind `error` that no retry can help: the card is stolen, the order is gone.
    ///
    /// ```
    /// use forge::prelude::*;
    ///
    /// fn check(amount: i64) -> Result<()> {
    ///     if amount <= 0 {
    ///         return Err(Failure::permanent(format!("cannot charge {amount} cents")).into());
    ///     }
    ///     Ok(())
    /// }
    /// # assert!(check(0).is_err());
    /// ```
    pub fn permanent(message: impl fmt::Display) -> Self {
        Failure::new(Failure::ERROR, message).not_retryable()
    }

    /// The same failure, which a retry policy must not try again.
    pub fn not_retryable(self) -> Self {
        Failure { retryable: false, ..self }
    }

    /// Whether time ran out: the step's own timeout, an HTTP call's or [`forge::time::timeout`]'s.
    ///
    /// [`forge::time::timeout`]: crate::time::timeout
    pub fn is_timeout(&self) -> bool {
        self.kind == Failure::TIMEOUT
    }

    /// What the journal keeps of an error: the kind of the first `Failure` in it, if there is one,
    /// and the whole chain of messages.
    pub(crate) fn of(error: &Error) -> Self {
        let message = format!("{error:#}");
        // `downcast_ref` sees through `.context(..)`; the chain also shows what other errors wrap.
        let inner =
            error.downcast_ref::<Failure>().or_else(|| error.chain().find_map(|cause| cause.downcast_ref()));
        match inner {
            Some(failure) => Failure { message, ..failure.clone() },
            None if error.is::<Elapsed>() => Failure::new(Failure::TIMEOUT, message),
            None => Failure::new(Failure::ERROR, message),
        }
    }

    pub(crate) fn cancelled() -> Self {
        Failure::new(Failure::CANCELLED, "the run was cancelled").not_retryable()
    }

    pub(crate) fn invalid_output(message: impl fmt::Display) -> Self {
        Failure::new(Failure::INVALID_OUTPUT, message).not_retryable()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<WireFailure> for Failure {
    fn from(WireFailure { kind, message, retryable }: WireFailure) -> Self {
        Failure { kind, message, retryable }
    }
}

impl From<Failure> for WireFailure {
    fn from(Failure { kind, message, retryable }: Failure) -> Self {
        WireFailure { kind, message, retryable }
    }
}

/// A type's name as its author knows it: without the paths.
pub(crate) fn short_type_name<T: ?Sized>() -> String {
    let full = std::any::type_name::<T>();
    let mut short = String::new();
    let mut segment = 0;
    for (at, c) in full.char_indices() {
        short.push(c);
        if full[..=at].ends_with("::") {
            short.truncate(segment);
        } else if !(c.is_alphanumeric() || c == '_' || c == ':') {
            segment = short.len();
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn context_is_kept_in_the_message_and_the_kind_survives_it() {
        let error = Err::<(), _>(Failure::new("declined", "card 4242").not_retryable())
            .context("charging")
            .unwrap_err();
        let failure = Failure::of(&error);
        assert_eq!(failure, Failure::new("declined", "charging: card 4242").not_retryable());
    }

    #[test]
    fn a_plain_error_is_retryable() {
        assert_eq!(Failure::of(&anyhow::anyhow!("no")), Failure::new("error", "no"));
    }

    #[test]
    fn type_names_lose_their_paths_also_inside_generics() {
        assert_eq!(short_type_name::<Failure>(), "Failure");
        assert_eq!(short_type_name::<Option<Vec<Failure>>>(), "Option<Vec<Failure>>");
        assert_eq!(short_type_name::<(String, &str)>(), "(String, &str)");
    }
}
