//! The WebSocket of a client.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message as Sent, Utf8Bytes, WebSocket, close_code};
use bytes::Bytes;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::DropGuard;

use super::allowed;
use super::message::{Message, Target};
use super::subscriber::{SLOTS, Subscription, Yielded};
use crate::api::run_filter;
use crate::api::{Api, ApiError, ErrorCode};
use crate::config::LiveLimits;
use crate::executor::live::{FrameKind, LiveConnection};
use crate::executor::{ExecutorError, WorkflowExecutor};
use crate::tenants::Caller;

/// The time in which a client must take the frame with which its connection is closed.
const FAREWELL: Duration = Duration::from_secs(1);

/// The number of intervals of pings after which a client of which nothing is heard is gone.
const SILENCES: u32 = 3;

/// The WebSocket of a client.
pub(super) struct Socket {
    api: Api,
    socket: WebSocket,
}

/// A client that is known.
struct Session {
    caller: Caller,
    executor: WorkflowExecutor,
    connection: LiveConnection,
    frames: mpsc::Sender<Yielded>,
    /// The subscriptions by id. Never iterated.
    numbers: HashMap<Arc<str>, u64>,
    /// The subscriptions by number: a frame of one that has ended must not be taken for one of another with the same id. Never
    /// iterated.
    subscriptions: HashMap<u64, Subscribed>,
    /// The number of the next subscription.
    next: u64,
}

struct Subscribed {
    id: Arc<str>,
    _drive: DropGuard,
}

/// Why a connection ends.
enum End {
    /// The client has left.
    Gone,
    /// The client is told why.
    Refused(ApiError),
}

impl From<ApiError> for End {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

impl From<ExecutorError> for End {
    fn from(error: ExecutorError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<axum::Error> for End {
    fn from(error: axum::Error) -> Self {
        // The client has disconnected, was silent or slow, or has sent too much.
        tracing::debug!(%error, "a WebSocket failed");
        Self::Gone
    }
}

impl Socket {
    pub(super) fn new(api: Api, socket: WebSocket) -> Self {
        Self { api, socket }
    }

    /// Serves a client until it leaves, its credentials are no longer valid, or the host stops.
    pub(super) async fn serve(mut self, caller: Option<Caller>, tenant: Option<&str>) {
        let closing = self.api.closing.clone();
        let end = tokio::select! {
            end = self.attend(caller, tenant) => end,
            () = closing.cancelled() => End::Refused(ExecutorError::ShuttingDown.into()),
        };
        if let End::Refused(error) = end {
            // A client that does not read is not waited for.
            let _ = tokio::time::timeout(FAREWELL, self.refuse(&error)).await;
        }
    }

    async fn attend(&mut self, caller: Option<Caller>, tenant: Option<&str>) -> End {
        let (caller, first) = match self.identify(caller, tenant).await {
            Ok(identified) => identified,
            Err(end) => return end,
        };
        let api = self.api.clone();
        tokio::select! {
            end = self.converse(&caller, first) => match end {
                Ok(()) => End::Gone,
                Err(end) => end,
            },
            () = api.host.tenants().revoked(&caller) => End::Refused(ApiError::key_revoked()),
        }
    }

    /// Returns who the client is, and its first message unless that was the token.
    async fn identify(
        &mut self,
        caller: Option<Caller>,
        tenant: Option<&str>,
    ) -> Result<(Caller, Option<Message>), End> {
        let first = match &caller {
            Some(_) => self.receive().await?,
            None => {
                let limit = self.api.host.limits().live.first_message;
                let first = tokio::time::timeout(limit, self.receive()).await;
                first.map_err(|_| ApiError::no_first_message(limit))??
            }
        };
        match (first, caller) {
            (Message::Token(token), _) => Ok((self.api.gate.identify_token(&token, tenant).await?, None)),
            (first, Some(caller)) => Ok((caller, Some(first))),
            (_, None) => Err(ApiError::from(crate::tenants::Denied::NoKey).into()),
        }
    }

    /// Returns the client's next message.
    async fn receive(&mut self) -> Result<Message, End> {
        loop {
            let sent = self.socket.recv().await.ok_or(End::Gone)??;
            if let Some(message) = read(sent, &self.api.host.limits().live)? {
                return Ok(message);
            }
        }
    }

    /// Answers messages and sends frames.
    async fn converse(&mut self, caller: &Caller, first: Option<Message>) -> Result<(), End> {
        let executor = self.api.executor(caller);
        let (sender, mut frames) = mpsc::channel(SLOTS);
        let mut session = Session {
            caller: caller.clone(),
            connection: executor.live_connection()?,
            executor,
            frames: sender,
            numbers: HashMap::new(),
            subscriptions: HashMap::new(),
            next: 0,
        };
        if let Some(first) = first {
            self.answer(&mut session, first).await?;
        }
        let mut heard = Instant::now();
        let pause = session.connection.limits().ping;
        let mut pings = tokio::time::interval_at(heard + pause, pause);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                sent = self.socket.recv() => {
                    let sent = sent.ok_or(End::Gone)??;
                    heard = Instant::now();
                    if let Some(message) = read(sent, session.connection.limits())? {
                        self.answer(&mut session, message).await?;
                    }
                }
                _ = pings.tick() => {
                    if heard.elapsed() > pause * SILENCES {
                        return Err(End::Gone);
                    }
                    self.socket.send(Sent::Ping(Bytes::new())).await?;
                }
                Some(yielded) = frames.recv() => {
                    self.forward(&mut session, yielded).await?;
                    // It may have taken long, during which nothing was received.
                    heard = Instant::now();
                }
            }
        }
    }

    async fn answer(&mut self, session: &mut Session, message: Message) -> Result<(), End> {
        match message {
            Message::Token(_) => {
                Err(ApiError::invalid_body("`token` can only be the first message of a connection").into())
            }
            Message::Unsubscribe(id) => {
                session.unsubscribe(&id);
                Ok(())
            }
            Message::Subscribe(id, target) => {
                let id: Arc<str> = id.into();
                match session.subscribe(&id, target) {
                    Ok(()) => Ok(()),
                    Err(error) => self.tell(Some(&id), &error).await,
                }
            }
        }
    }

    /// Sends what a subscription has yielded.
    async fn forward(&mut self, session: &mut Session, yielded: Yielded) -> Result<(), End> {
        let Yielded { subscription, what } = yielded;
        let Some(Subscribed { id, .. }) = session.subscriptions.get(&subscription) else { return Ok(()) };
        let id = Arc::clone(id);
        match what {
            Ok(Some(frame)) => {
                if frame.kind() == FrameKind::End {
                    // The client may use the id again as soon as it has the frame.
                    session.unsubscribe(&id);
                }
                self.send(frame.text_for(&id).map_err(ExecutorError::from)?).await
            }
            Ok(None) => {
                session.unsubscribe(&id);
                Ok(())
            }
            Err(error) => {
                session.unsubscribe(&id);
                self.tell(Some(&id), &error.into()).await
            }
        }
    }

    /// Tells the client of an error, of a subscription or of the connection.
    async fn tell(&mut self, id: Option<&str>, error: &ApiError) -> Result<(), End> {
        let mut frame = json!({ "type": "error", "error": error.body().error });
        if let Some(id) = id {
            frame["id"] = id.into();
        }
        self.send(frame.to_string().into()).await
    }

    async fn send(&mut self, text: Bytes) -> Result<(), End> {
        let text = Utf8Bytes::try_from(text).map_err(|error| {
            tracing::error!(%error, "a frame is not text");
            End::Gone
        })?;
        Ok(self.socket.send(Sent::Text(text)).await?)
    }

    /// Closes the connection with an error.
    async fn refuse(&mut self, error: &ApiError) -> Result<(), End> {
        self.tell(None, error).await?;
        let code = match error.code() {
            ErrorCode::ShuttingDown => close_code::AWAY,
            ErrorCode::Busy => close_code::AGAIN,
            _ => close_code::POLICY,
        };
        let reason = error.code().to_string().into();
        Ok(self.socket.send(Sent::Close(Some(CloseFrame { code, reason }))).await?)
    }
}

impl Session {
    fn subscribe(&mut self, id: &Arc<str>, target: Target) -> Result<(), ApiError> {
        if self.numbers.contains_key(id) {
            let message = format!("this connection has a subscription with the id `{id}`: use another id");
            return Err(ApiError::invalid_body(message));
        }
        let subscription = match target {
            Target::Run(follow) => {
                let follow = allowed(&self.caller, follow)?;
                Subscription::Run(self.executor.follow(&self.connection, follow)?)
            }
            Target::List(query) => {
                if let Some(scope) = &self.caller.scope {
                    return Err(ApiError::token_scope(scope));
                }
                let filter = run_filter(&query)?;
                Subscription::List(self.executor.follow_list(&self.connection, filter)?)
            }
        };
        let number = self.next;
        self.next += 1;
        let drive = subscription.drive(number, self.frames.clone());
        self.numbers.insert(Arc::clone(id), number);
        self.subscriptions.insert(number, Subscribed { id: Arc::clone(id), _drive: drive });
        Ok(())
    }

    fn unsubscribe(&mut self, id: &str) {
        if let Some(number) = self.numbers.remove(id) {
            self.subscriptions.remove(&number);
        }
    }
}

/// Reads what a client has sent; `None` if it is no message.
fn read(sent: Sent, limits: &LiveLimits) -> Result<Option<Message>, End> {
    match sent {
        Sent::Text(text) if text.len() > limits.message_bytes => {
            Err(ApiError::message_too_large(text.len(), limits.message_bytes).into())
        }
        Sent::Text(text) => Ok(Some(Message::read(&text)?)),
        Sent::Binary(_) => Err(ApiError::invalid_body("a message is text, not binary").into()),
        // The answer to a ping is sent by the protocol.
        Sent::Ping(_) | Sent::Pong(_) => Ok(None),
        Sent::Close(_) => Err(End::Gone),
    }
}
