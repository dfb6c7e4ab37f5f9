//! The HTTP client of one tenant.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_ENCODING;
use http::{HeaderValue, Method, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use percent_encoding::percent_decode_str;
use url::Url;

use super::Tls;
use super::connections::{HEAD_BYTES, MOST_HEADERS, SendError};
use super::departure::{GivenUp, MayLeave, Withheld};
use super::guard::{Lookup, Lookups, denied, system_lookup};
use super::headers::HeaderSource;
use super::hop::{Hop, strip_credentials};
use super::inspection::{Answer, Inspection, SEARCHED_AT_ONCE, too_large};
use super::responses::{Reservation, Responses, UNRESERVED};
use super::rules::Policy;
use super::terms::{Sent, Terms, UnderWay, not_permitted, requests};
use super::traffic::Traffic;
use super::workers::Workers;
use crate::EgressLimits;
use crate::secrets::{Known, Secrets};
use forge_journal::http::{Body, HttpRequest, HttpResponse, is_rejection};
use forge_journal::{Failure, Outcome, Reach, kind};
use forge_scheduling::{Present, ResizablePermits};

/// Why there is no answer.
enum NoAnswer {
    Failed(Failure),
    Withheld,
    GivenUp(GivenUp),
}

impl From<Failure> for NoAnswer {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The HTTP client of one tenant's workflows, for as long as the host is there. It shares no connections: the policy is
/// checked when a connection is opened, so another tenant must not reuse it.
pub struct Egress {
    tls: Tls,
    lookup: Lookup,
    /// What requests may do now. Each request is checked against it when it leaves, and for as long as it is under way.
    terms: Present<Terms>,
    traffic: Traffic,
    /// The permits for concurrent requests.
    permits: ResizablePermits,
    /// The threads on which answers are decoded and searched.
    workers: Workers,
    /// The tenant, which takes turns there.
    tenant: Arc<str>,
    responses: Responses,
}

impl Egress {
    /// Returns a client that reaches what the policy permits, with these secrets.
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
        Self {
            terms: Present::new(Arc::new(Terms::new(tls, &lookup, policy, secrets, limits))),
            tls: tls.clone(),
            lookup,
            traffic: Traffic::default(),
            permits: ResizablePermits::new(requests(limits)),
            workers: Workers::default(),
            tenant: "".into(),
            responses: Responses::default(),
        }
    }

    /// Returns the secrets as they are now.
    pub fn secrets(&self) -> Arc<Secrets> {
        Arc::clone(&self.terms.get().secrets)
    }

    /// Changes what requests may do. Takes effect at once: idle connections are closed if the policy, the secrets or the
    /// limits differ, and requests under way that are no longer allowed are aborted. The permits stay: a request under way
    /// counts until it ends.
    pub fn change(&self, policy: Policy, secrets: Arc<Secrets>, limits: &EgressLimits) {
        let present = self.terms.get();
        let terms = Terms::new(&self.tls, &self.lookup, policy, secrets, limits);
        if present.share_connections(&terms) {
            return;
        }
        self.permits.resize(requests(limits));
        self.terms.replace(Arc::new(terms)).connections.close();
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

    /// Keeps the bodies of answers within these budgets.
    #[must_use]
    pub fn within(self, responses: Responses) -> Self {
        Self { responses, ..self }
    }

    /// Sends a request and returns its answer. `key` becomes the `Idempotency-Key`, unless the workflow has set one.
    /// Secrets are filled in when the request is sent; neither the answer nor a failure contains them.
    pub async fn send(&self, request: HttpRequest, key: &str) -> Outcome {
        match self.send_while(request, key, &|| true).await {
            Ok(answered) => answered.and_then(|response| response.outcome()),
            Err(Withheld) => {
                Err(Failure::new(kind::HTTP, "the request was not sent").with_reach(Reach::Nowhere))
            }
        }
    }

    /// Sends a request as [`Egress::send`] does, if it may leave when a connection is open and nothing was written to it.
    /// Asks again for each redirect. A failure has a [`Reach`].
    ///
    /// # Errors
    /// [`Withheld`] if it may not leave.
    pub async fn send_while(
        &self,
        mut request: HttpRequest,
        key: &str,
        may_leave: MayLeave<'_>,
    ) -> Result<Result<HttpResponse, Failure>, Withheld> {
        let body = std::mem::take(&mut request.body);
        let terms = self.terms.get();
        let what = || format!("{} {}", request.method, request.url);
        let timeout = request.timeout_ms.map_or(terms.default_timeout, Duration::from_millis);
        let mut reach = Reach::Nowhere;
        let exchange = self.exchange(&request, body, key, may_leave, &mut reach);
        let failure = match tokio::time::timeout(timeout, exchange).await {
            Ok(Ok(response)) => return Ok(Ok(response)),
            Ok(Err(NoAnswer::Withheld | NoAnswer::GivenUp(_))) => return Err(Withheld),
            Ok(Err(NoAnswer::Failed(mut failure))) => {
                failure.message = self.redacted(&terms, format!("{}: {}", what(), failure.message)).await;
                let present = self.terms.get();
                if !Arc::ptr_eq(&present, &terms) {
                    failure.message = self.redacted(&present, failure.message).await;
                }
                failure
            }
            Err(_) => {
                let limit = if request.timeout_ms.is_none() { " (http_timeout_ms)" } else { "" };
                let timeout = humantime::format_duration(timeout);
                Failure::new(kind::TIMEOUT, format!("{}: no answer within {timeout}{limit}", what()))
            }
        };
        Ok(Err(failure.with_reach(reach)))
    }

    async fn exchange(
        &self,
        request: &HttpRequest,
        body: Body,
        key: &str,
        may_leave: MayLeave<'_>,
        reach: &mut Reach,
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
        let headers = HeaderSource { pairs: &request.headers, key, credentials };
        let mut resent = false;
        // The servers that have redirected the request.
        let mut redirecting = Vec::new();
        let _permit = self.permits.acquire().await;
        loop {
            // As they are now, for each redirect.
            let terms = self.terms.get();
            let under_way = UnderWay::new(&self.terms, &terms, Sent { hop: &hop, headers: &headers });
            let exchange = Exchange { terms: &terms, under_way: &under_way, hop: &hop, headers: &headers };
            let stepped = tokio::select! {
                biased;
                stepped = self.step(exchange, request.at_most_once, may_leave, &mut resent, reach) => stepped,
                given_up = under_way.given_up() => Err(NoAnswer::GivenUp(given_up)),
            };
            match stepped {
                Ok(Step::Redirected(next)) => {
                    redirecting.push(std::mem::replace(&mut hop, next));
                }
                Ok(Step::Answered(answer)) => {
                    let mut known = Known::default();
                    redirecting
                        .iter()
                        .chain([&hop])
                        .for_each(|hop| known.add(terms.secrets.known_to(hop.url())));
                    return Ok(HttpResponse { resent, ..self.inspected(answer, &known, &terms).await? });
                }
                // Under the present terms it is built anew, or denied.
                Err(NoAnswer::GivenUp(GivenUp::Here)) => {}
                Err(NoAnswer::GivenUp(GivenUp::Revoked(why))) => return Err(why.into()),
                Err(no_answer) => return Err(no_answer),
            }
        }
    }

    /// Sends a request to one server, and reads its answer unless it is a redirect. `resent` becomes true if it was sent on
    /// two connections.
    async fn step(
        &self,
        exchange: Exchange<'_>,
        at_most_once: bool,
        may_leave: MayLeave<'_>,
        resent: &mut bool,
        reach: &mut Reach,
    ) -> Result<Step, NoAnswer> {
        let Exchange { terms, under_way, hop, headers } = exchange;
        terms.policy.permit_url(hop.url()).map_err(|denied| not_permitted(&denied))?;
        let failed = |message: String| Failure::new(kind::HTTP, message);
        let request = hop.request(terms.headers(&Sent { hop, headers })?).map_err(failed)?;
        let request = request.map(|body| self.traffic.outgoing(body));
        let leave = |address| under_way.leave(address, may_leave);
        let before = *reach;
        let sent = terms.connections.send(request, at_most_once, &leave, reach).await;
        let (mut connection, response) = sent.map_err(|error| {
            if error.is_head_too_large() {
                *reach = Reach::Answered;
            }
            match error {
                SendError::Withheld => NoAnswer::Withheld,
                SendError::GivenUp(given_up) => NoAnswer::GivenUp(given_up),
                error => not_sent(hop.url(), &error, *reach).into(),
            }
        })?;
        *resent |= connection.is_resent();
        let status = response.status();
        let has_no_effect =
            status.is_redirection() && !hop.is_handled(status) || is_rejection(status.as_u16());
        // What the answer does not tell of is the request that was sent before.
        *reach = if !has_no_effect {
            Reach::Answered
        } else if *resent {
            Reach::Unanswered.max(before)
        } else {
            before
        };
        if let Some(next) = hop.redirected(&response).map_err(failed)? {
            terms.secrets.permit_redirect(next.url())?;
            return Ok(Step::Redirected(next));
        }
        let answer = connection.drive(self.read(response, terms)).await?;
        terms.connections.keep(connection).await;
        Ok(Step::Answered(answer))
    }

    /// Reads an answer. A body that is larger than [`UNRESERVED`] waits for its turn: at once if that is known, so that nothing
    /// of it is in memory meanwhile, or else with its begin.
    async fn read(&self, response: Response<Incoming>, terms: &Terms) -> Result<Answer, Failure> {
        let most = terms.response_bytes;
        let (head, mut frames) = response.into_parts();
        let mut body = Vec::new();
        let length = frames.size_hint().exact();
        let is_encoded = head.headers.contains_key(CONTENT_ENCODING);
        // Decoded, a body may have any length. What it needs is reserved together.
        let needed = length.filter(|_| !is_encoded).unwrap_or(u64::MAX);
        let mut reserved = None;
        if length.is_some_and(|length| length > UNRESERVED as u64) {
            reserved = Some(self.reserve(needed, terms).await);
        }
        while let Some(frame) = frames.frame().await {
            let frame = frame.map_err(|error| {
                Failure::new(kind::HTTP, with_causes("error decoding response body".to_owned(), &error))
            })?;
            // Frames without data are trailers, which a workflow does not get.
            let Ok(chunk) = frame.into_data() else { continue };
            self.traffic.count(&chunk);
            if body.len() + chunk.len() > most {
                return Err(too_large(most));
            }
            if reserved.is_none() && body.len() + chunk.len() > UNRESERVED {
                reserved = Some(self.reserve(needed, terms).await);
            }
            body.extend_from_slice(&chunk);
        }
        if let Some(reserved) = reserved.as_mut().filter(|_| !is_encoded) {
            reserved.shrink(body.len());
        }
        Ok(Answer { status: head.status, headers: head.headers, body, reserved })
    }

    /// Reserves memory for a body, at most for the largest that a workflow may receive.
    async fn reserve(&self, bytes: u64, terms: &Terms) -> Reservation {
        self.responses.reserve(bytes.min(terms.response_bytes as u64), terms.response_bytes_in_flight).await
    }

    /// Returns a message without secrets. It may have the URL of a redirect, which a server has made.
    async fn redacted(&self, terms: &Terms, message: String) -> String {
        if message.len() <= SEARCHED_AT_ONCE || terms.secrets.is_empty() {
            return terms.secrets.redact_text(message);
        }
        let secrets = Arc::clone(&terms.secrets);
        let redacted = self.workers.call(&self.tenant, move || secrets.redact_text(message)).await;
        // The call fails only when the host stops.
        redacted.unwrap_or_else(|error| format!("the request failed, and its error is not known: {error}"))
    }

    /// Decodes an answer and redacts the secrets that its servers know.
    async fn inspected(
        &self,
        mut answer: Answer,
        known: &Known,
        terms: &Terms,
    ) -> Result<HttpResponse, Failure> {
        let search = terms.secrets.search(known).map_err(|error| {
            Failure::new(kind::HTTP, format!("the answer could not be searched for secrets: {error}"))
        })?;
        // Given back when the answer is what the workflow gets.
        let mut reserved = answer.reserved.take();
        let inspection = Inspection::new(answer, search, terms.response_bytes)?;
        if inspection.is_short() {
            return inspection.carry_out();
        }
        // Reserved before the thread is acquired: a request that holds a thread must not wait for memory.
        if inspection.decodes() && reserved.is_none() {
            reserved = Some(self.reserve(u64::MAX, terms).await);
        }
        let inspected = self.workers.call(&self.tenant, || inspection.carry_out()).await;
        drop(reserved);
        // The call fails only when the host stops.
        inspected.map_err(|error| {
            Failure::new(kind::HTTP, format!("the answer could not be decoded and searched: {error}"))
        })?
    }
}

/// What one server has answered.
enum Step {
    Redirected(Hop),
    Answered(Answer),
}

/// A request to one server, and what it may do.
struct Exchange<'e> {
    terms: &'e Terms,
    under_way: &'e UnderWay<'e>,
    hop: &'e Hop,
    headers: &'e HeaderSource<'e>,
}

fn not_sent(url: &Url, error: &SendError, reach: Reach) -> Failure {
    if let Some(denied) = denied(error) {
        return not_permitted(denied);
    }
    if let SendError::ConnectTimeout(_) = error {
        // It may have been sent on a kept connection.
        let again = if reach == Reach::Nowhere { "" } else { " again" };
        return Failure::new(kind::TIMEOUT, format!("{error}{again}"));
    }
    if error.is_head_too_large() {
        let message = format!(
            "the head of the answer is too large: more than {MOST_HEADERS} headers, or more than {HEAD_BYTES} bytes, or \
             more interim answers than that; the server has handled the request, and its effect stands"
        );
        return Failure::permanent(kind::LIMIT, message);
    }
    Failure::new(kind::HTTP, with_causes(format!("error sending request for url ({url})"), error))
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
