//! Opens connections: with TLS for https, without proxies.

use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;

use super::Tls;
use super::guard::{Guard, Lookup, NoNames};
use super::rules::Policy;

/// The time without traffic after which a connection is probed, and the interval between probes.
const PROBE: Duration = Duration::from_secs(15);

/// The number of unanswered probes after which a connection is closed.
const PROBES: u32 = 3;

/// The time for which sent bytes may stay unacknowledged.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Returns a connector to the servers that the policy permits.
pub(super) fn connector(tls: &Tls, policy: Arc<Policy>, lookup: Lookup) -> HttpsConnector<Guard> {
    let mut tcp = HttpConnector::new_with_resolver(NoNames);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(PROBE));
    tcp.set_keepalive_interval(Some(PROBE));
    tcp.set_keepalive_retries(Some(PROBES));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    HttpsConnector::from((Guard::new(policy, lookup, tcp), tls.config()))
}
