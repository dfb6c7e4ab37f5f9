//! API keys, without their values.

use maud::{Markup, html};
use strum::VariantArray as _;

use crate::dashboard::parts::{self, text};
use crate::dashboard::view::View;
use crate::tenants::{ApiKey, Role};

/// Whose keys a table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Tenant,
    Host,
}

/// The times after which a new key may expire, in days.
const DAYS: [(u32, &str); 3] = [(30, "after 30 days"), (90, "after 90 days"), (365, "after a year")];

/// Returns the table of keys, with the form of a new one. The caller may change them.
pub(super) fn section(view: &View, keys: &[ApiKey], owner: Owner) -> Markup {
    let title = if owner == Owner::Host { "API keys of the host" } else { "API keys" };
    html! {
        section.keys aria-labelledby="keys" data-keys data-host[owner == Owner::Host] {
            h2 #keys { (title) }
            @if keys.is_empty() {
                (parts::empty("There are no API keys.", html! {
                    p { "Create one below, or with " code { "forge keys create" } "." }
                }))
            } @else {
                div.scroll {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Name" }
                                th scope="col" { "Id" }
                                th scope="col" { "Role" }
                                th scope="col" { "Created" }
                                th scope="col" { "State" }
                                th scope="col" { span.unseen { "Actions" } }
                            }
                        }
                        tbody { @for key in keys { (row(view, key)) } }
                    }
                }
            }
            (new(owner))
        }
    }
}

fn row(view: &View, key: &ApiKey) -> Markup {
    let own = view.caller.as_ref().and_then(|caller| caller.key.as_ref());
    let is_own = own.is_some_and(|own| own.id == key.id);
    html! {
        tr {
            td { (text(&key.name)) @if is_own { " " span.chip { "yours" } } }
            td { span.id { (text(&key.id)) } }
            td { (key.role) }
            td { (parts::time(key.created_at)) }
            td { (state(key)) }
            td.actions-cell {
                @if key.is_valid() {
                    button type="button" data-revoke=(key.id) data-name=(text(&key.name)) data-own[is_own] {
                        "Revoke" span.unseen { " " (text(&key.name)) }
                    }
                }
            }
        }
    }
}

fn state(key: &ApiKey) -> Markup {
    let (state, word, at) = match (key.revoked_at, key.expires_at) {
        (Some(at), _) => ("ended", "revoked", Some(at)),
        (None, Some(at)) if !key.is_valid() => ("ended", "expired", Some(at)),
        (None, Some(at)) => ("active", "active, expires", Some(at)),
        (None, None) => ("active", "active", None),
    };
    html! {
        span.status data-status=(state) { (word) }
        @if let Some(at) = at { " " (parts::time(at)) }
    }
}

/// Returns the form of a new key, which `tenant.js` sends.
fn new(owner: Owner) -> Markup {
    html! {
        form.row data-new-key {
            div.field {
                label for="key-name" { "Name" }
                input #key-name name="name" required maxlength="100" autocomplete="off" placeholder="what the key is for";
            }
            div.field {
                label for="key-role" { "Role" }
                select #key-role name="role" {
                    @for role in Role::VARIANTS {
                        option value=(role) selected[*role == Role::Read && owner == Owner::Tenant || *role == Role::Admin && owner == Owner::Host] { (role) }
                    }
                }
            }
            div.field {
                label for="key-expires" { "Expires" }
                select #key-expires name="days" {
                    option value="" { "never" }
                    @for (days, text) in DAYS { option value=(days) { (text) } }
                }
            }
            button { "Create a key" }
        }
    }
}
