//! Connections to servers with TLS: who is verified, what the server learns, and what is resumed.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::HandshakeKind;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::guard::Lookup;
use super::{Egress, Policy, Tls};
use crate::EgressLimits;
use crate::secrets::Secrets;
use forge_journal::http::{Body, HttpRequest};
use forge_journal::{Failure, kind};

/// What a server learned from the beginning of a connection.
#[derive(Debug, Clone, PartialEq)]
struct Greeting {
    name: Option<String>,
    protocol: Option<Vec<u8>>,
    kind: Option<HandshakeKind>,
}

/// A server with a certificate for `a.example` and 127.0.0.1. It answers one request for each connection.
struct Server {
    port: u16,
    tls: Tls,
    seen: Arc<Mutex<Vec<Greeting>>>,
}

impl Server {
    /// Starts a server that speaks one of these protocols.
    async fn start(protocols: &[&[u8]]) -> Self {
        let names = ["a.example".to_owned(), "127.0.0.1".to_owned()];
        let certificate = rcgen::generate_simple_self_signed(names).unwrap();
        let key = PrivateKeyDer::Pkcs8(certificate.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider);
        let mut config = config
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<Greeting>>> = Arc::default();
        let record = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that does not trust the server goes away.
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let connection = stream.get_ref().1;
                record.lock().push(Greeting {
                    name: connection.server_name().map(str::to_owned),
                    protocol: connection.alpn_protocol().map(<[u8]>::to_vec),
                    kind: connection.handshake_kind(),
                });
                let _ = stream.read(&mut [0; 4_096]).await;
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                    .await;
                let _ = stream.shutdown().await;
            }
        });
        Self { port, tls: Tls::trusting(certificate.cert.der().clone()), seen }
    }

    /// Returns a tenant's client, for which every name is at 127.0.0.1.
    fn tenant(&self) -> Egress {
        let lookup: Lookup = Arc::new(|_| Box::pin(async { Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]) }));
        let limits = EgressLimits { http_timeout_ms: 10_000, ..EgressLimits::default() };
        Egress::with_lookup(&self.tls, Policy::open(), Arc::new(Secrets::none()), &limits, lookup)
    }

    async fn ask(&self, tenant: &Egress, host: &str) -> Result<(), Failure> {
        let request = HttpRequest {
            method: "GET".to_owned(),
            url: format!("https://{host}:{}/", self.port),
            headers: Vec::new(),
            body: Body::default(),
            timeout_ms: None,
            at_most_once: false,
        };
        tenant.send(request, "run:0").await.map(|_| ())
    }

    fn last(&self) -> Greeting {
        self.seen.lock().last().expect("nobody came").clone()
    }
}

#[tokio::test]
async fn the_name_of_the_url_is_verified_whatever_address_it_has() {
    let server = Server::start(&[b"h2", b"http/1.1"]).await;
    let tenant = server.tenant();
    for (host, name) in
        [("a.example", Some("a.example")), ("A.example.", Some("a.example")), ("127.0.0.1", None)]
    {
        server.ask(&tenant, host).await.unwrap();
        let Greeting { name: found, protocol, .. } = server.last();
        assert_eq!((found.as_deref(), protocol), (name, Some(b"http/1.1".to_vec())), "{host}");
    }
    let before = server.seen.lock().len();
    for host in ["b.example", "x.a.example", "localhost"] {
        let failure = server.ask(&tenant, host).await.unwrap_err();
        assert!(failure.kind == kind::HTTP && failure.message.contains("certificate"), "{host}: {failure}");
    }
    let strangers = Server::start(&[]).await;
    let failure = strangers.ask(&tenant, "a.example").await.unwrap_err();
    assert!(failure.message.contains("certificate"), "{failure}");
    assert_eq!((server.seen.lock().len(), strangers.seen.lock().len()), (before, 0), "nothing was sent");
}

#[tokio::test]
async fn a_server_that_speaks_another_protocol_alone_is_not_spoken_to() {
    let server = Server::start(&[b"h2"]).await;
    server.ask(&server.tenant(), "a.example").await.unwrap_err();
    assert!(server.seen.lock().is_empty());
}

#[tokio::test]
async fn a_session_is_resumed_by_the_tenant_that_has_it_alone() {
    let server = Server::start(&[]).await;
    let (one, other) = (server.tenant(), server.tenant());
    let mut kinds = Vec::new();
    for tenant in [&one, &one, &other, &other] {
        server.ask(tenant, "a.example").await.unwrap();
        kinds.push(server.last().kind.unwrap());
    }
    use HandshakeKind::{Full, Resumed};
    assert_eq!(kinds, [Full, Resumed, Full, Resumed]);
}
