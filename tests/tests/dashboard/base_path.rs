//! A proxy that serves the dashboard below a path, which it strips.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use forge_tests::Host;
use reqwest::redirect::Policy;
use tokio::net::TcpListener;

/// The path.
pub(crate) const BASE: &str = "/tools/forge";

/// Starts the proxy. Returns the address of the dashboard behind it.
pub(crate) async fn proxy(host: &Host) -> String {
    let target = host.url();
    let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
    let app = Router::new().fallback(move |request: Request| {
        let (client, target) = (client.clone(), target.clone());
        async move { pass(&client, &target, request).await }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{BASE}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await });
    url
}

async fn pass(client: &reqwest::Client, target: &str, request: Request) -> Response {
    let path = request.uri().path_and_query().unwrap().as_str();
    let Some(path) = path.strip_prefix(BASE) else {
        return (StatusCode::BAD_GATEWAY, "outside of the path").into_response();
    };
    let passed = client.get(format!("{target}{path}")).headers(request.headers().clone());
    let answer = passed.send().await.unwrap();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    response.headers_mut().remove(header::TRANSFER_ENCODING);
    *response.body_mut() = Body::from(answer.bytes().await.unwrap());
    response
}
