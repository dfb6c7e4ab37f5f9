//! The login with an API key.

use axum::Router;
use axum::routing::get;
use maud::html;
use serde::Deserialize;

use super::next::NextPage;
use super::view::View;
use super::{PageResult, Pages, layout};
use crate::api::Query;

/// The only page that needs no credentials.
pub(super) const PATH: &str = "/login";

pub(super) fn router() -> Router<Pages> {
    Router::new().route(PATH, get(login))
}

/// The query of the login.
#[derive(Debug, Deserialize)]
struct LoginQuery {
    /// The page to which the login leads. Anything else than a page of the dashboard is ignored.
    next: Option<String>,
}

async fn login(view: View, Query(query): Query<LoginQuery>) -> PageResult {
    let next = query.next.as_deref().and_then(NextPage::parse);
    let body = html! {
        section.message {
            h1 { "Log in" }
            p data-next=[next.as_ref().map(NextPage::as_str)] { "This host requires an API key." }
        }
    };
    Ok(layout::page(&view, "Log in", body))
}
