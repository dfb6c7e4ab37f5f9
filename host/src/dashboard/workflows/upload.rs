//! The upload of a component: by drag and drop, or by a file field.

use maud::{Markup, html};

/// Returns the part of a page to which a component is dropped. A module sends it and shows the answer.
pub(super) fn upload() -> Markup {
    html! {
        section.panel.upload #upload aria-labelledby="upload-title" hidden {
            header { h2 #upload-title { "Deploy a component" } }
            div.body {
                p.drop {
                    label.button for="upload-file" { "Choose a file" }
                    input.unseen #upload-file type="file" accept=".wasm,application/wasm" aria-describedby="upload-hint";
                    span #upload-hint.soft {
                        "or drop it here: a " code { ".wasm" } " of " code { "forge build" } ". Runs in progress keep their version."
                    }
                }
                div #upload-progress hidden {
                    div.progress-line {
                        span #upload-step {}
                        button #upload-stop.quiet.small type="button" { "Stop" }
                    }
                    progress #upload-bar max="1" aria-labelledby="upload-step" {}
                }
                div #upload-outcome role="status" aria-live="polite" {}
            }
        }
    }
}
