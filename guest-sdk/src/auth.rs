//! The caller that started a run.

use serde::{Deserialize, Serialize};

/// The caller that started the run, as the host's API authenticated it.
///
/// Fields that the host does not send are empty, and fields that this SDK does not know are ignored, so
/// that a component runs on older and on newer hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthContext {
    /// The user or service. None if the caller was not authenticated.
    pub subject: Option<String>,
    /// The roles of the subject.
    pub roles: Vec<String>,
    /// Further claims of the caller's token.
    pub claims: serde_json::Map<String, serde_json::Value>,
}

impl AuthContext {
    /// Returns `true` if the caller was authenticated.
    pub fn is_authenticated(&self) -> bool {
        self.subject.is_some()
    }

    /// Returns `true` if the subject has this role.
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
