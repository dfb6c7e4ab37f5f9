use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

/// A value that is replaced as a whole, and read without a lock: what a tenant may do now.
///
/// What reads the value for each action, instead of keeping a copy, acts on the value as it is at that moment. What waits
/// meanwhile uses [`Present::until`].
#[derive(Debug)]
pub struct Present<T> {
    value: ArcSwap<T>,
    replaced: Notify,
}

impl<T> Present<T> {
    /// Creates it with a first value.
    pub fn new(value: Arc<T>) -> Self {
        Self { value: ArcSwap::new(value), replaced: Notify::new() }
    }

    /// Returns the value as it is now.
    pub fn get(&self) -> Arc<T> {
        self.value.load_full()
    }

    /// Returns something of the value as it is now.
    pub fn read<U>(&self, read: impl FnOnce(&T) -> U) -> U {
        read(&self.value.load())
    }

    /// Returns whether the value has not been replaced since it was returned.
    pub fn is(&self, value: &Arc<T>) -> bool {
        Arc::ptr_eq(&self.value.load(), value)
    }

    /// Replaces the value, and returns the one before.
    pub fn replace(&self, value: Arc<T>) -> Arc<T> {
        let before = self.value.swap(value);
        self.replaced.notify_waiters();
        before
    }

    /// Completes with what `find` finds in the value as it is, or in a later one. Of values that are replaced quickly, it may
    /// see only the last.
    pub async fn until<U>(&self, mut find: impl FnMut(&Arc<T>) -> Option<U>) -> U {
        loop {
            // From here on, no replacement is missed.
            let replaced = self.replaced.notified();
            if let Some(found) = find(&self.value.load()) {
                return found;
            }
            replaced.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_it_is_now() {
        let present = Present::new(Arc::new(1));
        let first = present.get();
        assert!(present.is(&first));
        assert_eq!((*present.replace(Arc::new(2)), present.read(|value| *value)), (1, 2));
        assert!(!present.is(&first));
    }

    #[tokio::test]
    async fn a_replacement_wakes_what_waits_for_it() {
        let present = Arc::new(Present::new(Arc::new(0)));
        let waiting = |wanted: i32| {
            let present = Arc::clone(&present);
            tokio::spawn(async move { present.until(|value| (**value >= wanted).then_some(**value)).await })
        };
        let (one, two, none) = (waiting(1), waiting(2), waiting(0));
        assert_eq!(none.await.unwrap(), 0);
        present.replace(Arc::new(1));
        assert_eq!(one.await.unwrap(), 1);
        assert!(!two.is_finished());
        present.replace(Arc::new(2));
        assert_eq!(two.await.unwrap(), 2);
    }
}
