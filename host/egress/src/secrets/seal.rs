//! Encrypts and decrypts secrets for the database.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::keys::Key;
use super::{KeyRing, SecretError, SecretValue};
use forge_clock as clock;

/// The size of a nonce, in bytes: large enough that random nonces do not collide.
const NONCE_BYTES: usize = 24;

/// The type and version of the encrypted data, which distinguish it from anything else encrypted with the same key.
const FORM: &[u8] = b"forge secret 1\0";

/// An encrypted secret. It can be decrypted only with the key, and only for the tenant and name that it was encrypted
/// for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The id of the key that encrypted it.
    pub key_id: String,
    /// The random nonce and the value encrypted with XChaCha20-Poly1305, in base64.
    pub data: String,
}

impl KeyRing {
    /// Encrypts the value of a secret for a tenant and a name.
    ///
    /// # Errors
    /// [`SecretError::Random`] if the operating system returns no random bytes, [`SecretError::NotSealed`] if
    /// encrypting fails.
    pub fn seal(&self, tenant: &str, name: &str, value: &SecretValue) -> Result<Sealed, SecretError> {
        let key = self.current().ok_or(SecretError::NoKey)?;
        let nonce = clock::random::<NONCE_BYTES>()?;
        let payload = Payload { msg: value.expose().as_bytes(), aad: &owner(tenant, name) };
        let sealed = cipher(key)
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| SecretError::NotSealed { name: name.to_owned() })?;
        Ok(Sealed { key_id: key.id.clone(), data: STANDARD.encode([&nonce[..], &sealed].concat()) })
    }

    /// Decrypts a secret of this tenant and name.
    ///
    /// # Errors
    /// [`SecretError::UnknownKey`] if the key is missing, [`SecretError::NotAuthentic`] if the data was changed or
    /// belongs to another tenant or name, [`SecretError::InvalidValue`] if the value is not valid.
    pub fn open(&self, tenant: &str, name: &str, sealed: &Sealed) -> Result<SecretValue, SecretError> {
        let mut keys = self.with_id(&sealed.key_id).peekable();
        if keys.peek().is_none() {
            let known = self.ids().collect::<Vec<_>>().join(", ");
            return Err(SecretError::UnknownKey {
                name: name.to_owned(),
                key_id: sealed.key_id.clone(),
                known,
            });
        }
        let not_authentic = || SecretError::NotAuthentic { name: name.to_owned() };
        let data = STANDARD.decode(&sealed.data).map_err(|_| not_authentic())?;
        let (nonce, data) = data.split_first_chunk::<NONCE_BYTES>().ok_or_else(not_authentic)?;
        let aad = owner(tenant, name);
        let value = keys
            .find_map(|key| cipher(key).decrypt(&XNonce::from(*nonce), Payload { msg: data, aad: &aad }).ok())
            .map(Zeroizing::new)
            .ok_or_else(not_authentic)?;
        SecretValue::new(str::from_utf8(&value).map_err(|_| not_authentic())?)
    }

    /// Returns whether a secret is encrypted with the current key. If not, it should be encrypted again.
    pub fn is_current(&self, sealed: &Sealed) -> bool {
        self.current().is_some_and(|key| key.id == sealed.key_id)
    }
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new((&*key.bytes).into())
}

/// Returns the owner of a value as bytes. Lengths precede the texts, so that different owners have different bytes.
fn owner(tenant: &str, name: &str) -> Vec<u8> {
    let mut bytes = FORM.to_vec();
    for text in [tenant, name] {
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value() -> SecretValue {
        SecretValue::new("hunter2-hunter2").unwrap()
    }

    fn key() -> String {
        KeyRing::generate().unwrap()
    }

    #[test]
    fn what_is_sealed_opens_for_its_tenant_and_name_and_for_nobody_else() {
        let ring: KeyRing = key().parse().unwrap();
        let sealed = ring.seal("acme", "API_KEY", &value()).unwrap();
        assert_eq!(ring.open("acme", "API_KEY", &sealed).unwrap(), value());
        for (tenant, name) in
            [("other", "API_KEY"), ("acme", "OTHER"), ("acmeA", "PI_KEY"), ("", "acmeAPI_KEY")]
        {
            let error = ring.open(tenant, name, &sealed).unwrap_err();
            assert!(matches!(error, SecretError::NotAuthentic { .. }), "{tenant} {name}: {error}");
        }
        let again = ring.seal("acme", "API_KEY", &value()).unwrap();
        assert_ne!(sealed.data, again.data, "a nonce is used once");
    }

    #[test]
    fn what_was_changed_or_cut_does_not_open() {
        let ring: KeyRing = key().parse().unwrap();
        let sealed = ring.seal("acme", "K", &value()).unwrap();
        let bytes = STANDARD.decode(&sealed.data).unwrap();
        let refused = |data: String| {
            let error = ring.open("acme", "K", &Sealed { data, ..sealed.clone() }).unwrap_err();
            assert!(matches!(error, SecretError::NotAuthentic { .. }), "{error}");
        };
        for len in 0..bytes.len() {
            refused(STANDARD.encode(&bytes[..len]));
            let mut changed = bytes.clone();
            changed[len] ^= 1;
            refused(STANDARD.encode(changed));
        }
        refused("no base64".to_owned());
    }

    #[test]
    fn a_wrong_key_does_not_open_it_even_with_the_right_id() {
        let ring: KeyRing = key().parse().unwrap();
        let sealed = ring.seal("acme", "K", &value()).unwrap();
        let other: KeyRing = key().parse().unwrap();
        let error = other.open("acme", "K", &sealed).unwrap_err();
        assert!(matches!(error, SecretError::UnknownKey { .. }), "{error}");
        assert!(error.to_string().contains(&sealed.key_id), "{error}");
        let claimed = Sealed { key_id: other.ids().next().unwrap().to_owned(), ..sealed };
        let error = other.open("acme", "K", &claimed).unwrap_err();
        assert!(matches!(error, SecretError::NotAuthentic { .. }), "{error}");
    }

    #[test]
    fn a_key_is_changed_by_putting_a_new_one_first() {
        let (old, new) = (key(), key());
        let sealed = old.parse::<KeyRing>().unwrap().seal("acme", "K", &value()).unwrap();
        let both: KeyRing = format!("{new},{old}").parse().unwrap();
        assert!(!both.is_current(&sealed));
        let opened = both.open("acme", "K", &sealed).unwrap();
        let again = both.seal("acme", "K", &opened).unwrap();
        assert!(both.is_current(&again));
        let only_new: KeyRing = new.parse().unwrap();
        assert_eq!(only_new.open("acme", "K", &again).unwrap(), value());
        assert!(only_new.open("acme", "K", &sealed).is_err());
    }

    #[test]
    fn what_is_stored_is_json_with_the_id_of_the_key() {
        let ring: KeyRing = key().parse().unwrap();
        let sealed = ring.seal("acme", "K", &value()).unwrap();
        let json = serde_json::to_string(&sealed).unwrap();
        assert!(json.starts_with(r#"{"key_id":""#) && !json.contains("hunter2"), "{json}");
        assert_eq!(serde_json::from_str::<Sealed>(&json).unwrap(), sealed);
    }
}
