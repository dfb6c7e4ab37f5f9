//! Connections to servers, kept open from one request to the next.
//!
//! The task that uses a connection also drives it. `hyper_util`'s client drives connections in tasks of their own,
//! which moves each request and each answer between threads: with 64 requests in flight over loopback on 2 cores it
//! handles 22 % fewer requests per second (37,000 instead of 47,000, medians of 20 alternating runs of `cargo run
//! --release -p forge-egress --example loopback`). It also limits idle connections for each server only, not in total.

use std::collections::HashMap;
use std::error::Error;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_rustls::HttpsConnector;
use parking_lot::Mutex;
use tokio::time::Instant;
use tower_service::Service as _;

use super::departure::MayLeave;
use super::guard::Guard;
use super::traffic::Outgoing;

/// The time for which an idle connection is kept. Servers close theirs after a minute or two.
const IDLE: Duration = Duration::from_secs(90);

/// The maximum size of an answer's status line and headers, in bytes. Servers send a few thousand. hyper limits the
/// number of headers to 100.
const HEAD_BYTES: usize = 128 << 10;

/// The error of a request without an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// The connection could not be opened.
    #[error("client error (Connect)")]
    Connect(#[source] Box<dyn Error + Send + Sync>),
    /// The connection broke, or the server does not speak HTTP.
    #[error("client error (SendRequest)")]
    Exchange(#[source] hyper::Error),
    /// Nothing was sent, because the request may not leave any more.
    #[error("the request was not sent")]
    Withheld,
}

/// The connections of one tenant under one policy.
pub(super) struct Connections {
    connector: HttpsConnector<Guard>,
    kept: Arc<Mutex<Kept>>,
}

/// A connection, idle or with one request in flight.
pub(super) struct Connection {
    server: Server,
    sender: SendRequest<Outgoing>,
    /// The future that reads and writes the connection. `None` if the connection has ended.
    driver: Option<BoxFuture<'static, hyper::Result<()>>>,
}

/// The scheme and the authority of a URL.
type Server = String;

/// The idle connections.
struct Kept {
    /// The connections to each server with the time since when they are idle, the latest last.
    by_server: HashMap<Server, Vec<(Instant, Connection)>>,
    count: usize,
    most: usize,
    /// Whether a task removes connections that were idle for too long.
    swept: bool,
}

impl Connections {
    /// Creates an empty set that keeps at most `most` idle connections.
    pub(super) fn new(connector: HttpsConnector<Guard>, most: usize) -> Self {
        let kept = Kept { by_server: HashMap::new(), count: 0, most, swept: false };
        Self { connector, kept: Arc::new(Mutex::new(kept)) }
    }

    /// Sends a request to the server of its URL and returns the head of the answer. Its body arrives while the
    /// connection is [driven](Connection::drive).
    pub(super) async fn send(
        &self,
        mut request: Request<Outgoing>,
        may_leave: MayLeave<'_>,
    ) -> Result<(Connection, Response<Incoming>), SendError> {
        let uri = request.uri().clone();
        let server = format!("{}://{}", uri.scheme_str().unwrap_or_default(), authority(&uri));
        address(&mut request);
        loop {
            let kept = self.kept.lock().take(&server);
            let is_new = kept.is_none();
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.open(&uri, server.clone()).await?,
            };
            // Notice if the server has closed it meanwhile.
            connection.update().await;
            if !may_leave() {
                return Err(SendError::Withheld);
            }
            let sending = connection.sender.try_send_request(request);
            match connection.drive(sending).await {
                Ok(answer) => return Ok((connection, answer)),
                Err(mut error) => match error.take_message() {
                    // The server closed the kept connection before any byte of the request was sent.
                    Some(unsent) if !is_new => request = unsent,
                    _ => return Err(SendError::Exchange(error.into_error())),
                },
            }
        }
    }

    /// Keeps a connection whose answer was read, if it can take another request.
    pub(super) async fn keep(&self, mut connection: Connection) {
        connection.update().await;
        if connection.driver.is_none() || !connection.sender.is_ready() {
            return;
        }
        let mut kept = self.kept.lock();
        if kept.put(connection) && !std::mem::replace(&mut kept.swept, true) {
            tokio::spawn(sweep(Arc::downgrade(&self.kept)));
        }
    }

    async fn open(&self, uri: &Uri, server: Server) -> Result<Connection, SendError> {
        let mut connector = self.connector.clone();
        let ready = std::future::poll_fn(|context| connector.poll_ready(context)).await;
        ready.map_err(SendError::Connect)?;
        let stream = connector.call(uri.clone()).await.map_err(SendError::Connect)?;
        let mut http = http1::Builder::new();
        let (sender, driver) =
            http.max_buf_size(HEAD_BYTES).handshake(stream).await.map_err(SendError::Exchange)?;
        Ok(Connection { server, sender, driver: Some(driver.boxed()) })
    }
}

impl Connection {
    /// Drives the connection until `work` ends, which waits for bytes from it.
    pub(super) async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        std::future::poll_fn(|context| {
            if self.driver.as_mut().is_some_and(|driver| driver.poll_unpin(context).is_ready()) {
                // `work` gets the error, if there is one.
                self.driver = None;
            }
            work.as_mut().poll(context)
        })
        .await
    }

    /// Drives the connection once, so that its state is current.
    async fn update(&mut self) {
        self.drive(std::future::ready(())).await;
    }
}

impl Kept {
    /// Removes and returns the latest connection to a server, unless it was idle for too long.
    fn take(&mut self, server: &str) -> Option<Connection> {
        let connections = self.by_server.get_mut(server)?;
        let last = connections.pop();
        self.count -= usize::from(last.is_some());
        let (since, connection) = last?;
        (since.elapsed() < IDLE).then_some(connection)
    }

    /// Adds a connection. Returns whether there was room for it.
    fn put(&mut self, connection: Connection) -> bool {
        if self.count >= self.most {
            return false;
        }
        self.count += 1;
        let connections = self.by_server.entry(connection.server.clone()).or_default();
        connections.push((Instant::now(), connection));
        true
    }

    /// Drops connections that were idle for too long. Returns whether any are left.
    fn sweep(&mut self) -> bool {
        self.by_server.retain(|_, connections| {
            connections.retain(|(since, _)| since.elapsed() < IDLE);
            !connections.is_empty()
        });
        self.count = self.by_server.values().map(Vec::len).sum();
        self.swept = self.count > 0;
        self.swept
    }
}

/// Drops connections that were idle for too long, until none is left.
async fn sweep(kept: Weak<Mutex<Kept>>) {
    loop {
        tokio::time::sleep(IDLE).await;
        let is_needed = kept.upgrade().is_some_and(|kept| kept.lock().sweep());
        if !is_needed {
            return;
        }
    }
}

fn authority(uri: &Uri) -> &str {
    uri.authority().map_or("", |authority| authority.as_str())
}

/// Writes the URL of a request as HTTP/1.1 does: the host in a header, the path in the request line.
fn address(request: &mut Request<Outgoing>) {
    let uri = request.uri().clone();
    if let Ok(host) = HeaderValue::from_str(authority(&uri)) {
        request.headers_mut().entry(HOST).or_insert(host);
    }
    let mut parts = http::uri::Parts::default();
    if *request.method() == Method::CONNECT {
        parts.authority = uri.authority().cloned();
    } else {
        let root = || PathAndQuery::from_static("/");
        parts.path_and_query = Some(uri.path_and_query().cloned().unwrap_or_else(root));
    }
    if let Ok(rest) = Uri::from_parts(parts) {
        *request.uri_mut() = rest;
    }
}
