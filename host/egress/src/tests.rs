//! Requests to a server of this process, over TCP.

use std::io::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::any;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{Egress, Lookups, Policy, Tls};
use crate::EgressLimits;
use crate::secrets::Secrets;
use forge_journal::http::{Body, HttpRequest};
use forge_journal::{Failure, Reach, kind};

/// The limit on an answer's body in these tests, in bytes.
const MOST: usize = 1_000;

/// Starts a server that echoes requests and redirects, and returns its port.
async fn server() -> u16 {
    let app = Router::new()
        .route("/echo", any(echo))
        .route("/redirect/{status}/{*to}", any(redirect))
        .route("/loop", any(|| async { (StatusCode::FOUND, [(header::LOCATION, "/loop")]) }))
        .route(
            "/elsewhere",
            any(|| async { (StatusCode::FOUND, [(header::LOCATION, "ftp://example.com/")]) }),
        )
        .route("/nowhere", any(|| async { (StatusCode::FOUND, "stay") }))
        .route("/large", any(|| async { "x".repeat(MOST + 1) }))
        .route("/never", any(std::future::pending::<()>));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, app).await });
    port
}

async fn echo(request: Request) -> impl IntoResponse {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MOST).await.unwrap();
    let headers = parts.headers.iter();
    let headers: serde_json::Map<String, Value> =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().into())).collect();
    let echo = json!({
        "method": parts.method.as_str(),
        "uri": parts.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    axum::Json(echo)
}

async fn redirect(Path((status, to)): Path<(u16, String)>, headers: HeaderMap) -> impl IntoResponse {
    let host = headers[header::HOST].to_str().unwrap();
    let port = host.rsplit(':').next().unwrap();
    // A path redirects to the same server; `other/` to the same server by another name.
    let to = match to.strip_prefix("other/") {
        Some(path) => format!("http://localhost:{port}/{path}"),
        None => format!("/{to}"),
    };
    (StatusCode::from_u16(status).unwrap(), [(header::LOCATION, to)])
}

fn egress() -> Egress {
    let limits =
        EgressLimits { http_timeout_ms: 10_000, response_bytes: MOST as u64, ..EgressLimits::default() };
    Egress::new(&Tls::new().unwrap(), Policy::open(), Arc::new(Secrets::none()), &limits, Lookups::default())
}

pub(crate) fn request(method: &str, url: String) -> HttpRequest {
    HttpRequest {
        method: method.to_owned(),
        url,
        headers: Vec::new(),
        body: Body::default(),
        timeout_ms: None,
        at_most_once: false,
    }
}

fn post(url: String) -> HttpRequest {
    let headers = [("content-type", "text/plain"), ("authorization", "Bearer s"), ("x-other", "o")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    HttpRequest { headers, body: Body::from(b"hello".to_vec()), ..request("POST", url) }
}

async fn answer(request: HttpRequest) -> Value {
    let answer = egress().send(request, "run:0").await.unwrap().unwrap();
    serde_json::from_str(&answer).unwrap()
}

/// Returns the request as the server received it.
async fn echoed(request: HttpRequest) -> Value {
    let answer = answer(request).await;
    assert_eq!(answer["status"], 200, "{answer}");
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
}

async fn failure(request: HttpRequest) -> Failure {
    egress().send(request, "run:0").await.unwrap_err()
}

#[tokio::test]
async fn a_request_arrives_as_the_workflow_made_it_with_a_key_and_who_sends_it() {
    let port = server().await;
    let echo = echoed(post(format!("http://127.0.0.1:{port}/echo?a=ü b#part"))).await;
    let host = format!("127.0.0.1:{port}");
    let expected = json!({
        "method": "POST",
        "uri": "/echo?a=%C3%BC%20b",
        "headers": {
            "content-type": "text/plain", "authorization": "Bearer s", "x-other": "o", "idempotency-key": "run:0",
            "accept": "*/*", "accept-encoding": "gzip, deflate, br, zstd", "user-agent": concat!("forge/", env!("CARGO_PKG_VERSION")), "host": host,
            "content-length": "5",
        },
        "body": "hello",
    });
    assert_eq!(echo, expected);

    let mut own = request("GET", format!("http://{host}/echo"));
    own.headers =
        [("Accept", "a/b"), ("Accept-Encoding", "br"), ("User-Agent", "me"), ("Idempotency-Key", "mine")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
    let expected = json!({ "accept": "a/b", "accept-encoding": "br", "user-agent": "me", "idempotency-key": "mine", "host": host });
    assert_eq!(echoed(own).await["headers"], expected);
}

#[tokio::test]
async fn credentials_in_a_url_become_a_header_unless_the_workflow_set_one() {
    let port = server().await;
    let url = format!("http://me:a%20b@127.0.0.1:{port}/echo");
    let echo = echoed(request("GET", url.clone())).await;
    assert_eq!(echo["headers"]["authorization"], "Basic bWU6YSBi");
    assert_eq!(echoed(post(url)).await["headers"]["authorization"], "Bearer s");
}

#[tokio::test]
async fn where_a_request_ends_is_not_the_workflow_s_to_say() {
    let port = server().await;
    let mut lying = request("GET", format!("http://127.0.0.1:{port}/echo"));
    for (name, value) in
        [("Content-Length", "100"), ("transfer-encoding", "chunked"), ("connection", "close")]
    {
        lying.headers.push((name.to_owned(), value.to_owned()));
    }
    let echo = echoed(lying).await;
    for name in ["content-length", "transfer-encoding", "connection"] {
        assert_eq!(echo["headers"][name], Value::Null, "{name}");
    }
    let mut empty = post(format!("http://127.0.0.1:{port}/echo"));
    empty.body = Body::from(Vec::new());
    assert_eq!(echoed(empty).await["headers"]["content-length"], "0");
}

#[tokio::test]
async fn a_redirect_is_followed_as_its_status_says() {
    let port = server().await;
    let go = |status: &str| echoed(post(format!("http://127.0.0.1:{port}/redirect/{status}/echo")));
    for status in ["301", "302", "303"] {
        let echo = go(status).await;
        assert_eq!((&echo["method"], &echo["body"]), (&json!("GET"), &json!("")), "{status}");
        assert_eq!(echo["headers"]["content-type"], Value::Null);
        assert_eq!(echo["headers"]["authorization"], "Bearer s");
    }
    for status in ["307", "308"] {
        let echo = go(status).await;
        assert_eq!((&echo["method"], &echo["body"]), (&json!("POST"), &json!("hello")), "{status}");
        assert_eq!(echo["headers"]["content-type"], "text/plain");
        assert_eq!(echo["headers"]["idempotency-key"], "run:0");
        assert_eq!(echo["headers"]["referer"], format!("http://127.0.0.1:{port}/redirect/{status}/echo"));
    }
    let put = echoed(request("PUT", format!("http://127.0.0.1:{port}/redirect/302/echo"))).await;
    assert_eq!(put["method"], "PUT");
    let stay = answer(request("GET", format!("http://127.0.0.1:{port}/nowhere"))).await;
    assert_eq!((&stay["status"], &stay["body"]), (&json!(302), &json!("stay")));
}

#[tokio::test]
async fn a_redirect_to_another_server_loses_what_only_the_first_may_know() {
    let port = server().await;
    let echo = echoed(post(format!("http://127.0.0.1:{port}/redirect/307/other/echo"))).await;
    assert_eq!(echo["headers"]["host"], format!("localhost:{port}"));
    assert_eq!(echo["headers"]["authorization"], Value::Null);
    assert_eq!(echo["headers"]["referer"], Value::Null, "where it comes from may have a secret in it");
    assert_eq!(echo["headers"]["x-other"], "o");
}

#[tokio::test]
async fn redirects_that_lead_nowhere_are_given_up() {
    let port = server().await;
    let five = format!("http://127.0.0.1:{port}/{}echo", "redirect/307/".repeat(5));
    assert_eq!(echoed(post(five)).await["method"], "POST");
    let url = format!("http://127.0.0.1:{port}/loop");
    let failed = failure(request("GET", url.clone())).await;
    let message = format!("GET {url}: error following redirect for url ({url}): too many redirects");
    assert_eq!(failed, Failure::new(kind::HTTP, message).with_reach(Reach::Nowhere));
    let url = format!("http://127.0.0.1:{port}/elsewhere");
    let failed = failure(request("GET", url.clone())).await;
    let message = format!("GET {url}: builder error for url (ftp://example.com/): URL scheme is not allowed");
    assert_eq!(failed, Failure::new(kind::HTTP, message).with_reach(Reach::Nowhere));
    let failed = failure(request("POST", url)).await;
    assert_eq!(failed.reach, Some(Reach::Answered), "a POST that leads to a GET was handled");
}

#[tokio::test]
async fn what_goes_wrong_is_said_with_its_cause() {
    let port = server().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{closed}/");
    let failed = failure(request("GET", url.clone())).await;
    let message = format!(
        "GET {url}: error sending request for url ({url}): client error (Connect): tcp connect error: Connection \
         refused (os error 111)"
    );
    assert_eq!(failed, Failure::new(kind::HTTP, message).with_reach(Reach::Nowhere));

    let failed = failure(request("GET", format!("http://127.0.0.1:{port}/large"))).await;
    assert_eq!((failed.kind.as_str(), failed.retryable), (kind::LIMIT, false));
    assert_eq!(failed.reach, Some(Reach::Answered));

    let url = format!("http://127.0.0.1:{port}/never");
    let failed = failure(HttpRequest { timeout_ms: Some(20), ..request("GET", url.clone()) }).await;
    assert_eq!(
        failed,
        Failure::new(kind::TIMEOUT, format!("GET {url}: no answer within 20ms"))
            .with_reach(Reach::Unanswered)
    );

    for (method, url, message) in [
        ("G T", "http://a/", "`G T` is no HTTP method"),
        ("GET", "ftp://a/", "scheme `ftp` is not supported; use http or https"),
        ("GET", "/a", "not an absolute URL (relative URL without a base); write http://HOST/PATH"),
    ] {
        let failed = failure(request(method, url.to_owned())).await;
        assert_eq!(
            failed,
            Failure::permanent(kind::HTTP, format!("{method} {url}: {message}")).with_reach(Reach::Nowhere)
        );
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for answer in ["", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1_000]).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let failed = failure(request("POST", url.clone())).await;
    let message = format!(
        "POST {url}: error sending request for url ({url}): client error (SendRequest): connection closed before \
         message completed"
    );
    assert_eq!(failed, Failure::new(kind::HTTP, message).with_reach(Reach::Unanswered));
    let failed = failure(request("POST", url.clone())).await;
    let message = format!(
        "POST {url}: error decoding response body: error reading a body from \
         connection: end of file before message length reached"
    );
    assert_eq!(failed, Failure::new(kind::HTTP, message).with_reach(Reach::Answered));
}

/// Returns a server's URL that answers each request with the next of these answers, on a connection of its own.
async fn answers_with(answers: Vec<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1_000]).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    });
    url
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn the_content_of_a_compressed_answer_is_delivered_without_the_headers_of_what_was_sent() {
    let answers = |status: &str, encoding: &str, body: &[u8]| {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-encoding: {encoding}\r\ncontent-length: {length}\r\n\r\n"
        );
        [head.as_bytes(), body].concat()
    };
    let (small, bomb) = (gzip(b"{\"ok\":true}"), gzip(&vec![b'x'; 100 << 20]));
    let url = answers_with(vec![
        answers("200 OK", "gzip", &small),
        answers("206 Partial Content", "gzip", &small),
        answers("200 OK", "aws-chunked", b"as it is"),
        answers("200 OK", "gzip", b"no gzip"),
        answers("200 OK", "gzip", &gzip(&vec![b'x'; MOST + 1])),
        answers("200 OK", "gzip", &gzip(&bomb)),
    ])
    .await;
    let decoded = answer(request("GET", url.clone())).await;
    assert_eq!(decoded["body"], "{\"ok\":true}");
    assert_eq!(decoded["headers"], json!([["connection", "close"]]));
    let part = answer(request("GET", url.clone())).await;
    assert!(part["body_base64"].is_string() && part["headers"][1] == json!(["content-encoding", "gzip"]));
    let unknown = answer(request("GET", url.clone())).await;
    assert!(
        unknown["body"] == "as it is" && unknown["headers"][1] == json!(["content-encoding", "aws-chunked"])
    );
    let damaged = failure(request("GET", url.clone())).await;
    assert_eq!((damaged.kind.as_str(), damaged.retryable), (kind::HTTP, true), "{damaged}");
    for _ in 0..2 {
        let too_large = failure(request("GET", url.clone())).await;
        assert_eq!((too_large.kind.as_str(), too_large.retryable), (kind::LIMIT, false), "{too_large}");
    }
}

#[tokio::test]
async fn a_part_of_a_content_is_not_asked_for_in_compressed_form() {
    let port = server().await;
    let mut part = request("GET", format!("http://127.0.0.1:{port}/echo"));
    part.headers = vec![("range".to_owned(), "bytes=0-9".to_owned())];
    assert_eq!(echoed(part).await["headers"]["accept-encoding"], "identity");
}

#[tokio::test]
async fn a_thousand_headers_are_delivered_and_more_are_no_reason_to_ask_again() {
    let answers = |cookies: usize| {
        let cookies: String = (0..cookies).map(|cookie| format!("set-cookie: c{cookie}=1\r\n")).collect();
        format!("HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: 0\r\n{cookies}\r\n")
            .into_bytes()
    };
    let url = answers_with(vec![answers(998), answers(999)]).await;
    let answer = answer(request("POST", url.clone())).await;
    assert_eq!(answer["headers"].as_array().unwrap().len(), 1_000);
    let failed = failure(request("POST", url)).await;
    assert_eq!((failed.kind.as_str(), failed.retryable), (kind::LIMIT, false), "{failed}");
}

#[tokio::test]
async fn a_header_that_is_not_utf_8_is_read_as_latin_1() {
    let head =
        b"HTTP/1.1 200 OK\r\nconnection: close\r\nx-latin: caf\xe9.pdf\r\nx-utf: caf\xc3\xa9.pdf\r\n\r\n";
    let url = answers_with(vec![head.to_vec()]).await;
    let headers = answer(request("GET", url)).await["headers"].clone();
    assert_eq!(headers[1], json!(["x-latin", "café.pdf"]));
    assert_eq!(headers[2], json!(["x-utf", "café.pdf"]));
}

/// Starts a server whose `/SIZE/BEGIN` sends the head and the begin of a body of this size, and the rest when it is told to.
async fn holding_server() -> (u16, tokio::sync::watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (release, released) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut released = released.clone();
            tokio::spawn(async move {
                let mut head = vec![0; 4_096];
                let read = stream.read(&mut head).await.unwrap();
                let head = String::from_utf8_lossy(&head[..read]).into_owned();
                let mut path = head.split(' ').nth(1).unwrap().split('/').skip(1);
                let (framing, size) = (path.next().unwrap(), path.next().unwrap().parse::<usize>().unwrap());
                let head = match framing {
                    "length" => format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n"),
                    _ => "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_owned(),
                };
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(&vec![b'x'; size - 1]).await.unwrap();
                released.wait_for(|released| *released).await.unwrap();
                let _ = stream.write_all(b"x").await;
            });
        }
    });
    (port, release)
}

#[tokio::test]
async fn large_answers_take_turns_and_small_ones_do_not_wait() {
    const LARGE: u64 = 100 << 10;
    let (port, release) = holding_server().await;
    let limits = EgressLimits {
        http_timeout_ms: 20_000,
        response_bytes: 2 * LARGE,
        response_bytes_in_flight: 2 * LARGE,
        ..EgressLimits::default()
    };
    let budget = Arc::<forge_scheduling::ByteBudget>::default();
    let responses = crate::Responses::new(Arc::clone(&budget), Arc::default(), u64::MAX);
    let tls = Tls::new().unwrap();
    let egress = Egress::new(&tls, Policy::open(), Arc::new(Secrets::none()), &limits, Lookups::default());
    let egress = Arc::new(egress.within(responses));
    let send = |framing: &str, size: u64| {
        let request = request("GET", format!("http://127.0.0.1:{port}/{framing}/{size}"));
        let egress = Arc::clone(&egress);
        tokio::spawn(async move { egress.send(request, "run:0").await })
    };
    let until_used = async |bytes: u64| {
        while budget.used() != bytes {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let two = [send("length", LARGE), send("length", LARGE)];
    until_used(2 * LARGE).await;
    let waiting = [send("length", LARGE), send("close", LARGE)];
    // Small answers do not wait. That of the next one tells that the others had time to begin.
    release.send(true).unwrap();
    let small = send("length", 1_000);
    assert!(small.await.unwrap().is_ok());
    for sent in two.into_iter().chain(waiting) {
        let answer: Value = serde_json::from_str(&sent.await.unwrap().unwrap().unwrap()).unwrap();
        assert_eq!(answer["body"].as_str().unwrap().len(), usize::try_from(LARGE).unwrap());
    }
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn an_answer_that_finds_no_room_in_time_fails_with_a_timeout_and_gives_nothing_back_twice() {
    const LARGE: u64 = 100 << 10;
    let (port, release) = holding_server().await;
    let budget = Arc::<forge_scheduling::ByteBudget>::default();
    let limits = EgressLimits { response_bytes_in_flight: LARGE, ..EgressLimits::default() };
    let responses = crate::Responses::new(Arc::clone(&budget), Arc::default(), u64::MAX);
    let tls = Tls::new().unwrap();
    let egress = Egress::new(&tls, Policy::open(), Arc::new(Secrets::none()), &limits, Lookups::default());
    let egress = Arc::new(egress.within(responses));
    let url = format!("http://127.0.0.1:{port}/length/{LARGE}");
    let first = tokio::spawn({
        let (egress, request) = (Arc::clone(&egress), request("GET", url.clone()));
        async move { egress.send(request, "run:0").await }
    });
    while budget.used() == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let late = HttpRequest { timeout_ms: Some(100), ..request("GET", url) };
    let failure = egress.send(late, "run:1").await.unwrap_err();
    assert_eq!(failure.kind, kind::TIMEOUT);
    assert_eq!(budget.used(), LARGE);
    release.send(true).unwrap();
    first.await.unwrap().unwrap();
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn encoded_answers_that_all_need_the_whole_budget_are_decoded_one_after_the_other() {
    const ANSWERS: usize = 20;
    let text = "x".repeat(300_000);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    let encoded = encoder.finish().unwrap();
    let app = Router::new()
        .route("/", any(move || std::future::ready(([(header::CONTENT_ENCODING, "gzip")], encoded.clone()))));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let limits = EgressLimits {
        response_bytes: 400_000,
        response_bytes_in_flight: 400_000,
        ..EgressLimits::default()
    };
    let budget = Arc::<forge_scheduling::ByteBudget>::default();
    let responses = crate::Responses::new(Arc::clone(&budget), Arc::default(), u64::MAX);
    let tls = Tls::new().unwrap();
    let egress = Egress::new(&tls, Policy::open(), Arc::new(Secrets::none()), &limits, Lookups::default());
    let egress = egress.within(responses);
    let sending =
        (0..ANSWERS).map(|_| egress.send(request("GET", format!("http://127.0.0.1:{port}/")), "run:0"));
    for answer in futures::future::join_all(sending).await {
        let answer: Value = serde_json::from_str(&answer.unwrap().unwrap()).unwrap();
        assert_eq!(answer["body"].as_str().unwrap().len(), text.len());
    }
    assert_eq!(budget.used(), 0);
}
