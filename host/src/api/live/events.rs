//! Server-sent events about one run.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Interval;
use tokio_util::sync::DropGuard;

use super::subscriber::{SLOTS, Subscription, Yielded};
use crate::api::server::Lasts;
use crate::api::{Api, ApiError};
use crate::executor::ExecutorError;
use crate::executor::live::{Frame, LiveConnection, RunSubscription};
use crate::tenants::Caller;

/// A comment, which keeps a silent connection open.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// A response under way.
struct Events {
    api: Api,
    caller: Caller,
    frames: mpsc::Receiver<Yielded>,
    comments: Interval,
    _drive: DropGuard,
    _kept: Option<Lasts>,
}

/// Returns the response with the frames of a subscription.
pub(super) fn response(
    api: Api,
    caller: Caller,
    connection: &LiveConnection,
    subscription: RunSubscription,
    kept: Option<Lasts>,
) -> Response {
    let pause = connection.limits().ping;
    let (sender, frames) = mpsc::channel(SLOTS);
    let events = Events {
        frames,
        _drive: Subscription::Run(subscription).drive(0, sender),
        comments: tokio::time::interval_at(tokio::time::Instant::now() + pause, pause),
        api,
        caller,
        _kept: kept,
    };
    let body = stream::unfold(Some(events), |events| async {
        let mut events = events?;
        let (text, goes_on) = events.next().await?;
        Some((Ok::<_, std::convert::Infallible>(text), goes_on.then_some(events)))
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A proxy that collects the response would keep the events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

impl Events {
    /// Returns what is sent next, and whether there is more after it; `None` at the end.
    async fn next(&mut self) -> Option<(Bytes, bool)> {
        let Self { api, caller, frames, comments, .. } = self;
        let yielded = tokio::select! {
            biased;
            () = api.closing.cancelled() => {
                return Some((error_event(&ExecutorError::ShuttingDown.into()), false));
            }
            () = api.host.tenants().revoked(caller) => {
                return Some((error_event(&ApiError::key_revoked()), false));
            }
            yielded = frames.recv() => yielded?.what,
            _ = comments.tick() => return Some((COMMENT, true)),
        };
        match yielded {
            Ok(Some(frame)) => {
                let owner = Event { text: event(&frame), _frame: frame };
                Some((Bytes::from_owner(owner), true))
            }
            Ok(None) => None,
            Err(error) => Some((error_event(&error.into()), false)),
        }
    }
}

/// An event, which keeps the room of its frame until it is written.
struct Event {
    text: Vec<u8>,
    _frame: Frame,
}

impl AsRef<[u8]> for Event {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// Returns a frame as an event. JSON text has no line breaks.
fn event(frame: &Frame) -> Vec<u8> {
    let mut text = format!("event: {}\n", frame.kind());
    if let Some(position) = frame.position() {
        text.push_str(&format!("id: {position}\n"));
    }
    text.push_str("data: ");
    let mut text = text.into_bytes();
    text.extend_from_slice(frame.text());
    text.extend_from_slice(b"\n\n");
    text
}

fn error_event(error: &ApiError) -> Bytes {
    let frame = json!({ "type": "error", "error": error.body().error });
    format!("event: error\ndata: {frame}\n\n").into()
}
