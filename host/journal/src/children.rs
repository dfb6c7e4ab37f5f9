//! Runs that a run starts: their ids, and the JSON documents that the journal stores for the calls that start them.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use uuid::Builder;

use super::document::{object, quoted};
use super::{Document, RunId, Timestamp};

/// Separates the hash of a child's id from other hashes of runs.
const CHILD: &[u8] = b"forge child run";

impl RunId {
    /// Returns the id of the run that a call starts: a UUIDv7 with the time of the call. Its other bits are derived from the
    /// run and the position of the call, so a call that is repeated after a crash starts the same run.
    #[must_use]
    pub fn child_of(parent: Self, call: u64, started_at: Timestamp) -> Self {
        let hash = Sha256::new()
            .chain_update(CHILD)
            .chain_update(parent.0)
            .chain_update(call.to_be_bytes())
            .finalize();
        let mut bits = [0; 10];
        bits.iter_mut().zip(hash).for_each(|(bit, byte)| *bit = byte);
        let time = u64::try_from(started_at.0).unwrap_or(0);
        Self(Builder::from_unix_timestamp_millis(time, &bits).into_uuid())
    }

    /// Returns the time in the id, in milliseconds: that at which the run was accepted, or of the call that started it.
    #[must_use]
    pub fn started_at(self) -> Timestamp {
        let [a, b, c, d, e, f, ..] = self.0.into_bytes();
        Timestamp(i64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// Returns the id as a JSON string: the result of a call that starts a detached run.
    #[must_use]
    pub fn to_json(self) -> String {
        quoted(&self.to_string()).into_owned()
    }

    /// Reads an id from a JSON string.
    ///
    /// # Errors
    /// [`serde_json::Error`] if the text is no such string.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// A run to start.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StartRun {
    /// The workflow's name.
    pub workflow: String,
    /// The workflow's version. `None`: the one that a start by a client gets.
    #[serde(default)]
    pub version: Option<u32>,
    /// The milliseconds after which the run times out. `None`: those of the workflow.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// The input.
    pub input: Document,
}

/// The same, as a guest passes it and before it is checked.
#[derive(Debug, Clone, Copy)]
pub struct UncheckedStart<'s> {
    /// The workflow's name.
    pub workflow: &'s str,
    /// The workflow's version.
    pub version: Option<u32>,
    /// The milliseconds after which the run times out.
    pub timeout_ms: Option<u64>,
    /// The input.
    pub input: &'s str,
}

impl StartRun {
    /// Reads the document.
    ///
    /// # Errors
    /// [`serde_json::Error`] if the text is no such document.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl UncheckedStart<'_> {
    /// Returns the document that [`StartRun::from_json`] reads, if the start is valid. Two starts have the same document only
    /// if they are the same, valid or not.
    #[must_use]
    pub fn to_json(&self) -> String {
        object([
            ("workflow", Some(quoted(self.workflow))),
            ("version", self.version.map(|version| version.to_string().into())),
            ("timeout_ms", self.timeout_ms.map(|timeout| timeout.to_string().into())),
            ("input", Some(self.input.into())),
        ])
    }
}

/// A run to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct CancelRun {
    /// The run.
    pub run: RunId,
}

impl CancelRun {
    /// Returns the document for a run that a guest names, which may be no id.
    #[must_use]
    pub fn unchecked(run: &str) -> String {
        object([("run", Some(quoted(run)))])
    }

    /// Reads the document.
    ///
    /// # Errors
    /// [`serde_json::Error`] if the text is no such document.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "01941f29-7c00-7000-8000-000000000001";

    #[test]
    fn the_id_of_a_child_is_a_uuid_of_its_time_and_depends_on_the_parent_and_the_call_alone() {
        let parent: RunId = PARENT.parse().unwrap();
        let at = Timestamp(1_735_689_612_345);
        let child = RunId::child_of(parent, 7, at);
        assert_eq!(child, RunId::child_of(parent, 7, at));
        assert_eq!(child.to_string(), "01941f29-ac39-7fd0-80b0-8044e20f18f5", "ids never change");
        assert_eq!(child.started_at(), at);
        assert_eq!(child.0.get_version_num(), 7);
        assert_eq!(child.0.get_variant(), uuid::Variant::RFC4122);
        let other = RunId(uuid::Uuid::from_u128(parent.0.as_u128() + 1));
        assert_ne!(child, RunId::child_of(parent, 8, at));
        assert_ne!(child, RunId::child_of(other, 7, at));
    }

    #[test]
    fn a_start_is_written_as_it_was_passed_and_read_again() {
        let start =
            UncheckedStart { workflow: "ship", version: Some(2), timeout_ms: Some(5), input: "[1.0]" };
        let text = start.to_json();
        assert_eq!(text, r#"{"workflow":"ship","version":2,"timeout_ms":5,"input":[1.0]}"#);
        let read = StartRun::from_json(&text).unwrap();
        assert_eq!((read.workflow.as_str(), read.version, read.timeout_ms), ("ship", Some(2), Some(5)));
        assert_eq!(read.input.to_string(), "[1.0]");
        let plain = UncheckedStart { version: None, timeout_ms: None, ..start }.to_json();
        assert_eq!(plain, r#"{"workflow":"ship","input":[1.0]}"#);
    }

    #[test]
    fn the_result_of_a_detached_start_is_the_id_of_the_run() {
        let run: RunId = PARENT.parse().unwrap();
        assert_eq!(run.to_json(), format!("\"{PARENT}\""));
        assert_eq!(RunId::from_json(&run.to_json()).unwrap(), run);
        assert!(RunId::from_json("null").is_err());
    }

    #[test]
    fn a_cancel_names_a_run() {
        let text = CancelRun::unchecked(PARENT);
        assert_eq!(CancelRun::from_json(&text).unwrap().run, PARENT.parse().unwrap());
        assert!(CancelRun::from_json(&CancelRun::unchecked("no id")).is_err());
    }
}
