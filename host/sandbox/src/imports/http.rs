//! HTTP requests: the interface `http`.

use super::cut;
use super::interfaces::http::{Host, Request, Response};
use super::interfaces::types::{CallId, Failure, Scope as Handle};
use crate::Stop;
use crate::execution::Execution;
use crate::state::InstanceState;
use forge_clock as clock;
use forge_journal as journal;
use forge_journal::http::{Body, HttpRequest, HttpResponse};
use forge_journal::{EffectKind, NewEffect, PauseReason, Scope, kind};

/// The kind of effect that is an HTTP request.
pub const KIND: EffectKind = EffectKind::new("http");

/// The maximum size of a request's name in the journal, in bytes: the width of the column in the spec.
const NAME: usize = 255;

impl Host for InstanceState {
    fn send(&mut self, scope: Handle, request: Request) -> wasmtime::Result<CallId> {
        let call = send(self.execution_for(size(&request))?, scope, request);
        self.or_stop(call)
    }

    fn take(&mut self, call: CallId) -> wasmtime::Result<Result<Response, Failure>> {
        let answer = take(self.execution()?, call);
        if let Ok(Ok(answer)) = &answer {
            self.passed(answer.body.len());
        }
        self.or_stop(answer)
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
    let name = cut(format!("{} {}", request.method, request.url), NAME);
    let input = HttpRequest {
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: Body::from(request.body),
        timeout_ms: request.timeout,
        at_most_once: request.at_most_once,
    }
    .to_json()
    .map_err(|why| Stop::Failed(journal::Failure::permanent(kind::HTTP, why)))?;
    execution.check_size(input.len(), |_| format!("the request {name}"))?;
    let effect = NewEffect { kind: KIND, name, input, wake_at: None };
    Ok(execution.session.submit(Scope::from_handle(scope), effect, clock::now())?)
}

fn take(execution: &mut Execution, call: CallId) -> Result<Result<Response, Failure>, Stop> {
    match execution.session.outcome(call, KIND)? {
        Err(failure) => Ok(Err(failure.into())),
        Ok(answer) => {
            let answer = HttpResponse::from_json(answer.as_deref().unwrap_or_default()).map_err(|why| {
                Stop::Pause(
                    PauseReason::CorruptJournal,
                    format!("call {call} has no readable response: {why}"),
                )
            })?;
            let HttpResponse { status, headers, body } = answer;
            Ok(Ok(Response { status, headers, body: body.into_bytes() }))
        }
    }
}
