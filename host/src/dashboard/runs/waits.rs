//! What a run waits for, in a few words.

use maud::{Markup, html};

use crate::dashboard::parts;
use crate::dashboard::view::View;
use forge_journal::WaitsFor;

/// The most calls that are named.
const MOST: usize = 3;

/// Returns the calls that a run waits for, as chips. Children are links.
pub(super) fn waits(view: &View, calls: &[WaitsFor]) -> Markup {
    // The timers of timeouts say nothing beside what they bound.
    let calls: Vec<&WaitsFor> = calls.iter().filter(|call| call.kind != "timeout").collect();
    html! {
        @for call in calls.iter().take(MOST) { (wait(view, call)) " " }
        @if calls.len() > MOST { span.soft { (calls.len() - MOST) " more" } }
    }
}

fn wait(view: &View, call: &WaitsFor) -> Markup {
    let WaitsFor { kind, name, until, run } = call;
    let what = match kind.as_str() {
        // Its name is its duration.
        "sleep" => html! { "sleeps" },
        kind => html! { (parts::text(kind)) " " (parts::text(name)) },
    };
    let end = match kind.as_str() {
        // It ends then, and not before.
        "sleep" => "wakes ",
        "retry" => "",
        _ => "times out ",
    };
    let until = html! { @if let Some(until) = until { ", " (end) (parts::time(*until)) } };
    match run {
        Some(run) => html! { a.chip href=(view.href(&["runs", &run.to_string()])) { (what) (until) } },
        None => html! { span.chip { (what) (until) } },
    }
}
