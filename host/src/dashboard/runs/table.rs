//! The table of runs.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::waits;
use crate::dashboard::parts;
use crate::dashboard::view::View;
use crate::tenants::Role;
use forge_store::RunSummary;

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

/// Returns why the run has stopped, or what it waits for.
fn details(view: &View, run: &RunSummary) -> Markup {
    let Some(error) = &run.error else { return waits::waits(view, &run.waits_for) };
    let first = error.lines().next().unwrap_or_default();
    // A person has paused it, or its code has: it has not failed.
    let class = if run.status.is_final() { "why error-text" } else { "why soft" };
    html! { span class=(class) title=(parts::text(error)) { (parts::text(first)) } }
}

fn took(start: DateTime<Utc>, end: DateTime<Utc>) -> String {
    parts::duration((end - start).num_milliseconds().max(0).unsigned_abs())
}
