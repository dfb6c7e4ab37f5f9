//! Connections that are encrypted.

use std::path::Path;

use forge_postgres::Server;
use forge_store::StoreError;
use forge_store::postgres::{PostgresOptions, PostgresStore};

use crate::support::{commit, connect, start, text};

/// A certificate for the server's address, and its key.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[tokio::test]
async fn a_server_is_encrypted_to_and_checked_as_the_url_says() {
    // Another test may have installed it.
    _ = rustls::crypto::ring::default_provider().install_default();
    let server = Server::start(&[]).unwrap();
    let plain = server.create_database().unwrap();
    let ((right, key), (wrong, _)) = (certificate(), certificate());
    server.encrypt(&right, &key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let url = |mode: &str, root: &Path| {
        plain.replace("sslmode=disable", &format!("sslmode={mode}&sslrootcert={}", root.display()))
    };
    let (right, wrong) = (file("right.pem", &right), file("wrong.pem", &wrong));

    for (node, url) in [("any", url("require", &right)), ("checked", url("verify-full", &right))] {
        let store = PostgresStore::open(&PostgresOptions::new(url, node)).await.unwrap();
        commit(&store, &[start(if node == "any" { 1 } else { 2 })]).await.unwrap();
        let mut other = connect(&plain).await;
        let plain_ones = "SELECT count(*)::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                          WHERE application_name LIKE 'forge:%' AND NOT ssl";
        assert_eq!(text(&mut other, plain_ones).await, "0", "{node}");
    }
    let refused = PostgresStore::open(&PostgresOptions::new(url("verify-full", &wrong), "wrong")).await;
    let Err(StoreError::CannotOpen { why, .. }) = refused else { panic!("it trusts anybody") };
    assert!(why.contains("certificate"), "{why}");
}
