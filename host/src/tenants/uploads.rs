use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The uploads of a tenant that may be known to the host at once: one under way, and one that waits for its end.
const AT_ONCE: usize = 2;

/// The uploads of one tenant. One at a time is read and compiled, so the tenant has one body in memory, and no more than one
/// waits.
#[derive(Debug)]
pub struct Uploads {
    admitted: Arc<Semaphore>,
    under_way: Arc<Semaphore>,
}

impl Default for Uploads {
    fn default() -> Self {
        Self { admitted: Arc::new(Semaphore::new(AT_ONCE)), under_way: Arc::new(Semaphore::new(1)) }
    }
}

/// The turn of an upload among those of its tenant, until it is dropped.
#[derive(Debug)]
pub struct UploadTurn {
    _under_way: OwnedSemaphorePermit,
    _admitted: OwnedSemaphorePermit,
}

impl Uploads {
    /// Waits for the turn of an upload. Returns `None` at once if another upload waits already.
    pub async fn turn(&self) -> Option<UploadTurn> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().ok()?;
        // The semaphore is never closed.
        let under_way = Arc::clone(&self.under_way).acquire_owned().await.ok()?;
        Some(UploadTurn { _under_way: under_way, _admitted: admitted })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn one_upload_is_under_way_and_one_waits() {
        let uploads = Uploads::default();
        let first = uploads.turn().await.unwrap();
        let mut second = Box::pin(uploads.turn());
        assert!(second.as_mut().now_or_never().is_none(), "it waits");
        assert!(uploads.turn().await.is_none(), "a third does not");
        drop(first);
        let second = second.await.unwrap();
        drop(second);
        assert!(uploads.turn().await.is_some());
    }
}
