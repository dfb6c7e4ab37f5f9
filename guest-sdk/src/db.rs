//! The place of the specification's `ctx.db()`.

/// A handle to the tenant's durable key-value store.
///
/// A sandbox has no database pool: a raw connection would be an effect that the journal does not
/// see. The store that takes its place has no operations yet; the handle exists so that signatures
/// with `ctx.db()` compile and need not change when it gets them.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Db {}

impl Db {
    pub(crate) fn new() -> Self {
        Db {}
    }
}
