//! The forms in dialogs: an event, another run with this input, the outcome of a call. The modules in `assets/run/` open and
//! send them.

use maud::{Markup, html};

use crate::dashboard::view::View;
use crate::dashboard::{parts, tags};
use crate::executor::WorkflowRecord;
use crate::tenants::Role;
use forge_journal::WorkflowStatus;

/// Returns the dialogs of what the caller may do.
pub(super) fn dialogs(view: &View, run: &WorkflowRecord) -> Markup {
    html! {
        @if view.may(Role::Start) { (event()) (again(view, run)) }
        @if view.may(Role::Admin) { (resolve()) }
    }
}

fn event() -> Markup {
    dialog(
        "event",
        "Send an event",
        "Send",
        &html! {
            (field("event-name", "Name", &html! {
                input #event-name name="name" required maxlength="255" autocomplete="off" spellcheck="false";
            }))
            (field("event-payload", "Payload, JSON", &json("event-payload", "payload", 8)))
            (field("event-key", "Key", &html! {
                input #event-key name="key" maxlength="255" autocomplete="off" spellcheck="false" aria-describedby="event-key-hint";
                p #event-key-hint .hint { "The same name with the same key is one event, so a repeated attempt sends it once." }
            }))
        },
    )
}

fn again(view: &View, run: &WorkflowRecord) -> Markup {
    let form = view.href_with(&["workflows", &run.workflow_name, "start"], &[("from", &run.id.to_string())]);
    let has_failed = matches!(run.status, WorkflowStatus::Failed | WorkflowStatus::Compensated);
    dialog(
        "again",
        "Start again",
        "Start",
        &html! {
            p { "Starts another run of " strong { (parts::text(&run.workflow_name)) } " with this input and these tags. This run stays as it is." }
            p { a href=(form) { "Edit the input in a form" } }
            (field("again-input", "Input, JSON", &json("again-input", "input", 14)))
            div.pair {
                (field("again-version", "Version", &html! {
                    input #again-version name="version" type="number" min="1" max="4294967295" placeholder="current";
                }))
                (field("again-key", "Key", &html! {
                    input #again-key name="key" maxlength="255" autocomplete="off" spellcheck="false" placeholder="none";
                }))
            }
            (tags::field(&run.tags))
            @if let (Some(key), true) = (&run.key, has_failed && run.not_compensated.is_empty()) {
                label.check {
                    input type="checkbox" name="takeover" data-key=(key);
                    " It takes over the key " code { (parts::text(key)) }
                }
            }
        },
    )
}

fn resolve() -> Markup {
    dialog(
        "resolve",
        "Resolve",
        "Record the outcome",
        &html! {
            p data-said {}
            fieldset.choice {
                legend.unseen { "The outcome" }
                div {
                    input #outcome-completed type="radio" name="outcome" value="completed" checked;
                    " " label for="outcome-completed" { "It is completed" }
                }
                div {
                    input #outcome-failed type="radio" name="outcome" value="failed";
                    " " label for="outcome-failed" { "It has failed" }
                }
            }
            div data-when="completed" {
                (field("resolve-result", "Result, JSON", &json("resolve-result", "result", 8)))
            }
            div data-when="failed" hidden {
                (field("resolve-reason", "Reason", &html! { input #resolve-reason name="reason" autocomplete="off"; }))
            }
        },
    )
}

/// Returns a field with its label, and a place for what is wrong with it.
fn field(id: &str, label: &str, control: &Markup) -> Markup {
    html! {
        div.field {
            label for=(id) { (label) }
            (control)
            p.error-text id={ (id) "-error" } hidden {}
        }
    }
}

fn json(id: &str, name: &str, rows: u8) -> Markup {
    html! {
        textarea id=(id) name=(name) rows=(rows) spellcheck="false" autocomplete="off" autocapitalize="off"
            aria-describedby={ (id) "-error" } data-json {}
    }
}

/// Returns a dialog with a form. It stays open, with all that was entered, until the request has succeeded.
fn dialog(name: &str, title: &str, confirm: &str, fields: &Markup) -> Markup {
    let title_id = format!("{name}-title");
    html! {
        dialog.form data-dialog=(name) aria-labelledby=(title_id) {
            form novalidate {
                h2 id=(title_id) { (title) }
                (fields)
                p.error-text role="alert" data-error hidden {}
                div.actions {
                    button type="button" data-close { "Back" }
                    button.main type="submit" { (confirm) }
                }
            }
        }
    }
}
