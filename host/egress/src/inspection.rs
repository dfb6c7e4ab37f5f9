//! What happens to an answer before a workflow gets it: its content is decoded, and secrets in it are redacted.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::content_encoding::{self, DecodeError, Encoding};
use super::responses::Reservation;
use crate::secrets::Search;
use forge_journal::http::{Body, HttpResponse};
use forge_journal::{Failure, kind};

/// The maximum size of an answer or a message that is searched on the runtime's thread, in bytes. To search a larger one
/// there would delay other runs.
pub(super) const SEARCHED_AT_ONCE: usize = 4 << 10;

/// An answer as the server sent it.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// The memory for the body, unless it is small.
    pub(super) reserved: Option<Reservation>,
}

/// What is to be done with an answer.
pub(super) struct Inspection {
    answer: Answer,
    encodings: Vec<Encoding>,
    search: Option<Search>,
    /// The maximum size of the decoded body, in bytes.
    most: usize,
}

impl Inspection {
    /// Returns what is to be done with an answer: to decode it, and to search it for the secrets that its server knows.
    /// Without secrets, a part of a content, and encodings that are unknown, stay as they are.
    ///
    /// # Errors
    /// There are secrets, and the content cannot be decoded, so that they would not be found.
    pub(super) fn new(answer: Answer, search: Option<Search>, most: usize) -> Result<Self, Failure> {
        let known = content_encoding::encodings(&answer.headers);
        let is_part = answer.status == StatusCode::PARTIAL_CONTENT;
        let encodings = match known.filter(|encodings| encodings.is_empty() || !is_part) {
            _ if answer.body.is_empty() => Vec::new(),
            Some(encodings) => encodings,
            None if search.is_none() => Vec::new(),
            None => return Err(not_searchable(&answer.headers)),
        };
        Ok(Self { answer, encodings, search, most })
    }

    /// Returns whether this takes so little time that it need not be done on another thread.
    pub(super) fn is_short(&self) -> bool {
        let searched = if self.search.is_some() { self.answer.len() } else { 0 };
        self.encodings.is_empty() && searched <= SEARCHED_AT_ONCE
    }

    /// Returns whether the body is decoded. It may have any length then.
    pub(super) fn decodes(&self) -> bool {
        !self.encodings.is_empty()
    }

    /// Returns the answer for the workflow and the journal.
    ///
    /// # Errors
    /// The content is damaged or too large, or cannot be searched.
    pub(super) fn carry_out(self) -> Result<HttpResponse, Failure> {
        let Self { mut answer, encodings, search, most } = self;
        if !encodings.is_empty() {
            let decoded = content_encoding::decoded(&answer.body, &encodings, most);
            answer.body = decoded.map_err(|error| match error {
                DecodeError::TooLarge => too_large(most),
                DecodeError::Invalid(_) => Failure::new(kind::HTTP, error.to_string()),
            })?;
            // They describe what was sent.
            for header in [CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING] {
                answer.headers.remove(header);
            }
        }
        match search {
            Some(search) => answer.redacted(search),
            None => Ok(answer.into_response()),
        }
    }
}

impl Answer {
    /// Returns the number of bytes of the headers and the body.
    fn len(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        headers.sum::<usize>() + self.body.len()
    }

    fn into_response(self) -> HttpResponse {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value)));
        let (status, headers) = (self.status.as_u16(), headers.collect());
        HttpResponse { status, headers, body: Body::from(self.body), resent: false, searched: 0 }
    }

    /// Returns the answer without secrets.
    fn redacted(mut self, search: Search) -> Result<HttpResponse, Failure> {
        let mut search = search.of_length(self.len());
        let entangled = |error| {
            let message = format!(
                "the answer is withheld: {error}. The server has handled the request, and its effect stands"
            );
            Failure::permanent(kind::LIMIT, message)
        };
        self.body = search.redact(self.body).map_err(entangled)?;
        let mut response = self.into_response();
        for (name, value) in &mut response.headers {
            *name = search.redact_text(std::mem::take(name)).map_err(entangled)?;
            *value = search.redact_text(std::mem::take(value)).map_err(entangled)?;
        }
        response.searched = search.examined();
        Ok(response)
    }
}

/// Returns the text of a header's value. HTTP leaves its encoding open: it is UTF-8, or else Latin-1, in which each byte
/// is a character.
fn text(value: &HeaderValue) -> String {
    match str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().iter().copied().map(char::from).collect(),
    }
}

/// Returns the failure of a request whose answer is larger than a workflow may receive.
pub(super) fn too_large(most: usize) -> Failure {
    let message = format!(
        "the answer has more than {most} bytes, the most that a workflow may receive (response_bytes); the server has \
         handled the request, and its effect stands"
    );
    Failure::permanent(kind::LIMIT, message)
}

fn not_searchable(headers: &HeaderMap) -> Failure {
    let values = headers.get_all(CONTENT_ENCODING).into_iter().chain(headers.get_all(TRANSFER_ENCODING));
    let names: Vec<String> = values.map(text).collect();
    let message = format!(
        "the answer is withheld: its server knows secrets, and they cannot be looked for in a content with the encoding \
         `{}`, or in a part of it. Ask for gzip, deflate, br or zstd, and for the whole. The server has handled the \
         request, and its effect stands",
        names.join(", ")
    );
    Failure::permanent(kind::LIMIT, message)
}
