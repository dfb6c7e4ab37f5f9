//! The actors of the audit log, as the keys of a tenant see them.

use super::Caller;
use super::directory::Directory;

/// The actor of what retention deletes.
pub(crate) const RETENTION: &str = "retention";

/// What a tenant sees instead of the operator who acted, and of a key that is no longer known.
const OPERATOR: &str = "operator";
const FORMER_KEY: &str = "a former key";

impl Directory {
    /// Returns the actor as the keys of a tenant see it: their own keys and jobs of the host by name, and every operator as
    /// one. Entries of earlier versions name keys of the host as they name those of tenants.
    pub(super) fn actor_for(&self, tenant: &str, actor: String) -> String {
        let Some(key) = actor.strip_prefix(Caller::KEY) else {
            return if actor == RETENTION { actor } else { OPERATOR.to_owned() };
        };
        let id = key.split(' ').next().unwrap_or_default();
        match self.key(id).map(|known| known.key.tenant.as_deref()) {
            Some(Some(owner)) if owner == tenant => actor,
            Some(_) => OPERATOR.to_owned(),
            None => FORMER_KEY.to_owned(),
        }
    }
}
