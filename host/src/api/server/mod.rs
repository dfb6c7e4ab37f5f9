//! The HTTP server. It bounds what clients hold of the host: connections, and the time of each.

mod connections;
mod pace;
mod request_body;
mod stream;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

pub(super) use self::request_body::TooSlow;

use self::connections::{Connection, Connections, Lasting, Request};
use self::request_body::RequestBody;
use self::stream::Stream;
use super::ApiError;
use super::lasting_body::LastingBody;
use crate::config::ServerLimits;

/// The bytes that a connection buffers: of a head, and of a response that is written. Enough for the longest token and path.
const BUFFER: usize = 64 << 10;

/// The time until connections are accepted again after a failure, such as too many open files.
const RETRY: Duration = Duration::from_millis(500);

/// The time in which a connection ends whose place another one has, unless it has a request.
const EVICTION: Duration = Duration::from_secs(1);

/// The use of a connection by a request, an extension of it.
#[derive(Clone)]
pub(super) struct InUse {
    request: Arc<Request>,
    tasks: TaskTracker,
}

/// A connection that outlives the response, until it is dropped. The server waits for it when it stops.
pub(super) struct Lasts {
    _lasting: Lasting,
    _task: TaskTrackerToken,
}

impl InUse {
    /// Keeps the connection for longer than until the response is sent. Returns `None` if as many connections last as may.
    pub(super) fn last(&self) -> Option<Lasts> {
        Some(Lasts { _lasting: self.request.last()?, _task: self.tasks.token() })
    }
}

/// The mark of a request that came through a proxy: one of this machine, or one that the configuration names.
#[derive(Debug, Clone, Copy)]
pub(super) struct ThroughProxy;

/// Serves requests until `closing` is cancelled, and then completes those in progress.
pub async fn serve(listener: TcpListener, router: Router, limits: ServerLimits, closing: CancellationToken) {
    let (limits, tasks) = (Arc::new(limits), TaskTracker::new());
    let connections = Connections::new(Arc::clone(&limits));
    while let Some(accepted) = closing.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, address)) => match connections.admit(address.ip()) {
                Some(connection) => {
                    let server = (router.clone(), Arc::clone(&limits), tasks.clone(), closing.clone());
                    tasks.spawn(answer(stream, connection, server));
                }
                None => refuse(&stream, address),
            },
            // Only this connection failed.
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections; retrying");
                let _ = closing.run_until_cancelled(tokio::time::sleep(RETRY)).await;
            }
        }
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionRefused | ConnectionAborted | ConnectionReset)
}

/// Tells a client that there is no room, and closes its connection.
fn refuse(stream: &TcpStream, address: SocketAddr) {
    tracing::debug!(%address, "a connection was refused: there are too many");
    let body = ApiError::too_many_connections().to_json();
    let length = body.len();
    let response = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    // The buffer of a new connection has room. A client that is gone does not matter.
    let _ = stream.try_write(response.as_bytes());
}

async fn answer(
    stream: TcpStream,
    connection: Arc<Connection>,
    (router, limits, tasks, closing): (Router, Arc<ServerLimits>, TaskTracker, CancellationToken),
) {
    // Responses are written at once. Without it, the last part of a long response can be late.
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.idle_time.max(limits.head_time))
        .max_buf_size(BUFFER);
    let (router, body_time) = (TowerToHyperService::new(router), limits.body_time);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let of_connection = Arc::new(connection.request());
        let mut request = request.map(|body| Body::new(RequestBody::new(body, body_time)));
        request.extensions_mut().insert(InUse { request: Arc::clone(&of_connection), tasks: tasks.clone() });
        if connection.is_proxied() {
            request.extensions_mut().insert(ThroughProxy);
        }
        let answered = router.call(request);
        async move {
            let response = answered.await?;
            Ok::<_, Infallible>(response.map(|body| LastingBody::new(body, of_connection)))
        }
    });
    let stream = TokioIo::new(Stream::new(stream, limits.write_time));
    let mut serving = pin!(http.serve_connection(stream, service).with_upgrades());
    let no_head = async {
        tokio::time::sleep(limits.head_time).await;
        if connection.has_served() {
            std::future::pending::<()>().await;
        }
    };
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = no_head => return,
        () = connection.evicted() => {
            if !connection.has_served() {
                return;
            }
            serving.as_mut().graceful_shutdown();
            let late = async {
                tokio::time::sleep(EVICTION).await;
                if connection.is_in_use() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                ended = serving.as_mut() => ended,
                () = late => return,
            }
        }
        () = closing.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        // The client has disconnected, was silent or slow, or did not send HTTP.
        tracing::debug!(%error, "a connection failed");
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::Request as HttpRequest;
    use axum::routing::post;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;

    use super::*;

    /// A server that echoes.
    struct Server {
        serving: JoinHandle<()>,
        closing: CancellationToken,
        /// A connection to it.
        client: TcpStream,
        /// Requests whose heads have arrived.
        arrived: mpsc::UnboundedReceiver<()>,
    }

    async fn server(limits: ServerLimits) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (arrive, arrived) = mpsc::unbounded_channel();
        let echo = move |request: HttpRequest| {
            arrive.send(()).unwrap();
            async { axum::body::to_bytes(request.into_body(), 10).await.unwrap() }
        };
        let (router, closing) = (Router::new().route("/", post(echo)), CancellationToken::new());
        let serving = tokio::spawn(serve(listener, router, limits, closing.clone()));
        let client = TcpStream::connect(address).await.unwrap();
        Server { serving, closing, client, arrived }
    }

    #[tokio::test]
    async fn a_connection_whose_request_head_is_incomplete_is_closed() {
        let Server { mut client, .. } =
            server(ServerLimits { head_time: Duration::from_millis(20), ..ServerLimits::default() }).await;
        client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\n").await.unwrap();
        assert_eq!(client.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_request_under_way_is_answered_before_the_server_ends() {
        let Server { serving, closing, mut client, mut arrived } = server(ServerLimits::default()).await;
        client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\no").await.unwrap();
        arrived.recv().await.unwrap();
        closing.cancel();
        client.write_all(b"k").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ok"), "{answer}");
        serving.await.unwrap();
    }
}
