//! The tenants.

mod amounts;
mod keys;
mod limits;
mod show;
mod usage;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::get;
use maud::{Markup, html};

use super::parts::{self, text};
use super::view::View;
use super::{PageResult, Pages, layout};
use crate::config::Unit;
use crate::tenants::{Caller, Settings, TenantInfo};

pub(super) fn router() -> Router<Pages> {
    Router::new().route("/tenants", get(tenants)).route("/tenants/{name}", get(show::show))
}

/// The tenants, for a caller of the host. Another one has only its own.
async fn tenants(pages: State<Pages>, view: View, caller: Caller) -> PageResult {
    if !caller.is_host {
        return Ok(Redirect::to(&view.href(&["tenants", &caller.tenant])).into_response());
    }
    pages.gate.may_read(&caller, "/_api/tenants")?;
    let tenants = pages.host.tenants().list().await?;
    let keys = match pages.gate.may_read(&caller, "/_api/keys") {
        Ok(()) => Some(pages.host.tenants().keys(None).await?),
        Err(_) => None,
    };
    let body = html! {
        div.head { h1 { "Tenants" } }
        div.scroll {
            table {
                caption.unseen { "The tenants of this host" }
                thead {
                    tr {
                        th scope="col" { "Tenant" }
                        th scope="col" { "State" }
                        th.number scope="col" { "Unfinished runs" }
                        th.number scope="col" { "Stored" }
                        th.number scope="col" { "Own limits" }
                        th scope="col" { "Servers" }
                        th scope="col" { span.unseen { "Pages" } }
                    }
                }
                tbody { @for tenant in &tenants { (row(&view, tenant)) } }
            }
        }
        p.hint { "Counts are those of this node. " code { "forge tenants create NAME" } " creates a tenant." }
        @if let Some(keys) = keys { (keys::section(&view, &keys, keys::Owner::Host)) }
        (layout::module(&view, "tenant.js"))
    };
    Ok(layout::page(&view, "Tenants", body))
}

fn row(view: &View, TenantInfo { name, settings, limits }: &TenantInfo) -> Markup {
    let used = |name: &str| limits.iter().find(|limit| limit.name == name).and_then(|limit| limit.used);
    html! {
        tr {
            td { a href=(view.href_for(name, &["tenants", name])) { (text(name)) } }
            td { (state(settings)) }
            td.number { (used("unfinished_runs").map(amounts::count).unwrap_or_default()) }
            td.number { (used("storage_bytes").map(|bytes| amounts::with_unit(Unit::Bytes, bytes)).unwrap_or_default()) }
            td.number { (settings.limits.len()) }
            td { (servers(name, settings)) }
            td { a href=(view.href_for(name, &["runs"])) { "Runs" span.unseen { " of " (text(name)) } } }
        }
    }
}

/// Returns whether a tenant is active or suspended, with a colour.
fn state(settings: &Settings) -> Markup {
    let state = if settings.suspended { "suspended" } else { "active" };
    html! { span.status data-status=(state) { (state) } }
}

/// Returns which servers the workflows of a tenant may reach, in few words.
fn servers(tenant: &str, settings: &Settings) -> String {
    match settings.servers(tenant) {
        None => "as the host is configured".to_owned(),
        Some([]) => "none".to_owned(),
        Some([_]) => "1 rule".to_owned(),
        Some(rules) => format!("{} rules", rules.len()),
    }
}

/// Returns a list of rules.
fn rules(rules: &[String]) -> Markup {
    html! { ul.rules { @for rule in rules { li { code { (parts::text(rule)) } } } } }
}
