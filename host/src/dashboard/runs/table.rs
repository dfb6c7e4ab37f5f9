//! The table of runs.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::filters::TAG;
use super::waits;
use crate::dashboard::parts;
use crate::dashboard::view::View;
use crate::tenants::Role;
use forge_store::RunSummary;

/// The most tags of a run that are shown. The page of the run has all.
const MOST_TAGS: usize = 4;

/// Returns the table. On a narrow screen the rows are shown as cards, for which a browser would forget that they are rows:
/// the roles say it again.
pub(super) fn table(view: &View, runs: &[RunSummary]) -> Markup {
    let selects = view.may(Role::Start);
    html! {
        div.scroll {
            table.runs role="table" aria-label="Runs, the newest first" {
                thead role="rowgroup" {
                    tr role="row" {
                        @if selects {
                            th.pick scope="col" role="columnheader" {
                                input #select-all type="checkbox" aria-label="Select all runs of this page" hidden;
                            }
                        }
                        @for column in ["Status", "Run", "Workflow", "Details", "Started", "Took"] {
                            th scope="col" role="columnheader" { (column) }
                        }
                    }
                }
                tbody role="rowgroup" { @for run in runs { (row(view, run, selects)) } }
            }
        }
    }
}

fn row(view: &View, run: &RunSummary, selects: bool) -> Markup {
    let id = run.id.to_string();
    html! {
        tr role="row" data-run=(id) data-status=(run.status) {
            @if selects {
                td.pick role="cell" {
                    input type="checkbox" name="run" value=(id) aria-label={ "Select run " (id) } hidden;
                }
            }
            td.state role="cell" { (parts::status(run.status)) }
            td.run-id role="cell" { a.id href=(view.href(&["runs", &id])) title=(id) { (id) } }
            td.name role="cell" { (parts::text(&run.workflow_name)) " " span.version { "v" (run.version) } }
            td.details role="cell" { (details(view, run)) }
            td.when role="cell" { (parts::time(run.started_at)) }
            td.took role="cell" { @if let Some(end) = run.completed_at { (took(run.started_at, end)) } }
        }
    }
}

/// Returns why the run has stopped or what it waits for, and its tags.
fn details(view: &View, run: &RunSummary) -> Markup {
    html! {
        @if let Some(error) = &run.error { (why(view, run, error)) } @else { (waits::waits(view, &run.waits_for)) }
        @if !run.tags.is_empty() { (tags(view, &run.tags)) }
    }
}

fn why(view: &View, run: &RunSummary, error: &str) -> Markup {
    let first = error.lines().next().unwrap_or_default();
    // A person has paused it, or its code has: it has not failed.
    let class = if run.status.is_final() { "why error-text" } else { "why soft" };
    html! {
        span class=(class) title=(parts::text(error)) {
            @if let Some(kind) = &run.error_kind {
                a.chip href=(view.href_with(&["runs"], &[("error_kind", kind.as_str())])) title="Runs with a failure of this kind" { (parts::text(kind)) }
                " "
            }
            (parts::text(first))
        }
    }
}

/// Returns tags, which lead to the runs that have them.
fn tags(view: &View, tags: &BTreeMap<String, String>) -> Markup {
    html! {
        span.tags {
            @for (name, value) in tags.iter().take(MOST_TAGS) {
                a.chip.tag href=(view.href_with(&["runs"], &[(format!("{TAG}{name}").as_str(), value.as_str())])) {
                    (parts::text(name)) "=" (parts::text(value))
                }
                " "
            }
            @if tags.len() > MOST_TAGS { span.soft { (tags.len() - MOST_TAGS) " more" } }
        }
    }
}

fn took(start: DateTime<Utc>, end: DateTime<Utc>) -> String {
    parts::duration((end - start).num_milliseconds().max(0).unsigned_abs())
}
