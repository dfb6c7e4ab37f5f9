//! Mutating requests run to completion even if the client disconnects: otherwise the future of the request would be
//! dropped after the change is durable and before it takes effect on this node.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::ApiError;

/// Runs a mutating request in a task of its own.
pub(super) async fn run_to_completion(request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let response = tokio::spawn(next.run(request)).await;
    response.unwrap_or_else(|error| ApiError::broken_off(&error).into_response())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::Body;
    use axum::http::{Method, StatusCode};
    use axum::routing::any;
    use axum::{Router, middleware};
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;
    use tokio::sync::Notify;

    use super::*;

    /// Returns whether a request completes after its client has disconnected.
    async fn is_done(method: Method) -> bool {
        let (begun, go_on, done) =
            (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let handler = {
            let (begun, go_on, done) = (Arc::clone(&begun), Arc::clone(&go_on), Arc::clone(&done));
            move || async move {
                begun.notify_one();
                go_on.notified().await;
                done.notify_one();
            }
        };
        let router = Router::new().route("/", any(handler)).layer(middleware::from_fn(run_to_completion));
        let request = Request::builder().method(method).uri("/").body(Body::empty()).unwrap();
        let asking = tokio::spawn(TowerToHyperService::new(router).call(request));
        begun.notified().await;
        asking.abort();
        assert!(asking.await.unwrap_err().is_cancelled());
        go_on.notify_one();
        let patience = std::time::Duration::from_millis(200);
        tokio::time::timeout(patience, done.notified()).await.is_ok()
    }

    #[tokio::test]
    async fn a_mutating_request_completes_after_its_client_has_disconnected() {
        assert!(is_done(Method::POST).await);
        assert!(is_done(Method::DELETE).await);
        assert!(!is_done(Method::GET).await);
    }

    #[tokio::test]
    async fn a_handler_that_panics_is_an_error_of_its_request() {
        async fn broken() -> StatusCode {
            panic!("no");
        }
        let router = Router::new().route("/", any(broken)).layer(middleware::from_fn(run_to_completion));
        let request = Request::builder().method(Method::POST).uri("/").body(Body::empty()).unwrap();
        assert_eq!(
            TowerToHyperService::new(router).call(request).await.unwrap().status(),
            StatusCode::INTERNAL_SERVER_ERROR
        );
    }
}
