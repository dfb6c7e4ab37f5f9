//! Where a message ends, and what its first line says.

use std::ops::Range;

use anyhow::{Context as _, Result, bail};

/// Headers of a message; the host's own have about a dozen.
const HEADERS: usize = 64;

/// A message whose head is complete. What it refers to are positions from the head's beginning.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message<First> {
    /// A request's path, an answer's status.
    pub(crate) first: First,
    /// Where its body is, and how long.
    pub(crate) body: Range<usize>,
}

/// The answer that these bytes begin with; `None`: its head is not complete.
pub(crate) fn answer(bytes: &[u8]) -> Result<Option<Message<u16>>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = answer.parse(bytes).context("this is no HTTP answer")? else {
        return Ok(None);
    };
    let status = answer.code.context("the answer has no status")?;
    Ok(Some(Message { first: status, body: body(head, answer.headers)? }))
}

/// The request that these bytes begin with, and its path; `None`: its head is not complete.
pub(crate) fn request(bytes: &[u8]) -> Result<Option<Message<&str>>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(bytes).context("this is no HTTP request")? else {
        return Ok(None);
    };
    let path = request.path.context("the request has no path")?;
    Ok(Some(Message { first: path, body: body(head, request.headers)? }))
}

fn body(head: usize, headers: &[httparse::Header<'_>]) -> Result<Range<usize>> {
    let mut length = 0;
    for header in headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            let value = std::str::from_utf8(header.value).context("a length is a number")?;
            length = value.parse().with_context(|| format!("`{value}` is no length"))?;
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("a message in chunks is not understood here");
        }
    }
    Ok(head..head + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_and_a_body_of_the_length_it_says() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(answer(bytes).unwrap(), Some(Message { first: 200, body: 38..40 }));
    }

    #[test]
    fn a_head_that_is_not_complete_is_waited_for() {
        assert_eq!(answer(b"HTTP/1.1 200 OK\r\nContent-").unwrap(), None);
        assert_eq!(request(b"POST /effect HTTP/1.1\r\n").unwrap(), None);
    }

    #[test]
    fn a_request_without_a_length_has_no_body() {
        let bytes = b"GET /effect HTTP/1.1\r\nhost: x\r\n\r\n";
        assert_eq!(request(bytes).unwrap(), Some(Message { first: "/effect", body: 33..33 }));
    }

    #[test]
    fn chunks_are_refused() {
        let error = answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap_err();
        assert_eq!(error.to_string(), "a message in chunks is not understood here");
    }
}
