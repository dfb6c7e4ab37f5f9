//! HTTP requests: the interface `http`.

use super::cut;
use super::interfaces::http::{Answer, Host, Request, Response};
use super::interfaces::types::{CallId, Failure, Scope as Handle};
use crate::Stop;
use crate::execution::Execution;
use crate::limits;
use crate::state::InstanceState;
use forge_clock as clock;
use forge_journal as journal;
use forge_journal::http::{Body, HttpRequest, HttpResponse};
use forge_journal::{EffectKind, Journal, Kind, NewEffect, Reach, Row, Scope, Timestamp, kind};

/// The kind of effect that is an HTTP request.
pub const KIND: EffectKind = EffectKind::new("http");

/// The bytes that a header counts as, beside its name and its value, when the guest is charged for a response.
const HEADER: usize = 64;

/// The bytes that a byte which was searched for secrets counts as when the guest is charged: to decode and search one takes
/// about as long as to copy and check this many.
const SEARCH: usize = 8;

/// The maximum size of a request's name in the journal, in bytes: the width of the column in the spec.
const NAME: usize = 255;

/// The bytes that are kept of the URL of a request that is too large: enough to recognise it.
const URL: usize = 1 << 10;

impl Host for InstanceState {
    fn send(&mut self, scope: Handle, request: Request) -> wasmtime::Result<CallId> {
        let call = send(self.execution_for(size(&request))?, scope, request);
        self.or_stop(call)
    }

    fn refuse_large(
        &mut self,
        scope: Handle,
        request: Request,
        bytes: u64,
    ) -> wasmtime::Result<Option<CallId>> {
        let call = refuse_large(self.execution_for(size(&request))?, scope, request, bytes);
        self.or_stop(call)
    }

    fn receive(&mut self, call: CallId) -> wasmtime::Result<Result<Answer, Failure>> {
        let mut searched = 0;
        let answer = receive(self.execution()?, call, &mut searched);
        if let Ok(Ok(answer)) = &answer {
            let headers =
                answer.response.headers.iter().map(|(name, value)| name.len() + value.len() + HEADER);
            self.passed(
                headers.sum::<usize>().saturating_add(answer.response.body.len()).saturating_add(searched),
            );
        }
        self.or_stop(answer)
    }

    fn take(&mut self, call: CallId) -> wasmtime::Result<Result<Response, Failure>> {
        Ok(self.receive(call)?.map(|answer| answer.response))
    }
}

/// Returns the number of bytes that the guest passes with a request.
fn size(request: &Request) -> usize {
    let headers = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    headers
        .saturating_add(request.method.len())
        .saturating_add(request.url.len())
        .saturating_add(request.body.len())
}

fn send(execution: &mut Execution, scope: Handle, request: Request) -> Result<CallId, Stop> {
    let name = name(&request);
    let request = HttpRequest::from(request);
    let input = request.to_json().map_err(unwritable)?;
    let (scope, bytes) = (Scope::from_handle(scope), input.len() as u64);
    if bytes <= execution.limits.payload_bytes {
        let effect = NewEffect { kind: KIND, name, input, wake_at: None, awaits: None };
        return Ok(execution.session.submit(scope, effect, clock::now())?);
    }
    let failure = too_large(execution, &name, bytes);
    let kept = excerpt(request)?;
    let effect = NewEffect { kind: KIND, name, input, wake_at: None, awaits: None };
    Ok(execution.session.refuse(scope, effect, &kept, failure, clock::now())?)
}

/// Refuses a request that the guest has not passed, because it is too large. What the journal has does not depend on the
/// limit of today.
fn refuse_large(
    execution: &mut Execution,
    scope: Handle,
    request: Request,
    bytes: u64,
) -> Result<Option<CallId>, Stop> {
    let name = name(&request);
    let kept = excerpt(request.into())?;
    let input = format!("{kept} {bytes}");
    let scope = Scope::from_handle(scope);
    let is_refused = match execution.session.recorded(scope)? {
        Some(row) => row.is_call(Kind::Effect(KIND), &name, Some(&input)),
        None => bytes > execution.limits.payload_bytes,
    };
    if !is_refused {
        return Ok(None);
    }
    let failure = too_large(execution, &name, bytes);
    let effect = NewEffect { kind: KIND, name, input, wake_at: None, awaits: None };
    Ok(Some(execution.session.refuse(scope, effect, &kept, failure, clock::now())?))
}

impl From<Request> for HttpRequest {
    fn from(request: Request) -> Self {
        let Request { method, url, headers, body, timeout, at_most_once } = request;
        Self { method, url, headers, body: Body::from(body), timeout_ms: timeout, at_most_once }
    }
}

fn name(request: &Request) -> String {
    cut(format!("{} {}", request.method, request.url), NAME)
}

/// Returns what the journal keeps of a request that is too large for it.
fn excerpt(request: HttpRequest) -> Result<String, Stop> {
    let (method, url) = (cut(request.method, NAME), cut(request.url, URL));
    let excerpt = HttpRequest { method, url, headers: Vec::new(), body: Body::default(), ..request };
    excerpt.to_json().map_err(unwritable)
}

fn too_large(execution: &Execution, name: &str, bytes: u64) -> journal::Failure {
    let most = execution.limits.payload_bytes;
    let message = format!(
        "the request {name} has {bytes} bytes; the most is {most} (payload_bytes). Nothing was sent. Store large data \
         elsewhere and pass a reference"
    );
    journal::Failure::permanent(kind::LIMIT, message).with_reach(Reach::Nowhere)
}

fn unwritable(why: String) -> Stop {
    Stop::Failed(journal::Failure::permanent(kind::HTTP, why))
}

/// Returns the outcome of a request. `searched` is the number of bytes that were searched for earlier requests and for
/// secrets, as far as the journal tells.
fn receive(
    execution: &mut Execution,
    call: CallId,
    searched: &mut usize,
) -> Result<Result<Answer, Failure>, Stop> {
    let seq = execution.session.row_of(call).map(|row| row.seq);
    let answer = match execution.session.outcome(call, KIND)? {
        Err(failure) => return Ok(Err(failure.into())),
        Ok(answer) => HttpResponse::from_json(answer.as_deref().unwrap_or_default())
            .map_err(|why| Stop::corrupt(format_args!("call {call} has no readable response: {why}")))?,
    };
    let journal = execution.session.journal();
    let in_progress = answer.is_conflict()
        && (answer.resent
            || seq
                .and_then(|seq| journal.row(seq))
                .is_some_and(|row| was_sent_before(journal, row, searched)));
    let HttpResponse { status, headers, body, searched: examined, .. } = answer;
    *searched = searched.saturating_add(limits::size(examined).saturating_mul(SEARCH));
    Ok(Ok(Answer { response: Response { status, headers, body: body.into_bytes() }, in_progress }))
}

/// Returns whether a request with the same idempotency key began before this one. The answer depends only on what never
/// changes in the journal, so it is the same in every replay. A key that the workflow set is compared together with the
/// method and the URL, because two services may get the same key.
fn was_sent_before(journal: &Journal, row: &Row, searched: &mut usize) -> bool {
    let mut parse = |row: &Row| {
        let input = row.input.as_deref().unwrap_or_default();
        *searched += input.len();
        HttpRequest::from_json(input).ok()
    };
    let Some(request) = parse(row) else { return false };
    let Some(key) = request.idempotency_key() else {
        return journal
            .earlier_attempts_of(row)
            .any(|earlier| parse(earlier).is_some_and(|earlier| earlier.idempotency_key().is_none()));
    };
    journal.rows_before(row).filter(|earlier| earlier.name == row.name).filter_map(parse).any(|earlier| {
        earlier.idempotency_key() == Some(key)
            && (earlier.method.as_str(), earlier.url.as_str()) == (&request.method, &request.url)
    })
}

/// Returns the time before which an attempt must not be repeated, because a response in it asked for that: a further
/// attempt would send the same request again.
pub(super) fn not_before(journal: &Journal, attempt: Scope) -> Option<Timestamp> {
    let asked = |row: &Row| {
        // Most responses need no parsing.
        let document = row.result.as_deref().filter(|document| mentions_retry_after(document))?;
        HttpResponse::from_json(document).ok()?.retry_after(row.completed_at?)
    };
    journal.rows_within(attempt).filter(|row| row.kind == Kind::Effect(KIND)).filter_map(asked).max()
}

/// Returns whether a response may have the header. The host writes the names of headers in lower case.
fn mentions_retry_after(document: &str) -> bool {
    document.contains("\"retry-after\"")
}
