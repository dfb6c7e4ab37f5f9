//! What a store counts for the tenant of a run: the bytes that the run takes, and whether it is unfinished.
//!
//! The migrations compute the same numbers in SQL, to count what is deleted.

use std::sync::Arc;

use crate::{Row, Run};

/// The bytes of a run or a row beside its texts: its numbers, and its entries in indexes.
const OVERHEAD: u64 = 256;

/// What a write adds to the totals of a tenant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Growth {
    /// The bytes that runs take in a store, with their journals.
    pub bytes: i64,
    /// The number of runs that are not final.
    pub unfinished: i64,
}

impl Growth {
    /// Returns whether nothing is added or taken away.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl std::ops::AddAssign for Growth {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.unfinished += other.unfinished;
    }
}

impl std::ops::Sub for Growth {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { bytes: self.bytes - other.bytes, unfinished: self.unfinished - other.unfinished }
    }
}

impl Run {
    /// Returns what the run adds to the totals of its tenant when it is inserted.
    pub fn growth(&self) -> Growth {
        Growth { bytes: self.stored_bytes().cast_signed(), unfinished: i64::from(!self.status.is_final()) }
    }

    /// Returns the bytes that the run takes in a store, without its journal.
    pub fn stored_bytes(&self) -> u64 {
        let output = self.output.as_deref().map_or(0, str::len);
        // A failure has a column of its own, too, and the tags have a table.
        let error = self.error().map_or(0, |error| error.len());
        let documents = self.input.len() + output + self.published.json_length();
        OVERHEAD + (documents + 2 * error + 2 * self.tags.json_length()) as u64
    }
}

impl Row {
    /// Returns the bytes that the row takes in a store.
    pub fn stored_bytes(&self) -> u64 {
        let length = |text: &Option<Arc<str>>| text.as_deref().map_or(0, str::len);
        let error = self.failure.as_deref().map_or(0, |failure| failure.message.len());
        OVERHEAD + (self.name.len() + length(&self.input) + length(&self.result) + error) as u64
    }
}

/// What the store has counted of a run, or was told to count.
#[derive(Debug, Clone, Default)]
pub(super) struct Counted {
    run: Growth,
    /// The bytes of rows, by `seq` - 1. A row has less than 4 GiB.
    rows: Vec<u32>,
    total: Growth,
}

impl Counted {
    /// Returns the count of a run that is in the store with these rows.
    pub(super) fn of(run: &Run, rows: &[Row]) -> Self {
        let mut counted = Self { rows: Vec::with_capacity(rows.len()), ..Self::default() };
        counted.count_run(run);
        rows.iter().for_each(|row| counted.count_row(row));
        counted
    }

    /// Returns what is counted of the run and its rows.
    pub(super) fn total(&self) -> Growth {
        self.total
    }

    /// Counts the run as it is now.
    pub(super) fn count_run(&mut self, run: &Run) {
        let now = run.growth();
        self.total += now - std::mem::replace(&mut self.run, now);
    }

    /// Counts a row as it is now.
    pub(super) fn count_row(&mut self, row: &Row) {
        let Some(place) = usize::try_from(row.seq).ok().and_then(|seq| seq.checked_sub(1)) else { return };
        if self.rows.len() <= place {
            self.rows.resize(place + 1, 0);
        }
        let now = u32::try_from(row.stored_bytes()).unwrap_or(u32::MAX);
        let before = std::mem::replace(&mut self.rows[place], now);
        self.total.bytes += i64::from(now) - i64::from(before);
    }
}
