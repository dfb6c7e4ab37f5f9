//! The place of the calls, which the modules in `assets/run/` fill.

use maud::{Markup, html};

use crate::dashboard::view::View;
use crate::executor::WorkflowRecord;
use crate::tenants::Role;

/// Returns the place of the calls: the search, the tree with its time axis, and the details of one call.
pub(super) fn calls(view: &View, run: &WorkflowRecord) -> Markup {
    html! {
        section.panel.run-calls aria-labelledby="calls-title" data-may-resolve[view.may(Role::Admin)] {
            header {
                h2 #calls-title { "Calls" }
                span #calls-count .soft role="status" { (run.calls) }
            }
            (search())
            div.wf {
                div #calls .wf-scroll role="treegrid" tabindex="0" aria-labelledby="calls-title" aria-colcount="4"
                    aria-describedby="calls-keys"
                {
                    div.wf-head role="row" aria-rowindex="1" {
                        span role="columnheader" { "Call" }
                        span.wf-status role="columnheader" { "Status" }
                        span.wf-took role="columnheader" { "Took" }
                        span.wf-axis role="columnheader" aria-label="Time since the start" {}
                    }
                    div.wf-rows role="rowgroup" {}
                }
                aside #call .wf-detail aria-labelledby="call-title" tabindex="-1" hidden {}
            }
            p #calls-keys .hint.wf-keys {
                "Keys: " kbd { "↑" } " " kbd { "↓" } " move, " kbd { "←" } " " kbd { "→" } " close and open, "
                kbd { "Enter" } " shows the details, " kbd { "+" } " " kbd { "−" } " " kbd { "0" } " zoom, "
                kbd { "Shift" } " with " kbd { "←" } " " kbd { "→" } " moves the time. Drag across the time axis to zoom."
            }
            noscript {
                p.notice data-kind="warn" {
                    "The calls are shown with JavaScript. Without it, read " code { "GET /_api/runs/" (run.id) "/steps" }
                    " or use " code { "forge runs show" } "."
                }
            }
        }
    }
}

fn search() -> Markup {
    html! {
        form #calls-search .wf-tools role="search" aria-label="Calls" {
            input type="search" name="text" aria-label="Search by name, error or #position" placeholder="Name, error or #17"
                autocomplete="off" spellcheck="false";
            select name="status" aria-label="Status" { option value="" { "Every status" } }
            select name="kind" aria-label="Kind" { option value="" { "Every kind" } }
            label.check { input type="checkbox" name="quiet"; " Clock and timeouts" }
            label.check { input type="checkbox" name="fold" checked; " Fold idle time" }
            div.wf-buttons role="group" aria-label="Tree" {
                button.quiet type="button" data-do="collapse" { "Collapse all" }
                button.quiet type="button" data-do="expand" { "Expand all" }
            }
            div.wf-buttons.wf-zoom role="group" aria-label="Zoom" {
                button.quiet type="button" data-do="out" aria-label="Zoom out" { "−" }
                button.quiet type="button" data-do="in" aria-label="Zoom in" { "+" }
                button.quiet type="button" data-do="whole" { "Whole run" }
            }
        }
    }
}
