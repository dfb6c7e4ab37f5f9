//! One keep-alive connection.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::message::{self, Message};

/// A connection on which one request is under way at a time.
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// An answer. Its body is valid until the next request.
pub(crate) struct Answer<'a> {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: &'a [u8],
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let connected = TcpStream::connect(address).await;
        let stream = connected.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(16 << 10) })
    }

    /// Sends a request as [`post`] or [`get`] wrote it, and reads the answer.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await.context("the connection is gone")?;
        self.received.clear();
        let Message { first: status, body } = loop {
            self.read().await?;
            if let Some(answer) = message::answer(&self.received)? {
                break answer;
            }
        };
        while self.received.len() < body.end {
            self.read().await?;
        }
        Ok(Answer { status, body: self.received.get(body).unwrap_or_default() })
    }

    async fn read(&mut self) -> Result<()> {
        let count = self.stream.read_buf(&mut self.received).await.context("the connection broke")?;
        ensure!(count > 0, "the connection was closed in the middle of an answer");
        Ok(())
    }
}

impl Answer<'_> {
    /// The body, if the status is a good one.
    pub(crate) fn ok(&self) -> Result<&[u8]> {
        ensure!(self.status < 300, "the answer is {}: {}", self.status, String::from_utf8_lossy(self.body));
        Ok(self.body)
    }
}

/// A `POST`, ready to be sent.
pub(crate) fn post(address: SocketAddr, path: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// The same for a tenant.
pub(crate) fn post_as(
    address: SocketAddr,
    tenant: &str,
    path: &str,
    content_type: &str,
    body: &[u8],
) -> Vec<u8> {
    post(address, path, &format!("{content_type}\r\nforge-tenant: {tenant}"), body)
}

/// A `GET`, ready to be sent.
pub(crate) fn get(address: SocketAddr, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").into_bytes()
}
