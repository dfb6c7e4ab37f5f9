use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Role, TenantError};
use forge_clock as clock;
use forge_store::StoreError;
use forge_store::directory::{Entry, EntryId, EntryKind};

/// The prefix of every API key, by which people and scanners for leaked keys recognise it.
const PREFIX: &str = "forge_";

/// The number of random bytes of an id, and of the secret part.
const ID: usize = 6;
const SECRET: usize = 32;

/// The length of a key's name in bytes.
const NAME: std::ops::RangeInclusive<usize> = 1..=100;

/// The keys of a tenant that are kept after they were revoked or have expired: as many as a tenant has valid ones.
const MOST_ENDED: usize = 1_000;

/// An API key. Of its token, only a hash is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApiKey {
    /// The id, which is not secret.
    pub id: String,
    /// The tenant that it acts for; absent for a key of the host, which acts for every tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The role.
    pub role: Role,
    /// The name, which says what the key is for.
    pub name: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<DateTime<Utc>>,
    /// The SHA-256 of the secret part of the token.
    #[serde(skip)]
    hash: String,
}

/// An API key to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// The role.
    pub role: Role,
    /// The name, of 1 to 100 bytes, which says what the key is for.
    pub name: String,
    /// Whether it is a key of the host, which acts for every tenant.
    #[serde(
        default,
        skip_serializing_if = "std::ops::Not::not",
        deserialize_with = "crate::encoding::null_as_absent"
    )]
    pub host: bool,
    /// When it expires; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// An API key that was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CreatedKey {
    /// The token, sent as `Authorization: Bearer`. It is shown only once.
    pub token: String,
    /// The key.
    #[serde(flatten)]
    pub key: ApiKey,
}

/// The stored form of a key.
#[derive(Serialize, Deserialize)]
struct Document {
    #[serde(flatten)]
    key: ApiKey,
    hash: String,
}

impl ApiKey {
    /// Creates a key.
    pub(super) fn create(tenant: Option<&str>, new: NewKey) -> Result<CreatedKey, TenantError> {
        if !NAME.contains(&new.name.len()) || new.name.chars().any(char::is_control) {
            return Err(TenantError::InvalidKey(format!(
                "the name of an API key must have {} to {} bytes and no control characters",
                NAME.start(),
                NAME.end()
            )));
        }
        let no_randomness = |error: std::io::Error| {
            StoreError::Unavailable(format!("the system has no random bytes: {error}"))
        };
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

    /// Returns the id and the secret of a token.
    pub(super) fn parse(token: &str) -> Option<(&str, &str)> {
        token.strip_prefix(PREFIX)?.split_once('_')
    }

    /// Returns the key, revoked now.
    pub(super) fn revoked(&self) -> Self {
        Self { revoked_at: Some(clock::now().to_datetime()), ..self.clone() }
    }

    /// Returns whether the secret is right and the key is valid. Every wrong secret takes the same time.
    pub(super) fn admits(&self, secret: &str) -> bool {
        let (known, given) = (self.hash.as_bytes(), hash(secret));
        let differences = known
            .iter()
            .zip(given.as_bytes())
            .fold(known.len() ^ given.len(), |all, (a, b)| all | usize::from(a ^ b));
        differences == 0 && self.is_valid()
    }

    /// Returns whether the key is neither revoked nor expired.
    pub fn is_valid(&self) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| clock::now().to_datetime() < end)
    }

    /// Returns when the key was revoked or has expired.
    fn ended_at(&self) -> Option<DateTime<Utc>> {
        let expired_at = self.expires_at.filter(|_| !self.is_valid());
        self.revoked_at.into_iter().chain(expired_at).min()
    }

    pub(super) fn decode(entry: &Entry) -> Result<Self, TenantError> {
        let Document { key, hash } = serde_json::from_str(&entry.document)
            .map_err(|error| TenantError::corrupt("key", &entry.name, error))?;
        Ok(Self { hash, ..key })
    }

    pub(super) fn encode(&self) -> Result<Entry, TenantError> {
        let document = Document { key: self.clone(), hash: self.hash.clone() };
        Ok(Entry {
            kind: EntryKind::Key,
            tenant: self.tenant.clone().unwrap_or_default(),
            name: self.id.clone(),
            document: serde_json::to_string(&document)?,
        })
    }
}

/// Returns those of a tenant's keys that ended before this time, and the oldest of the others that have ended beyond
/// [`MOST_ENDED`].
pub(super) fn ended<'k>(keys: impl Iterator<Item = &'k ApiKey>, before: DateTime<Utc>) -> Vec<EntryId> {
    let mut ended: Vec<_> = keys.filter_map(|key| Some((key.ended_at()?, key))).collect();
    ended.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let kept = ended.iter().take(MOST_ENDED).take_while(|(at, _)| *at >= before).count();
    let id = |(_, key): (DateTime<Utc>, &ApiKey)| EntryId {
        kind: EntryKind::Key,
        tenant: key.tenant.clone().unwrap_or_default(),
        name: key.id.clone(),
    };
    ended.into_iter().skip(kept).map(id).collect()
}

/// Hashes a secret. A fast hash is enough, because the secret has 256 random bits.
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
        let entry = key.encode().unwrap();
        let (_, secret) = ApiKey::parse(&token).unwrap();
        assert!(!entry.document.contains(secret) && entry.document.contains(&key.hash));
        assert_eq!(ApiKey::decode(&entry).unwrap(), key);
        assert!(!serde_json::to_string(&key).unwrap().contains(&key.hash));
    }

    #[test]
    fn keys_that_ended_long_ago_or_are_too_many_are_removed() {
        let now = clock::now().to_datetime();
        let second = std::time::Duration::from_secs(1);
        let revoked = |seconds: u32| ApiKey { revoked_at: Some(now - second * seconds), ..created(None).key };
        let expired = ApiKey { expires_at: Some(now - second * 9), ..created(None).key };
        let keys = [created(None).key, revoked(1), expired.clone(), revoked(20), revoked(3)];
        let names = |keys: &[ApiKey], seconds: u32| {
            let ended = ended(keys.iter(), now - second * seconds);
            ended.into_iter().map(|id| id.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&keys, 30), Vec::<String>::new());
        assert_eq!(names(&keys, 5), [expired.id, keys[3].id.clone()]);
        let many: Vec<ApiKey> = (0..MOST_ENDED as u32 + 2).map(revoked).collect();
        assert_eq!(names(&many, 1_000_000), [many[MOST_ENDED].id.clone(), many[MOST_ENDED + 1].id.clone()]);
    }

    #[test]
    fn a_key_says_what_it_is_for() {
        for name in ["", "a\nb", &"a".repeat(101)] {
            let new = NewKey { role: Role::Read, name: name.to_owned(), host: false, expires_at: None };
            assert!(ApiKey::create(None, new).is_err(), "{name}");
        }
    }
}
