use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A keep-alive connection with one request at a time.
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let connected = TcpStream::connect(address).await;
        let stream = connected.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(16 << 10) })
    }

    /// Sends a request that [`post`] encoded; returns the body of a successful response.
    pub(crate) async fn send_ok(&mut self, request: &[u8]) -> Result<&[u8]> {
        let (is_ok, body) = self.send(request).await?;
        ensure!(is_ok, "the request failed: {}", String::from_utf8_lossy(body));
        Ok(body)
    }

    /// Sends a request; returns whether it was successful, and the body of the response.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<(bool, &[u8])> {
        self.stream.write_all(request).await.context("cannot send a request")?;
        self.received.clear();
        let (is_ok, body) = loop {
            let count = self.stream.read_buf(&mut self.received).await.context("the connection broke")?;
            ensure!(count > 0, "the connection was closed before the end of a response");
            if let Some(response) = super::parse(&self.received)?
                && response.body.end <= self.received.len()
            {
                break (response.subject.starts_with('2'), response.body);
            }
        };
        Ok((is_ok, &self.received[body]))
    }
}

/// Encodes a `POST` for a tenant; `None` is the default one.
pub(crate) fn post(path: &str, tenant: Option<&str>, content_type: &str, body: &[u8]) -> Vec<u8> {
    let tenant = tenant.map(|tenant| format!("forge-tenant: {tenant}\r\n")).unwrap_or_default();
    let headers = format!("{tenant}content-type: {content_type}\r\ncontent-length: {}", body.len());
    let head = format!("POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// Encodes a `GET` for the default tenant.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").into_bytes()
}

/// Encodes a `POST` of a document.
pub(crate) fn post_json(path: &str, tenant: Option<&str>, body: &Value) -> Vec<u8> {
    post(path, tenant, "application/json", body.to_string().as_bytes())
}
