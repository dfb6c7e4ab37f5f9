//! The limits of a tenant, with what is used of them.

use maud::{Markup, html};

use super::amounts::with_unit;
use crate::dashboard::parts::text;
use crate::tenants::EffectiveLimit;

/// Returns the table of the limits.
pub(super) fn section(limits: &[EffectiveLimit]) -> Markup {
    html! {
        section aria-labelledby="limits" {
            h2 #limits { "Limits" }
            div.scroll {
                table.limits {
                    thead {
                        tr {
                            th scope="col" { "Limit" }
                            th.number scope="col" { "Value" }
                            th.number scope="col" { "Used" }
                            th scope="col" { span.unseen { "Share" } }
                            th scope="col" { "Set for this tenant" }
                            th scope="col" { "What it bounds" }
                        }
                    }
                    tbody { @for limit in limits { (row(limit)) } }
                }
            }
        }
    }
}

fn row(EffectiveLimit { name, value, unit, used, is_set, about }: &EffectiveLimit) -> Markup {
    html! {
        tr {
            th scope="row" { code { (name) } }
            td.number { (with_unit(*unit, *value)) }
            td.number { @if let Some(used) = used { (with_unit(*unit, *used)) } }
            td {
                @if let Some(used) = used {
                    meter min="0" max=(value) high=(high(*value)) optimum="0" value=(used) aria-label={ "Used of " (name) } {}
                }
            }
            td { @if *is_set { "yes" } }
            td.soft { (text(first_sentence(about))) }
        }
    }
}

/// Returns the value from which on a limit is nearly reached.
fn high(value: u64) -> u64 {
    value / 10 * 8
}

fn first_sentence(about: &str) -> &str {
    about.split_once(". ").map_or(about, |(first, _)| first)
}
