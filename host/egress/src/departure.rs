/// Whether a request may still leave.
pub type MayLeave<'a> = &'a (dyn Fn() -> bool + Send + Sync);

/// A request that was not sent, because it could not leave any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withheld;
