use forge_journal::Failure;

/// Whether a request may still leave.
pub type MayLeave<'a> = &'a (dyn Fn() -> bool + Send + Sync);

/// A request that was not sent, because it could not leave any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withheld;

/// Why a request under way was given up.
#[derive(Debug)]
pub(super) enum GivenUp {
    /// Nothing has left: the request can be made again under the present terms.
    Here,
    /// What allowed it was revoked after it had left.
    Revoked(Failure),
}
