//! Why a run is in its status, in words, and what to do.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::{prose, run_link};
use crate::dashboard::parts;
use crate::dashboard::view::View;
use crate::executor::WorkflowRecord;
use crate::tenants::Role;
use forge_journal::{PauseReason, WaitsFor, WorkflowStatus, kind};

/// Returns what a run waits for, or why it has stopped, and what to do. A run that has completed without a doubt needs no
/// words.
pub(super) fn why(view: &View, run: &WorkflowRecord) -> Markup {
    let Some(sentence) = sentence(run) else { return html! {} };
    html! {
        section.notice.why data-kind=(tone(run)) aria-labelledby="why" {
            h2 #why {
                (prose(&sentence))
                @if let Some(kind) = &run.error_kind { " " span.chip title="The kind of the failure" { (parts::text(kind)) } }
            }
            @if let Some(error) = said(run) { p.why-said { (prose(error)) } }
            (waits(view, run))
            (named("Not compensated", &run.not_compensated))
            (named("In doubt", &run.in_doubt))
            @if let Some(advice) = advice(run) { p.advice { (prose(advice)) } }
        }
    }
}

fn tone(run: &WorkflowRecord) -> &'static str {
    match run.status {
        WorkflowStatus::Failed => "bad",
        WorkflowStatus::Paused | WorkflowStatus::Compensating | WorkflowStatus::Compensated => "warn",
        _ if run.error.is_some() || !run.in_doubt.is_empty() => "warn",
        _ => "busy",
    }
}

/// Returns what the run does or what has happened to it.
fn sentence(run: &WorkflowRecord) -> Option<String> {
    let is = |kind: &str| run.error_kind.as_deref() == Some(kind);
    let words = match run.status {
        WorkflowStatus::Completed if run.in_doubt.is_empty() => return None,
        WorkflowStatus::Completed => "It is completed, and the outcome of requests is in doubt.",
        WorkflowStatus::Created => "It is accepted, and has not begun yet.",
        WorkflowStatus::Running | WorkflowStatus::Waiting if run.error.is_some() => {
            "It is rolled back when its requests are answered."
        }
        WorkflowStatus::Running => {
            let step = run.current_step.as_deref().map(|step| step.replace('`', "'"));
            return Some(
                step.map_or("It executes.".to_owned(), |step| format!("It executes step `{step}`.")),
            );
        }
        WorkflowStatus::Waiting => "It waits, and takes no memory meanwhile.",
        WorkflowStatus::Compensating => "It is being rolled back.",
        WorkflowStatus::Compensated if is(kind::CANCELLED) => "It was cancelled, and is rolled back.",
        WorkflowStatus::Compensated => "It failed, and is rolled back.",
        WorkflowStatus::Failed if is(kind::TERMINATED) => "A person ended it without its code.",
        WorkflowStatus::Failed if run.not_compensated.is_empty() => "It failed.",
        WorkflowStatus::Failed => "It failed, and steps of it are not compensated.",
        WorkflowStatus::Paused => match run.pause_reason {
            Some(PauseReason::Operator) | None => "A person has paused it.",
            Some(PauseReason::Nondeterminism) => {
                "It is paused: its code does not repeat the calls of its journal."
            }
            Some(PauseReason::InDoubt) => "It is paused: a request may or may not have arrived.",
            Some(PauseReason::MissingVersion) => "It is paused: its code cannot be loaded.",
            Some(PauseReason::CorruptJournal) => "It is paused: its journal cannot be read.",
            Some(PauseReason::RejectedWrite) => "It is paused: the database cannot store a change of it.",
        },
    };
    Some(words.to_owned())
}

/// Returns the error of the run, unless it only names the commands that the page has as buttons.
fn said(run: &WorkflowRecord) -> Option<&str> {
    let is_pause_alone = run.pause_reason == Some(PauseReason::Operator) && run.error_kind.is_none();
    run.error.as_deref().filter(|_| !is_pause_alone)
}

/// Returns what to do.
fn advice(run: &WorkflowRecord) -> Option<&'static str> {
    let is = |kind: &str| run.error_kind.as_deref() == Some(kind);
    let (was_cancelled, is_terminated) = (is(kind::CANCELLED), is(kind::TERMINATED));
    Some(match run.status {
        WorkflowStatus::Paused => match run.pause_reason? {
            PauseReason::Operator => {
                "Resume it to let it go on, or cancel it to roll it back. Its timeout continues."
            }
            PauseReason::Nondeterminism => {
                "Nothing of it is lost. Resume it if the cause was chance, such as the order of a `HashMap`. Cancel it to roll \
                 it back, or terminate it to end it without its code."
            }
            PauseReason::InDoubt => {
                "Ask the service whether the request has arrived, then resolve its call below with the outcome. Resume the run \
                 to send the request again."
            }
            // Their messages say what to do.
            PauseReason::MissingVersion | PauseReason::CorruptJournal | PauseReason::RejectedWrite => {
                return None;
            }
        },
        WorkflowStatus::Failed if !run.not_compensated.is_empty() && is_terminated => {
            "Undo each of these steps by hand, then resolve it below. After the last one, the run is rolled back."
        }
        WorkflowStatus::Failed if !run.not_compensated.is_empty() => {
            "Retry the compensations. Or undo each of these steps by hand, then resolve it below."
        }
        status if status.is_final() && !run.in_doubt.is_empty() => {
            "Ask the service about each request, with its idempotency key if it has one, then resolve its call below with what \
             you have found."
        }
        WorkflowStatus::Failed | WorkflowStatus::Compensated if run.restarted_as.is_some() => return None,
        // A person has ended it: there may be nothing to correct.
        WorkflowStatus::Failed | WorkflowStatus::Compensated if was_cancelled || is_terminated => {
            "Start it again with the same or another input, if it is still needed."
        }
        WorkflowStatus::Failed | WorkflowStatus::Compensated => {
            "Correct the cause, and start it again with the same or another input."
        }
        _ => return None,
    })
}

/// Returns the calls that the run waits for.
fn waits(view: &View, run: &WorkflowRecord) -> Markup {
    // The timers of timeouts say nothing beside what they bound.
    let calls: Vec<&WaitsFor> = run.waits_for.iter().filter(|call| call.kind != "timeout").collect();
    html! {
        @if !calls.is_empty() {
            ul.waits { @for call in calls { li { (wait(view, call)) } } }
        }
    }
}

fn wait(view: &View, call: &WaitsFor) -> Markup {
    let WaitsFor { kind, name, until, run } = call;
    let until = until.as_ref().map(|until| html! { " " (end(*until)) });
    match kind.as_str() {
        "sleep" => html! { "It sleeps" @if let Some(until) = until { (until) } },
        "retry" => {
            html! { "It tries step " code { (parts::text(name)) } " again" @if let Some(until) = until { (until) } }
        }
        "event" => html! {
            "It waits for the event " code { (parts::text(name)) }
            @if let Some(until) = until { (until) }
            @if view.may(Role::Start) {
                " " button.quiet.small type="button" data-action="event" data-event=(name) { "Send it" }
            }
        },
        "child" => html! {
            "It waits for its child " (parts::text(name))
            @if let Some(run) = run { ", run " (run_link(view, *run)) }
            @if let Some(until) = until { (until) }
        },
        kind => html! {
            "It waits for " (parts::text(kind)) " " code { (parts::text(name)) }
            @if let Some(until) = until { (until) }
        },
    }
}

/// Returns the time until which a call waits.
fn end(until: DateTime<Utc>) -> Markup {
    html! { "until " (parts::full(until)) ", " (parts::time(until)) }
}

fn named(title: &str, names: &[String]) -> Markup {
    html! {
        @if !names.is_empty() {
            p.label { (title) }
            ul.names { @for name in names { li { code { (parts::text(name)) } } } }
        }
    }
}
