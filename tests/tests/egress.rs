//! Which servers workflows may reach.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use forge_tests::program::{block, effect, reversible};
use forge_tests::{Host, Services, component};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn a_request_to_a_server_that_no_rule_names_is_denied_and_the_run_says_why() {
    let services = Services::start().await;
    let host = Host::builder().flag(["--egress", "https://*.example.com"]).start().await;
    host.api().deploy(&component("interpreter")).await;
    let run = host.api().start_program(&services, block![effect("steal")]).await;
    let record = host.api().settled(&run).await;
    assert_eq!((&record["status"], &record["error_kind"]), (&json!("failed"), &json!("denied")));
    let error = record["error"].as_str().unwrap();
    assert!(error.contains(services.url()) && error.contains("(https://*.example.com)"), "{error}");
    assert_eq!(services.ledger.entries().len(), 0, "nobody was asked");
}

#[tokio::test]
async fn what_a_rule_names_is_reached_by_its_address_and_by_a_name_only_in_a_network_that_may_be() {
    let services = Services::start().await;
    let by_name = services.url().replace("127.0.0.1", "localhost");
    let flags: [&[[&str; 2]]; 3] = [
        &[["--egress", services.url()]],
        &[["--egress", &by_name]],
        &[["--egress", &by_name], ["--egress-private", "127.0.0.0/8,::1/128"]],
    ];
    for (flags, url, reached) in
        [(flags[0], services.url(), true), (flags[1], &*by_name, false), (flags[2], &*by_name, true)]
    {
        let host = flags.iter().fold(Host::builder(), |host, flag| host.flag(*flag)).start().await;
        host.api().deploy(&component("interpreter")).await;
        let mut program = services.program(block![reversible("seat")]);
        program["services"] = json!(url);
        let run = host.api().start("program", program).await;
        let record = host.api().settled(&run).await;
        let kind = &record["error_kind"];
        assert_eq!(record["status"] == "completed", reached, "{flags:?}: {record:#}");
        assert!(reached || *kind == json!("denied"), "{flags:?}: {record:#}");
    }
}

#[tokio::test]
async fn a_server_is_who_its_certificate_says_or_it_gets_nothing() {
    let services = Services::start().await;
    let folder = tempfile::TempDir::new().unwrap();
    let [good, late, other] =
        [certificate(2_000, 2_999), certificate(2_000, 2_001), certificate(2_000, 2_999)];
    let trusted = folder.path().join("trusted.pem");
    std::fs::write(&trusted, [good.cert.pem(), late.cert.pem()].concat()).unwrap();
    let host = Host::builder().variable("SSL_CERT_FILE", trusted.display().to_string()).start().await;
    host.api().deploy(&component("interpreter")).await;
    for (who, name, error) in [
        (&good, "localhost", None),
        (&good, "127.0.0.1", Some("not valid for name")),
        (&late, "localhost", Some("expired")),
        // It has the name of one that is trusted, and another key.
        (&other, "localhost", Some("BadSignature")),
    ] {
        let port = with_certificate(&services, who).await;
        let mut program = services.program(block![effect("pay")]);
        program["services"] = json!(format!("https://{name}:{port}"));
        let run = host.api().start("program", program).await;
        let record = host.api().settled(&run).await;
        let said = record["error"].as_str().unwrap_or_default();
        assert_eq!(record["status"] == "completed", error.is_none(), "{record:#}");
        assert!(said.contains(error.unwrap_or_default()), "{said}");
    }
    assert_eq!(services.ledger.entries().len(), 1, "only who could prove who it is was asked");
}

type Certificate = rcgen::CertifiedKey<rcgen::KeyPair>;

/// Of a server at `localhost`, signed by itself, good from one year to another.
fn certificate(from: i32, until: i32) -> Certificate {
    let mut parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    parameters.not_before = rcgen::date_time_ymd(from, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(until, 1, 1);
    let signing_key = rcgen::KeyPair::generate().unwrap();
    Certificate { cert: parameters.self_signed(&signing_key).unwrap(), signing_key }
}

/// The services behind TLS. Gives the port.
async fn with_certificate(services: &Services, who: &Certificate) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(who.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![who.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let behind = services.url().trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Who does not like the certificate goes away.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut service = TcpStream::connect(&behind).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut service).await });
        }
    });
    port
}
