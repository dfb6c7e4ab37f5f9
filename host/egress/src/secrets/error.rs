/// What is wrong with a secret, or with the keys that seal them. No message has a value or a key in it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// A name that no secret can have.
    #[error(
        "`{0}` cannot be the name of a secret: use 1 to 64 of the letters A-Z and a-z, digits, `_` and `-`"
    )]
    InvalidName(String),
    /// A value that no secret can have.
    #[error("a secret cannot have this value: {0}")]
    InvalidValue(String),
    /// More than a host looks for in every answer.
    #[error(
        "the secrets of a tenant have {bytes} bytes together; the most is {most}. Remove those that are not used"
    )]
    TooMuch {
        /// What they have.
        bytes: usize,
        /// What they may have.
        most: usize,
    },
    /// Nothing to seal with.
    #[error(
        "there is no key for secrets: make one with `forge secrets generate-key`, and give it to the host \
         (`forge serve --secrets-key-file FILE`)"
    )]
    NoKey,
    /// A text that is no key.
    #[error(
        "key {number} is not valid ({why}): a key is what `forge secrets generate-key` prints, 32 bytes in base64, and \
         keys are separated by commas or line ends"
    )]
    InvalidKey {
        /// Which one of them, from 1.
        number: usize,
        /// What is wrong with it.
        why: String,
    },
    /// Something was sealed with a key that this host does not have.
    #[error(
        "the secret `{name}` is sealed with the key {key_id}, which this host does not have (it has {known}): add that \
         key after the others, or set the secret again"
    )]
    UnknownKey {
        /// The secret.
        name: String,
        /// The key's id.
        key_id: String,
        /// The ids of the keys that the host has.
        known: String,
    },
    /// What was sealed is not what is there.
    #[error(
        "the secret `{name}` cannot be opened: what is stored was changed, or belongs to another tenant or name. Set \
         the secret again"
    )]
    NotAuthentic {
        /// The secret.
        name: String,
    },
    /// It could not be sealed.
    #[error("the secret `{name}` cannot be sealed")]
    NotSealed {
        /// The secret.
        name: String,
    },
    /// What is looked for in answers could not be prepared.
    #[error("cannot prepare to look for secrets in answers: {0}")]
    Search(String),
    /// The operating system has no randomness.
    #[error("the operating system gives no random bytes: {0}")]
    Random(#[from] std::io::Error),
}
