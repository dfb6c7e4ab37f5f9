//! The head of the page: the workflow, the status, why, what may be done, and facts.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::{actions, instant, run_link, took, why};
use crate::dashboard::parts;
use crate::dashboard::view::View;
use crate::executor::{ParentRun, WorkflowRecord};
use forge_journal::WorkflowStatus;

/// The digits of a digest that are shown. They tell versions apart; the title of the element has all.
const DIGITS: usize = 12;

/// Returns the head.
pub(super) fn head(view: &View, run: &WorkflowRecord) -> Markup {
    let name = &run.workflow_name;
    html! {
        header.run-head data-part="head" data-status=(run.status) data-final[run.status.is_final()]
            data-pause=[run.pause_reason] data-doubt[!run.in_doubt.is_empty()] data-calls=(run.calls)
            data-started=(instant(run.started_at)) data-ended=[run.completed_at.map(instant)]
        {
            p.crumbs {
                a href=(view.href(&["runs"])) { "Runs" } " / "
                a href=(view.href_with(&["runs"], &[("workflow", name)])) { (parts::text(name)) }
            }
            div.head {
                h1 {
                    (parts::text(name)) " " span.version { "v" (run.version) } " " (parts::status(run.status))
                }
                (actions::buttons(view, run))
            }
            (why::why(view, run))
            (facts(view, run))
        }
    }
}

fn facts(view: &View, run: &WorkflowRecord) -> Markup {
    let id = run.id.to_string();
    html! {
        dl.run-facts {
            (fact("Run", &html! {
                code.id { (id) } " "
                button.quiet.small type="button" data-copy=(id) { "Copy" }
            }))
            (fact("Started", &time(run.started_at)))
            @if let Some(at) = run.completed_at { (fact(ended(run.status), &time(at))) }
            (fact(if run.status.is_final() { "Took" } else { "Runs for" }, &html! { span data-took { (took(run)) } }))
            @if !run.status.is_final() { (fact("Times out", &time(run.deadline))) }
            @if let Some(key) = &run.key { (fact("Key", &html! { code { (parts::text(key)) } })) }
            @if !run.tags.is_empty() { (fact("Tags", &tags(view, run))) }
            (lineage(view, run))
            (fact("Calls", &html! { (grouped(run.calls)) }))
            (fact("Code", &html! {
                code title=(run.digest) { (run.digest.get(..DIGITS).unwrap_or(&run.digest)) }
            }))
            (fact("Fuel", &html! { (grouped(run.fuel)) }))
            @if let Some(trace) = &run.trace_id { (fact("Trace", &html! { code { (parts::text(trace)) } })) }
        }
    }
}

/// Returns the tags, each as a link to the runs that have it.
fn tags(view: &View, run: &WorkflowRecord) -> Markup {
    html! {
        @for (name, value) in &run.tags {
            @let filter = format!("tag.{name}");
            a.chip href=(view.href_with(&["runs"], &[(filter.as_str(), value.as_str())])) {
                (parts::text(name)) "=" (parts::text(value))
            }
            " "
        }
    }
}

/// Returns how a run has ended, as the name of the time at which it did.
fn ended(status: WorkflowStatus) -> &'static str {
    match status {
        WorkflowStatus::Completed => "Completed",
        WorkflowStatus::Compensated => "Rolled back",
        WorkflowStatus::Failed => "Failed",
        _ => "Ended",
    }
}

/// Returns the runs from which a run comes, and the run that has taken its place.
fn lineage(view: &View, run: &WorkflowRecord) -> Markup {
    html! {
        @if let Some(ParentRun { run_id, call, attached, .. }) = run.parent {
            (fact(if attached { "Child of" } else { "Started by" }, &html! {
                (run_link(view, run_id)) ", "
                a href={ (view.href(&["runs", &run_id.to_string()])) "#call-" (call) } { "call " (call) }
            }))
        }
        @if let Some(before) = run.restart_of { (fact("Restart of", &run_link(view, before))) }
        @if let Some(after) = run.restarted_as { (fact("Restarted as", &run_link(view, after))) }
    }
}

fn fact(name: &str, value: &Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

/// Returns a time, relative and in full.
fn time(at: DateTime<Utc>) -> Markup {
    html! { (parts::time(at)) " " span.soft { (parts::full(at)) } }
}

/// Formats a large number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_have_commas() {
        let cases = [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
    }
}
