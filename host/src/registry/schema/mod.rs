//! JSON Schemas of inputs: what a component exports, checked at upload and applied to starts.
//!
//! A schema comes from a tenant, so it is bounded like a guest. At upload: its size, the number and size of its patterns, and
//! no reference that leaves it or leads to itself. At a start: the steps of the check, in proportion to the input and
//! at most a fixed number of them, and its depth. Patterns take linear time.
//!
//! The keywords are those of draft 2020-12 that describe values: see [`rule`]. Others, such as `title`, are not checked.
//! [Decision 35](../../../../docs/decisions/0035-input-schemas-are-checked-within-a-budget.md) has the reasons.

mod check;
mod cost;
#[cfg(test)]
mod hostile;
mod message;
mod parse;
mod path;
mod pattern;
mod rule;
#[cfg(test)]
mod tests;
mod text;

use serde_json::Value;

use self::check::Check;
pub(super) use self::check::Misfit;
use self::rule::{Node, NodeId, Rule};

/// The maximum size of a schema, in bytes: some 300 fields with descriptions.
pub(super) const SCHEMA_BYTES: usize = 64 << 10;

/// The size up to which an input is read on the thread of a task, in bytes: it takes less than 100 microseconds.
const READ_AT_ONCE: usize = 4 << 10;

/// A schema that was checked, ready to be applied.
#[derive(Debug)]
pub(super) struct Schema {
    nodes: Vec<Node>,
    root: NodeId,
    /// The bytes that the schema takes in memory, roughly.
    size: usize,
}

/// The reason why a schema is refused, with the place in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct InvalidSchema(pub(super) String);

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// [`InvalidSchema`] if it is no JSON Schema, is too large, or refers to something outside of it.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidSchema> {
        parse::parse(text)
    }

    /// Checks an input, a JSON document. An input `{}` may also fit as `null`, because a start without an input has `{}`.
    ///
    /// It can take 100 milliseconds, so it is not for the thread of a task.
    ///
    /// # Errors
    /// [`Misfit`] with the place in the input that does not fit, or where the check was given up.
    pub(super) fn check(&self, input: &str) -> Result<(), Misfit> {
        self.check_within(input, cost::budget(input.len()))
    }

    /// Checks an input as [`Schema::check`] does, if that takes about a millisecond. Returns `None` if it takes longer.
    pub(super) fn check_at_once(&self, input: &str) -> Option<Result<(), Misfit>> {
        if input.len() > READ_AT_ONCE {
            return None;
        }
        let budget = cost::budget(input.len());
        match self.check_within(input, budget.min(cost::AT_ONCE)) {
            Err(misfit) if misfit.is_given_up() && budget > cost::AT_ONCE => None,
            checked => Some(checked),
        }
    }

    fn check_within(&self, input: &str, steps: u64) -> Result<(), Misfit> {
        let value: Value = serde_json::from_str(input).map_err(|error| Misfit::unreadable(&error))?;
        match Check::new(self, steps).check(&value) {
            Err(_) if input == "{}" && Check::new(self, steps).check(&Value::Null).is_ok() => Ok(()),
            checked => checked,
        }
    }

    /// Returns whether no value fits a node.
    fn is_never(&self, node: NodeId) -> bool {
        matches!(self.nodes.get(node).map(Vec::as_slice), Some([Rule::Never]))
    }

    /// Returns the bytes that the schema takes in memory, roughly.
    pub(super) fn size(&self) -> usize {
        self.size
    }
}
