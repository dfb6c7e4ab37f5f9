use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::UnknownWord;

/// The kind of a journaled call: `step`, `compensation`, `time`, or the word of an effect, such as `http`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Kind {
    /// A named step.
    Step,
    /// The compensation of a step. Its scope names the step.
    Compensation,
    /// A reading of the workflow's time.
    Time,
    /// A call whose outcome comes from outside the guest, such as a request or a timer.
    Effect(EffectKind),
}

/// The word of an effect. The journal has no list of them: each effect defines its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EffectKind {
    /// The bytes, padded with zeros.
    word: [u8; EffectKind::MOST],
}

impl EffectKind {
    /// The maximum number of bytes of a word.
    const MOST: usize = 15;

    /// Creates the kind with this word. In a constant, a word that is too long does not compile.
    #[must_use]
    pub const fn new(text: &str) -> Self {
        let (mut word, bytes) = ([0; Self::MOST], text.as_bytes());
        assert!(bytes.len() <= Self::MOST, "the word of an effect has at most 15 bytes");
        let mut at = 0;
        while at < bytes.len() {
            word[at] = bytes[at];
            at += 1;
        }
        Self { word }
    }

    /// Returns the word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let length = self.word.iter().position(|byte| *byte == 0).unwrap_or(Self::MOST);
        // The bytes come from a `&str`.
        self.word.get(..length).and_then(|word| std::str::from_utf8(word).ok()).unwrap_or_default()
    }
}

impl fmt::Debug for EffectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Kind {
    /// Returns the word that the database, the API and the CLI use.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Step => "step",
            Self::Compensation => "compensation",
            Self::Time => "time",
            Self::Effect(kind) => kind.as_str(),
        }
    }

    /// Returns whether such a call contains code of the guest, and so calls of its own.
    #[must_use]
    pub const fn has_scope(self) -> bool {
        matches!(self, Self::Step | Self::Compensation)
    }

    /// Returns the effect, if this is one.
    #[must_use]
    pub const fn effect(self) -> Option<EffectKind> {
        match self {
            Self::Effect(kind) => Some(kind),
            Self::Step | Self::Compensation | Self::Time => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Ok(match word {
            "step" => Self::Step,
            "compensation" => Self::Compensation,
            "time" => Self::Time,
            _ if (1..=EffectKind::MOST).contains(&word.len())
                && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') =>
            {
                Self::Effect(EffectKind::new(word))
            }
            _ => return Err(UnknownWord::new("kind of call", word)),
        })
    }
}

impl TryFrom<String> for Kind {
    type Error = UnknownWord;

    fn try_from(word: String) -> Result<Self, Self::Error> {
        word.parse()
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        kind.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_written_and_read_as_its_word() {
        for word in ["step", "compensation", "time", "http", "fifteen_letters"] {
            let kind: Kind = word.parse().unwrap();
            assert_eq!(kind.to_string(), word);
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{word}\""));
        }
        for wrong in ["", "Step", "sixteen__letters", "a-b", "ü"] {
            assert!(wrong.parse::<Kind>().is_err(), "{wrong}");
        }
    }
}
