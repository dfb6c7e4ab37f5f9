use std::collections::{BTreeMap, VecDeque};

/// A queue in which tenants take turns: `pop` returns one item of each tenant in turn, and the items of one tenant in their
/// order. The store's writer uses it for its backlog, and both kinds of permits for waiting runs.
#[derive(Debug)]
pub struct FairQueue<K, T> {
    /// The items of each tenant; none is empty.
    queues: BTreeMap<K, VecDeque<T>>,
    /// The keys of `queues`, in the order of their turns.
    turns: VecDeque<K>,
}

impl<K, T> Default for FairQueue<K, T> {
    fn default() -> Self {
        Self { queues: BTreeMap::new(), turns: VecDeque::new() }
    }
}

impl<K: Ord + Clone, T> FairQueue<K, T> {
    /// Appends an item to a tenant's queue.
    pub fn push(&mut self, tenant: &K, item: T) {
        match self.queues.get_mut(tenant) {
            Some(queue) => queue.push_back(item),
            None => {
                self.queues.insert(tenant.clone(), VecDeque::from([item]));
                self.turns.push_back(tenant.clone());
            }
        }
    }

    /// Removes and returns the next item.
    pub fn pop(&mut self) -> Option<(K, T)> {
        self.pop_if(|_| true, |_| true)
    }

    /// Removes and returns the next item of the first tenant in turn that is `eligible`. A tenant that is not keeps its
    /// turn. Items that are not `wanted` are discarded.
    pub fn pop_if(
        &mut self,
        mut eligible: impl FnMut(&K) -> bool,
        mut wanted: impl FnMut(&T) -> bool,
    ) -> Option<(K, T)> {
        let mut index = 0;
        while let Some(tenant) = self.turns.get(index) {
            if !eligible(tenant) {
                index += 1;
                continue;
            }
            let tenant = self.turns.remove(index)?;
            let queue = self.queues.get_mut(&tenant)?;
            let item = std::iter::from_fn(|| queue.pop_front()).find(&mut wanted);
            if queue.is_empty() {
                self.queues.remove(&tenant);
            } else {
                self.turns.push_back(tenant.clone());
            }
            if let Some(item) = item {
                return Some((tenant, item));
            }
        }
        None
    }

    /// Returns the tenants that have items, in the order of their turns.
    pub fn tenants(&self) -> impl ExactSizeIterator<Item = &K> {
        self.turns.iter()
    }

    /// Returns whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_take_turns_and_each_keeps_its_order() {
        let mut queue = FairQueue::default();
        for item in 1..=4 {
            queue.push(&"many", item);
        }
        queue.push(&"few", 10);
        assert_eq!(queue.tenants().len(), 2);
        let items: Vec<i32> = std::iter::from_fn(|| queue.pop()).map(|(_, item)| item).collect();
        assert_eq!(items, [1, 10, 2, 3, 4]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_tenant_that_is_not_eligible_keeps_its_turn_and_unwanted_items_are_discarded() {
        let mut queue = FairQueue::default();
        for (tenant, item) in [("a", 1), ("a", 2), ("a", 3), ("b", 4)] {
            queue.push(&tenant, item);
        }
        assert_eq!(queue.pop_if(|tenant| *tenant == "b", |_| true), Some(("b", 4)));
        assert_eq!(queue.pop_if(|tenant| *tenant == "b", |_| true), None);
        assert_eq!(queue.pop_if(|_| true, |item| *item == 3), Some(("a", 3)));
        assert!(queue.is_empty());
    }
}
