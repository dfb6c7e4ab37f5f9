//! Connections to the world: kept open, with TLS for https, without proxies.

use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::Tls;
use super::guard::{Guard, Lookup, Resolver};
use super::policy::Policy;
use super::traffic::Outgoing;

/// How long an idle connection is kept: servers close theirs after a minute or two.
const IDLE: Duration = Duration::from_secs(90);

/// After how much silence a connection is probed, and how long after that again.
const PROBE: Duration = Duration::from_secs(15);

/// Probes without an answer after which a connection is given up.
const PROBES: u32 = 3;

/// How long what was sent may stay unacknowledged.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Bytes of the status line and the headers of an answer: servers send a few thousand. Their number is bounded by
/// hyper, which reads 100 of them.
const HEAD_BYTES: usize = 128 << 10;

/// Sends one request after the other, and keeps the connections.
pub(super) type Connections = Client<HttpsConnector<Guard>, Outgoing>;

/// Connections to what the policy permits. They are kept for whoever has the same policy, and for nobody else; as many
/// idle ones to a host as requests may be under way, or runs that take turns would open one for each request.
pub(super) fn connections(tls: &Tls, policy: Arc<Policy>, lookup: Lookup, requests: usize) -> Connections {
    let mut tcp = HttpConnector::new_with_resolver(Resolver::new(Arc::clone(&policy), lookup));
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(PROBE));
    tcp.set_keepalive_interval(Some(PROBE));
    tcp.set_keepalive_retries(Some(PROBES));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(requests)
        .http1_max_buf_size(HEAD_BYTES)
        .build(HttpsConnector::from((Guard::new(policy, tcp), tls.config())))
}
