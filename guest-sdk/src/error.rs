//! Errors: authors return `anyhow` errors, the journal keeps a [`Failure`].

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bindings::Failure as WireFailure;

/// The error of workflows, steps and compensation handlers.
pub type Error = anyhow::Error;

/// The result of workflows, steps and compensation handlers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why a step, a call or a workflow failed, in the form that the journal keeps.
///
/// The error of a failed step is always a `Failure`, not the error that its code returned: a replay has
/// only the recorded failure, and the workflow must see the same error in both cases. Use `downcast_ref`
/// to get the `Failure` of an [`Error`]:
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
    /// The kind of failure, a short word for programs. Forge uses `error`, `timeout`, `cancelled`,
    /// `http`, `denied`, `child`, `conflict`, `panic`, `trap`, `out-of-fuel`, `out-of-memory`,
    /// `invalid-input`, `invalid-output` and `limit`; a workflow may use kinds of its own.
    pub kind: String,
    /// A message for people: what happened and, if known, what to do.
    pub message: String,
    /// Whether a [`RetryPolicy`](crate::RetryPolicy) may make another attempt.
    pub retryable: bool,
}

impl Failure {
    pub(crate) const ERROR: &'static str = "error";
    pub(crate) const TIMEOUT: &'static str = "timeout";
    pub(crate) const CANCELLED: &'static str = "cancelled";
    pub(crate) const HTTP: &'static str = "http";
    pub(crate) const CHILD: &'static str = "child";
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) const LIMIT: &'static str = "limit";
    pub(crate) const CONFLICT: &'static str = "conflict";
    pub(crate) const INVALID_INPUT: &'static str = "invalid-input";
    pub(crate) const INVALID_OUTPUT: &'static str = "invalid-output";

    /// Returns a retryable failure.
    pub fn new(kind: impl Into<String>, message: impl fmt::Display) -> Self {
        Failure { kind: kind.into(), message: message.to_string(), retryable: true }
    }

    /// Returns a failure of kind `error` that is not retried, such as a stolen card.
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

    /// Returns the same failure, not retryable.
    pub fn not_retryable(self) -> Self {
        Failure { retryable: false, ..self }
    }

    /// Returns `true` if a timeout ended: that of a step, of an HTTP call, of a wait for an event or of
    /// [`forge::time::timeout`].
    ///
    /// [`forge::time::timeout`]: crate::time::timeout
    pub fn is_timeout(&self) -> bool {
        self.kind == Failure::TIMEOUT
    }

    /// Returns `true` if a transaction of the tenant's store required another version of a key than the present one. See
    /// [`Db`](crate::Db).
    pub fn is_conflict(&self) -> bool {
        self.kind == Failure::CONFLICT
    }

    /// Returns what the journal keeps of an error: the whole chain of messages, and the kind of the first
    /// `Failure` in the chain.
    pub(crate) fn from_error(error: &Error) -> Self {
        let message = format!("{error:#}");
        // `downcast_ref` finds a failure behind `.context(..)`, the chain one that another error wraps.
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

/// The error of [`forge::time::timeout`](crate::time::timeout): the time ended before the future did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed(Duration);

impl Elapsed {
    pub(crate) fn after(duration: Duration) -> Self {
        Elapsed(duration)
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "timed out after {:?}", self.0)
    }
}

impl std::error::Error for Elapsed {}

/// Returns the name of a type without the paths of its modules, also in its generic arguments.
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
        let failure = Failure::from_error(&error);
        assert_eq!(failure, Failure::new("declined", "charging: card 4242").not_retryable());
    }

    #[test]
    fn a_plain_error_is_retryable() {
        assert_eq!(Failure::from_error(&anyhow::anyhow!("no")), Failure::new("error", "no"));
    }

    #[test]
    fn type_names_lose_their_paths_also_inside_generics() {
        assert_eq!(short_type_name::<Failure>(), "Failure");
        assert_eq!(short_type_name::<Option<Vec<Failure>>>(), "Option<Vec<Failure>>");
        assert_eq!(short_type_name::<(String, &str)>(), "(String, &str)");
    }
}
