use std::sync::Arc;

use super::{HashMap, Kind, Row, Scope};

/// The index of a journal: maps the identity of a call to the `seq` of its row. It is never iterated, so the order of
/// its maps has no effect.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// The rows of the body's calls, by index, as long as the indices follow each other. Most calls of a long journal
    /// are here.
    body: Vec<u64>,
    /// The rows of the other calls, by scope and index.
    calls: HashMap<(Scope, u32), u64>,
    /// The rows of steps, by name.
    steps: HashMap<Arc<str>, u64>,
    /// The rows of compensations, by step.
    compensations: HashMap<u64, u64>,
    /// The rows of effects without an index, by scope.
    of_scope: HashMap<Scope, u64>,
}

impl Index {
    /// Creates an index with room for this many calls.
    pub(super) fn with_capacity(rows: usize) -> Self {
        let mut index = Self::default();
        index.body.reserve(rows);
        index.steps.reserve(rows);
        index
    }

    /// Adds a row. Returns `false` if another row is the same call.
    pub(super) fn insert(&mut self, row: &Row) -> bool {
        let new = row.index.is_none_or(|index| self.insert_call(row.scope, index, row.seq));
        new & match row.kind {
            Kind::Step => self.steps.insert(Arc::clone(&row.name), row.seq).is_none(),
            Kind::Compensation => self.compensations.insert(row.scope.step, row.seq).is_none(),
            Kind::Effect(_) if row.index.is_none() => self.of_scope.insert(row.scope, row.seq).is_none(),
            Kind::Effect(_) | Kind::Time => true,
        }
    }

    fn insert_call(&mut self, scope: Scope, index: u32, seq: u64) -> bool {
        if scope == Scope::BODY && index as usize == self.body.len() {
            self.body.push(seq);
            return !self.calls.contains_key(&(scope, index));
        }
        self.in_body(scope, index).is_none() & self.calls.insert((scope, index), seq).is_none()
    }

    fn in_body(&self, scope: Scope, index: u32) -> Option<u64> {
        if scope == Scope::BODY { self.body.get(index as usize).copied() } else { None }
    }

    /// Returns the row of the call with this index in this scope.
    pub(super) fn call(&self, scope: Scope, index: u32) -> Option<u64> {
        self.in_body(scope, index).or_else(|| self.calls.get(&(scope, index)).copied())
    }

    /// Returns the row of the step with this name.
    pub(super) fn step(&self, name: &str) -> Option<u64> {
        self.steps.get(name).copied()
    }

    /// Returns the row of the compensation of a step.
    pub(super) fn compensation(&self, step: u64) -> Option<u64> {
        self.compensations.get(&step).copied()
    }

    /// Returns the row of the effect of this scope that has no index.
    pub(super) fn of_scope(&self, scope: Scope) -> Option<u64> {
        self.of_scope.get(&scope).copied()
    }
}
