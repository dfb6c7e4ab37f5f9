//! Frames: what subscribers receive. `docs/live.md` and `docs/live.schema.json` describe them.

use std::sync::Arc;

use bytes::Bytes;
use forge_journal::RunId;
use serde::Serialize;
use uuid::Uuid;

use super::quota::Room;
use crate::executor::{LogRecord, RunSummary, StepRecord, WorkflowRecord};

/// The kind of a frame: its `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum FrameKind {
    /// All there is. It replaces what the subscriber has.
    Snapshot,
    /// What is new.
    Delta,
    /// The run is final, and the subscriber has all of it.
    End,
}

/// A frame, a JSON object. Cheap to clone: all subscribers share its text.
#[derive(Debug, Clone)]
pub struct Frame {
    kind: FrameKind,
    position: Option<u64>,
    text: Bytes,
    /// Where the members after `id` begin.
    rest_at: usize,
    /// The room of the frame in the budget: of its own, or of all frames that are shared with it.
    room: Option<Arc<Room>>,
    is_shared: bool,
}

/// The members of a frame about a run.
#[derive(Serialize)]
pub(super) struct OfRun<'f> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<&'f WorkflowRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) steps: Option<&'f [StepRecord]>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) logs: &'f [LogRecord],
    /// Absent if a further frame of the same group follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) position: Option<u64>,
}

/// The members of a frame about a list.
#[derive(Serialize)]
pub(super) struct OfList<'f> {
    pub(super) runs: Vec<&'f RunSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gone: Option<Vec<Uuid>>,
}

impl Frame {
    /// Returns a frame with these members for subscriptions with the id `id`.
    pub(super) fn new(
        kind: FrameKind,
        id: &str,
        position: Option<u64>,
        members: &impl Serialize,
    ) -> Result<Self, serde_json::Error> {
        let mut text = head(kind, id)?;
        let rest_at = text.len();
        push_members(&mut text, &serde_json::to_string(members)?);
        Ok(Self { kind, position, text: text.into(), rest_at, room: None, is_shared: false })
    }

    /// Returns the frame with which a subscription to a run ends.
    pub(super) fn end(run: RunId, position: Option<u64>) -> Result<Self, serde_json::Error> {
        let members = OfRun { run: None, steps: None, logs: &[], position };
        Self::new(FrameKind::End, &run.to_string(), position, &members)
    }

    /// Returns the same frame, with room of its own.
    pub(super) fn within(self, room: Room) -> Self {
        Self { room: Some(Arc::new(room)), ..self }
    }

    /// Returns the same frame, with the room of all that are shared with it.
    pub(super) fn sharing(self, room: Arc<Room>) -> Self {
        Self { room: Some(room), is_shared: true, ..self }
    }

    /// Returns whether the budget has room for a copy of it.
    pub(super) fn has_room(&self) -> bool {
        self.room.is_some() && !self.is_shared
    }

    /// Returns the kind.
    pub fn kind(&self) -> FrameKind {
        self.kind
    }

    /// Returns the position of a subscriber that has read the frame; `None` if a further frame of the same group follows, and
    /// for lists.
    pub fn position(&self) -> Option<u64> {
        self.position
    }

    /// Returns the text, with the id of the run or `runs` as the subscription's id.
    pub fn text(&self) -> &Bytes {
        &self.text
    }

    /// Returns the text for a subscription with an id of its own.
    ///
    /// # Errors
    /// [`serde_json::Error`] if the id has no JSON form.
    pub fn text_for(&self, id: &str) -> Result<Bytes, serde_json::Error> {
        let mut text = head(self.kind, id)?.into_bytes();
        text.extend_from_slice(self.text.get(self.rest_at..).unwrap_or_default());
        Ok(text.into())
    }
}

fn head(kind: FrameKind, id: &str) -> Result<String, serde_json::Error> {
    Ok(format!("{{\"type\":\"{kind}\",\"id\":{}", serde_json::to_string(id)?))
}

/// Appends the members of an object to one that is not closed.
fn push_members(text: &mut String, object: &str) {
    let members = object.strip_prefix('{').unwrap_or("}");
    if members != "}" {
        text.push(',');
    }
    text.push_str(members);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(text: &Bytes) -> Value {
        serde_json::from_slice(text).unwrap()
    }

    #[test]
    fn a_frame_begins_with_its_kind_and_the_id_of_the_subscription() {
        let members = OfRun { run: None, steps: Some(&[]), logs: &[], position: Some(7) };
        let frame = Frame::new(FrameKind::Delta, "a\"b", Some(7), &members).unwrap();
        let shown = json!({ "type": "delta", "id": "a\"b", "steps": [], "position": 7 });
        assert_eq!(read(frame.text()), shown);
        assert!(frame.text().starts_with(b"{\"type\":\"delta\",\"id\":\"a\\\"b\","));
        let other = frame.text_for("ü").unwrap();
        assert_eq!(read(&other), json!({ "type": "delta", "id": "ü", "steps": [], "position": 7 }));
    }

    #[test]
    fn a_frame_may_have_no_members() {
        let members = OfRun { run: None, steps: None, logs: &[], position: None };
        let frame = Frame::new(FrameKind::End, "a", None, &members).unwrap();
        assert_eq!(read(frame.text()), json!({ "type": "end", "id": "a" }));
    }
}
