//! The HTTP server.

use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The time for the head of a request, from the previous response on. The connection is closed after it.
const HEAD: Duration = Duration::from_secs(120);

/// The time until connections are accepted again after a failure, such as too many open files.
const RETRY: Duration = Duration::from_millis(500);

/// Serves requests until `closing` is cancelled, and then completes those in progress.
pub async fn serve(listener: TcpListener, router: Router, closing: CancellationToken) {
    serve_patiently(HEAD, listener, router, closing).await;
}

async fn serve_patiently(
    patience: Duration,
    listener: TcpListener,
    router: Router,
    closing: CancellationToken,
) {
    let connections = TaskTracker::new();
    while let Some(accepted) = closing.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                let answering = answer(stream, patience, router.clone(), closing.clone());
                connections.spawn(answering);
            }
            // Only this connection failed.
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections; retrying");
                let _ = closing.run_until_cancelled(tokio::time::sleep(RETRY)).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionRefused | ConnectionAborted | ConnectionReset)
}

async fn answer(stream: TcpStream, patience: Duration, router: Router, closing: CancellationToken) {
    // Responses are written at once. Without it, the last part of a long response can be late.
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(patience);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // The client has disconnected, was silent, or did not send HTTP.
        tracing::debug!(%error, "a connection failed");
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::Request;
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

    async fn server(patience: Duration) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (arrive, arrived) = mpsc::unbounded_channel();
        let echo = move |request: Request| {
            arrive.send(()).unwrap();
            async { axum::body::to_bytes(request.into_body(), 10).await.unwrap() }
        };
        let (router, closing) = (Router::new().route("/", post(echo)), CancellationToken::new());
        let serving = tokio::spawn(serve_patiently(patience, listener, router, closing.clone()));
        let client = TcpStream::connect(address).await.unwrap();
        Server { serving, closing, client, arrived }
    }

    #[tokio::test]
    async fn a_connection_whose_request_head_is_incomplete_is_closed() {
        let Server { mut client, .. } = server(Duration::from_millis(20)).await;
        client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\n").await.unwrap();
        assert_eq!(client.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_request_under_way_is_answered_before_the_server_ends() {
        let Server { serving, closing, mut client, mut arrived } = server(HEAD).await;
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
