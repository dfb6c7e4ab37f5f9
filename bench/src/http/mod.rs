//! A minimal HTTP/1.1 client and server. The load generator shares the cores with the host that it measures, so it must
//! use little CPU: requests are encoded once and sent often, and no response allocates.

mod client;
mod server;
mod socket;

pub(crate) use client::{Connection, get, post, post_json};
pub(crate) use server::EffectServer;
pub(crate) use socket::Socket;

use std::ops::Range;

use anyhow::{Context as _, Result, ensure};

/// The most headers of a message; the host sends about a dozen.
const HEADERS: usize = 64;

/// A message whose head is complete.
#[derive(Debug, PartialEq, Eq)]
struct Message<'a> {
    /// The path of a request, the status of a response: the second word.
    subject: &'a str,
    /// The position of the body, of which a part may not have arrived.
    body: Range<usize>,
}

/// Parses the message at the beginning of `bytes`; `None` if its head is not complete.
fn parse(bytes: &[u8]) -> Result<Option<Message<'_>>> {
    let Some(line) = bytes.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
    let subject = bytes.split(|byte| *byte == b' ').nth(1).context("not an HTTP message")?;
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let parsed = httparse::parse_headers(&bytes[line + 2..], &mut headers).context("not an HTTP message")?;
    let httparse::Status::Complete((length, headers)) = parsed else { return Ok(None) };
    let body = line + 2 + length;
    let value =
        |name| headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|it| it.value);
    ensure!(value("transfer-encoding").is_none(), "chunked messages are not supported");
    let length: usize = value("content-length").map_or(Ok("0"), std::str::from_utf8)?.parse()?;
    Ok(Some(Message { subject: std::str::from_utf8(subject)?, body: body..body + length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_a_subject_and_a_body_of_the_length_it_says() {
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(parse(response).unwrap(), Some(Message { subject: "200", body: 38..40 }));
        let request = b"GET /effect HTTP/1.1\r\nhost: x\r\n\r\n";
        assert_eq!(parse(request).unwrap(), Some(Message { subject: "/effect", body: 33..33 }));
    }

    #[test]
    fn an_incomplete_head_is_no_message_yet() {
        for bytes in ["HTTP/1.", "HTTP/1.1 200 OK\r\nContent-", "POST /effect HTTP/1.1\r\n"] {
            assert_eq!(parse(bytes.as_bytes()).unwrap(), None);
        }
    }

    #[test]
    fn chunks_are_refused() {
        let error = parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap_err();
        assert_eq!(error.to_string(), "chunked messages are not supported");
    }
}
