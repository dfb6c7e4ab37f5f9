//! Connections to servers, kept open from one request to the next.
//!
//! A connection is driven by whoever uses it. As a task of its own it would be a way to another thread and back for
//! each request and each answer.

use parking_lot::{Mutex, MutexGuard};
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
use tokio::time::Instant;
use tower_service::Service as _;

use super::guard::Guard;
use super::traffic::Outgoing;

/// How long an idle connection is kept: servers close theirs after a minute or two.
const IDLE: Duration = Duration::from_secs(90);

/// Bytes of the status line and the headers of an answer: servers send a few thousand. Their number is bounded by
/// hyper, which reads 100 of them.
const HEAD_BYTES: usize = 128 << 10;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// There is no connection.
    #[error("client error (Connect)")]
    Connect(#[source] Box<dyn Error + Send + Sync>),
    /// It broke off, or what came over it is no HTTP.
    #[error("client error (SendRequest)")]
    Exchange(#[source] hyper::Error),
}

/// Connections for whoever has the same policy, and for nobody else.
pub(super) struct Connections {
    connector: HttpsConnector<Guard>,
    kept: Arc<Mutex<Kept>>,
}

/// A connection on which a request is under way, or none.
pub(super) struct Connection {
    server: Server,
    sender: SendRequest<Outgoing>,
    /// `None`: it has ended.
    driver: Option<BoxFuture<'static, hyper::Result<()>>>,
}

/// The scheme and the authority of a URL.
type Server = String;

/// Idle connections.
struct Kept {
    /// The latest last. Iterated only to drop some.
    of: HashMap<Server, Vec<(Instant, Connection)>>,
    count: usize,
    most: usize,
    /// Whether somebody looks after those that are kept for too long.
    swept: bool,
}

impl Connections {
    /// Opens connections in this way, and keeps so many at most while they are idle.
    pub(super) fn new(connector: HttpsConnector<Guard>, most: usize) -> Self {
        let kept = Kept { of: HashMap::new(), count: 0, most, swept: false };
        Self { connector, kept: Arc::new(Mutex::new(kept)) }
    }

    /// Sends a request to the server that its URL names, and gives the head of the answer. The rest comes while the
    /// connection is driven.
    pub(super) async fn send(
        &self,
        mut request: Request<Outgoing>,
    ) -> Result<(Connection, Response<Incoming>), SendError> {
        let uri = request.uri().clone();
        let server = format!("{}://{}", uri.scheme_str().unwrap_or_default(), authority(&uri));
        address(&mut request);
        loop {
            let kept = lock(&self.kept).take(&server);
            let is_new = kept.is_none();
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.open(&uri, server.clone()).await?,
            };
            // Whether the server has closed it meanwhile.
            connection.look().await;
            let sending = connection.sender.try_send_request(request);
            match connection.drive(sending).await {
                Ok(answer) => return Ok((connection, answer)),
                Err(mut error) => match error.take_message() {
                    // It closed the connection before any of it was sent.
                    Some(unsent) if !is_new => request = unsent,
                    _ => return Err(SendError::Exchange(error.into_error())),
                },
            }
        }
    }

    /// Keeps a connection whose answer was read, if it is of further use.
    pub(super) async fn keep(&self, mut connection: Connection) {
        connection.look().await;
        if connection.driver.is_none() || !connection.sender.is_ready() {
            return;
        }
        let mut kept = lock(&self.kept);
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
    /// Lets the connection go on while this is done, which waits for what comes over it.
    pub(super) async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        std::future::poll_fn(|context| {
            if self.driver.as_mut().is_some_and(|driver| driver.poll_unpin(context).is_ready()) {
                // If that is an error, whoever waits for something gets it.
                self.driver = None;
            }
            work.as_mut().poll(context)
        })
        .await
    }

    /// Takes notice of what has happened to it.
    async fn look(&mut self) {
        self.drive(std::future::ready(())).await;
    }
}

impl Kept {
    fn take(&mut self, server: &str) -> Option<Connection> {
        let connections = self.of.get_mut(server)?;
        let last = connections.pop();
        self.count -= usize::from(last.is_some());
        let (since, connection) = last?;
        (since.elapsed() < IDLE).then_some(connection)
    }

    /// Whether there was room for it.
    fn put(&mut self, connection: Connection) -> bool {
        if self.count >= self.most {
            return false;
        }
        self.count += 1;
        match self.of.get_mut(&connection.server) {
            Some(connections) => connections.push((Instant::now(), connection)),
            None => {
                let server = connection.server.clone();
                self.of.insert(server, vec![(Instant::now(), connection)]);
            }
        }
        true
    }

    /// Drops those that were idle for too long; whether any are left.
    fn sweep(&mut self) -> bool {
        self.of.retain(|_, connections| {
            connections.retain(|(since, _)| since.elapsed() < IDLE);
            !connections.is_empty()
        });
        self.count = self.of.values().map(Vec::len).sum();
        self.swept = self.count > 0;
        self.swept
    }
}

/// Ends when there is nothing left to look after.
async fn sweep(kept: Weak<Mutex<Kept>>) {
    loop {
        tokio::time::sleep(IDLE).await;
        let is_needed = kept.upgrade().is_some_and(|kept| lock(&kept).sweep());
        if !is_needed {
            return;
        }
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock()
}

fn authority(uri: &Uri) -> &str {
    uri.authority().map_or("", |authority| authority.as_str())
}

/// Writes a request as the server at the other end expects it: its name in a header, and only the rest of the URL.
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
