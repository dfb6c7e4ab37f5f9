//! One tenant.

use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect};
use maud::{Markup, html};
use serde::Deserialize;

use super::usage::Period;
use super::{amounts, keys, limits, rules, state, usage};
use crate::api::{Path, Query};
use crate::config::Unit;
use crate::dashboard::parts::{self, text};
use crate::dashboard::view::View;
use crate::dashboard::{PageResult, Pages, layout};
use crate::executor::ExecutorError;
use crate::tenants::{Caller, Role, SecretInfo, TenantInfo};

/// The query of the page.
#[derive(Debug, Deserialize)]
pub(super) struct ShowQuery {
    /// The period of the usage.
    period: Option<String>,
}

/// Settings, usage and limits, and for an admin the keys and secrets.
pub(super) async fn show(
    pages: State<Pages>,
    view: View,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<ShowQuery>,
) -> PageResult {
    pages.gate.may_read(&caller, "/_api/tenants/{tenant}")?;
    caller.check_tenant(&name)?;
    // A caller of the host acts for the tenant at which it looks.
    if *caller.tenant != *name {
        return Ok(Redirect::to(&view.href_for(&name, &["tenants", &name])).into_response());
    }
    let tenants = pages.host.tenants();
    let period = Period::named(query.period.as_deref());
    let (from, until) = period.bounds();
    let read = async || {
        let tenant = tenants.show(&name).await?;
        Ok::<_, ExecutorError>((tenant, tenants.usage(Some(&name), from, until).await?))
    };
    let (tenant, used) = pages.executor(&caller).reading(read).await?;
    let private = match pages.gate.may_read(&caller, "/_api/keys") {
        Ok(()) => Some((tenants.keys(Some(&name)).await?, tenants.secrets(&name).await?)),
        Err(_) => None,
    };
    let body = html! {
        @if caller.is_host { p.crumbs { a href=(view.href(&["tenants"])) { "Tenants" } } }
        (head(&view, &tenant))
        (facts(&tenant, used.storage_bytes))
        (usage::section(&view, &name, period, from, &used))
        @if let Some((keys, secrets)) = private {
            (keys::section(&view, &keys, keys::Owner::Tenant))
            (secrets_section(&secrets))
        }
        (limits::section(&tenant.limits))
        (layout::module(&view, "tenant.js"))
    };
    Ok(layout::page(&view, &name, body))
}

fn head(view: &View, TenantInfo { name, settings, .. }: &TenantInfo) -> Markup {
    html! {
        div.head {
            h1 { (text(name)) " " (state(settings)) }
            a.button href=(view.href(&["runs"])) { "Runs" }
            a.button href=(view.href(&["workflows"])) { "Workflows" }
            @if view.is_host() && view.may(Role::Admin) {
                @let action = if settings.suspended { "Resume" } else { "Suspend" };
                button type="button" data-suspend=(!settings.suspended) data-tenant-name=(name) { (action) }
            }
        }
    }
}

fn facts(TenantInfo { name, settings, .. }: &TenantInfo, stored: u64) -> Markup {
    html! {
        dl.facts {
            dt { "Servers" }
            dd {
                @match settings.servers(name) {
                    None => "as the host is configured",
                    Some([]) => "none",
                    Some(servers) => (rules(servers)),
                }
            }
            @if !settings.egress_private.is_empty() {
                dt { "Private networks" }
                dd { (rules(&settings.egress_private)) }
            }
            dt { "Retention of final runs" }
            dd {
                @match &settings.retention {
                    Some(retention) => code { (text(&retention.to_string())) },
                    None => "as the host is configured",
                }
            }
            dt { "Stored by runs" }
            dd { (amounts::with_unit(Unit::Bytes, stored)) }
        }
    }
}

/// Returns the secrets: their names, and the servers to which the host may send them.
fn secrets_section(secrets: &[SecretInfo]) -> Markup {
    html! {
        section aria-labelledby="secrets" {
            h2 #secrets { "Secrets" }
            @if secrets.is_empty() {
                (parts::empty("There are no secrets.", html! {
                    p { code { "forge secrets set NAME --server-rule RULE" } " sets one." }
                }))
            } @else {
                div.scroll {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Name" }
                                th scope="col" { "Sent to" }
                                th scope="col" { "Set" }
                                th scope="col" { "Encrypted with key" }
                            }
                        }
                        tbody {
                            @for secret in secrets {
                                tr {
                                    td { code { (text(&secret.name)) } }
                                    td { (rules(&secret.servers)) }
                                    td { (parts::time(secret.updated_at)) }
                                    td { span.id { (text(&secret.key)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
