//! The headers of a request, from what the workflow wrote.

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::hop::Hop;
use crate::secrets::Secrets;
use forge_journal::{Failure, kind};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What is about the connection, and where a request ends on it. That is the host's: a request that said it wrongly would
/// have what follows on the connection, which is another run's, taken for a part of it.
const OF_THE_CONNECTION: [HeaderName; 8] = [
    CONNECTION,
    CONTENT_LENGTH,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Headers of one request: more than servers take.
const MOST: usize = 256;

/// Bytes of the values of one request with secrets in them: four of the largest. A short placeholder can stand for
/// much, and a request can have many.
const FILLED_BYTES: usize = 256 << 10;

/// What becomes the headers of a request, at every server that redirects lead to.
pub(super) struct Headers<'r> {
    /// As the workflow gave them.
    pub(super) pairs: &'r [(String, String)],
    /// The `Idempotency-Key`, unless the workflow set one.
    pub(super) key: &'r str,
    /// The header that stands for `user:password@` in the URL.
    pub(super) credentials: Option<HeaderValue>,
    pub(super) secrets: &'r Secrets,
    /// Whether the workflow may say in a header which server it speaks to. A server that has several sites goes by
    /// that header, so where the site matters it must be that of the URL.
    pub(super) may_name_host: bool,
}

impl Headers<'_> {
    /// Those that go to the server of a hop.
    pub(super) fn to(&self, hop: &Hop) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        let (mut may_name_host, mut room) = (self.may_name_host, FILLED_BYTES);
        if self.pairs.len() > MOST {
            let message = format!("a request has {} headers; the most is {MOST}", self.pairs.len());
            return Err(Failure::permanent(kind::LIMIT, message));
        }
        for (name, value) in self.pairs {
            let header =
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid(name, "is no header name"))?;
            // What does not go there needs no secret that may go there.
            if !hop.carries(&header) || OF_THE_CONNECTION.contains(&header) {
                continue;
            }
            let filled = self.filled(hop.url(), value, &mut room)?;
            let mut text = HeaderValue::from_str(filled.as_deref().unwrap_or(value))
                .map_err(|_| invalid(name, "has a value that no header can have"))?;
            if filled.is_some() {
                text.set_sensitive(true);
                may_name_host = false;
            }
            headers.append(header, text);
        }
        if room < FILLED_BYTES {
            // A compressed answer could not be searched for the secret.
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if !may_name_host {
            headers.remove(HOST);
        }
        if let Some(credentials) = self.credentials.as_ref().filter(|_| hop.carries(&AUTHORIZATION)) {
            headers.entry(AUTHORIZATION).or_insert_with(|| credentials.clone());
        }
        if !headers.contains_key(IDEMPOTENCY_KEY) {
            headers.insert(IDEMPOTENCY_KEY, idempotency_key(self.key)?);
        }
        Ok(headers)
    }

    fn filled(&self, url: &Url, value: &str, room: &mut usize) -> Result<Option<String>, Failure> {
        let filled = self.secrets.fill(url, value, *room)?;
        *room -= filled.as_ref().map_or(0, String::len).min(*room);
        Ok(filled)
    }
}

fn invalid(name: &str, why: &str) -> Failure {
    Failure::permanent(kind::HTTP, format!("header `{name}` {why}"))
}

fn idempotency_key(key: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(key).or_else(|_| HeaderValue::from_bytes(key.as_bytes())).map_err(|_| {
        Failure::permanent(kind::HTTP, "a step's name cannot be part of an Idempotency-Key header")
    })
}
