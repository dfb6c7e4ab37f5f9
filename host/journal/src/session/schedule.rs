use crate::{Journal, Kind};

/// The kind of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The end of an effect.
    Effect,
    /// The end of a step or compensation.
    End,
    /// The end of the wait before this attempt of a step or compensation.
    Attempt(u32),
}

/// An end that the guest saw.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    /// The delivery number.
    pub order: u64,
    /// The `seq` of the row.
    pub seq: u64,
    /// The kind.
    pub what: What,
}

/// The ends that the journal records, in the order of their delivery numbers.
#[derive(Debug)]
pub(super) struct Schedule {
    items: Vec<Item>,
    /// The delivery numbers of all ends but those of steps: `calls.next` delivered them.
    deliveries: Vec<u64>,
    cursor: usize,
}

impl Schedule {
    pub(super) fn of(journal: &Journal) -> Self {
        let mut items = Vec::with_capacity(journal.rows().len());
        for row in journal.rows() {
            // A reading of the time is answered at once, and never delivered.
            if row.kind == Kind::Time {
                continue;
            }
            for (index, order) in row.attempt_orders.iter().enumerate() {
                let attempt = u32::try_from(index + 2).unwrap_or(u32::MAX);
                items.push(Item { order: *order, seq: row.seq, what: What::Attempt(attempt) });
            }
            if let Some(order) = row.order {
                let what = if row.kind.has_scope() { What::End } else { What::Effect };
                items.push(Item { order, seq: row.seq, what });
            }
        }
        items.sort_unstable_by_key(|item| item.order);
        let deliveries = items.iter().filter(|item| item.what != What::End).map(|item| item.order).collect();
        Self { items, deliveries, cursor: 0 }
    }

    /// Creates the schedule without the ends up to this delivery number.
    pub(super) fn after(journal: &Journal, after: u64) -> Self {
        let mut schedule = Self::of(journal);
        schedule.cursor = schedule.items.partition_point(|item| item.order <= after);
        schedule
    }

    /// Returns the last delivery number; 0 if there is none.
    pub(super) fn last(&self) -> u64 {
        self.items.last().map_or(0, |item| item.order)
    }

    /// Returns the next end.
    pub(super) fn peek(&self) -> Option<Item> {
        self.items.get(self.cursor).copied()
    }

    /// Goes past the next end.
    pub(super) fn advance(&mut self) {
        self.cursor += 1;
    }

    /// Returns the ends that are left.
    pub(super) fn rest(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().skip(self.cursor)
    }

    /// Returns whether the schedule is past this delivery number.
    pub(super) fn is_past(&self, order: u64) -> bool {
        self.peek().is_none_or(|item| item.order > order)
    }

    /// Returns whether `calls.next` delivered an end after `from` and before `to`.
    pub(super) fn delivered_between(&self, from: u64, to: u64) -> bool {
        let first = self.deliveries.partition_point(|order| *order <= from);
        self.deliveries.get(first).is_some_and(|order| *order < to)
    }
}
