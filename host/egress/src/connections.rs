//! Connections to servers, kept open from one request to the next.
//!
//! The task that uses a connection also drives it. `hyper_util`'s client drives connections in tasks of their own,
//! which moves each request and each answer between threads: with 64 requests in flight over loopback on 2 cores it
//! handles 22 % fewer requests per second (37,000 instead of 47,000, medians of 20 alternating runs of `cargo run
//! --release -p forge-egress --example loopback`). It also limits idle connections for each server only, not in total.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use forge_journal::Reach;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower_service::Service as _;

use super::departure::GivenUp;
use super::guard::Guard;
use super::traffic::Outgoing;
use super::wire::{EndlessHead, Progress, Wire};

/// The time for which an idle connection is kept, unless its server says that it closes the connection earlier. Servers
/// close theirs after a minute or two.
const IDLE: Duration = Duration::from_secs(90);

/// The time before the end that a server announces with `Keep-Alive: timeout=` from which a connection is not used: a
/// request that the server has not received by the end is lost.
const KEEP_ALIVE_MARGIN: Duration = Duration::from_secs(1);

/// The interval at which connections that were idle for too long are dropped.
const SWEEP: Duration = Duration::from_secs(15);

/// The maximum size of an answer's status line and headers, in bytes. Servers send a few thousand.
pub(super) const HEAD_BYTES: usize = 128 << 10;

/// The maximum number of bytes that a server may send before the head of its answer is complete, with interim answers such as
/// 103 and with what arrives together with the end of the head. Interim answers have some hundred bytes.
const HEADS_BYTES: usize = 4 * HEAD_BYTES;

/// The maximum number of headers of an answer. Servers send some dozens, and some send a header for each cookie.
pub(super) const MOST_HEADERS: usize = 1_000;

/// The error of a request without an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// The connection could not be opened.
    #[error("client error (Connect)")]
    Connect(#[source] Box<dyn Error + Send + Sync>),
    /// The connection was not opened in time.
    #[error("no connection within {} (http_connect_timeout_ms): the request was not sent", humantime::format_duration(*.0))]
    ConnectTimeout(Duration),
    /// The connection broke, or the server does not speak HTTP.
    #[error("client error (SendRequest)")]
    Exchange(#[source] hyper::Error),
    /// Nothing was sent, because the request may not leave any more.
    #[error("the request was not sent")]
    Withheld,
    /// The tenant's terms no longer allow the request.
    #[error("the request is no longer allowed")]
    GivenUp(GivenUp),
}

/// Asked before a request is written to a connection to this address.
pub(super) type Leave<'a> = &'a (dyn Fn(SocketAddr) -> Result<(), SendError> + Send + Sync);

impl SendError {
    /// Returns whether the answer began and its head is too large to be read.
    pub(super) fn is_head_too_large(&self) -> bool {
        matches!(self, Self::Exchange(error) if error.is_parse_too_large() || is_endless(error))
    }
}

fn is_endless(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.and_then(io::Error::get_ref).is_some_and(|cause| cause.is::<EndlessHead>())
}

/// The connections of one tenant under one policy, with one set of secrets.
pub(super) struct Connections {
    connector: HttpsConnector<Guard>,
    connect_timeout: Duration,
    kept: Arc<Mutex<Kept>>,
}

/// A connection, idle or with one request in flight.
pub(super) struct Connection {
    server: Server,
    /// The address of the server.
    address: SocketAddr,
    sender: SendRequest<Outgoing>,
    progress: Progress,
    /// The request was sent before, on a connection that the server closed.
    resent: bool,
    /// The time for which the connection can be used again after the answer, by that answer.
    keep_for: Duration,
    /// The future that reads and writes the connection. `None` if the connection has ended.
    driver: Option<BoxFuture<'static, hyper::Result<()>>>,
}

/// The scheme and the authority of a URL.
type Server = String;

/// The idle connections.
struct Kept {
    /// The connections to each server with the time until which they can be used, the latest last.
    by_server: HashMap<Server, Vec<(Instant, Connection)>>,
    count: usize,
    /// The maximum number of connections that are kept: none once the policy or the secrets have changed.
    most: usize,
    /// Whether a task removes connections that were idle for too long.
    swept: bool,
}

impl Connections {
    /// Creates an empty set that keeps at most `most` idle connections.
    pub(super) fn new(connector: HttpsConnector<Guard>, connect_timeout: Duration, most: usize) -> Self {
        let kept = Kept { by_server: HashMap::new(), count: 0, most, swept: false };
        Self { connector, connect_timeout, kept: Arc::new(Mutex::new(kept)) }
    }

    /// Closes the idle connections, and keeps no more: the policy or the secrets have changed.
    pub(super) fn close(&self) {
        let mut kept = self.kept.lock();
        kept.most = 0;
        kept.count = 0;
        let idle = std::mem::take(&mut kept.by_server);
        drop(kept);
        drop(idle);
    }

    /// Sends a request to the server of its URL and returns the head of the answer. Its body arrives while the
    /// connection is [driven](Connection::drive).
    ///
    /// A server may close a kept connection at any time, also while a request is on its way. A request of which no byte
    /// was answered on a kept connection is therefore sent once more, on a new connection. A request that must arrive
    /// at most once is sent on a new connection only.
    ///
    /// `reach` becomes [`Reach::Unanswered`] as soon as a byte of the request was written, also if this future is dropped.
    pub(super) async fn send(
        &self,
        mut request: Request<Outgoing>,
        at_most_once: bool,
        leave: Leave<'_>,
        reach: &mut Reach,
    ) -> Result<(Connection, Response<Incoming>), SendError> {
        let uri = request.uri().clone();
        let server = format!("{}://{}", uri.scheme_str().unwrap_or_default(), authority(&uri));
        address(&mut request);
        let kept = if at_most_once { None } else { self.kept.lock().take(&server) };
        let mut resent = false;
        if let Some(mut connection) = kept {
            // Notice if the server has closed it meanwhile.
            connection.update().await;
            match connection.send(request.clone(), leave, reach).await {
                Ok(answer) => return Ok((connection, answer)),
                Err(stays @ (SendError::Withheld | SendError::GivenUp(_))) => return Err(stays),
                Err(error) if connection.progress.is_answered() => return Err(error),
                Err(error) => tracing::debug!(%error, server, "a kept connection was closed"),
            }
            resent = connection.progress.is_written();
        }
        let mut connection = self.open(&uri, server).await?;
        connection.resent = resent;
        let answer = connection.send(request, leave, reach).await?;
        Ok((connection, answer))
    }

    /// Keeps a connection whose answer was read, if it can take another request.
    pub(super) async fn keep(&self, mut connection: Connection) {
        connection.resent = false;
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
        let connecting = async {
            std::future::poll_fn(|context| connector.poll_ready(context)).await?;
            connector.call(uri.clone()).await
        };
        let connected = tokio::time::timeout(self.connect_timeout, connecting).await;
        let stream = connected
            .map_err(|_| SendError::ConnectTimeout(self.connect_timeout))?
            .map_err(SendError::Connect)?;
        let address = peer(&stream).map_err(|error| SendError::Connect(error.into()))?;
        let progress = Progress::default();
        let wire = TokioIo::new(Wire::new(TokioIo::new(stream), progress.clone()));
        let mut http = http1::Builder::new();
        let (sender, driver) = http
            .max_buf_size(HEAD_BYTES)
            .max_headers(MOST_HEADERS)
            .handshake(wire)
            .await
            .map_err(SendError::Exchange)?;
        let driver = Some(driver.boxed());
        Ok(Connection { server, address, sender, progress, resent: false, keep_for: IDLE, driver })
    }
}

impl Connection {
    /// Returns whether a part of the request may have arrived before, on another connection.
    pub(super) fn is_resent(&self) -> bool {
        self.resent
    }

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

    /// Sends a request, if it may still leave, and returns the head of the answer.
    async fn send(
        &mut self,
        request: Request<Outgoing>,
        leave: Leave<'_>,
        reach: &mut Reach,
    ) -> Result<Response<Incoming>, SendError> {
        leave(self.address)?;
        self.progress.reset(HEADS_BYTES);
        let progress = self.progress.clone();
        let mut answer = pin!(self.sender.send_request(request));
        // Polled after each write to the connection.
        let answer = std::future::poll_fn(|context| {
            if progress.is_written() {
                *reach = (*reach).max(Reach::Unanswered);
            }
            answer.as_mut().poll(context)
        });
        let answer = self.drive(answer).await.map_err(SendError::Exchange)?;
        self.progress.head_is_complete();
        self.keep_for = kept_for(answer.headers());
        Ok(answer)
    }

    /// Drives the connection once, so that its state is current.
    async fn update(&mut self) {
        self.drive(std::future::ready(())).await;
    }
}

impl Kept {
    /// Removes and returns the latest connection to a server that was not idle for too long.
    fn take(&mut self, server: &str) -> Option<Connection> {
        let connections = self.by_server.get_mut(server)?;
        while let Some((until, connection)) = connections.pop() {
            self.count -= 1;
            if Instant::now() < until {
                return Some(connection);
            }
        }
        None
    }

    /// Adds a connection. Returns whether there was room for it.
    fn put(&mut self, connection: Connection) -> bool {
        if self.count >= self.most || connection.keep_for.is_zero() {
            return false;
        }
        self.count += 1;
        let until = Instant::now() + connection.keep_for;
        let connections = self.by_server.entry(connection.server.clone()).or_default();
        connections.push((until, connection));
        true
    }

    /// Drops connections that were idle for too long. Returns whether any are left.
    fn sweep(&mut self) -> bool {
        let now = Instant::now();
        self.by_server.retain(|_, connections| {
            connections.retain(|(until, _)| now < *until);
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
        tokio::time::sleep(SWEEP).await;
        let is_needed = kept.upgrade().is_some_and(|kept| kept.lock().sweep());
        if !is_needed {
            return;
        }
    }
}

/// Returns the time for which a connection can be used again after an answer with these headers.
fn kept_for(headers: &HeaderMap) -> Duration {
    let values = headers.get_all("keep-alive").into_iter().filter_map(|value| value.to_str().ok());
    let mut parameters = values.flat_map(|value| value.split(',')).filter_map(|one| one.split_once('='));
    let timeout = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"));
    match timeout.and_then(|(_, seconds)| seconds.trim().trim_matches('"').parse().ok()) {
        Some(seconds) => Duration::from_secs(seconds).saturating_sub(KEEP_ALIVE_MARGIN).min(IDLE),
        None => IDLE,
    }
}

/// Returns the address that a connection goes to.
fn peer(stream: &MaybeHttpsStream<TokioIo<TcpStream>>) -> std::io::Result<SocketAddr> {
    match stream {
        MaybeHttpsStream::Http(tcp) => tcp.inner().peer_addr(),
        MaybeHttpsStream::Https(tls) => tls.inner().get_ref().0.inner().inner().peer_addr(),
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
