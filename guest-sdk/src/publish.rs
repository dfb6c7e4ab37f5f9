//! Values that a run publishes: its progress, for those who look at it.

use serde::Serialize;

use crate::{host, scope};

/// Publishes a value under a name, in place of the last one. See
/// [`WorkflowContext::publish`](crate::WorkflowContext::publish), which does the same with a context.
pub fn publish<T: Serialize + ?Sized>(name: &str, value: &T) {
    match serde_json::to_string(value) {
        Ok(value) => host::run::publish(scope::current(), name, &value),
        Err(error) => tracing::warn!("`{name}` is not published: it cannot be written as JSON: {error}"),
    }
}
