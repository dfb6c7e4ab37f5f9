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
use axum::response::IntoResponse as _;
use axum::routing::get;
use maud::{Markup, html};
use url::form_urlencoded;

use self::filters::Filters;
use super::view::View;
use super::{PageResult, Pages, layout, parts};
use crate::api::{self, ApiError, ErrorCode};
use crate::executor::{RunPage, WorkflowExecutor};
use crate::tenants::{Caller, Role};

pub(super) fn router() -> Router<Pages> {
    Router::new().route("/runs", get(runs))
}

async fn runs(pages: State<Pages>, view: View, caller: Caller) -> PageResult {
    let executor = pages.executor(&caller);
    let filters = Filters::parse(&view.query);
    let (status, query, list) = match read(&executor, &filters).await {
        Ok((query, page)) => (StatusCode::OK, Some(query), list(&view, &filters, &page, &executor).await?),
        // The form stays, so that what is wrong can be corrected.
        Err(error) if error.code() == ErrorCode::InvalidParameter => {
            (StatusCode::BAD_REQUEST, None, invalid(&error))
        }
        Err(error) => return Err(error),
    };
    let body = html! {
        div #runs {
            div.head {
                h1 { "Runs" }
                button #live.live type="button" aria-pressed="true" hidden { "Live" }
                @if view.may(Role::Start) { a.button href=(view.href(&["workflows"])) { "Start a run" } }
            }
            (form::form(&view, &filters))
            p #trouble.notice data-kind="warn" role="status" hidden {}
            @if view.may(Role::Start) { (bulk()) }
            button #held.held type="button" hidden {}
            div data-part="list" data-query=[query] { (list) }
            p #news.unseen role="status" {}
        }
        (layout::module(&view, "runs/page.js"))
    };
    Ok((status, layout::page(&view, "Runs", body)).into_response())
}

/// Reads the page of runs that the URL selects. Returns the query of the API with it.
async fn read(executor: &WorkflowExecutor, filters: &Filters) -> Result<(String, RunPage), ApiError> {
    let parameters = filters.parameters().map_err(ApiError::invalid_parameter)?;
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&parameters).finish();
    let page = executor.list(api::run_filter(&query)?).await?;
    Ok((query, page))
}

async fn list(
    view: &View,
    filters: &Filters,
    page: &RunPage,
    executor: &WorkflowExecutor,
) -> Result<Markup, ApiError> {
    let list = if !page.runs.is_empty() {
        table::table(view, &page.runs)
    } else if filters.is_later_page() {
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
    let older = page.next_cursor.map(|cursor| cursor.to_string());
    html! {
        @if older.is_some() || filters.is_later_page() {
            nav.pages aria-label="Pages of the list" {
                @if filters.is_later_page() { a.button href=(href(None)) { "Newest" } }
                @if let Some(cursor) = &older { a.button rel="next" href=(href(Some(("cursor", cursor)))) { "Older" } }
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
