//! The documents of a run: what it has published, its input and output, which are loaded when they are opened, and the events
//! that it has not taken.

use bytesize::ByteSize;
use maud::{Markup, html};

use super::count;
use crate::dashboard::parts;
use crate::executor::{PendingEvent, PendingEvents, WorkflowRecord};
use crate::printable::Printable;
use forge_journal::{Document, Published, Settled};

/// The most events that are listed.
const MOST_EVENTS: usize = 20;

/// The most characters of a published value that are shown. The API has all of it.
const LONGEST_VALUE: usize = 400;

/// Returns the documents.
pub(super) fn data(run: &WorkflowRecord) -> Markup {
    html! {
        div.run-data {
            div data-part="published" { (published(&run.published)) }
            div data-part="input" { (document("Input", "input", Some(&run.input))) }
            div data-part="output" { (document("Output", "output", run.output.as_ref())) }
            div data-part="events" { @if let Some(events) = &run.events { (untaken(events)) } }
            div data-part="settled" { (settled(&run.settled)) }
        }
    }
}

/// Returns the last values that the workflow has published.
fn published(values: &Published) -> Markup {
    html! {
        @if !values.is_empty() {
            section.panel aria-labelledby="published-title" {
                header { h2 #published-title { "Published" } }
                dl.facts.body {
                    @for (name, value) in values {
                        dt { code { (parts::text(name)) } }
                        dd { code { (value_text(value)) } }
                    }
                }
            }
        }
    }
}

/// Returns a value, or its begin.
fn value_text(value: &Document) -> Markup {
    let text = value.text();
    let end = text.char_indices().nth(LONGEST_VALUE).map_or(text.len(), |(at, _)| at);
    html! { (Printable::json(&text[..end])) @if end < text.len() { "… " span.soft { (ByteSize(text.len() as u64)) } } }
}

/// Returns the place of a document. `run.js` loads it when it is opened.
fn document(title: &str, name: &str, document: Option<&Document>) -> Markup {
    html! {
        @if let Some(document) = document {
            details.panel data-document=(name) {
                summary { (title) " " span.soft { (ByteSize(document.text().len() as u64)) } }
                div.body { p.soft { "Loading" } }
            }
        }
    }
}

/// Returns the events that the run has not taken.
fn untaken(events: &PendingEvents) -> Markup {
    let PendingEvents { count: number, bytes, first } = events;
    let others = number.saturating_sub(first.len().min(MOST_EVENTS) as u64);
    html! {
        details.panel {
            summary { "Events that are not taken " span.soft { (number) ", " (ByteSize(*bytes)) } }
            div.body {
                ol.events {
                    @for PendingEvent { seq, name, key, at, bytes } in first.iter().take(MOST_EVENTS) {
                        li {
                            (seq) ". " code { (parts::text(name)) } " "
                            span.soft { (ByteSize(*bytes)) ", sent " (parts::time(*at)) ", key " code { (parts::text(key)) } }
                        }
                    }
                }
                @if others > 0 { p.soft { "and " (count(others, "other")) } }
            }
        }
    }
}

/// Returns what persons have found of effects that were in doubt.
fn settled(effects: &[Settled]) -> Markup {
    html! {
        @if !effects.is_empty() {
            details.panel {
                summary { "Settled " span.soft { (effects.len()) } }
                div.body {
                    ul.events {
                        @for Settled { seq, effect, outcome, by, at } in effects {
                            li {
                                a href={ "#call-" (seq) } { "call " (seq) } ": " (parts::text(effect)) ": " (parts::text(outcome)) " "
                                span.soft { "by " (parts::text(by)) ", " (parts::time(*at)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
