use crate::{Journal, Kind};

/// What the guest saw end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A request or timer.
    Effect,
    /// A step or compensation.
    End,
    /// The wait before this attempt of a step or compensation.
    Attempt(u32),
}

/// One thing that the guest saw end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    /// Its place.
    pub order: u64,
    /// The row.
    pub seq: u64,
    /// What ended.
    pub what: What,
}

/// What the journal says the guest saw end, in order.
#[derive(Debug)]
pub(super) struct Schedule {
    items: Vec<Item>,
    /// Places of what `calls.next` delivered, that is of all but the ends of steps.
    deliveries: Vec<u64>,
    cursor: usize,
}

impl Schedule {
    pub(super) fn of(journal: &Journal) -> Self {
        let mut items = Vec::with_capacity(journal.rows().len());
        for row in journal.rows() {
            // A reading of the time is answered at once, so it has no place among the deliveries.
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

    /// The same without what ended up to this place.
    pub(super) fn after(journal: &Journal, place: u64) -> Self {
        let mut schedule = Self::of(journal);
        schedule.cursor = schedule.items.partition_point(|item| item.order <= place);
        schedule
    }

    /// The place of the last item; 0 if there is none.
    pub(super) fn last(&self) -> u64 {
        self.items.last().map_or(0, |item| item.order)
    }

    /// The next item that `next` will give.
    pub(super) fn peek(&self) -> Option<Item> {
        self.items.get(self.cursor).copied()
    }

    /// Goes past the next item.
    pub(super) fn advance(&mut self) {
        self.cursor += 1;
    }

    /// The items that are left.
    pub(super) fn rest(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().skip(self.cursor)
    }

    /// Whether `next` gives nothing any more that has this place.
    pub(super) fn is_past(&self, order: u64) -> bool {
        self.peek().is_none_or(|item| item.order > order)
    }

    /// Whether `calls.next` delivered something after `from` and before `to`.
    pub(super) fn delivered_between(&self, from: u64, to: u64) -> bool {
        let first = self.deliveries.partition_point(|order| *order <= from);
        self.deliveries.get(first).is_some_and(|order| *order < to)
    }
}
