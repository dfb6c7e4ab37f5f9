//! How connections to the world are opened: with TLS for https, without proxies.

use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;

use super::Tls;
use super::guard::{Guard, Lookup, Resolver};
use super::rules::Policy;

/// After how much silence a connection is probed, and how long after that again.
const PROBE: Duration = Duration::from_secs(15);

/// Probes without an answer after which a connection is given up.
const PROBES: u32 = 3;

/// How long what was sent may stay unacknowledged.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Opens connections to what the policy permits.
pub(super) fn connector(tls: &Tls, policy: Arc<Policy>, lookup: Lookup) -> HttpsConnector<Guard> {
    let mut tcp = HttpConnector::new_with_resolver(Resolver::new(Arc::clone(&policy), lookup));
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(PROBE));
    tcp.set_keepalive_interval(Some(PROBE));
    tcp.set_keepalive_retries(Some(PROBES));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    HttpsConnector::from((Guard::new(policy, tcp), tls.config()))
}
