//! The frame around each page: the head, the navigation, who looks, and pages about errors.

use axum::response::{Html, IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};

use super::assets;
use super::parts::text;
use super::view::View;
use crate::api::{ApiError, ErrorCode};
use crate::tenants::Role;

/// A page in the navigation.
struct Link {
    /// The first segment of its path.
    segment: &'static str,
    name: &'static str,
    /// Whether a caller may see the page.
    is_seen: fn(&View) -> bool,
}

const LINKS: [Link; 5] = [
    Link { segment: "runs", name: "Runs", is_seen: |_| true },
    Link { segment: "workflows", name: "Workflows", is_seen: |_| true },
    Link { segment: "tenants", name: "Tenants", is_seen: |_| true },
    Link { segment: "nodes", name: "Nodes", is_seen: View::is_host },
    Link { segment: "audit", name: "Audit", is_seen: |view| view.may(Role::Admin) },
];

/// Returns a page. The body has the only `h1`. What a caller sees must depend on [`View::may`].
pub(super) fn page(view: &View, title: &str, body: Markup) -> Response {
    let document = html! {
        (DOCTYPE)
        html lang="en" data-root=(view.root) data-tenant=[view.chosen_tenant()] data-csrf=[view.csrf.as_deref()] {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (text(title)) " · Forge" }
                link rel="icon" type="image/svg+xml" href=(assets::href(view, "icon.svg"));
                link rel="stylesheet" href=(assets::href(view, "forge.css"));
                (module(view, "page.js"))
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header.top { (top(view)) }
                main #main tabindex="-1" { (body) }
            }
        }
    };
    Html(document.into_string()).into_response()
}

/// Returns the element that loads a module of `assets/`.
pub(super) fn module(view: &View, name: &str) -> Markup {
    html! { script type="module" src=(assets::href(view, name)) {} }
}

fn top(view: &View) -> Markup {
    html! {
        a.brand href=(view.href(&["runs"])) { "Forge" }
        @if let Some(caller) = &view.caller {
            nav aria-label="Pages" {
                ul {
                    @for Link { segment, name, .. } in LINKS.iter().filter(|link| (link.is_seen)(view)) {
                        li {
                            a href=(view.href(&[segment])) aria-current=[current(view, segment)] { (name) }
                        }
                    }
                }
            }
            div.who {
                a.tenant href=(view.href(&["tenants", &caller.tenant])) title="The tenant" { (text(&caller.tenant)) }
                @if let Some(key) = &caller.key {
                    span.key title={ "API key " (text(&key.id)) ", role " (caller.role) } { (text(&key.name)) }
                }
                @if let Some(csrf) = &view.csrf {
                    form method="post" action={ (view.root) "logout" } {
                        input type="hidden" name="csrf" value=(csrf);
                        button.quiet { "Log out" }
                    }
                }
            }
        }
    }
}

/// Returns the value of `aria-current` of a link in the navigation.
fn current(view: &View, segment: &str) -> Option<&'static str> {
    let mut segments = view.path.split('/');
    if segments.next() != Some(segment) {
        return None;
    }
    Some(if segments.next().is_none() { "page" } else { "true" })
}

/// Returns a page that is seen while the browser goes on to another one.
pub(super) fn leading_page(view: &View, href: &str) -> Response {
    let body = html! {
        section.message {
            h1 { "Opening the dashboard" }
            p { a href=(href) { "Go on" } }
        }
    };
    page(view, "Opening", body)
}

/// Returns a page about an error.
pub(super) fn error_page(view: &View, error: &ApiError) -> Response {
    let title = match error.code() {
        ErrorCode::UnknownRoute => "There is no such page",
        ErrorCode::UnknownRun
        | ErrorCode::UnknownWorkflow
        | ErrorCode::UnknownVersion
        | ErrorCode::UnknownTenant => "Not found",
        ErrorCode::InvalidParameter => "This address cannot be read",
        ErrorCode::Forbidden | ErrorCode::CrossSite => "Not allowed",
        ErrorCode::Unauthorized => "Log in first",
        _ => "The host cannot answer",
    };
    let body = html! {
        section.message {
            h1 { (title) }
            @if error.code() == ErrorCode::UnknownRoute {
                p { "No page has the address " code { "/" (text(&view.path)) } "." }
            } @else {
                p { (text(error.message())) }
                p.code { "Code: " code { (error.code()) } }
            }
            p { a href=(view.href(&["runs"])) { "To the runs" } }
        }
    };
    page(view, title, body)
}
