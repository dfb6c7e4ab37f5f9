//! The page of one run: why it is in its status, its calls on a time axis, its documents, its logs, and what may be done.
//!
//! The server renders what the record has. The modules in `assets/run/` load the calls, the documents and the logs, and
//! replace each part with a `data-part` by a newer one from the server when the run has changed.

mod actions;
mod calls;
mod data;
mod dialogs;
mod head;
mod logs;
mod why;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use chrono::{DateTime, SecondsFormat, Utc};
use maud::{Markup, html};
use uuid::Uuid;

use super::view::View;
use super::{PageResult, Pages, layout, parts};
use crate::api::Path;
use crate::executor::WorkflowRecord;
use crate::printable::Printable;
use crate::tenants::Caller;
use forge_clock as clock;
use forge_journal::RunId;

/// The digits of an id in the title of the page. It follows the workflow's name, so that a few tell runs apart.
const ID_IN_TITLE: usize = 8;

pub(super) fn router() -> Router<Pages> {
    Router::new().route("/runs/{id}", get(show))
}

async fn show(pages: State<Pages>, view: View, caller: Caller, Path(id): Path<Uuid>) -> PageResult {
    let run = pages.executor(&caller).status(RunId(id)).await?;
    let digits: String = run.id.to_string().chars().take(ID_IN_TITLE).collect();
    let title = format!("{} {} {digits}", run.workflow_name, run.status);
    Ok(layout::page(&view, &title, body(&view, &run)))
}

fn body(view: &View, run: &WorkflowRecord) -> Markup {
    html! {
        div #run data-run=(run.id) data-workflow=(run.workflow_name) data-now=(instant(clock::now().to_datetime())) {
            (head::head(view, run))
            p #run-trouble .notice data-kind="warn" role="status" hidden {}
            p #run-news .unseen aria-live="polite" {}
            (data::data(run))
            (calls::calls(view, run))
            (logs::logs())
            (dialogs::dialogs(view, run))
        }
        (layout::module(view, "run.js"))
    }
}

/// Returns a point in time as the modules read it.
fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Returns a text of several sentences that may come from a guest. What is in backticks is code.
fn prose(said: &str) -> Markup {
    let said = Printable::lines(said).to_string();
    let pieces: Vec<&str> = said.split('`').collect();
    // A text of which a quote is not closed stays as it is.
    if pieces.len().is_multiple_of(2) {
        return html! { (said) };
    }
    html! {
        @for (index, piece) in pieces.iter().enumerate() {
            @if index % 2 == 1 { code { (piece) } } @else { (piece) }
        }
    }
}

/// Returns a link to another run.
fn run_link(view: &View, run: Uuid) -> Markup {
    let id = run.to_string();
    html! { a.id href=(view.href(&["runs", &id])) { (id) } }
}

/// Returns a number with its noun: `1 step`, `2 steps`.
fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Returns how long a run has taken or takes.
fn took(run: &WorkflowRecord) -> String {
    let end = run.completed_at.unwrap_or_else(|| clock::now().to_datetime());
    parts::duration(u64::try_from((end - run.started_at).num_milliseconds()).unwrap_or(0))
}

#[cfg(test)]
mod tests;
