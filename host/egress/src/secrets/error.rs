//! The errors of secrets and keys.

/// An error of a secret, or of the keys that encrypt secrets. No message contains a value or a key.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The name is not valid.
    #[error(
        "`{0}` cannot be the name of a secret: use 1 to 64 of the letters A-Z and a-z, digits, `_` and `-`"
    )]
    InvalidName(String),
    /// The value is not valid. Holds the reason.
    #[error("a secret cannot have this value: {0}")]
    InvalidValue(String),
    /// The values of the tenant's secrets are too large together.
    #[error(
        "the secrets of a tenant have {bytes} bytes together; the most is {most}. Remove those that are not used"
    )]
    TooMuch {
        /// Their size in bytes.
        bytes: usize,
        /// The maximum in bytes.
        most: usize,
    },
    /// The host has no key to encrypt secrets with.
    #[error(
        "there is no key for secrets: make one with `forge secrets generate-key`, and give it to the host \
         (`forge serve --secrets-key-file FILE`)"
    )]
    NoKey,
    /// A text is not a key.
    #[error(
        "key {number} is not valid ({why}): a key is what `forge secrets generate-key` prints, 32 bytes in base64, and \
         keys are separated by commas or line ends"
    )]
    InvalidKey {
        /// The number of the key in the text, from 1.
        number: usize,
        /// The reason why it is not a key.
        why: String,
    },
    /// A secret is encrypted with a key that this host does not have.
    #[error(
        "the secret `{name}` is sealed with the key {key_id}, which this host does not have (it has {known}): add that \
         key after the others, or set the secret again"
    )]
    UnknownKey {
        /// The secret's name.
        name: String,
        /// The key's id.
        key_id: String,
        /// The ids of the keys that the host has.
        known: String,
    },
    /// A stored secret was changed, or belongs to another tenant or name.
    #[error(
        "the secret `{name}` cannot be opened: what is stored was changed, or belongs to another tenant or name. Set \
         the secret again"
    )]
    NotAuthentic {
        /// The secret's name.
        name: String,
    },
    /// A secret could not be encrypted.
    #[error("the secret `{name}` cannot be sealed")]
    NotSealed {
        /// The secret's name.
        name: String,
    },
    /// The search for secrets in answers could not be prepared.
    #[error("cannot prepare to look for secrets in answers: {0}")]
    Search(String),
    /// The operating system returned no random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    Random(#[from] std::io::Error),
}
