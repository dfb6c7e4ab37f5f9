//! `ctx.db()` of the specification.

/// A handle to the tenant's durable key-value store.
///
/// A component has no database connection, because the journal would not record what goes over it. The
/// store that replaces it has no operations yet. The handle exists so that signatures with `ctx.db()`
/// compile and stay as they are when the store gets operations.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Db {}
