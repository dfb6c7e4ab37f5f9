//! The login with an API key, and the logout. Both are forms, which need no script.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, header};
use axum::response::{AppendHeaders, IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use maud::html;
use serde::Deserialize;

use super::next::NextPage;
use super::parts::text;
use super::view::View;
use super::{PageResult, Pages, layout};
use crate::api::{ApiError, ErrorCode, Form, Query, no_session_cookie, session_cookie};

const LOGIN: &str = "/login";
const LOGOUT: &str = "/logout";

/// The pages that need no credentials.
pub(super) const PUBLIC: [&str; 2] = [LOGIN, LOGOUT];

pub(super) fn router() -> Router<Pages> {
    Router::new().route(LOGIN, get(login).post(log_in)).route(LOGOUT, post(log_out))
}

/// The query of the login.
#[derive(Debug, Deserialize)]
struct LoginQuery {
    /// The page to which the login leads. Anything else than a page of the dashboard is ignored.
    next: Option<String>,
}

async fn login(pages: State<Pages>, view: View, Query(query): Query<LoginQuery>) -> PageResult {
    let next = query.next.as_deref().and_then(NextPage::parse);
    if view.caller.is_some() {
        return Ok(lead(next.as_ref()).into_response());
    }
    Ok(form(&pages, &view, next.as_ref(), None))
}

/// Begins a session. The cookie is for what is below the directory of this page: the whole dashboard and the API, also behind
/// a proxy that adds a path.
async fn log_in(
    pages: State<Pages>,
    view: View,
    headers: HeaderMap,
    extensions: Extensions,
    body: Body,
) -> PageResult {
    let sent = Form::read(&headers, body).await?;
    let next = NextPage::parse(sent.field("next"));
    match pages.host.tenants().log_in(sent.field("key")).await.map_err(ApiError::from) {
        Ok((session, _)) => {
            let cookie = session_cookie(&session, &headers, &extensions)?;
            Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), lead(next.as_ref())).into_response())
        }
        Err(error) if error.code() == ErrorCode::Unauthorized => {
            let mut response = form(&pages, &view, next.as_ref(), Some(&error));
            *response.status_mut() = error.code().status();
            Ok(response)
        }
        Err(error) => Err(error),
    }
}

/// Ends the session of the browser.
async fn log_out(view: View, headers: HeaderMap, body: Body) -> PageResult {
    let sent = Form::read(&headers, body).await?;
    if view.csrf.as_ref().is_some_and(|csrf| csrf != sent.field("csrf")) {
        return Err(ApiError::no_csrf());
    }
    let remove = AppendHeaders([(header::SET_COOKIE, no_session_cookie())]);
    Ok((remove, Redirect::to("login")).into_response())
}

/// Sends the browser to the page that it wanted to see.
fn lead(next: Option<&NextPage>) -> Redirect {
    Redirect::to(next.map_or("runs", NextPage::as_str))
}

/// Returns the page with the form, and what was wrong with what it has sent.
fn form(pages: &Pages, view: &View, next: Option<&NextPage>, error: Option<&ApiError>) -> Response {
    let lasts = humantime::format_duration(pages.host.limits().session_time);
    let body = html! {
        section.message.login {
            h1 { "Log in" }
            form method="post" action="login" {
                @if let Some(next) = next {
                    input type="hidden" name="next" value=(next.as_str());
                }
                div.field {
                    label for="key" { "API key" }
                    input #key name="key" type="password" required autofocus autocomplete="current-password" spellcheck="false"
                        aria-describedby="about" aria-errormessage=[error.map(|_| "wrong")] aria-invalid=[error.map(|_| "true")];
                    @if let Some(error) = error {
                        p.error-text #wrong role="alert" { "Not logged in: " (text(error.message())) "." }
                    }
                    p.hint #about {
                        "Of this host, or of your tenant: " code { "forge_…" } ". An admin makes keys with "
                        code { "forge keys create" } "."
                    }
                }
                div.actions { button.main { "Log in" } }
            }
            p.soft { "The browser keeps a session of " (lasts) ", not the key. Revoking the key ends the session." }
        }
    };
    layout::page(view, "Log in", body)
}
