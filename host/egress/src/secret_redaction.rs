//! The secrets that servers receive, and their redaction in what workflows get back.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::any;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{Egress, Lookups, Policy, Tls};
use crate::EgressLimits;
use crate::secrets::{Secret, SecretValue, Secrets};
use forge_journal::http::{Body, HttpRequest, HttpResponse};
use forge_journal::{Failure, kind};

const VALUE: &str = "s3cr3t/\"value\" +1";

/// The limit on an answer's body in these tests, in bytes.
const MOST: usize = 100_000;

/// A server that records the headers of its requests.
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<HeaderMap>>>,
}

impl Server {
    async fn start() -> Self {
        let seen: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
        let record = Arc::clone(&seen);
        let answer = async move |RawQuery(query): RawQuery, headers: HeaderMap, body: Bytes| {
            record.lock().push(headers.clone());
            answer(&query.unwrap_or_default(), &headers, &body)
        };
        let app = Router::new().fallback(any(answer));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, seen }
    }

    /// Returns the value of a header in the last request.
    fn last(&self, name: &str) -> Option<String> {
        let seen = self.seen.lock();
        let value = seen.last().expect("nobody came").get(name)?;
        Some(value.to_str().unwrap().to_owned())
    }

    fn visits(&self) -> usize {
        self.seen.lock().len()
    }
}

/// Answers as the query says: `to=URL` redirects, `pad=N` puts N bytes before the value, `gzip` compresses it; any other
/// query is an echo.
fn answer(query: &str, headers: &HeaderMap, body: &Bytes) -> axum::response::Response {
    let key = headers.get("x-key").map_or("", |value| value.to_str().unwrap());
    if let Some(to) = query.strip_prefix("to=") {
        let to = to.replace("KEY", &key.replace(['"', ' ', '/'], "-"));
        return (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response();
    }
    if query == "gzip" {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        write!(encoder, "the key is {key}").unwrap();
        return ([(header::CONTENT_ENCODING, "gzip")], encoder.finish().unwrap()).into_response();
    }
    if let Some(encoding) = query.strip_prefix("encoding=") {
        let status = if encoding == "gzip" { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        return (status, [(header::CONTENT_ENCODING, encoding.to_owned())], key.to_owned()).into_response();
    }
    if query == "deep" {
        let hex: String = key.bytes().map(|byte| format!("{byte:02x}")).collect();
        let url = format!("https://a.example/?key={}", hex.replace('7', "%37"));
        let name = HeaderName::from_bytes(format!("x-{key}").as_bytes()).unwrap();
        return ([(name, key.to_owned())], STANDARD.encode(url)).into_response();
    }
    if let Some(pad) = query.strip_prefix("pad=") {
        return format!("{}{key}", ".".repeat(pad.parse().unwrap())).into_response();
    }
    let json = serde_json::json!({ "key": key, "body": String::from_utf8_lossy(body) });
    ([("x-echo", key), ("content-type", "application/json")], json.to_string()).into_response()
}

fn secrets(secrets: &[(&str, &str, &[&str])]) -> Arc<Secrets> {
    let secrets = secrets.iter().map(|(name, value, hosts)| {
        let hosts = hosts.iter().map(|rule| rule.parse().unwrap()).collect();
        ((*name).to_owned(), Secret { value: SecretValue::new(*value).unwrap(), hosts })
    });
    Arc::new(Secrets::new(secrets.collect()).unwrap())
}

fn egress(policy: Policy, secrets: Arc<Secrets>) -> Egress {
    let limits =
        EgressLimits { http_timeout_ms: 10_000, response_bytes: MOST as u64, ..EgressLimits::default() };
    Egress::new(&Tls::new().unwrap(), policy, secrets, &limits, Lookups::default())
}

/// Returns an egress with one secret `KEY` that is bound to this server.
fn bound_to(url: &str) -> Egress {
    egress(Policy::open(), secrets(&[("KEY", VALUE, &[url])]))
}

fn request(url: String, headers: &[(&str, &str)]) -> HttpRequest {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let body = Body::from(b"{{secret:KEY}}".to_vec());
    HttpRequest { method: "POST".to_owned(), url, headers, body, timeout_ms: None, at_most_once: false }
}

async fn answered(egress: &Egress, request: HttpRequest) -> HttpResponse {
    HttpResponse::from_json(&egress.send(request, "run:0").await.unwrap().unwrap()).unwrap()
}

async fn denied(egress: &Egress, request: HttpRequest) -> Failure {
    let failure = egress.send(request, "run:0").await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.retryable), (kind::DENIED, false), "{failure}");
    failure
}

fn text(answer: HttpResponse) -> String {
    String::from_utf8(answer.body.into_bytes()).unwrap()
}

#[tokio::test]
async fn the_server_gets_the_value_and_the_workflow_only_ever_sees_its_name() {
    let server = Server::start().await;
    let egress = bound_to(&server.url);
    let url = format!("{}/{{{{secret:KEY}}}}", server.url);
    let headers = [
        ("x-key", "{{secret:KEY}}"),
        ("authorization", "Bearer {{secret:KEY}}"),
        ("accept-encoding", "compress"),
    ];
    let answer = answered(&egress, request(url, &headers)).await;
    assert_eq!(server.last("x-key").as_deref(), Some(VALUE));
    assert_eq!(server.last("authorization"), Some(format!("Bearer {VALUE}")));
    assert_eq!(
        server.last("accept-encoding").as_deref(),
        Some("gzip, deflate, br, zstd"),
        "only what can be decoded is searched"
    );
    let echo = answer.headers.iter().find(|(name, _)| name == "x-echo").unwrap();
    assert_eq!(echo.1, "[secret:KEY]");
    // The body of the request was not filled.
    assert_eq!(text(answer), r#"{"body":"{{secret:KEY}}","key":"[secret:KEY]"}"#);
}

#[tokio::test]
async fn a_secret_is_found_in_a_compressed_answer() {
    let server = Server::start().await;
    let request = request(format!("{}/?gzip", server.url), &[("x-key", "{{secret:KEY}}")]);
    assert_eq!(text(answered(&bound_to(&server.url), request).await), "the key is [secret:KEY]");
}

#[tokio::test]
async fn an_answer_that_cannot_be_searched_is_withheld_if_its_server_knows_secrets() {
    let server = Server::start().await;
    for encoding in ["compress", "aws-chunked", "gzip, gzip, gzip", "gzip"] {
        let asked = || request(format!("{}/?encoding={encoding}", server.url), &[("x-key", "{secret:KEY}")]);
        let failure = bound_to(&server.url).send(asked(), "run:0").await.unwrap_err();
        assert_eq!((failure.kind.as_str(), failure.retryable), (kind::LIMIT, false), "{failure}");
        assert!(failure.message.contains(encoding) && failure.message.contains("effect stands"), "{failure}");
        let other = egress(Policy::open(), secrets(&[("KEY", VALUE, &["https://other.example"])]));
        assert_eq!(text(answered(&other, asked()).await), "{secret:KEY}", "{encoding}");
    }
}

#[tokio::test]
async fn a_secret_is_found_in_encodings_of_encodings_and_in_names_of_headers() {
    let server = Server::start().await;
    let value = "7Key-Of-Mixed-Case7";
    let egress = egress(Policy::open(), secrets(&[("KEY", value, &[&server.url])]));
    let headers = [("x-key", "{{secret:KEY}}")];
    let answer = answered(&egress, request(format!("{}/?deep", server.url), &headers)).await;
    let names: Vec<&str> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"x-[secret:KEY]"), "{names:?}");
    assert!(answer.searched > 0);
    let body = text(answer);
    assert!(body.starts_with("aHR0cHM6") && body.contains("[secret:KEY]"), "{body}");
}

#[tokio::test]
async fn only_the_answers_of_servers_that_know_secrets_are_searched() {
    let server = Server::start().await;
    let other = egress(Policy::open(), secrets(&[("KEY", VALUE, &["https://other.example"])]));
    let answer = answered(&other, request(server.url.clone(), &[("x-key", "a-value")])).await;
    assert_eq!(answer.searched, 0);
    let answer = answered(&bound_to(&server.url), request(server.url.clone(), &[("x-key", "a-value")])).await;
    assert!(answer.searched > 0, "a server may reveal what another request has told it");
}

#[tokio::test]
async fn a_request_without_secrets_is_sent_as_it_is() {
    let server = Server::start().await;
    let headers = [("x-key", "{secret:KEY}"), ("accept-encoding", "gzip")];
    for secrets in [secrets(&[("KEY", VALUE, &[&server.url])]), Arc::new(Secrets::none())] {
        let egress = egress(Policy::open(), secrets);
        let answer = answered(&egress, request(server.url.clone(), &headers)).await;
        assert_eq!(server.last("accept-encoding").as_deref(), Some("gzip"));
        assert_eq!(text(answer), r#"{"body":"{{secret:KEY}}","key":"{secret:KEY}"}"#);
    }
}

#[tokio::test]
async fn a_secret_that_is_not_there_or_not_bound_to_the_server_is_denied_before_anybody_is_asked() {
    let server = Server::start().await;
    let all = secrets(&[("KEY", VALUE, &["https://api.example.com"]), ("UNBOUND", VALUE, &[])]);
    for (secrets, header, why) in [
        (&all, "{{secret:KEY}}", "bound to others (https://api.example.com)"),
        (&all, "{{secret:UNBOUND}}", "bound to no server"),
        (&all, "{{secret:NONE}}", "there is no secret `NONE`"),
        (&Arc::new(Secrets::none()), "{{secret:KEY}}", "there is no secret `KEY`"),
    ] {
        let egress = egress(Policy::open(), Arc::clone(secrets));
        let failure = denied(&egress, request(server.url.clone(), &[("x-key", header)])).await;
        assert!(failure.message.contains(why) && !failure.message.contains(VALUE), "{failure}");
    }
    assert_eq!(server.visits(), 0);
}

#[tokio::test]
async fn a_redirect_does_not_take_a_secret_to_a_server_that_it_is_not_bound_to() {
    let (server, elsewhere) = (Server::start().await, Server::start().await);
    let first = bound_to(&server.url);
    let url = format!("{}/?to={}", server.url, elsewhere.url);
    let failure = denied(&first, request(url.clone(), &[("x-key", "{{secret:KEY}}")])).await;
    assert!(failure.message.contains("`KEY`") && failure.message.contains(&elsewhere.url), "{failure}");
    assert_eq!((server.visits(), elsewhere.visits()), (1, 0));

    // Credentials stay at the first server anyway.
    let headers = [("authorization", "Bearer {{secret:KEY}}"), ("x-other", "o")];
    answered(&first, request(url.clone(), &headers)).await;
    assert_eq!(server.last("authorization"), Some(format!("Bearer {VALUE}")));
    assert_eq!((elsewhere.last("authorization"), elsewhere.last("x-other").as_deref()), (None, Some("o")));

    let both = secrets(&[("KEY", VALUE, &[&server.url, &elsewhere.url])]);
    answered(&egress(Policy::open(), both), request(url, &[("x-key", "{{secret:KEY}}")])).await;
    assert_eq!(elsewhere.last("x-key").as_deref(), Some(VALUE));
}

#[tokio::test]
async fn a_server_that_puts_a_secret_in_a_redirect_does_not_pass_it_on() {
    let (server, elsewhere) = (Server::start().await, Server::start().await);
    let value = "a-value-for-urls";
    let egress = egress(Policy::open(), secrets(&[("KEY", value, &[&server.url])]));
    let header = [("x-key", "{{secret:KEY}}")];
    let there = format!("{}/?to={}/KEY", server.url, elsewhere.url);
    let failure = denied(&egress, request(there, &header)).await;
    assert!(!failure.message.contains(value), "{failure}");
    assert_eq!((server.visits(), elsewhere.visits()), (1, 0));
    // Messages have the URLs of redirects in them.
    let nowhere = format!("{}/?to=ftp://KEY/", server.url);
    let failure = egress.send(request(nowhere, &header), "run:0").await.unwrap_err();
    assert!(failure.message.contains("ftp://[secret:KEY]/"), "{failure}");
}

#[tokio::test]
async fn a_secret_goes_to_the_site_that_the_url_names_whatever_the_host_header_says() {
    let server = Server::start().await;
    let host = server.url.strip_prefix("http://");
    let headers = [("host", "evil.example"), ("x-key", "{{secret:KEY}}")];
    answered(&bound_to(&server.url), request(server.url.clone(), &headers)).await;
    assert_eq!(server.last("host").as_deref(), host);

    let only = |policy| egress(policy, Arc::new(Secrets::none()));
    let rule = server.url.parse().unwrap();
    answered(&only(Policy::only(vec![rule], Vec::new())), request(server.url.clone(), &headers[..1])).await;
    assert_eq!(server.last("host").as_deref(), host, "a rule names a site, too");
    answered(&only(Policy::open()), request(server.url.clone(), &headers[..1])).await;
    assert_eq!(server.last("host").as_deref(), Some("evil.example"));
}

#[tokio::test]
async fn the_size_of_an_answer_is_what_the_server_sent() {
    let server = Server::start().await;
    let egress = egress(Policy::open(), secrets(&[("A_LONG_NAME", "12345678", &[&server.url])]));
    let padded = |pad| request(format!("{}/?pad={pad}", server.url), &[("x-key", "{{secret:A_LONG_NAME}}")]);
    let answer = text(answered(&egress, padded(MOST - 8)).await);
    assert!(answer.len() > MOST && answer.ends_with(".[secret:A_LONG_NAME]"));
    let failure = egress.send(padded(MOST - 7), "run:0").await.unwrap_err();
    assert_eq!(failure.kind, kind::LIMIT);
}

#[tokio::test]
async fn bytes_of_bodies_are_counted_both_ways_also_of_what_fails() {
    let server = Server::start().await;
    let bytes = Arc::new(AtomicU64::new(0));
    let egress = egress(Policy::open(), Arc::new(Secrets::none())).counting(Arc::clone(&bytes));
    let sent = |query: &str| {
        let request = request(format!("{}/?{query}", server.url), &[]);
        let sending = egress.send(request, "run:0");
        let bytes = &bytes;
        async move {
            let outcome = sending.await;
            (outcome.is_ok(), bytes.swap(0, Ordering::Relaxed))
        }
    };
    assert_eq!(sent("pad=1000").await, (true, 14 + 1_000));
    let twice = format!("to={}/?pad=5", server.url);
    assert_eq!(sent(&twice).await, (true, 14 + 14 + 5), "a redirect sends the body again");
    let (succeeded, counted) = sent(&format!("pad={}", MOST + 1)).await;
    assert!(!succeeded && counted > 14, "{counted}");
    let refused = request("http://127.0.0.1:1/".to_owned(), &[]);
    egress.send(refused, "run:0").await.unwrap_err();
    assert_eq!(bytes.load(Ordering::Relaxed), 0, "nobody was there to take it");
}

#[tokio::test]
async fn more_headers_than_a_request_may_have_are_refused() {
    let server = Server::start().await;
    let names: Vec<String> = (0..40_000).map(|number| format!("x-{number}")).collect();
    let headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let egress = bound_to(&server.url);
    let failure = egress.send(request(server.url.clone(), &headers), "run:0").await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.retryable), (kind::LIMIT, false));
    // One header can name many secrets.
    let many = "{{secret:KEY}}".repeat(20_000);
    let failure = egress.send(request(server.url.clone(), &[("x-key", &many)]), "run:0").await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.retryable), (kind::LIMIT, false));
    assert_eq!(server.visits(), 0);
}

/// Answers one request with `begin`, and with `again` until nobody reads it. Returns the failure of the request.
async fn endless(begin: &'static str, again: &'static str) -> Failure {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1_000]).await.unwrap();
        stream.write_all(begin.as_bytes()).await.unwrap();
        let again = again.repeat(1_000);
        while stream.write_all(again.as_bytes()).await.is_ok() {}
    });
    bound_to(&url).send(request(url, &[]), "run:0").await.unwrap_err()
}

#[tokio::test]
async fn an_answer_whose_head_has_no_end_is_no_answer() {
    for (begin, again) in [
        ("HTTP/1.1 200 OK\r\nx-endless: ", "x"),
        ("HTTP/1.1 200 OK\r\n", "x: y\r\n"),
        ("", "HTTP/1.1 103 Early Hints\r\n\r\n"),
        ("", "HTTP/1.1 100 Continue\r\nlink: </style.css>; rel=preload\r\n\r\n"),
    ] {
        let failure = endless(begin, again).await;
        assert_eq!((failure.kind.as_str(), failure.retryable), (kind::LIMIT, false), "{again}: {failure}");
        assert!(failure.message.contains("the head of the answer is too large"), "{failure}");
    }
}

#[tokio::test]
async fn an_answer_whose_body_has_no_end_is_no_answer() {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for (begin, again) in [
        (format!("{CHUNKED}0\r\n"), "x: y\r\n"),
        (format!("{CHUNKED}0\r\nx: "), "y"),
        (format!("{CHUNKED}1;x="), "y"),
        (CHUNKED.to_owned(), "1\r\nx\r\n"),
        ("HTTP/1.1 200 OK\r\n\r\n".to_owned(), "x"),
    ] {
        let failure = endless(begin.leak(), again).await;
        assert_ne!(failure.kind, kind::TIMEOUT, "{again}: {failure}");
    }
}
