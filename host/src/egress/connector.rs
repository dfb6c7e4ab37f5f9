//! Connections to the world: kept open, with TLS for https, without proxies.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::EgressError;
use super::guard::{Guard, Lookup, Resolver};
use super::policy::Policy;

/// Idle connections kept for each host.
const IDLE_CONNECTIONS: usize = 64;

/// How long an idle connection is kept: servers close theirs after a minute or two.
const IDLE: Duration = Duration::from_secs(90);

/// After how much silence a connection is probed, and how long after that again.
const PROBE: Duration = Duration::from_secs(15);

/// Probes without an answer after which a connection is given up.
const PROBES: u32 = 3;

/// How long what was sent may stay unacknowledged.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Sends one request after the other, and keeps the connections.
pub(super) type Connections = Client<HttpsConnector<Guard>, Full<Bytes>>;

/// Connections to what the policy permits. They are kept for whoever has the same policy, and for nobody else.
pub(super) fn connections(policy: Arc<Policy>, lookup: Lookup) -> Result<Connections, EgressError> {
    let mut tcp = HttpConnector::new_with_resolver(Resolver::new(Arc::clone(&policy), lookup));
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(PROBE));
    tcp.set_keepalive_interval(Some(PROBE));
    tcp.set_keepalive_retries(Some(PROBES));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    let client = Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .build(HttpsConnector::from((Guard::new(policy, tcp), tls()?)));
    Ok(client)
}

fn tls() -> Result<ClientConfig, rustls::Error> {
    // The provider is the process's; whoever installed one first decides.
    let _ = ring::default_provider().install_default();
    let provider =
        CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(ring::default_provider()));
    let builder =
        || ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let verifying = builder()?.with_platform_verifier().or_else(|error| {
        // A machine without CA certificates can still speak plain http.
        tracing::warn!(%error, "no CA certificates: requests to https will fail");
        builder().map(|builder| builder.with_root_certificates(RootCertStore::empty()))
    })?;
    let mut config = verifying.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
