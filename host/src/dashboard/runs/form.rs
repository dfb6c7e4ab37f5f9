//! The form of the filters. It works without JavaScript: its fields are the URL.

use maud::{Markup, html};
use strum::VariantArray as _;

use super::filters::Filters;
use crate::dashboard::parts;
use crate::dashboard::view::{self, View};
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
        name: "since",
        label: "Started since",
        example: "2h, or 2026-01-31 08:30",
        suggestions: Some("ages"),
    },
];

/// The fields under "More filters".
const MORE: [Field; 2] = [
    Field { name: "key", label: "Idempotency key", example: "order-1041", suggestions: None },
    Field { name: "id_prefix", label: "Run id", example: "0199d1c4, or more of it", suggestions: None },
];

/// Suggestions for times.
const AGES: [&str; 6] = ["15m", "1h", "6h", "24h", "7d", "30d"];

/// Lengths of a page. The first is the default.
const LENGTHS: [&str; 4] = ["50", "100", "250", "500"];

pub(super) fn form(view: &View, filters: &Filters) -> Markup {
    let more = MORE.map(|field| field.name);
    html! {
        form #filters.filters role="search" aria-label="Filter the runs" method="get" action={ (view.root) "runs" } {
            @if let Some(tenant) = view.chosen_tenant() { input type="hidden" name=(view::TENANT) value=(tenant); }
            fieldset.statuses {
                legend.unseen { "Status" }
                @for status in WorkflowStatus::VARIANTS {
                    label.choice {
                        input type="checkbox" name="status" value=(status) checked[filters.has_status(status.as_str())];
                        (parts::status(*status))
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
            details open[filters.has_any(&more)] {
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

fn text(field: &Field, filters: &Filters) -> Markup {
    let Field { name, label, example, suggestions } = field;
    let id = format!("f-{name}");
    html! {
        div.field {
            label for=(id) { (label) }
            input id=(id) name=(name) value=(filters.get(name)) placeholder=(example) list=[suggestions] autocomplete="off"
                autocapitalize="none" spellcheck="false";
        }
    }
}
