//! What waits to be written, by tenant: they take turns, so that one that writes much does not keep the others waiting.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Queues of what tenants want to write.
pub(super) struct Backlog<J> {
    /// Never empty ones.
    queues: BTreeMap<Arc<str>, VecDeque<J>>,
    /// The tenants of `queues`, in the order of their turns.
    turns: VecDeque<Arc<str>>,
}

impl<J> Default for Backlog<J> {
    fn default() -> Self {
        Self { queues: BTreeMap::new(), turns: VecDeque::new() }
    }
}

impl<J> Backlog<J> {
    pub(super) fn push(&mut self, tenant: &Arc<str>, job: J) {
        match self.queues.get_mut(tenant) {
            Some(queue) => queue.push_back(job),
            None => {
                self.queues.insert(Arc::clone(tenant), VecDeque::from([job]));
                self.turns.push_back(Arc::clone(tenant));
            }
        }
    }

    /// The next job: those of a tenant in their order, of several tenants one each.
    pub(super) fn pop(&mut self) -> Option<J> {
        let tenant = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&tenant)?;
        let job = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&tenant);
        } else {
            self.turns.push_back(tenant);
        }
        job
    }

    /// Tenants that want to write.
    pub(super) fn tenants(&self) -> usize {
        self.turns.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_take_turns_and_each_keeps_its_order() {
        let (many, few): (Arc<str>, Arc<str>) = ("many".into(), "few".into());
        let mut backlog = Backlog::default();
        for job in 1..=4 {
            backlog.push(&many, job);
        }
        backlog.push(&few, 10);
        assert_eq!(backlog.tenants(), 2);
        let jobs: Vec<i32> = std::iter::from_fn(|| backlog.pop()).collect();
        assert_eq!(jobs, [1, 10, 2, 3, 4]);
        assert_eq!(backlog.tenants(), 0);
    }
}
