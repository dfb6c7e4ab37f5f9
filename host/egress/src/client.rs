//! The HTTP client of one tenant.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use tokio::sync::Semaphore;
use url::Url;

use super::Tls;
use super::connections::{Connections, HEAD_BYTES, MOST_HEADERS, SendError};
use super::connector::connector;
use super::departure::{MayLeave, Withheld};
use super::guard::{Lookup, Lookups, denied, system_lookup};
use super::headers::Headers;
use super::hop::{Hop, strip_credentials};
use super::inspection::{Answer, Inspection, SEARCHED_AT_ONCE, too_large};
use super::rules::{Denied, Policy};
use super::traffic::Traffic;
use super::workers::Workers;
use crate::EgressLimits;
use crate::secrets::{Known, Secrets};
use forge_journal::http::{Body, HttpRequest, HttpResponse};
use forge_journal::{Failure, Outcome, kind};

/// Why there is no answer.
enum NoAnswer {
    Failed(Failure),
    Withheld,
}

impl From<Failure> for NoAnswer {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The HTTP client of one tenant's workflows. It shares no connections: the policy is checked when a connection is
/// opened, so another tenant must not reuse it.
pub struct Egress {
    policy: Arc<Policy>,
    secrets: Arc<Secrets>,
    traffic: Traffic,
    connections: Connections,
    /// The permits for concurrent requests.
    permits: Semaphore,
    /// The threads on which answers are decoded and searched.
    workers: Workers,
    /// The tenant, which takes turns there.
    tenant: Arc<str>,
    default_timeout: Duration,
    response_bytes: usize,
}

impl Egress {
    /// Returns a client that reaches what the policy permits, with these secrets. Its answers are searched on threads of its
    /// own, unless [`Egress::working`] shares them.
    pub fn new(
        tls: &Tls,
        policy: Policy,
        secrets: Arc<Secrets>,
        limits: &EgressLimits,
        lookups: Lookups,
    ) -> Self {
        Self::with_lookup(tls, policy, secrets, limits, system_lookup(lookups))
    }

    /// Returns a client that resolves names with a function of the caller.
    pub(super) fn with_lookup(
        tls: &Tls,
        policy: Policy,
        secrets: Arc<Secrets>,
        limits: &EgressLimits,
        lookup: Lookup,
    ) -> Self {
        let policy = Arc::new(policy);
        let requests = EgressLimits::size(limits.http_requests).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            connections: Connections::new(
                connector(tls, Arc::clone(&policy), lookup),
                Duration::from_millis(limits.http_connect_timeout_ms),
                requests,
            ),
            policy,
            secrets,
            traffic: Traffic::default(),
            permits: Semaphore::new(requests),
            workers: Workers::default(),
            tenant: "".into(),
            default_timeout: Duration::from_millis(limits.http_timeout_ms),
            response_bytes: EgressLimits::size(limits.response_bytes),
        }
    }

    /// Adds the bytes of bodies sent and received to this counter, including those of requests that fail or are given
    /// up.
    #[must_use]
    pub fn counting(self, bytes: Arc<AtomicU64>) -> Self {
        Self { traffic: Traffic::new(bytes), ..self }
    }

    /// Decodes and searches answers on these threads, in turn with other tenants.
    #[must_use]
    pub fn working(self, workers: Workers, tenant: Arc<str>) -> Self {
        Self { workers, tenant, ..self }
    }

    /// Sends a request and returns its answer. `key` becomes the `Idempotency-Key`, unless the workflow has set one.
    /// Secrets are filled in when the request is sent; neither the answer nor a failure contains them.
    pub async fn send(&self, request: HttpRequest, key: &str) -> Outcome {
        match self.send_while(request, key, &|| true).await {
            Ok(outcome) => outcome,
            Err(Withheld) => Err(Failure::new(kind::HTTP, "the request was not sent")),
        }
    }

    /// Sends a request as [`Egress::send`] does, if it may leave when a connection is open and nothing was written to it.
    /// Asks again for each redirect.
    ///
    /// # Errors
    /// [`Withheld`] if it may not leave.
    pub async fn send_while(
        &self,
        mut request: HttpRequest,
        key: &str,
        may_leave: MayLeave<'_>,
    ) -> Result<Outcome, Withheld> {
        let body = std::mem::take(&mut request.body);
        let what = || format!("{} {}", request.method, request.url);
        let timeout = request.timeout_ms.map_or(self.default_timeout, Duration::from_millis);
        Ok(match tokio::time::timeout(timeout, self.exchange(&request, body, key, may_leave)).await {
            Ok(Ok(response)) => match response.to_json() {
                Ok(json) => Ok(Some(json.into())),
                Err(why) => Err(Failure::permanent(kind::HTTP, format!("{}: {why}", what()))),
            },
            Ok(Err(NoAnswer::Withheld)) => return Err(Withheld),
            Ok(Err(NoAnswer::Failed(mut failure))) => {
                failure.message = self.redacted(format!("{}: {}", what(), failure.message)).await;
                Err(failure)
            }
            Err(_) => {
                let timeout = humantime::format_duration(timeout);
                Err(Failure::new(kind::TIMEOUT, format!("{}: no answer within {timeout}", what())))
            }
        })
    }

    async fn exchange(
        &self,
        request: &HttpRequest,
        body: Body,
        key: &str,
        may_leave: MayLeave<'_>,
    ) -> Result<HttpResponse, NoAnswer> {
        let invalid = |message: String| Failure::permanent(kind::HTTP, message);
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| invalid(format!("`{}` is no HTTP method", request.method)))?;
        let mut url = Url::parse(&request.url)
            .map_err(|error| invalid(format!("not an absolute URL ({error}); write http://HOST/PATH")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(
                invalid(format!("scheme `{}` is not supported; use http or https", url.scheme())).into()
            );
        }
        let credentials = credentials(&url);
        if credentials.is_some() {
            strip_credentials(&mut url);
        }
        let mut hop = Hop::new(method, url, body.into_bytes());
        let headers = Headers {
            pairs: &request.headers,
            key,
            credentials,
            secrets: &self.secrets,
            may_name_host: self.policy.is_open(),
        };
        let at_most_once = request.at_most_once;
        let mut resent = false;
        let mut known = Known::default();
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await;
        loop {
            self.policy.permit_url(hop.url()).map_err(|denied| not_permitted(&denied))?;
            known.add(self.secrets.known_to(hop.url()));
            let failed = |message: String| Failure::new(kind::HTTP, message);
            let request = hop.request(headers.to(&hop)?).map_err(failed)?;
            let request = request.map(|body| self.traffic.outgoing(body));
            let sent = self.connections.send(request, at_most_once, may_leave).await;
            let (mut connection, response) = sent.map_err(|error| match error {
                SendError::Withheld => NoAnswer::Withheld,
                error => not_sent(hop.url(), &error).into(),
            })?;
            resent |= connection.is_resent();
            match hop.redirected(&response).map_err(failed)? {
                Some(next) => {
                    self.secrets.permit_redirect(next.url())?;
                    hop = next;
                }
                None => {
                    let answer = connection.drive(self.read(response)).await?;
                    self.connections.keep(connection).await;
                    let answer = self.inspected(answer, &known).await?;
                    return Ok(HttpResponse { resent, ..answer });
                }
            }
        }
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Answer, Failure> {
        let (head, mut frames) = response.into_parts();
        let mut body = Vec::new();
        while let Some(frame) = frames.frame().await {
            let frame = frame.map_err(|error| {
                Failure::new(kind::HTTP, with_causes("error decoding response body".to_owned(), &error))
            })?;
            // Frames without data are trailers, which a workflow does not get.
            let Ok(chunk) = frame.into_data() else { continue };
            self.traffic.count(&chunk);
            if body.len() + chunk.len() > self.response_bytes {
                return Err(too_large(self.response_bytes));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// Returns a message without secrets. It may have the URL of a redirect, which a server has made.
    async fn redacted(&self, message: String) -> String {
        if message.len() <= SEARCHED_AT_ONCE || self.secrets.is_empty() {
            return self.secrets.redact_text(message);
        }
        let secrets = Arc::clone(&self.secrets);
        let redacted = self.workers.call(&self.tenant, move || secrets.redact_text(message)).await;
        // The call fails only when the host stops.
        redacted.unwrap_or_else(|error| format!("the request failed, and its error is not known: {error}"))
    }

    /// Decodes an answer and redacts the secrets that its servers know.
    async fn inspected(&self, answer: Answer, known: &Known) -> Result<HttpResponse, Failure> {
        let search = self.secrets.search(known).map_err(|error| {
            Failure::new(kind::HTTP, format!("the answer could not be searched for secrets: {error}"))
        })?;
        let inspection = Inspection::new(answer, search, self.response_bytes)?;
        if inspection.is_short() {
            return inspection.carry_out();
        }
        // The call fails only when the host stops.
        self.workers.call(&self.tenant, || inspection.carry_out()).await.map_err(|error| {
            Failure::new(kind::HTTP, format!("the answer could not be decoded and searched: {error}"))
        })?
    }
}

fn not_sent(url: &Url, error: &SendError) -> Failure {
    if let Some(denied) = denied(error) {
        return not_permitted(denied);
    }
    if let SendError::ConnectTimeout(_) = error {
        return Failure::new(kind::TIMEOUT, error.to_string());
    }
    if error.is_head_too_large() {
        let message = format!(
            "the head of the answer is too large: more than {MOST_HEADERS} headers, or more than {HEAD_BYTES} bytes, or more \
             interim answers than that"
        );
        return Failure::permanent(kind::LIMIT, message);
    }
    Failure::new(kind::HTTP, with_causes(format!("error sending request for url ({url})"), error))
}

fn not_permitted(denied: &Denied) -> Failure {
    Failure::permanent(kind::DENIED, denied.to_string())
}

/// Returns the header that stands for `user:password@` in a URL.
fn credentials(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text| percent_decode_str(text).decode_utf8();
    let user = decoded(url.username()).ok()?;
    let password = url.password().and_then(|password| decoded(password).ok()).unwrap_or_default();
    let mut header =
        HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// Adds an error's causes to a message: the outermost error says only that sending failed.
fn with_causes(mut text: String, error: &dyn Error) -> String {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let cause_text = error.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        cause = error.source();
    }
    text
}
