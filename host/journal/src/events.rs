//! The JSON documents that the journal stores for calls that receive and send events.

use serde::Deserialize;

use super::document::{object, quoted};
use super::{Document, RunId};

/// The most bytes of the name or the key of an event: the width of the column for names in the spec.
pub const MOST_NAME: usize = 255;

/// What a call that waits for an event asks for. The row has the event's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Receive {
    /// The milliseconds after which the call fails. 0: it takes an event that is there, and does not wait.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

/// An event that a run sends.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SendEvent {
    /// The run that it is sent to.
    pub run: RunId,
    /// The name.
    pub name: String,
    /// The key that the workflow gave it, if it gave one.
    #[serde(default)]
    pub key: Option<String>,
    /// The payload.
    pub payload: Document,
}

/// The same, as a guest passes it and before it is checked.
#[derive(Debug, Clone, Copy)]
pub struct UncheckedEvent<'e> {
    /// The id of a run.
    pub run: &'e str,
    /// The name.
    pub name: &'e str,
    /// The key.
    pub key: Option<&'e str>,
    /// The payload.
    pub payload: &'e str,
}

impl Receive {
    /// Returns the document.
    #[must_use]
    pub fn to_json(self) -> String {
        object([("timeout_ms", self.timeout_ms.map(|timeout| timeout.to_string().into()))])
    }

    /// Reads the document.
    ///
    /// # Errors
    /// [`serde_json::Error`] if the text is no such document.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl SendEvent {
    /// Reads the document.
    ///
    /// # Errors
    /// [`serde_json::Error`] if the text is no such document.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl UncheckedEvent<'_> {
    /// Returns the document that [`SendEvent::from_json`] reads, if the event is valid. Two events have the same document
    /// only if they are the same, valid or not.
    #[must_use]
    pub fn to_json(&self) -> String {
        object([
            ("run", Some(quoted(self.run))),
            ("name", Some(quoted(self.name))),
            ("key", self.key.map(quoted)),
            ("payload", Some(self.payload.into())),
        ])
    }
}

/// The error of a name or a key that no event may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// It is empty, or too long.
    #[error("it must have 1 to {MOST_NAME} bytes, and has {0}")]
    Length(usize),
    /// It has a control character.
    #[error("it must not have control characters, and has {0:?}")]
    Control(char),
}

/// Checks the name or the key of an event.
///
/// # Errors
/// [`InvalidName`].
pub fn check_name(name: &str) -> Result<(), InvalidName> {
    if name.is_empty() || name.len() > MOST_NAME {
        return Err(InvalidName::Length(name.len()));
    }
    name.chars()
        .find(|character| character.is_control())
        .map_or(Ok(()), |found| Err(InvalidName::Control(found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "01941f29-7c00-7000-8000-000000000001";

    #[test]
    fn an_event_is_written_as_it_was_passed_and_read_again() {
        let event =
            UncheckedEvent { run: RUN, name: "approval", key: Some("a\"1"), payload: r#"{"n":1.50}"# };
        let text = event.to_json();
        assert_eq!(
            text,
            format!(r#"{{"run":"{RUN}","name":"approval","key":"a\"1","payload":{{"n":1.50}}}}"#)
        );
        let read = SendEvent::from_json(&text).unwrap();
        assert_eq!(
            (read.run, read.name.as_str(), read.key.as_deref()),
            (RUN.parse().unwrap(), "approval", Some("a\"1"))
        );
        assert_eq!(read.payload.to_string(), r#"{"n":1.50}"#);
        let without_key = UncheckedEvent { key: None, ..event }.to_json();
        assert_eq!(SendEvent::from_json(&without_key).unwrap().key, None);
    }

    #[test]
    fn a_wait_without_a_timeout_is_another_one_than_a_wait_of_no_time() {
        assert_eq!(Receive { timeout_ms: None }.to_json(), "{}");
        assert_eq!(Receive { timeout_ms: Some(0) }.to_json(), r#"{"timeout_ms":0}"#);
    }

    #[test]
    fn names_have_a_length_and_no_control_characters() {
        for name in ["a", "order/7", "naïve approval", &"n".repeat(MOST_NAME)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        assert_eq!(check_name(""), Err(InvalidName::Length(0)));
        assert_eq!(check_name(&"é".repeat(128)), Err(InvalidName::Length(256)));
        assert_eq!(check_name("a\0b"), Err(InvalidName::Control('\0')));
        assert_eq!(check_name("a\u{85}"), Err(InvalidName::Control('\u{85}')));
    }
}
