use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Role, TenantError};
use forge_clock as clock;
use forge_store::StoreError;
use forge_store::directory::{Entry, EntryKind};

/// What every API key begins with, so that people and scanners for leaked keys know it.
const PREFIX: &str = "forge_";

/// Random bytes of an id, and of what nobody can guess.
const ID: usize = 6;
const SECRET: usize = 32;

/// Bytes of a key's name.
const NAME: std::ops::RangeInclusive<usize> = 1..=100;

/// An API key. Of what it is presented with only a hash is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApiKey {
    /// Its id, which is no secret.
    pub id: String,
    /// For whom it acts; none: for the host, and for every tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What it may do.
    pub role: Role,
    /// What it is for.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when on it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<DateTime<Utc>>,
    /// The SHA-256 of what it is presented with.
    #[serde(skip)]
    hash: String,
}

/// An API key to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What it may do.
    pub role: Role,
    /// What it is for, in 1 to 100 bytes.
    pub name: String,
    /// It acts for the host, and for every tenant.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub host: bool,
    /// From when on it is refused; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// An API key that was made just now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CreatedKey {
    /// What to send as `Authorization: Bearer`. It is shown once.
    pub token: String,
    /// The key.
    #[serde(flatten)]
    pub key: ApiKey,
}

/// A key as the store has it.
#[derive(Serialize, Deserialize)]
struct Document {
    #[serde(flatten)]
    key: ApiKey,
    hash: String,
}

impl ApiKey {
    /// Makes a key.
    pub(super) fn create(tenant: Option<&str>, new: NewKey) -> Result<CreatedKey, TenantError> {
        if !NAME.contains(&new.name.len()) || new.name.chars().any(char::is_control) {
            return Err(TenantError::InvalidKey(format!(
                "an API key's name has {} to {} bytes and no control characters: say what it is for",
                NAME.start(),
                NAME.end()
            )));
        }
        let no_randomness =
            |error: std::io::Error| StoreError::Unavailable(format!("no randomness: {error}"));
        let id = hexadecimal(&clock::random::<ID>().map_err(no_randomness)?);
        let secret = URL_SAFE_NO_PAD.encode(clock::random::<SECRET>().map_err(no_randomness)?);
        let key = Self {
            id: id.clone(),
            tenant: tenant.map(str::to_owned),
            role: new.role,
            name: new.name,
            created_at: clock::now().to_datetime(),
            expires_at: new.expires_at,
            revoked_at: None,
            hash: hash(&secret),
        };
        Ok(CreatedKey { token: format!("{PREFIX}{id}_{secret}"), key })
    }

    /// The id and the secret of what a caller presents.
    pub(super) fn parse(token: &str) -> Option<(&str, &str)> {
        token.strip_prefix(PREFIX)?.split_once('_')
    }

    /// The key as nobody can use it any more.
    pub(super) fn revoked(&self) -> Self {
        Self { revoked_at: Some(clock::now().to_datetime()), ..self.clone() }
    }

    /// Whether this is its secret, and it may be used. Takes the same time for every wrong one.
    pub(super) fn admits(&self, secret: &str) -> bool {
        let (known, given) = (self.hash.as_bytes(), hash(secret));
        let differences = known
            .iter()
            .zip(given.as_bytes())
            .fold(known.len() ^ given.len(), |all, (a, b)| all | usize::from(a ^ b));
        differences == 0 && self.is_valid()
    }

    /// Whether it is neither revoked nor too old.
    pub fn is_valid(&self) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| clock::now().to_datetime() < end)
    }

    pub(super) fn decode(entry: &Entry) -> Result<Self, TenantError> {
        let Document { key, hash } = serde_json::from_str(&entry.document)
            .map_err(|error| TenantError::corrupt("key", &entry.name, error))?;
        Ok(Self { hash, ..key })
    }

    pub(super) fn encode(&self) -> Entry {
        let document = Document { key: self.clone(), hash: self.hash.clone() };
        Entry {
            kind: EntryKind::Key,
            tenant: self.tenant.clone().unwrap_or_default(),
            name: self.id.clone(),
            document: serde_json::to_string(&document).unwrap_or_default(),
        }
    }
}

/// The secret is as random as a key can be, so nobody finds it by trying, and a fast hash is enough.
fn hash(secret: &str) -> String {
    hexadecimal(&Sha256::digest(secret.as_bytes()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(expires_at: Option<DateTime<Utc>>) -> CreatedKey {
        let new = NewKey { role: Role::Start, name: "ci".to_owned(), host: false, expires_at };
        ApiKey::create(Some("acme"), new).unwrap()
    }

    #[test]
    fn a_key_admits_what_it_was_made_with_and_nothing_else() {
        let CreatedKey { token, key } = created(None);
        let (id, secret) = ApiKey::parse(&token).unwrap();
        assert_eq!(id, key.id);
        assert!(key.admits(secret) && !key.admits(&secret[1..]) && !key.admits(""));
        assert!(!key.revoked().admits(secret));
        assert!(!created(Some(clock::now().to_datetime())).key.is_valid());
        for wrong in ["", "forge_", "forge_1", "Forge_1_2", secret] {
            assert!(ApiKey::parse(wrong).is_none() || wrong.starts_with("forge_"), "{wrong}");
        }
    }

    #[test]
    fn the_store_never_has_the_token_and_answers_never_have_the_hash() {
        let CreatedKey { token, key } = created(None);
        let entry = key.encode();
        let (_, secret) = ApiKey::parse(&token).unwrap();
        assert!(!entry.document.contains(secret) && entry.document.contains(&key.hash));
        assert_eq!(ApiKey::decode(&entry).unwrap(), key);
        assert!(!serde_json::to_string(&key).unwrap().contains(&key.hash));
    }

    #[test]
    fn a_key_says_what_it_is_for() {
        for name in ["", "a\nb", &"a".repeat(101)] {
            let new = NewKey { role: Role::Read, name: name.to_owned(), host: false, expires_at: None };
            assert!(ApiKey::create(None, new).is_err(), "{name}");
        }
    }
}
