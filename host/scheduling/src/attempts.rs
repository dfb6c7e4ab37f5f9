use std::time::Instant;

use tokio::sync::Mutex;

/// Attempts at the same thing, one at a time. A caller that waited while an attempt failed gets that failure and makes no
/// attempt of its own: with a server that hangs, callers would otherwise wait for one another's attempts.
pub struct Attempts<E> {
    /// The last attempt's failure and its time, if it failed.
    failure: Mutex<Option<(Instant, E)>>,
}

impl<E> Default for Attempts<E> {
    fn default() -> Self {
        Self { failure: Mutex::new(None) }
    }
}

impl<E: Clone> Attempts<E> {
    /// Returns the outcome of `attempt`, made when no other is under way, or the failure of one that ended meanwhile.
    ///
    /// # Errors
    /// The failure.
    pub async fn make<T>(&self, attempt: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let came = Instant::now();
        let mut failure = self.failure.lock().await;
        if let Some((at, error)) = &*failure
            && *at >= came
        {
            return Err(error.clone());
        }
        let outcome = attempt.await;
        *failure = outcome.as_ref().err().map(|error| (Instant::now(), error.clone()));
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn callers_that_wait_for_an_attempt_that_fails_get_its_failure() {
        let (attempts, made, hang) = (Attempts::default(), AtomicU32::new(0), Semaphore::new(0));
        let attempt = || {
            attempts.make(async {
                made.fetch_add(1, Ordering::SeqCst);
                hang.acquire().await.unwrap().forget();
                Err::<(), _>("it hangs")
            })
        };
        let fail = async { hang.add_permits(1) };
        let (one, two, three, ()) = tokio::join!(attempt(), attempt(), attempt(), fail);
        assert_eq!([one, two, three], [Err("it hangs"); 3]);
        assert_eq!(made.load(Ordering::SeqCst), 1);
        // A caller that comes later makes its own.
        assert_eq!(attempts.make(async { Ok(1) }).await, Ok(1));
    }

    #[tokio::test]
    async fn callers_that_wait_for_an_attempt_that_succeeds_make_their_own() {
        let attempts = Attempts::<()>::default();
        let made = AtomicU32::new(0);
        let attempt = || attempts.make(async { Ok(made.fetch_add(1, Ordering::SeqCst)) });
        assert_eq!(tokio::join!(attempt(), attempt()), (Ok(0), Ok(1)));
    }
}
