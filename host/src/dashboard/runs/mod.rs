//! The runs: a table that stays up to date, filters in the URL, and commands for several runs.
//!
//! The server renders all of it, from the URL alone. The modules in `assets/runs/` read the page again when runs have
//! changed, and replace what is different.

mod filters;
mod form;
mod table;
mod waits;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::get;
use maud::{Markup, html};

use self::filters::Filters;
use super::view::View;
use super::{PageResult, Pages, layout, parts};
use crate::api::{self, ApiError, ErrorCode};
use crate::executor::{RunCounts, RunFilter, RunPage, WorkflowExecutor};
use crate::tenants::{Caller, Role};

pub(super) fn router() -> Router<Pages> {
    Router::new().route("/runs", get(runs))
}

async fn runs(pages: State<Pages>, view: View, caller: Caller) -> PageResult {
    let filters = Filters::parse(&view.query);
    if !filters.is_plain {
        // So that what a form has sent is an address to keep.
        return Ok(Redirect::to(&view.href_with(&["runs"], &filters.pairs())).into_response());
    }
    let executor = pages.executor(&caller);
    let (status, read, list) = match Read::new(&executor, &filters).await {
        Ok(read) => {
            let list = list(&view, &filters, &read.page, &executor).await?;
            (StatusCode::OK, Some(read), list)
        }
        // The form stays, so that what is wrong can be corrected.
        Err(error) if error.code() == ErrorCode::InvalidParameter => {
            (StatusCode::BAD_REQUEST, None, invalid(&error))
        }
        Err(error) => return Err(error),
    };
    let counts = read.as_ref().map(|read| &read.counts);
    let body = html! {
        div #runs {
            div.head {
                h1 { "Runs" }
                button #live.live type="button" aria-pressed="true" hidden { "Live" }
                @if view.may(Role::Start) { a.button href=(view.href(&["workflows"])) { "Start a run" } }
            }
            (form::form(&view, &filters, counts))
            p #trouble.notice data-kind="warn" role="status" hidden {}
            @if view.may(Role::Start) { (bulk()) }
            button #held.held type="button" hidden {}
            div data-part="list" data-query=[read.as_ref().map(|read| &read.query)] { (list) }
            p #news.unseen role="status" {}
        }
        (layout::module(&view, "runs/page.js"))
    };
    Ok((status, layout::page(&view, "Runs", body)).into_response())
}

/// What the URL selects.
struct Read {
    /// The query of `GET /_api/runs`.
    query: String,
    page: RunPage,
    /// The number of runs with each status, whatever statuses are selected.
    counts: RunCounts,
}

impl Read {
    async fn new(executor: &WorkflowExecutor, filters: &Filters) -> Result<Self, ApiError> {
        let query = filters.query().map_err(ApiError::invalid_parameter)?;
        let filter = api::run_filter(&query)?;
        let counted =
            RunFilter { statuses: Vec::new(), limit: 0, cursor: None, newer: None, ..filter.clone() };
        let (page, counts) = (executor.list(filter).await?, executor.counts(counted).await?);
        Ok(Self { query, page, counts })
    }
}

async fn list(
    view: &View,
    filters: &Filters,
    page: &RunPage,
    executor: &WorkflowExecutor,
) -> Result<Markup, ApiError> {
    let list = if !page.runs.is_empty() {
        table::table(view, &page.runs)
    } else if page.next_cursor.is_some() {
        // A page costs the same, whatever there is: it ends before it has found something.
        parts::empty("No run of this page matches these filters.", html! { p { "Older runs may." } })
    } else if filters.has_position() {
        parts::empty("There are no further runs.", html! {})
    } else if filters.select() {
        parts::empty(
            "No run matches these filters.",
            html! {
                p { "Leave one out, or " a href=(view.href(&["runs"])) { "see all runs" } "." }
            },
        )
    } else {
        let names = executor.registry().list().await?;
        nothing_yet(view, names.first().map(|workflow| workflow.name.as_str()))
    };
    Ok(html! { (list) (pages_nav(view, filters, page)) })
}

/// Returns what a tenant sees that has no runs: how to get one.
fn nothing_yet(view: &View, workflow: Option<&str>) -> Markup {
    match workflow {
        Some(name) => parts::empty(
            "Nothing has run yet.",
            html! {
                p { "Start a run of " a href=(view.href(&["workflows", name])) { (parts::text(name)) } ", here or on the command line:" }
                pre { code { "forge start " (parts::text(name)) " --input '{}' --wait" } }
            },
        ),
        None => parts::empty(
            "Nothing has run yet, and no workflow is deployed.",
            html! {
                p { "Make a project, compile it, and deploy it:" }
                pre { code { "forge new hello\ncd hello\nforge deploy\nforge start hello --input @input.json --wait" } }
                p { "Or upload a component under " a href=(view.href(&["workflows"])) { "Workflows" } "." }
            },
        ),
    }
}

/// Returns the links to other pages of the same selection.
fn pages_nav(view: &View, filters: &Filters, page: &RunPage) -> Markup {
    let href = |position| view.href_with(&["runs"], &filters.page(position));
    let [newer, older] = [page.newer, page.next_cursor].map(|id| id.map(|id| id.to_string()));
    html! {
        @if newer.is_some() || older.is_some() || filters.has_position() {
            nav.pages aria-label="Pages of the list" {
                @if filters.has_position() { a.button href=(href(None)) { "Newest" } }
                @if let Some(id) = &newer { a.button rel="prev" href=(href(Some(("newer", id)))) { "Newer" } }
                @if let Some(id) = &older { a.button rel="next" href=(href(Some(("cursor", id)))) { "Older" } }
            }
        }
    }
}

/// Returns the notice about a filter that cannot be read.
fn invalid(error: &ApiError) -> Markup {
    html! { p.notice data-kind="bad" role="alert" { (parts::text(error.message())) } }
}

/// Returns the commands for the selected runs. They need the page's module.
fn bulk() -> Markup {
    html! {
        section #bulk.bulk aria-label="Selected runs" hidden {
            output #selected {}
            div.actions {
                button type="button" data-bulk="resume" { "Resume" }
                button.danger type="button" data-bulk="cancel" { "Cancel" }
                button.quiet type="button" data-bulk="clear" { "Clear the selection" }
            }
        }
        section #outcome.notice role="status" tabindex="-1" aria-label="What has happened" hidden {}
    }
}
