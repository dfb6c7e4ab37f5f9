//! The workflows, their versions, and the start of a run.

mod list;
mod start;
mod upload;
mod versions;

use axum::Router;
use axum::routing::get;
use maud::{Markup, html};
use url::form_urlencoded;

use super::view::View;
use super::{Pages, parts};

pub(super) fn router() -> Router<Pages> {
    Router::new()
        .route("/workflows", get(list::list))
        .route("/workflows/{name}", get(versions::versions))
        .route("/workflows/{name}/start", get(start::start))
}

/// Returns the place for the numbers of runs by status, of a workflow or of one of its versions. A module reads them when the page
/// is there: counting takes longer than everything else on the page.
fn counts(view: &View, workflow: &str, version: Option<u32>) -> Markup {
    let version = version.map(|version| version.to_string());
    let filter = [("workflow", Some(workflow)), ("version", version.as_deref())];
    let filter: Vec<_> = filter.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let runs = view.href_with(&["runs"], &filter);
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&filter).finish();
    html! { span.counts data-counts=(query) data-runs=(runs) { a href=(runs) { "all" } } }
}

/// Returns a digest in short, and in full as its title.
fn digest(digest: &str) -> Markup {
    let short: String = digest.chars().take(12).collect();
    html! { code title=(digest) { (parts::text(&short)) } }
}
