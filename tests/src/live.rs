//! A client of subscriptions.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use boon::{Compiler, SchemaIndex, Schemas};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async, connect_async};

use crate::PATIENCE;

/// `docs/live.schema.json` with the schemas of the OpenAPI document.
static SCHEMA: LazyLock<(Schemas, SchemaIndex)> = LazyLock::new(|| {
    let schema: Value =
        serde_json::from_str(include_str!("../../docs/live.schema.json")).expect("it is JSON");
    let openapi = serde_json::to_value(forge_host::api::openapi()).expect("the document is JSON");
    let id = schema["$id"].as_str().expect("the schema has an id").to_owned();
    let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
    compiler.enable_format_assertions();
    compiler.add_resource("forge:/_api/openapi.json", openapi).expect("it has a URI");
    compiler.add_resource(&id, schema).expect("it has a URI");
    let index =
        compiler.compile(&id, &mut schemas).unwrap_or_else(|error| panic!("it is a schema: {error:#}"));
    (schemas, index)
});

/// Checks a message against the schema.
pub fn is_as_documented(message: &Value) {
    let (schemas, index) = &*SCHEMA;
    if let Err(error) = schemas.validate(message, *index) {
        panic!("{error:#}: {message}");
    }
}

/// A WebSocket to `/_api/live`. Each frame is checked against the schema.
pub struct LiveSocket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl LiveSocket {
    /// Connects to a host.
    pub async fn connect(url: &str) -> Self {
        Self::try_connect(url, None).await.expect("the host accepts the WebSocket")
    }

    /// Connects to a host, with an API key in the head of the request or without.
    ///
    /// # Errors
    /// What the host answers instead.
    pub async fn try_connect(url: &str, key: Option<&str>) -> Result<Self, Error> {
        let url = format!("{}/_api/live", url.replacen("http", "ws", 1));
        let mut request = url.into_client_request()?;
        if let Some(key) = key {
            let value = format!("Bearer {key}").parse().expect("a key is a header's value");
            request.headers_mut().insert("authorization", value);
        }
        Ok(Self(connect_async(request).await?.0))
    }

    /// Connects with a socket of the caller's.
    pub async fn over(stream: TcpStream) -> Self {
        let stream = MaybeTlsStream::Plain(stream);
        let request = "ws://127.0.0.1/_api/live".into_client_request().expect("it is an address");
        Self(client_async(request, stream).await.expect("the host accepts the WebSocket").0)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn send(&mut self, message: &Value) -> Result<(), Error> {
        self.0.send(Message::text(message.to_string())).await
    }

    /// Subscribes to a run.
    pub async fn follow(&mut self, run: &str) {
        self.send(&json!({ "subscribe": { "run": run } })).await.expect("the host is there");
    }

    /// Returns the next frame; `None` if the host closes the connection, or it is lost.
    pub async fn frame(&mut self) -> Option<Value> {
        loop {
            let received = timeout(PATIENCE, self.0.next()).await.expect("a frame comes in time");
            match received? {
                Ok(Message::Text(text)) => {
                    let frame = serde_json::from_str(&text).expect("a frame is JSON");
                    is_as_documented(&frame);
                    return Some(frame);
                }
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Returns the frame that comes within a time, if one does.
    pub async fn frame_within(&mut self, time: Duration) -> Option<Value> {
        timeout(time, self.frame()).await.ok().flatten()
    }

    /// Returns the error with which the host ends a subscription, or the connection.
    pub async fn error(&mut self) -> (String, Option<String>) {
        let frame = self.frame().await.expect("an error comes before the end");
        assert_eq!(frame["type"], "error", "{frame}");
        let code = frame["error"]["code"].as_str().expect("an error has a code");
        (code.to_owned(), frame["id"].as_str().map(str::to_owned))
    }
}

/// A run, as a subscriber knows it from frames.
#[derive(Default)]
pub struct Replica {
    /// The record.
    pub run: Value,
    /// The calls.
    pub steps: BTreeMap<u64, Value>,
    /// The position; absent before the first group of frames is complete.
    pub position: Option<u64>,
    /// Whether the run has ended.
    pub ended: bool,
    /// The types of the frames that came, in their order; those in a row once.
    pub types: Vec<String>,
    is_in_group: bool,
}

impl Replica {
    /// Adds a frame.
    pub fn add(&mut self, frame: &Value) {
        let kind = frame["type"].as_str().expect("a frame has a type");
        if self.types.last().is_none_or(|last| last != kind) {
            self.types.push(kind.to_owned());
        }
        match kind {
            "snapshot" if !self.is_in_group => self.steps.clear(),
            "snapshot" | "delta" => {}
            "end" => self.ended = true,
            _ => panic!("{frame}"),
        }
        if frame["run"].is_object() {
            let mut run = frame["run"].clone();
            if kind == "delta" {
                assert_eq!(run["input"], Value::Null, "a delta leaves the input out");
                run["input"] = self.run["input"].take();
            }
            self.run = run;
        }
        for step in frame["steps"].as_array().into_iter().flatten() {
            self.steps.insert(step["seq"].as_u64().expect("a call has a position"), step.clone());
        }
        self.is_in_group = frame["position"].is_null();
        if let Some(position) = frame["position"].as_u64() {
            assert!(self.position.is_none_or(|before| before <= position), "positions grow");
            self.position = Some(position);
        }
    }

    /// Forgets an unfinished group: the connection was lost.
    pub fn interrupt(&mut self) {
        self.is_in_group = false;
    }

    /// Adds frames until the run ends.
    pub async fn until_end(&mut self, socket: &mut LiveSocket) {
        while !self.ended {
            let frame = socket.frame().await.expect("the run ends before the connection");
            self.add(&frame);
        }
    }

    /// Adds frames until the run is like this.
    pub async fn until(&mut self, socket: &mut LiveSocket, is_it: impl Fn(&Self) -> bool) {
        while self.is_in_group || !is_it(self) {
            let frame = socket.frame().await.expect("it comes to this before the connection ends");
            self.add(&frame);
        }
    }

    /// Checks that it has exactly what the API has.
    pub async fn is_complete(&self, api: &crate::Api, run: &str) {
        let steps: Vec<Value> = self.steps.values().cloned().collect();
        assert_eq!(steps, api.steps(run).await);
        let mut record = api.record(run).await;
        // The calls have their results.
        record["step_results"] = json!({});
        assert_eq!(self.run, record);
    }
}
