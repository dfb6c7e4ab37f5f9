//! Sending an event.

use std::future::IntoFuture;

use futures::future::LocalBoxFuture;
use serde::Serialize;
use uuid::Uuid;

use super::host;
use crate::call;
use crate::error::{Error, Failure, Result};

/// An event to send, which `.await` sends.
#[derive(Debug)]
#[must_use = "an event is not sent until `.await`"]
pub struct SendEvent {
    run_id: Uuid,
    name: String,
    /// The payload as JSON, or why it has none.
    payload: Result<String, String>,
    key: Option<String>,
}

impl SendEvent {
    pub(crate) fn new(run_id: Uuid, name: String, payload: &impl Serialize) -> Self {
        let payload = serde_json::to_string(payload).map_err(|error| error.to_string());
        SendEvent { run_id, name, payload, key: None }
    }

    /// Sets the event's key: of several events with one name and one key, the run gets the first, whoever
    /// sends them. Without it, the call has a key of its own, which is the same in each attempt of a step.
    pub fn key(self, key: impl Into<String>) -> Self {
        SendEvent { key: Some(key.into()), ..self }
    }

    /// Sends the event. `.await` does the same.
    ///
    /// # Errors
    /// Returns a [`Failure`] if the event was not sent: the tenant has no such run, the run has ended, it has
    /// too many events that it has not received, or the payload, the name or the key is invalid.
    pub async fn send(self) -> Result<()> {
        let SendEvent { run_id, name, payload, key } = self;
        let payload = payload.map_err(|error| {
            Failure::permanent(format!("the payload of event `{name}` cannot be written as JSON: {error}"))
        })?;
        let run_id = run_id.to_string();
        let call = call::perform(|scope| host::send(scope, &run_id, &name, &payload, key.as_deref())).await;
        host::sent(call).map_err(|failure| Error::new(Failure::from(failure)))
    }
}

/// Makes `.await` the same as `.send().await`.
impl IntoFuture for SendEvent {
    type Output = Result<()>;
    type IntoFuture = LocalBoxFuture<'static, Result<()>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
