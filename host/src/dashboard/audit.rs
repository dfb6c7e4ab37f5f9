//! The audit log, page by page, the newest entries first.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use maud::{Markup, html};
use serde::Deserialize;

use super::parts::{self, text};
use super::view::View;
use super::{PageResult, Pages, layout};
use crate::api::Query;
use crate::tenants::{AuditPage, AuditRecord, Caller};

/// The entries of a page.
const ENTRIES: u32 = 50;

/// The begin of the actions whose object is a run.
const OF_RUNS: &str = "run.";

pub(super) fn router() -> Router<Pages> {
    Router::new().route("/audit", get(audit))
}

/// The query of the page.
#[derive(Debug, Deserialize)]
struct AuditQuery {
    /// Whether the entries of all tenants and of the host are shown.
    #[serde(default)]
    all: bool,
    /// Only entries before this one are shown.
    cursor: Option<i64>,
}

async fn audit(
    pages: State<Pages>,
    view: View,
    caller: Caller,
    Query(query): Query<AuditQuery>,
) -> PageResult {
    pages.gate.may_read(&caller, "/_api/audit")?;
    let AuditQuery { all, cursor } = query;
    let tenant = caller.whose(all)?;
    let read = async || Ok(pages.host.tenants().audit(&caller, tenant, cursor, ENTRIES).await?);
    let AuditPage { records, next_cursor } = pages.executor(&caller).reading(read).await?;
    let columns = [
        Some("Time (UTC)"),
        all.then_some("Tenant"),
        Some("Who"),
        Some("Action"),
        Some("Of"),
        Some("Details"),
    ];
    let columns: Vec<&str> = columns.into_iter().flatten().collect();
    let body = html! {
        div.head {
            h1 { "Audit log" }
            @if caller.is_host { (choice(&view, all, &caller.tenant)) }
        }
        @if records.is_empty() {
            (parts::empty("There are no entries.", html! {
                p { "Uploads, commands for runs, and changes of tenants, keys and secrets are noted here." }
            }))
        } @else {
            div.scroll {
                table.audit.cards role="table" {
                    caption.unseen { "Entries of the audit log, the newest first" }
                    (parts::head(&columns))
                    tbody role="rowgroup" { @for record in &records { (row(&view, record, all)) } }
                }
            }
        }
        (pager(&view, all, cursor, next_cursor))
    };
    Ok(layout::page(&view, "Audit log", body))
}

/// Returns the links with which a caller of the host chooses between one tenant and all.
fn choice(view: &View, all: bool, tenant: &str) -> Markup {
    html! {
        nav.actions aria-label="Whose entries" {
            a.button href=(view.href(&["audit"])) aria-current=[(!all).then_some("true")] { "Tenant " (text(tenant)) }
            a.button href=(link(view, true, None)) aria-current=[all.then_some("true")] { "All tenants and the host" }
        }
    }
}

fn row(view: &View, record: &AuditRecord, all: bool) -> Markup {
    let AuditRecord { seq: _, at, tenant, actor, action, subject, detail } = record;
    html! {
        tr role="row" {
            td role="cell" { time { (at.format("%F %T")) } }
            @if all {
                td role="cell" data-label="Tenant" { @match tenant { Some(tenant) => (text(tenant)), None => span.soft { "the host" } } }
            }
            td role="cell" data-label="Who" { (text(actor)) }
            td role="cell" data-label="Action" { code { (text(action)) } }
            td.subject.wide role="cell" data-label="Of" {
                @match tenant {
                    Some(tenant) if action.starts_with(OF_RUNS) => {
                        a.id href=(view.href_for(tenant, &["runs", subject])) { (text(subject)) }
                    }
                    _ => (text(subject)),
                }
            }
            td.detail.wide role="cell" data-label="Details" { @if let Some(detail) = detail { code { (text(&detail.to_string())) } } }
        }
    }
}

/// Returns the links to the newest entries and to those before the page.
fn pager(view: &View, all: bool, cursor: Option<i64>, next: Option<i64>) -> Markup {
    html! {
        nav.pages aria-label="Pages of the audit log" {
            @if cursor.is_some() { a.button href=(link(view, all, None)) { "Newest" } }
            @if let Some(next) = next { a.button rel="next" href=(link(view, all, Some(next))) { "Older" } }
        }
    }
}

fn link(view: &View, all: bool, cursor: Option<i64>) -> String {
    let cursor = cursor.map(|cursor| cursor.to_string());
    let all = all.then_some(("all", "true"));
    let cursor = cursor.as_deref().map(|cursor| ("cursor", cursor));
    let query: Vec<_> = [all, cursor].into_iter().flatten().collect();
    view.href_with(&["audit"], &query)
}
