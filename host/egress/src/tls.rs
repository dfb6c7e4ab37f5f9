//! The TLS settings of the HTTP client.

use std::sync::Arc;

use rustls::client::{Resumption, WantsClientCert};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

/// The maximum number of servers whose sessions a tenant can resume.
const SESSIONS: usize = 32;

/// The error of an HTTP client that cannot be set up on this machine.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTP client: {0}")]
pub struct EgressError(#[from] rustls::Error);

/// The settings for https, with this machine's CA certificates. Clones share them.
#[derive(Debug, Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Loads this machine's CA certificates. Without any, requests to https fail.
    ///
    /// # Errors
    /// [`EgressError`] if TLS cannot be set up.
    pub fn new() -> Result<Self, EgressError> {
        // If the process has a provider already, use that one.
        let _ = ring::default_provider().install_default();
        let provider =
            CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(ring::default_provider()));
        let builder = || {
            ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()
        };
        let verifying = builder()?.with_platform_verifier().or_else(|error| {
            // A machine without CA certificates can still speak plain http.
            tracing::warn!(%error, "no CA certificates: requests to https will fail");
            builder().map(|builder| builder.with_root_certificates(RootCertStore::empty()))
        })?;
        Ok(Self::with(verifying))
    }

    fn with(verifying: ConfigBuilder<ClientConfig, WantsClientCert>) -> Self {
        let mut config = verifying.with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self(Arc::new(config))
    }

    /// Returns the settings for the connections of one tenant under one policy. They have sessions of their own: a session
    /// that is resumed is not verified again, and a server recognises who resumes it.
    pub(super) fn config(&self) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.0);
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Arc::new(config)
    }

    /// Returns settings that trust one certificate alone.
    #[cfg(test)]
    pub(super) fn trusting(certificate: rustls::pki_types::CertificateDer<'static>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        Self::with(builder.with_root_certificates(roots))
    }
}
