//! The limits of egress.

/// The limits of one tenant's requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressLimits {
    /// The default timeout of a request, in milliseconds.
    pub http_timeout_ms: u64,
    /// The timeout of a new connection: the lookup of the name, the attempts to connect, and TLS. In milliseconds.
    pub http_connect_timeout_ms: u64,
    /// The maximum number of concurrent requests.
    pub http_requests: u64,
    /// The maximum size of an answer's body, in bytes.
    pub response_bytes: u64,
    /// The maximum size of all bodies of answers that are being received, in bytes.
    pub response_bytes_in_flight: u64,
}

impl EgressLimits {
    /// Converts a limit to a size in memory. Larger limits become the largest size.
    pub(crate) fn size(limit: u64) -> usize {
        usize::try_from(limit).unwrap_or(usize::MAX)
    }
}

impl Default for EgressLimits {
    fn default() -> Self {
        Self {
            http_timeout_ms: 60_000,
            http_connect_timeout_ms: 10_000,
            http_requests: 1_000,
            response_bytes: 4 << 20,
            response_bytes_in_flight: 256 << 20,
        }
    }
}
