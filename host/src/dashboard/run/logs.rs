//! The place of the logs, which `assets/run/logs.js` fills.

use maud::{Markup, html};
use strum::VariantArray as _;

use forge_journal::LogLevel;

/// Returns the place of the logs.
pub(super) fn logs() -> Markup {
    html! {
        section.panel.run-logs aria-labelledby="logs-title" {
            header {
                h2 #logs-title { "Logs" }
                span #logs-count .soft role="status" {}
                select #logs-level aria-label="Level" {
                    option value="" { "Every level" }
                    @for level in LogLevel::VARIANTS.iter().filter(|level| **level > LogLevel::Trace) {
                        option value=(level) { (level) @if *level < LogLevel::Error { " and above" } }
                    }
                }
            }
            div #logs .body tabindex="0" role="log" aria-labelledby="logs-title" aria-live="off" { p.soft { "Loading" } }
        }
    }
}
