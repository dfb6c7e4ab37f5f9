use std::fmt::Write as _;

use super::Journal;
use crate::{Kind, Row, Scope};

impl Journal {
    /// Returns the idempotency key of a request: the run, and the indices of the steps that contain it and its own. A
    /// low-level step, which has no index, is written as `@name`. Attempts are not part of the key: the retry of a step
    /// whose request timed out must not have its effect twice.
    pub fn idempotency_key(&self, row: &Row) -> String {
        let mut path = Vec::new();
        let mut scope = row.scope;
        while let Some(parent) = self.row(scope.step) {
            path.push(match (parent.kind, parent.index) {
                (Kind::Compensation, _) => "compensate".to_owned(),
                (_, Some(index)) => index.to_string(),
                (_, None) => format!("@{}", escaped(&parent.name)),
            });
            scope = parent.scope;
        }
        path.reverse();
        let index = row.index.unwrap_or(0);
        format!("{}:{}:{index}", self.run.id, path.join("/"))
    }

    /// Returns the calls of the same kind that began before this one and have the same idempotency key: the calls of
    /// earlier attempts. The latest is the first.
    pub fn earlier_attempts_of<'j>(&'j self, row: &'j Row) -> impl Iterator<Item = &'j Row> {
        self.rows_before(row).filter(|earlier| earlier.index == row.index && self.is_same_place(earlier, row))
    }

    /// Returns the calls of the same kind that began before this one. The latest is the first.
    pub fn rows_before<'j>(&'j self, row: &'j Row) -> impl Iterator<Item = &'j Row> {
        let before = usize::try_from(row.seq).unwrap_or(usize::MAX).saturating_sub(1).min(self.rows.len());
        self.rows.iter().take(before).rev().filter(|earlier| earlier.kind == row.kind)
    }

    /// Returns the calls of a scope, and of the scopes within it.
    pub fn rows_within(&self, scope: Scope) -> impl Iterator<Item = &Row> {
        let first = usize::try_from(scope.step).unwrap_or(usize::MAX).min(self.rows.len());
        self.rows.iter().skip(first).filter(move |row| self.is_within(row, scope))
    }

    fn is_within(&self, row: &Row, scope: Scope) -> bool {
        let mut place = row.scope;
        // A step begins before its calls.
        while place.step > scope.step {
            let Some(parent) = self.row(place.step) else { return false };
            place = parent.scope;
        }
        place == scope
    }

    /// Returns whether the scopes of two calls have the same path in [`Journal::idempotency_key`].
    fn is_same_place(&self, one: &Row, other: &Row) -> bool {
        let mut scopes = (one.scope, other.scope);
        loop {
            let (one, other) = match (self.row(scopes.0.step), self.row(scopes.1.step)) {
                (Some(one), Some(other)) => (one, other),
                (one, other) => return one.is_none() && other.is_none(),
            };
            let compensates = (one.kind == Kind::Compensation, other.kind == Kind::Compensation);
            let same_part = match compensates {
                (false, false) => one.index == other.index && (one.index.is_some() || one.name == other.name),
                (one, other) => one == other,
            };
            if !same_part {
                return false;
            }
            if one.seq == other.seq {
                return true;
            }
            scopes = (one.scope, other.scope);
        }
    }
}

/// Returns a name that is safe in a key and a header: bytes with a meaning there become `%XX`.
fn escaped(name: &str) -> String {
    name.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.#".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}
