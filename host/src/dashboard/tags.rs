//! The field for the tags of a start.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::json;

use crate::printable::Printable;

/// Returns the field, which `assets/tags.js` fills: with these tags first.
pub(super) fn field(tags: &BTreeMap<String, String>) -> Markup {
    html! {
        fieldset.field.tags data-tags=(Printable::json(&json!(tags).to_string())) {
            legend { "Tags" }
            ul {}
            button.small type="button" { "Add a tag" }
            p.hint { "Runs are found by their tags, such as " code { "order" } " with the value " code { "1041" } "." }
        }
    }
}
