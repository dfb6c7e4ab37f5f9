//! Who started a run.

use serde::{Deserialize, Serialize};

/// Who started the run, as the host's API authenticated it.
///
/// Fields that a host does not send are empty, and fields that this SDK does not know are ignored:
/// old modules run on new hosts and the other way round.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthContext {
    /// The user or service, if one was authenticated.
    pub subject: Option<String>,
    /// Its roles.
    pub roles: Vec<String>,
    /// Whatever else its token said.
    pub claims: serde_json::Map<String, serde_json::Value>,
}

impl AuthContext {
    /// Whether somebody was authenticated.
    pub fn is_authenticated(&self) -> bool {
        self.subject.is_some()
    }

    /// Whether the subject has this role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|known| known == role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_and_unknown_fields_are_tolerated() {
        assert_eq!(serde_json::from_str::<AuthContext>("{}").unwrap(), AuthContext::default());
        let auth: AuthContext =
            serde_json::from_str(r#"{"subject":"mia","roles":["admin"],"tenant":"acme"}"#).unwrap();
        assert!(auth.is_authenticated() && auth.has_role("admin") && !auth.has_role("root"));
    }
}
