//! The keys that encrypt secrets.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::SecretError;
use forge_clock as clock;

/// The size of a key, in bytes.
pub(super) const KEY_BYTES: usize = 32;

/// The prefix that is hashed with a key to make its id, so that the id reveals nothing about other hashes of the key.
const ID_OF: &[u8] = b"forge secrets key id\0";

/// The decoding of base64 with or without `=` at the end, because keys are copied by hand.
const RELAXED: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const RELAXED_STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, RELAXED);
const RELAXED_URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, RELAXED);

/// The keys that encrypt secrets. The first key encrypts; all of them decrypt. To change the key, add a new one as the
/// first, encrypt all secrets again, and remove the old one.
///
/// The text form is a list of keys of 32 bytes in base64, separated by commas or line ends. A `#` starts a comment that
/// ends with the line. Keys are wiped when dropped, and `Debug` shows only their ids.
pub struct KeyRing {
    /// Never empty.
    keys: Vec<Key>,
}

/// One key.
pub(super) struct Key {
    /// The first eight hexadecimal digits of a hash of it.
    pub(super) id: String,
    pub(super) bytes: Zeroizing<[u8; KEY_BYTES]>,
}

impl KeyRing {
    /// Returns a new random key as text for [`KeyRing::from_str`].
    ///
    /// # Errors
    /// [`SecretError::Random`] if the operating system returns no random bytes.
    pub fn generate() -> Result<String, SecretError> {
        let key = Zeroizing::new(clock::random::<KEY_BYTES>()?);
        Ok(STANDARD.encode(*key))
    }

    /// Returns the ids of the keys. The first key encrypts.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.id.as_str())
    }

    /// Returns the key that encrypts.
    pub(super) fn current(&self) -> Option<&Key> {
        self.keys.first()
    }

    /// Returns the keys with an id. By chance, several keys can have the same id.
    pub(super) fn with_id(&self, id: &str) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| key.id == id)
    }
}

impl FromStr for KeyRing {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lines = text.lines().map(|line| line.split_once('#').map_or(line, |(keys, _)| keys));
        let texts = lines.flat_map(|line| line.split(',')).map(str::trim).filter(|text| !text.is_empty());
        let keys = texts
            .enumerate()
            .map(|(index, text)| {
                Key::parse(text).map_err(|why| SecretError::InvalidKey { number: index + 1, why })
            })
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(SecretError::NoKey) } else { Ok(Self { keys }) }
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

impl Key {
    /// Decodes a key. The error does not contain any part of it.
    fn parse(text: &str) -> Result<Self, String> {
        let is_url_safe = text.contains(['-', '_']);
        let base64 = if is_url_safe { RELAXED_URL_SAFE } else { RELAXED_STANDARD };
        let bytes = base64.decode(text).map_err(|_| "it is not base64".to_owned())?;
        let bytes = Zeroizing::new(bytes);
        let key: [u8; KEY_BYTES] =
            bytes.as_slice().try_into().map_err(|_| format!("it has {} bytes", bytes.len()))?;
        let bytes = Zeroizing::new(key);
        let hash = Sha256::new().chain_update(ID_OF).chain_update(bytes.as_slice()).finalize();
        let id = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { id, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_a_list_with_comments() {
        let (new, old) = (KeyRing::generate().unwrap(), KeyRing::generate().unwrap());
        assert_ne!(new, old);
        let id = |text: &str| text.parse::<KeyRing>().unwrap().ids().next().unwrap().to_owned();
        let expected = [id(&new), id(&old)];
        for text in [format!("{new},{old}"), format!("# new\n {new} # since May\r\n\n{old}\n")] {
            let ring: KeyRing = text.parse().unwrap();
            assert_eq!(ring.ids().collect::<Vec<_>>(), expected);
            assert_eq!(format!("{ring:?}"), format!("{expected:?}"), "nothing but ids is shown");
        }
    }

    #[test]
    fn a_key_is_the_same_in_all_forms_of_base64() {
        let bytes = [0xfb; KEY_BYTES];
        let standard = STANDARD.encode(bytes);
        let url_safe = standard.replace('+', "-").replace('/', "_");
        let forms = [&standard, standard.trim_end_matches('='), &url_safe, url_safe.trim_end_matches('=')];
        for form in forms {
            assert_eq!(*form.parse::<KeyRing>().unwrap().current().unwrap().bytes, bytes, "{form}");
        }
        assert_eq!(standard.parse::<KeyRing>().unwrap().ids().next(), Some("b4629f92"));
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        assert!(matches!(" # none\n".parse::<KeyRing>(), Err(SecretError::NoKey)));
        let good = KeyRing::generate().unwrap();
        for (wrong, why) in [("hunter2!", "not base64"), ("aHVudGVyMg==", "it has 7 bytes")] {
            let error = format!("{good},{wrong}").parse::<KeyRing>().unwrap_err().to_string();
            assert!(error.contains("key 2 is not valid") && error.contains(why), "{error}");
            assert!(!error.contains(wrong) && error.contains("generate-key"), "{error}");
        }
    }
}
