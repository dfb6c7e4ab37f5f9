//! The runs.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::view::View;
use super::{PageResult, Pages, layout, parts};
use crate::executor::RunFilter;
use crate::tenants::Caller;
use forge_store::RunSummary;

pub(super) fn router() -> Router<Pages> {
    Router::new().route("/runs", get(runs))
}

async fn runs(pages: State<Pages>, view: View, caller: Caller) -> PageResult {
    let page = pages.executor(&caller).list(RunFilter::default()).await?;
    let body = html! {
        h1 { "Runs" }
        @if page.runs.is_empty() {
            (parts::empty("There are no runs.", html! {
                p { "Start one: " code { "forge start WORKFLOW" } }
            }))
        } @else {
            div.scroll {
                table.runs {
                    thead { tr { th scope="col" { "Run" } th scope="col" { "Workflow" } th scope="col" { "Status" } th scope="col" { "Started" } th scope="col" { "Duration" } } }
                    tbody { @for run in &page.runs { (row(&view, run)) } }
                }
            }
        }
    };
    Ok(layout::page(&view, "Runs", body))
}

fn row(view: &View, run: &RunSummary) -> Markup {
    let id = run.id.to_string();
    html! {
        tr {
            td { a.id href=(view.href(&["runs", &id])) { (id) } }
            td { (parts::text(&run.workflow_name)) " " span.version { "v" (run.version) } }
            td { (parts::status(run.status)) }
            td { (parts::time(run.started_at)) }
            td { @if let Some(end) = run.completed_at { (duration(run.started_at, end)) } }
        }
    }
}

fn duration(start: DateTime<Utc>, end: DateTime<Utc>) -> String {
    parts::duration((end - start).num_milliseconds().max(0).unsigned_abs())
}
