//! The places at which a workflow makes calls, as the host numbers them for idempotency keys.

use std::collections::BTreeMap;

/// A place: the workflow's body, or one attempt of a step or compensation.
#[derive(Debug, Default)]
struct Place {
    /// The steps that contain it, without their attempts. Further attempts of a step have the same path.
    path: String,
    /// The place in which the step began.
    parent: Option<u64>,
    /// The number of calls so far.
    calls: u32,
    /// The time before which a response in it wants no further attempt.
    not_before: u64,
}

/// The places by their scopes.
#[derive(Debug, Default)]
pub(crate) struct Places(BTreeMap<u64, Place>);

impl Places {
    /// Adds the place of an attempt.
    pub(super) fn open(&mut self, scope: u64, parent: u64, path: String) {
        self.0.insert(scope, Place { path, parent: Some(parent), ..Place::default() });
    }

    /// Returns the path of the next call of a scope. Further attempts of a step make calls with the same paths.
    pub(crate) fn next_call(&mut self, scope: u64) -> String {
        let place = self.0.entry(scope).or_default();
        let path = format!("{}/{}", place.path, place.calls);
        place.calls += 1;
        path
    }

    /// Returns the path of the low-level step with this name.
    pub(super) fn low_level(&self, scope: u64, name: &str) -> String {
        format!("{}/@{name}", self.0.get(&scope).map_or("", |place| &place.path))
    }

    /// Records that a response in a scope wants no further attempt before this time. An attempt of a step that
    /// contains the scope would send the request again, too.
    pub(crate) fn ask_to_wait(&mut self, scope: u64, until: u64) {
        let mut next = Some(scope);
        while let Some(place) = next.and_then(|scope| self.0.get_mut(&scope)) {
            place.not_before = place.not_before.max(until);
            next = place.parent;
        }
    }

    /// Returns the time before which no further attempt begins.
    pub(super) fn not_before(&self, scope: u64) -> u64 {
        self.0.get(&scope).map_or(0, |place| place.not_before)
    }
}
