//! The connections on which requests come in.

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

use crate::attentive::attentive;

/// How long a client may take for the head of a request, from the last answer on: one that says nothing for longer
/// than this finds its connection closed.
const HEAD: Duration = Duration::from_secs(120);

/// Until connections are accepted again after that failed for want of something, such as open files.
const RETRY: Duration = Duration::from_millis(500);

/// Answers requests until `closing` is cancelled, and then until those under way are answered.
pub async fn serve(listener: TcpListener, router: Router, closing: CancellationToken) {
    let connections = TaskTracker::new();
    while let Some(accepted) = closing.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(attentive(answer(stream, router.clone(), closing.clone())));
            }
            // Of the one connection, which is gone.
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "connections cannot be accepted: it is tried again");
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

async fn answer(stream: TcpStream, router: Router, closing: CancellationToken) {
    // An answer is written at once. Without it, only the last part of a long one may be late.
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // The client is gone, was silent, or sent what is no HTTP: it knows.
        tracing::debug!(%error, "a connection broke off");
    }
}
