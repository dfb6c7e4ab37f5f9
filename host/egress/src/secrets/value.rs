//! The names and values of secrets.

use std::fmt;

use zeroize::Zeroizing;

use super::SecretError;

/// The maximum length of a name.
const LONGEST_NAME: usize = 64;

/// The minimum size of a value, in bytes. A shorter one is likely to occur in an answer by chance, and redacting it
/// would damage the answer.
const SHORTEST: usize = 8;

/// The maximum size of a value, in bytes: more than any server accepts in a header.
const LONGEST: usize = 64 << 10;

/// The value of a secret. It is wiped when dropped, and `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Zeroizing<String>);

impl SecretValue {
    /// Checks and wraps a value.
    ///
    /// # Errors
    /// The errors of [`check_value`].
    pub fn new(value: impl Into<String>) -> Result<Self, SecretError> {
        let value = Zeroizing::new(value.into());
        check_value(&value)?;
        Ok(Self(value))
    }

    /// Returns the value. The caller must keep it out of logs, errors and the journal.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(..)")
    }
}

/// Checks that a text can be the name of a secret.
///
/// # Errors
/// [`SecretError::InvalidName`] if it cannot.
pub fn check_name(name: &str) -> Result<(), SecretError> {
    let fits = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'_' | b'-');
    if (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(());
    }
    Err(SecretError::InvalidName(name.chars().take(LONGEST_NAME).collect()))
}

/// Checks that a text can be the value of a secret: 8 bytes to 64 KiB that a header can contain.
///
/// # Errors
/// [`SecretError::InvalidValue`] if it cannot. The error does not contain the value.
pub fn check_value(value: &str) -> Result<(), SecretError> {
    let invalid = |why: String| Err(SecretError::InvalidValue(why));
    if let Some(at) = value.bytes().position(|byte| !matches!(byte, b'\t' | b' '..=b'~')) {
        return invalid(match value.as_bytes().get(at) {
            Some(b'\r' | b'\n') => format!(
                "byte {at} is a line end, which a header cannot have (`printf %s` prints a text without one at its end)"
            ),
            _ => format!(
                "byte {at} is no visible ASCII character, so it cannot be in a header; encode it, as base64"
            ),
        });
    }
    if value.trim_ascii().len() != value.len() {
        return invalid("it begins or ends with a space, which servers leave out of a header".to_owned());
    }
    match value.len() {
        len @ ..SHORTEST => invalid(format!(
            "it has {len} bytes; with fewer than {SHORTEST} it could not be told from other text in an answer"
        )),
        len if len > LONGEST => invalid(format!("it has {len} bytes; the most is {LONGEST}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_letters_digits_underscores_and_hyphens() {
        for right in ["a", "STRIPE_KEY", "a-1", &"x".repeat(64)] {
            assert!(check_name(right).is_ok(), "{right}");
        }
        for wrong in ["", "a b", "a}", "ä", "a.b", "a/b", &"x".repeat(65)] {
            assert!(check_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_value_is_what_a_header_can_have_and_long_enough_to_be_found_again() {
        for right in ["12345678", "a\tb c \"d\" \\ ~!", &"x".repeat(64 << 10)] {
            assert!(check_value(right).is_ok(), "{right}");
        }
        for (wrong, why) in [
            ("1234567", "it has 7 bytes"),
            ("", "it has 0 bytes"),
            ("hunter2-hunter2\n", "byte 15 is a line end"),
            ("a\r\nx-injected: 1", "byte 1 is a line end"),
            ("pässword", "byte 1 is no visible"),
            ("pass\0word", "byte 4 is no visible"),
            ("pass\x7fword", "byte 4 is no visible"),
            (" password", "begins or ends"),
            (&"x".repeat((64 << 10) + 1), "it has 65537 bytes"),
        ] {
            let error = check_value(wrong).unwrap_err().to_string();
            assert!(error.contains(why), "{wrong}: {error}");
            assert!(wrong.is_empty() || !error.contains(wrong), "the value is not in the message");
        }
    }

    #[test]
    fn a_value_is_not_shown() {
        let value = SecretValue::new("hunter2-hunter2").unwrap();
        assert_eq!(format!("{value:?}"), "SecretValue(..)");
        assert_eq!(value.expose(), "hunter2-hunter2");
    }
}
