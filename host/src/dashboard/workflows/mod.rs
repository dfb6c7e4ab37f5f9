//! The workflows, their versions, and the start of a run.

mod list;
mod start;
mod upload;
mod versions;

use axum::Router;
use axum::routing::get;
use maud::{Markup, html};

use super::view::View;
use super::{Pages, parts};

pub(super) fn router() -> Router<Pages> {
    Router::new()
        .route("/workflows", get(list::list))
        .route("/workflows/{name}", get(versions::versions))
        .route("/workflows/{name}/start", get(start::start))
}

/// Returns the place for the numbers of runs by status, which a module reads when the page is there: counting takes longer than
/// everything else on the page.
fn counts(view: &View, workflow: &str) -> Markup {
    let runs = view.href_with(&["runs"], &[("workflow", workflow)]);
    html! { span.counts data-counts=(workflow) data-runs=(runs) { a href=(runs) { "all" } } }
}

/// Returns a digest in short, and in full as its title.
fn digest(digest: &str) -> Markup {
    let short: String = digest.chars().take(12).collect();
    html! { code title=(digest) { (parts::text(&short)) } }
}
