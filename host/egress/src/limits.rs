/// The limits of one tenant's requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressLimits {
    /// The time that a request may take if it does not say, in milliseconds.
    pub http_timeout_ms: u64,
    /// The most requests under way at once.
    pub http_requests: u64,
    /// The most bytes of an answer's body.
    pub response_bytes: u64,
}

impl EgressLimits {
    /// A limit as a number of things in memory.
    pub(crate) fn size(limit: u64) -> usize {
        usize::try_from(limit).unwrap_or(usize::MAX)
    }
}

impl Default for EgressLimits {
    fn default() -> Self {
        Self { http_timeout_ms: 60_000, http_requests: 1_000, response_bytes: 4 << 20 }
    }
}
