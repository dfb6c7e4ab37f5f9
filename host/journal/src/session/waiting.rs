//! The calls that the guest waits for.
//!
//! The guest may wait for many calls, and asks for a completion once for each. So each question about all of them is answered
//! from what is kept here, and none looks at each call. A row does not change in any of these respects while the guest waits
//! for it: what ends it removes it first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::CallId;
use crate::inbox::Address;
use crate::{EffectKind, EntryKind, HashMap, Kind, Row, Timestamp};

/// The calls that are not delivered, by row.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    calls: BTreeMap<u64, Waiter>,
    /// The rows that wait for a time.
    timers: BTreeSet<(Timestamp, u64)>,
    /// The rows whose outcome comes from the inbox, by address. Their order does not matter.
    receivers: HashMap<Address, BTreeSet<u64>>,
    /// The addresses for which a call or an entry was added.
    to_match: VecDeque<Address>,
    /// The number of calls that wait for each kind of thing. There are a handful of kinds.
    kinds: Vec<(Awaited, usize)>,
    /// The rows that were added since the last call of [`Waiting::take_unsent`].
    unsent: BTreeSet<u64>,
    /// The rows that were added since the last call of [`Waiting::take_unchecked`].
    unchecked: BTreeSet<u64>,
}

#[derive(Debug)]
struct Waiter {
    call: CallId,
    timer: Option<Timestamp>,
    awaited: Awaited,
    /// What it waits for in the inbox.
    address: Option<Address>,
}

/// What a call waits for, as far as it decides on whether the run may leave memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    /// An effect of this kind that has not ended.
    Effect(EffectKind),
    /// The next attempt of a step.
    Retry,
    /// Something else.
    Other,
}

impl Waiting {
    /// Adds a call for a row. Returns the call for the same row that it replaces.
    pub(super) fn insert(&mut self, row: Option<&Row>, seq: u64, call: CallId) -> Option<CallId> {
        let replaced = self.remove(seq);
        let timer = row.filter(|row| row.is_open()).and_then(|row| row.wake_at);
        let awaited = match row.map(|row| (row.kind, row)) {
            Some((Kind::Effect(kind), row)) if row.is_open() => Awaited::Effect(kind),
            Some((_, row)) if row.awaits_retry() => Awaited::Retry,
            _ => Awaited::Other,
        };
        let address = row.filter(|row| row.is_open()).and_then(Row::address);
        if let Some(address) = &address {
            self.receivers.entry(address.clone()).or_default().insert(seq);
            self.to_match.push_back(address.clone());
        }
        self.calls.insert(seq, Waiter { call, timer, awaited, address });
        self.timers.extend(timer.map(|wake_at| (wake_at, seq)));
        match self.kinds.iter_mut().find(|(kind, _)| *kind == awaited) {
            Some((_, count)) => *count += 1,
            None => self.kinds.push((awaited, 1)),
        }
        self.unsent.insert(seq);
        self.unchecked.insert(seq);
        replaced
    }

    /// Removes and returns the call for a row.
    pub(super) fn remove(&mut self, seq: u64) -> Option<CallId> {
        let Waiter { call, timer, awaited, address } = self.calls.remove(&seq)?;
        if let Some(address) = address {
            self.forget_receiver(seq, &address);
        }
        if let Some(wake_at) = timer {
            self.timers.remove(&(wake_at, seq));
        }
        if let Some((_, count)) = self.kinds.iter_mut().find(|(kind, _)| *kind == awaited) {
            *count -= 1;
        }
        self.unsent.remove(&seq);
        self.unchecked.remove(&seq);
        Some(call)
    }

    /// Removes a row from those whose outcome comes from the inbox.
    pub(super) fn forget_receiver(&mut self, seq: u64, address: &Address) {
        if let Some(receivers) = self.receivers.get_mut(address) {
            receivers.remove(&seq);
            if receivers.is_empty() {
                self.receivers.remove(address);
            }
        }
    }

    /// Adds an address for which an entry has come.
    pub(super) fn received(&mut self, address: Address) {
        self.to_match.push_back(address);
    }

    /// Returns whether there is an address for which a call or an entry was added.
    pub(super) fn may_match(&self) -> bool {
        !self.to_match.is_empty()
    }

    /// Returns the next address for which a call or an entry was added, of a kind that `suits`.
    pub(super) fn next_to_match(&mut self, suits: impl Fn(EntryKind) -> bool) -> Option<Address> {
        let place = self.to_match.iter().position(|(kind, _)| suits(*kind))?;
        self.to_match.remove(place)
    }

    /// Returns the first row that waits for this address.
    pub(super) fn receiver(&self, address: &Address) -> Option<u64> {
        self.receivers.get(address)?.first().copied()
    }

    /// Returns the number of different entries of this kind that calls wait for.
    pub(super) fn count_receivers(&self, kind: EntryKind) -> usize {
        self.receivers.keys().filter(|(of, _)| *of == kind).count()
    }

    /// Returns whether a call waits for an entry of the inbox.
    pub(super) fn has_receiver(&self) -> bool {
        !self.receivers.is_empty()
    }

    /// Removes all calls.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Returns the call for a row.
    pub(super) fn get(&self, seq: u64) -> Option<CallId> {
        self.calls.get(&seq).map(|waiter| waiter.call)
    }

    /// Returns the number of calls.
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Returns whether there are no calls.
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Returns the end of the next timer.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(wake_at, _)| *wake_at)
    }

    /// Returns the rows whose time has come, in the order of their times.
    pub(super) fn due(&self, now: Timestamp) -> impl Iterator<Item = u64> {
        self.timers.range(..=(now, u64::MAX)).map(|(_, seq)| *seq)
    }

    /// Returns the rows, in their order.
    pub(super) fn rows(&self) -> impl Iterator<Item = u64> {
        self.calls.keys().copied()
    }

    /// Returns whether each call waits for something that `suits`.
    pub(super) fn all(&self, suits: impl Fn(Awaited) -> bool) -> bool {
        self.kinds.iter().all(|(awaited, count)| *count == 0 || suits(*awaited))
    }

    /// Returns the rows that were added since the last call of this function and are still waited for, in their order.
    pub(super) fn take_unsent(&mut self) -> BTreeSet<u64> {
        std::mem::take(&mut self.unsent)
    }

    /// Returns the rows that were added since the last call of this function and are still waited for, in their order.
    pub(super) fn take_unchecked(&mut self) -> BTreeSet<u64> {
        std::mem::take(&mut self.unchecked)
    }
}
