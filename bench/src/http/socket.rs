//! A minimal WebSocket client, which looks at no more of a frame than it must.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The request for a WebSocket. The key is any 16 bytes: the answer to it is not checked.
const UPGRADE: &[u8] =
    b"GET /_api/live HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const TEXT: u8 = 0x81;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;

/// A WebSocket to `/_api/live`.
pub(crate) struct Socket {
    stream: TcpStream,
    received: Vec<u8>,
    /// The begin of what has not been looked at.
    next: usize,
}

impl Socket {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        stream.write_all(UPGRADE).await?;
        let mut received = Vec::with_capacity(4 << 10);
        let end = loop {
            ensure!(stream.read_buf(&mut received).await? > 0, "the host closed the connection");
            if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&received);
        ensure!(head.starts_with("HTTP/1.1 101"), "the host refuses a WebSocket: {head}");
        Ok(Self { stream, received, next: end })
    }

    /// Subscribes to a run.
    pub(crate) async fn follow(&mut self, run: &str) -> Result<()> {
        self.send(TEXT, json!({ "subscribe": { "run": run } }).to_string().as_bytes()).await
    }

    /// Sends a frame. A client masks what it sends; this mask changes nothing.
    async fn send(&mut self, kind: u8, payload: &[u8]) -> Result<()> {
        let mut frame = vec![kind];
        match u8::try_from(payload.len()).ok().filter(|length| *length < 126) {
            Some(length) => frame.push(0x80 | length),
            None => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(payload.len()).context("a long message")?.to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        Ok(self.stream.write_all(&frame).await?)
    }

    /// Returns the text of the next message, and answers pings.
    pub(crate) async fn receive(&mut self) -> Result<&[u8]> {
        loop {
            match parse(self.received.get(self.next..).unwrap_or_default()) {
                Some((kind, begin, length)) => {
                    let begin = self.next + begin;
                    self.next = begin + length;
                    ensure!(kind == TEXT || kind == PING, "a frame of the kind {kind:#x}");
                    if kind == TEXT {
                        return Ok(&self.received[begin..begin + length]);
                    }
                    self.send(PONG, &[]).await?;
                }
                None => {
                    self.received.drain(..self.next);
                    self.next = 0;
                    let count = self.stream.read_buf(&mut self.received).await?;
                    ensure!(count > 0, "the host closed the WebSocket");
                }
            }
        }
    }

    /// Receives messages until one is the last of its group.
    pub(crate) async fn receive_group(&mut self) -> Result<()> {
        loop {
            let frame: Value = serde_json::from_slice(self.receive().await?)?;
            ensure!(frame["type"] != "error", "{frame}");
            if frame["position"].is_u64() {
                return Ok(());
            }
        }
    }
}

/// Returns the kind of the first frame, where its payload begins, and its length; `None` if it is not complete.
fn parse(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let [kind, short, rest @ ..] = bytes else { return None };
    let (begin, length) = match short {
        126 => (4, usize::from(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(rest.get(..8)?.try_into().ok()?)).ok()?),
        length => (2, usize::from(*length)),
    };
    (bytes.len() >= begin + length).then_some((*kind, begin, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_a_length_of_one_two_or_eight_bytes() {
        let frame = |head: &[u8], length: usize| [head, &vec![b'x'; length]].concat();
        assert_eq!(parse(&frame(&[TEXT, 5], 5)), Some((TEXT, 2, 5)));
        assert_eq!(parse(&frame(&[TEXT, 126, 1, 0], 256)), Some((TEXT, 4, 256)));
        assert_eq!(parse(&frame(&[TEXT, 127, 0, 0, 0, 0, 0, 1, 0, 0], 65_536)), Some((TEXT, 10, 65_536)));
        for incomplete in [&[][..], &[TEXT], &[TEXT, 5, b'x'], &[TEXT, 126, 1], &[TEXT, 127, 0, 0]] {
            assert_eq!(parse(incomplete), None);
        }
    }
}
