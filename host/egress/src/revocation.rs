//! What becomes of connections and of requests under way when a tenant's rules, secrets or limits change.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::connection_reuse::{OK, Server, answer, get};
use super::{Egress, Lookups, Policy, Tls};
use crate::EgressLimits;
use crate::secrets::{Secret, SecretValue, Secrets};
use forge_journal::http::HttpRequest;
use forge_journal::kind;

/// The longest time that a change may take to have its effect.
const SOON: Duration = Duration::from_secs(1);

fn only(urls: &[&str]) -> Policy {
    let rules = urls.iter().map(|url| url.trim_end_matches('/').parse().unwrap());
    Policy::only(rules.collect(), Vec::new())
}

/// A set with the secret `KEY`, bound to a server.
fn secrets(value: &str, url: &str) -> Arc<Secrets> {
    let hosts = vec![url.trim_end_matches('/').parse().unwrap()];
    let secret = Secret { value: SecretValue::new(value).unwrap(), hosts };
    Arc::new(Secrets::new(BTreeMap::from([("KEY".to_owned(), secret)])).unwrap())
}

fn none() -> Arc<Secrets> {
    Arc::new(Secrets::none())
}

fn with_key(url: &str) -> HttpRequest {
    HttpRequest { headers: vec![("x-key".to_owned(), "{{secret:KEY}}".to_owned())], ..get(url) }
}

fn egress(policy: Policy, secrets: Arc<Secrets>) -> Egress {
    Egress::new(&Tls::new().unwrap(), policy, secrets, &EgressLimits::default(), Lookups::default())
}

fn change(egress: &Egress, policy: Policy, secrets: Arc<Secrets>) {
    egress.change(policy, secrets, &EgressLimits::default());
}

/// Reads a request.
async fn read(stream: &mut TcpStream) -> String {
    let mut request = vec![0; 4_096];
    let count = stream.read(&mut request).await.unwrap();
    String::from_utf8(request[..count].to_vec()).unwrap()
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(tokio::time::timeout(SOON, stream.read(&mut [0; 1])).await, Ok(Ok(0) | Err(_)))
}

#[tokio::test]
async fn a_request_under_way_to_a_server_that_no_rule_names_any_more_is_aborted() {
    let mut server = Server::start().await;
    let egress = egress(only(&[&server.url]), none());
    let (sent, mut stream) = tokio::join!(egress.send(get(&server.url), "run:0"), async {
        let mut stream = server.accepted.recv().await.unwrap();
        read(&mut stream).await;
        change(&egress, only(&["http://other.example"]), none());
        stream
    });
    let failure = sent.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.retryable), (kind::REVOKED, false), "{failure}");
    assert!(
        failure.message.contains("aborted while it was under way")
            && failure.message.contains("may not be reached")
    );
    assert!(is_closed(&mut stream).await);
    let failure = egress.send(get(&server.url), "run:1").await.unwrap_err();
    assert_eq!((failure.kind.as_str(), server.connections()), (kind::DENIED, 1), "{failure}");
}

#[tokio::test]
async fn a_request_under_way_that_is_still_allowed_goes_on() {
    let (mut server, other) = (Server::start().await, Server::start().await);
    let egress = egress(only(&[&server.url]), none());
    let (sent, ()) = tokio::join!(egress.send(get(&server.url), "run:0"), async {
        let mut stream = server.accepted.recv().await.unwrap();
        change(&egress, only(&[&other.url, &server.url]), secrets("value-0001", &other.url));
        answer(&mut stream, OK).await;
    });
    sent.unwrap();
}

#[tokio::test]
async fn a_request_under_way_with_a_secret_that_is_deleted_bound_elsewhere_or_changed_is_aborted() {
    let other = "http://other.example";
    for (after, retryable) in
        [(None, false), (Some(("value-0001", other)), false), (Some(("value-0002", "")), true)]
    {
        let mut server = Server::start().await;
        let url = Arc::clone(&server.url);
        let egress = egress(Policy::open(), secrets("value-0001", &url));
        let after = after.map_or_else(none, |(value, server)| {
            secrets(value, if server.is_empty() { &url } else { server })
        });
        let (sent, mut stream) = tokio::join!(egress.send(with_key(&url), "run:0"), async {
            let mut stream = server.accepted.recv().await.unwrap();
            assert!(read(&mut stream).await.contains("x-key: value-0001"));
            change(&egress, Policy::open(), after);
            stream
        });
        let failure = sent.unwrap_err();
        assert_eq!((failure.kind.as_str(), failure.retryable), (kind::REVOKED, retryable), "{failure}");
        assert!(!failure.message.contains("value-000"), "{failure}");
        assert!(is_closed(&mut stream).await);
    }
}

#[tokio::test]
async fn a_request_that_waits_for_a_permit_has_the_secret_as_it_is_when_it_leaves() {
    let mut server = Server::start().await;
    let url = Arc::clone(&server.url);
    let limits = EgressLimits { http_requests: 1, ..EgressLimits::default() };
    let egress = Egress::new(
        &Tls::new().unwrap(),
        Policy::open(),
        secrets("value-0001", &url),
        &limits,
        Lookups::default(),
    );
    let (first, second, ()) =
        tokio::join!(egress.send(get(&url), "run:0"), egress.send(with_key(&url), "run:1"), async {
            let mut stream = server.accepted.recv().await.unwrap();
            egress.change(Policy::open(), secrets("value-0002", &url), &limits);
            answer(&mut stream, OK).await;
            // The first connection was opened before the change, and is not used again.
            let mut stream = server.accepted.recv().await.unwrap();
            let request = read(&mut stream).await;
            assert!(request.contains("x-key: value-0002"), "{request}");
            tokio::io::AsyncWriteExt::write_all(&mut stream, OK.as_bytes()).await.unwrap();
        });
    first.unwrap();
    second.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn an_idle_connection_is_closed_when_the_rules_or_the_secrets_change() {
    for rules_change in [true, false] {
        let mut server = Server::start().await;
        let egress = egress(only(&[&server.url]), secrets("value-0001", &server.url));
        let (sent, mut stream) = tokio::join!(egress.send(with_key(&server.url), "run:0"), async {
            let mut stream = server.accepted.recv().await.unwrap();
            answer(&mut stream, OK).await;
            stream
        });
        sent.unwrap();
        match rules_change {
            true => change(&egress, only(&[]), secrets("value-0001", &server.url)),
            false => change(&egress, only(&[&server.url]), none()),
        }
        assert!(is_closed(&mut stream).await);
    }
}

#[tokio::test]
async fn requests_under_way_count_when_the_rules_the_secrets_and_the_limits_change() {
    let mut server = Server::start().await;
    let url = Arc::clone(&server.url);
    let with = |requests: u64| EgressLimits { http_requests: requests, ..EgressLimits::default() };
    let egress = Egress::new(&Tls::new().unwrap(), Policy::open(), none(), &with(2), Lookups::default());
    let mut first = pin!(futures::future::join_all((0..2).map(|_| egress.send(get(&url), "run:0"))));
    let mut streams = Vec::new();
    while streams.len() < 2 {
        tokio::select! {
            _ = &mut first => panic!("nobody has answered"),
            stream = server.accepted.recv() => streams.push(stream.unwrap()),
        }
    }
    let mut third = pin!(egress.send(get(&url), "run:2"));
    for round in 1..5 {
        egress.change(Policy::open(), secrets(&format!("value-000{round}"), &url), &with(2));
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut third).await.is_err());
    }
    assert_eq!(server.connections(), 2, "the third one waits");
    egress.change(Policy::open(), none(), &with(3));
    assert!((&mut third).now_or_never().is_none());
    let (sent, ()) = tokio::join!(third, async {
        let mut stream = server.accepted.recv().await.unwrap();
        answer(&mut stream, OK).await;
    });
    sent.unwrap();
}
