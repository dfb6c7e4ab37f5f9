//! The memory for bodies of answers that are being received.

use std::sync::Arc;

use forge_scheduling::{ByteBudget, ReservedBytes};

/// The bytes of a body that need no reservation: most bodies are smaller, and do not wait. There are at most as many of them
/// as concurrent requests.
pub(super) const UNRESERVED: usize = 64 << 10;

/// The budgets for bodies of answers: of the tenant, and of the host.
#[derive(Debug, Clone)]
pub struct Responses {
    tenant: Arc<ByteBudget>,
    host: Arc<ByteBudget>,
    most_of_host: u64,
}

/// What a body has reserved, until it is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    tenant: ReservedBytes,
    host: ReservedBytes,
}

impl Responses {
    /// Returns the budgets of a tenant, with the host's budget and its limit.
    pub fn new(tenant: Arc<ByteBudget>, host: Arc<ByteBudget>, most_of_host: u64) -> Self {
        Self { tenant, host, most_of_host }
    }

    /// Reserves memory for a body. A body reserves all that it may need at once, and waits holding nothing, so that bodies
    /// do not wait for each other in a circle.
    pub(super) async fn reserve(&self, bytes: u64, most_of_tenant: u64) -> Reservation {
        let tenant = self.tenant.reserve(bytes, most_of_tenant).await;
        let host = self.host.reserve(bytes, self.most_of_host).await;
        Reservation { tenant, host }
    }
}

impl Default for Responses {
    fn default() -> Self {
        Self::new(Arc::default(), Arc::default(), u64::MAX)
    }
}

impl Reservation {
    /// Gives back what the body does not need.
    pub(super) fn shrink(&mut self, bytes: usize) {
        self.tenant.shrink(bytes as u64);
        self.host.shrink(bytes as u64);
    }
}
