//! The form of the filters. It works without JavaScript: its fields are the URL.

use std::borrow::Cow;

use maud::{Markup, html};
use strum::VariantArray as _;

use super::filters::{Filters, TAG, TAGS};
use crate::dashboard::parts;
use crate::dashboard::view::{self, View};
use crate::executor::RunCounts;
use forge_journal::WorkflowStatus;

/// A field of text.
struct Field {
    /// Its parameter in the URL.
    name: &'static str,
    label: &'static str,
    /// An example.
    example: &'static str,
    /// The list of suggestions.
    suggestions: Option<&'static str>,
}

/// The fields that are always seen.
const FIRST: [Field; 2] = [
    Field { name: "workflow", label: "Workflow", example: "payment", suggestions: Some("workflow-names") },
    Field {
        name: "started_after",
        label: "Started since",
        example: "2h, 2026-01-31 08:30",
        suggestions: Some("ages"),
    },
];

/// The fields under "More filters".
const MORE: [Field; 6] = [
    Field { name: TAGS, label: "Tags", example: "order=1041, customer=Ada", suggestions: None },
    Field { name: "error_kind", label: "Kind of failure", example: "timeout", suggestions: None },
    Field { name: "version", label: "Version", example: "3", suggestions: None },
    Field {
        name: "started_before",
        label: "Started before",
        example: "1h, 2026-01-31 08:30",
        suggestions: Some("ages"),
    },
    Field { name: "key", label: "Idempotency key", example: "order-1041", suggestions: None },
    Field { name: "id_prefix", label: "Run id", example: "0199d1c4, or more of it", suggestions: None },
];

/// Suggestions for times.
const AGES: [&str; 6] = ["15m", "1h", "6h", "24h", "7d", "30d"];

/// Lengths of a page. The first is the default.
const LENGTHS: [&str; 4] = ["50", "100", "250", "500"];

/// Returns the form. Without `counts`, the statuses have no numbers.
pub(super) fn form(view: &View, filters: &Filters, counts: Option<&RunCounts>) -> Markup {
    html! {
        form #filters.filters role="search" aria-label="Filter the runs" method="get" action={ (view.root) "runs" } {
            @if let Some(tenant) = view.chosen_tenant() { input type="hidden" name=(view::TENANT) value=(tenant); }
            fieldset.statuses {
                legend.unseen { "Status" }
                @for status in WorkflowStatus::VARIANTS {
                    label.choice {
                        input type="checkbox" name="status" value=(status) checked[filters.has_status(status.as_str())];
                        (parts::status(*status)) " "
                        span.count data-count=(status) { @if let Some(counts) = counts { (count(counts, *status)) } }
                    }
                }
            }
            div.fields {
                @for field in FIRST { (text(&field, filters)) }
                div.actions {
                    button.main type="submit" { "Filter" }
                    a.button href=(view.href(&["runs"])) { "Clear" }
                }
            }
            details open[is_more_selected(filters)] {
                summary { "More filters" }
                div.fields {
                    @for field in MORE { (text(&field, filters)) }
                    div.field {
                        label for="f-limit" { "Rows" }
                        select #f-limit name="limit" {
                            @for (index, length) in LENGTHS.iter().enumerate() {
                                option value=(if index == 0 { "" } else { length }) selected[filters.get("limit") == *length] { (length) }
                            }
                        }
                    }
                }
            }
            datalist #workflow-names {}
            datalist #ages { @for age in AGES { option value=(age) {} } }
        }
    }
}

/// Returns whether one of the fields under "More filters" has a value.
fn is_more_selected(filters: &Filters) -> bool {
    let is_more = |name: &str| name.starts_with(TAG) || MORE.iter().any(|field| field.name == name);
    filters.pairs().into_iter().any(|(name, _)| is_more(name))
}

fn text(field: &Field, filters: &Filters) -> Markup {
    let Field { name, label, example, suggestions } = field;
    let id = format!("f-{name}");
    let value = if *name == TAGS { filters.tags() } else { Cow::Borrowed(filters.get(name)) };
    html! {
        div.field {
            label for=(id) { (label) }
            input id=(id) name=(name) value=(value) placeholder=(example) list=[suggestions] autocomplete="off"
                autocapitalize="none" spellcheck="false";
        }
    }
}

/// Returns the number of runs with a status, such as `12` or `10000+`.
fn count(counts: &RunCounts, status: WorkflowStatus) -> Markup {
    let count = counts.counts.get(&status).copied().unwrap_or_default();
    html! { (count) @if counts.at_least.contains(&status) { "+" } }
}
