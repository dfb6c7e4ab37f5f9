//! The SSRF corpus: a forbidden server sees no connection, whatever URL, name or redirect leads to it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::routing::any;
use parking_lot::Mutex;
use tokio::net::TcpListener;

use super::guard::Lookup;
use super::tests::request;
use super::{Egress, Policy, Tls};
use crate::EgressLimits;
use crate::secrets::Secrets;
use forge_journal::{Failure, kind};

/// URLs of addresses that are not public. The forbidden server listens on `PORT`.
const LITERALS: &[&str] = &[
    "http://127.0.0.1:PORT/",
    "http://127.1:PORT/",
    "http://127.0.1:PORT/",
    "http://2130706433:PORT/",
    "http://0x7f000001:PORT/",
    "http://0x7f.0.0.1:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://017700000001:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://0.0.0.0:PORT/",
    "http://0:PORT/",
    "http://127.8.8.8:PORT/",
    "http://[::1]:PORT/",
    "http://[::]:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/",
    "http://[0:0:0:0:0:0:0:1]:PORT/",
    "http://[::127.0.0.1]:PORT/",
    "http://[64:ff9b::7f00:1]:PORT/",
    "http://[2002:7f00:1::]:PORT/",
    "http://[fe80::1]:PORT/",
    "http://[fc00::1]:PORT/",
    "http://[fd00:ec2::254]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://100.100.100.200/",
    "http://192.168.0.1/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://100.64.0.1/",
    "http://192.0.0.192/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://\u{2460}27.0.0.1:PORT/",
    "http://localhost:PORT/",
    "http://localhost.:PORT/",
    "http://LOCALHOST:PORT/",
    "http://user@127.0.0.1:PORT/",
    "http://good.example@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT#good.example",
    "https://127.0.0.1:PORT/",
];

/// The addresses that names of `*.evil.example` resolve to.
const ADDRESSES: &[&str] = &[
    "127.0.0.1",
    "127.0.0.53",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001::1",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
];

/// A server that must not be reached. It counts its connections.
struct Forbidden {
    port: u16,
    seen: Arc<AtomicUsize>,
}

impl Forbidden {
    async fn listen() -> Self {
        // All addresses of this machine, of both families.
        let listener = TcpListener::bind("[::]:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&seen);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { port, seen }
    }

    fn url(&self, text: &str) -> String {
        text.replace("PORT", &self.port.to_string())
    }

    fn saw_nobody(&self) {
        assert_eq!(self.seen.load(Ordering::SeqCst), 0, "a connection came to a forbidden address");
    }
}

/// Starts a permitted server that redirects to the URL in its path, and returns its port.
async fn redirecting() -> u16 {
    let to = async |Path(to): Path<String>| (StatusCode::FOUND, [(header::LOCATION, to)]);
    let app = Router::new().route("/to/{*url}", any(to));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, app).await });
    port
}

/// Returns a name server that gives a name's addresses in turn, and the last one from then on.
fn lookup(names: &[(&str, &[&str])]) -> Lookup {
    let parsed =
        |addresses: &[&str]| addresses.iter().rev().map(|address| address.parse().unwrap()).collect();
    let names: BTreeMap<String, Vec<IpAddr>> =
        names.iter().map(|(name, addresses)| ((*name).to_owned(), parsed(addresses))).collect();
    let names = Mutex::new(names);
    Arc::new(move |name| {
        let mut names = names.lock();
        let answers = names.get_mut(&name).unwrap_or_else(|| panic!("`{name}` was looked up"));
        let answer = if answers.len() > 1 { answers.pop() } else { answers.last().copied() };
        Box::pin(async move { Ok(answer.into_iter().collect()) })
    })
}

fn egress(rules: &[String], lookup: Lookup) -> Egress {
    let limits = EgressLimits { http_timeout_ms: 5_000, ..EgressLimits::default() };
    let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    let policy = Policy::only(rules, Vec::new());
    Egress::with_lookup(&Tls::new().unwrap(), policy, Arc::new(Secrets::none()), &limits, lookup)
}

async fn failure(egress: &Egress, url: String) -> Failure {
    egress.send(request("GET", url.clone()), "key").await.expect_err(&url)
}

#[tokio::test]
async fn no_way_to_write_an_address_leads_there() {
    let forbidden = Forbidden::listen().await;
    let egress = egress(&["http://*.good.example".to_owned()], lookup(&[]));
    for text in LITERALS {
        let failure = failure(&egress, forbidden.url(text)).await;
        let invalid = failure.kind == kind::HTTP && failure.message.contains("not an absolute URL");
        assert!(failure.kind == kind::DENIED || invalid, "{text}: {failure:?}");
        assert!(!failure.retryable, "{text}");
    }
    forbidden.saw_nobody();
}

#[tokio::test]
async fn no_name_leads_there() {
    let forbidden = Forbidden::listen().await;
    for address in ADDRESSES {
        let name = "a.evil.example";
        let egress =
            egress(&[format!("http://*.evil.example:{}", forbidden.port)], lookup(&[(name, &[address])]));
        let failure = failure(&egress, format!("http://{name}:{}/", forbidden.port)).await;
        assert_eq!(failure.kind, kind::DENIED, "{address}: {failure:?}");
        assert!(
            failure.message.contains(name) && failure.message.contains("may not be reached"),
            "{failure:?}"
        );
    }
    forbidden.saw_nobody();
}

#[tokio::test]
async fn no_redirect_leads_there() {
    let forbidden = Forbidden::listen().await;
    let port = redirecting().await;
    let names: Vec<String> = (0..ADDRESSES.len()).map(|number| format!("a{number}.evil.example")).collect();
    let answers: Vec<(&str, &[&str])> =
        names.iter().zip(ADDRESSES.chunks(1)).map(|(name, address)| (name.as_str(), address)).collect();
    let rules = [format!("http://127.0.0.1:{port}"), format!("http://*.evil.example:{}", forbidden.port)];
    let egress = egress(&rules, lookup(&answers));
    let literals = LITERALS.iter().map(|text| forbidden.url(text));
    let named = names.iter().map(|name| format!("http://{name}:{}/", forbidden.port));
    for target in literals.chain(named) {
        let encoded = target.replace('%', "%25").replace('#', "%23").replace('\u{2460}', "%E2%91%A0");
        let failure = failure(&egress, format!("http://127.0.0.1:{port}/to/{encoded}")).await;
        assert_eq!(failure.kind, kind::DENIED, "{target}: {failure:?}");
    }
    forbidden.saw_nobody();
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_the_second_time_leads_nowhere() {
    let forbidden = Forbidden::listen().await;
    let name = "rebind.evil.example";
    // No server answers at the first address.
    let answers = lookup(&[(name, &["240.0.0.1", "127.0.0.1"])]);
    let egress = egress(&[format!("http://{name}:{}", forbidden.port)], answers);
    for _ in 0..3 {
        let failure = failure(&egress, format!("http://{name}:{}/", forbidden.port)).await;
        assert_eq!(failure.kind, kind::DENIED, "{failure:?}");
    }
    forbidden.saw_nobody();
}
