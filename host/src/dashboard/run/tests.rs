//! What the page says about runs in each state, and what it offers to whom.

use axum::http::Uri;
use serde_json::{Value, json};
use strum::VariantArray as _;

use super::*;
use crate::tenants::Role;
use forge_journal::{DEFAULT_TENANT, PauseReason, WorkflowStatus};

const ID: &str = "01a22e16-0cfd-77d5-b34e-4d40e4d141b0";
const OTHER: &str = "01a22e16-0d00-748e-8132-6d10704514f9";

/// Returns a run with these fields.
fn run(fields: Value) -> WorkflowRecord {
    let mut record = json!({
        "id": ID, "workflow_name": "order", "version": 2, "input": {"n": 1}, "output": null, "status": "running",
        "current_step": null, "step_results": {}, "calls": 40000, "started_at": "2026-11-30T12:00:00Z", "completed_at": null,
        "error": null, "trace_id": null, "error_kind": null, "pause_reason": null, "deadline": "2026-12-01T12:00:00Z",
        "digest": "0123456789abcdef", "key": null,
    });
    record.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(record).unwrap()
}

fn view(role: Role) -> View {
    let caller = Caller { role, ..Caller::local(DEFAULT_TENANT.into()) };
    View::new(&Uri::from_static("/runs/x")).with_caller(caller)
}

fn shown(role: Role, fields: Value) -> String {
    body(&view(role), &run(fields)).into_string()
}

/// Returns the words of the buttons.
fn offered(role: Role, fields: Value) -> Vec<String> {
    let page = shown(role, fields);
    let head = page.split("data-part=\"input\"").next().unwrap().to_owned();
    let buttons = head.split("data-action=\"").skip(1);
    buttons.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[track_caller]
fn says(fields: Value, texts: &[&str]) {
    let page = shown(Role::Admin, fields);
    for text in texts {
        assert!(page.contains(text), "`{text}` is missing in:\n{page}");
    }
}

#[test]
fn a_run_that_waits_says_for_what_and_until_when() {
    let waits_for = json!([
        {"kind": "event", "name": "approval", "until": "2026-11-30T13:00:00Z"},
        {"kind": "timeout", "name": "1h", "until": "2026-11-30T13:00:00Z"},
        {"kind": "child", "name": "ship", "until": null, "run": OTHER},
        {"kind": "retry", "name": "charge", "until": "2026-11-30T12:30:00Z"},
    ]);
    let link = format!("href=\"../runs/{OTHER}\"");
    says(
        json!({"status": "waiting", "waits_for": waits_for}),
        &[
            "It waits for the event <code>approval</code> until 2026-11-30 13:00:00 UTC",
            "data-event=\"approval\"",
            "It waits for its child ship, run",
            &link,
            "It tries step <code>charge</code> again until 2026-11-30 12:30:00 UTC",
        ],
    );
    let reader = shown(Role::Read, json!({"status": "waiting", "waits_for": waits_for}));
    assert!(reader.contains("approval") && !reader.contains("data-event"), "{reader}");
    assert!(!reader.contains("timeout</code>"), "{reader}");
}

#[test]
fn a_run_that_is_paused_says_why_and_what_to_do() {
    for reason in PauseReason::VARIANTS {
        let fields =
            json!({"status": "paused", "pause_reason": reason, "error": "Deploy it again, then resume it."});
        let page = shown(Role::Admin, fields);
        assert!(page.contains("class=\"notice why\"") && page.contains("paused"), "{reason}: {page}");
        let has_error = page.contains("Deploy it again, then resume it.");
        assert_eq!(has_error, *reason != PauseReason::Operator, "{reason}: {page}");
    }
    says(
        json!({"status": "paused", "pause_reason": "in_doubt", "error": "POST /charges may have arrived"}),
        &[
            "a request may or may not have arrived",
            "POST /charges may have arrived",
            "resolve its call below",
            "data-pause=\"in_doubt\"",
        ],
    );
}

#[test]
fn a_run_that_failed_names_its_error_and_what_is_not_undone() {
    says(
        json!({"status": "failed", "completed_at": "2026-11-30T12:00:02Z", "error": "no `funds`", "error_kind": "declined",
            "not_compensated": ["reserve"], "in_doubt": ["POST http://bank/charges"]}),
        &[
            "It failed, and steps of it are not compensated.",
            "no <code>funds</code>",
            "declined",
            "<code>reserve</code>",
            "<code>POST http://bank/charges</code>",
            "Retry the compensations.",
            "2.0 s",
            "data-final",
        ],
    );
    says(
        json!({"status": "compensated", "completed_at": "2026-11-30T12:00:02Z", "error_kind": "cancelled"}),
        &[
            "It was cancelled, and is rolled back.",
            "Start it again with the same or another input, if it is still needed.",
        ],
    );
    let advice = "Correct the cause, and start it again";
    for (kind, is_advised) in [("error", true), ("cancelled", false), ("terminated", false)] {
        let page = shown(Role::Admin, json!({"status": "failed", "error_kind": kind}));
        assert_eq!(page.contains(advice), is_advised, "{kind}: {page}");
    }
    says(
        json!({"status": "failed", "completed_at": "2026-11-30T12:00:02Z", "error_kind": "terminated", "not_compensated": ["a"]}),
        &["A person ended it without its code.", "Undo each of these steps by hand"],
    );
}

#[test]
fn a_run_that_has_completed_needs_no_words() {
    let page = shown(
        Role::Admin,
        json!({"status": "completed", "completed_at": "2026-11-30T12:00:02Z", "output": 5}),
    );
    assert!(!page.contains("notice why"), "{page}");
    assert!(page.contains("data-document=\"output\""), "{page}");
    assert!(page.contains("40,000"), "{page}");
}

#[test]
fn the_runs_from_which_a_run_comes_are_links() {
    let parent = format!("href=\"../runs/{OTHER}#call-7\"");
    says(
        json!({
            "key": "order-7", "restart_of": OTHER, "restarted_as": OTHER,
            "parent": {"run_id": OTHER, "call": 7, "depth": 1, "attached": true},
        }),
        &["Child of", "Restart of", "Restarted as", &parent, "<code>order-7</code>"],
    );
}

#[test]
fn a_tag_leads_to_the_runs_that_have_it() {
    says(json!({"tags": {"order": "10&41"}}), &["href=\"../runs?tag.order=10%2641\"", "order=10&amp;41"]);
}

#[test]
fn events_that_are_not_taken_and_settled_effects_are_listed() {
    let event = json!({"seq": 3, "name": "late", "key": "k", "at": "2026-11-30T12:00:01Z", "bytes": 2048});
    let effect = json!({"seq": 9, "effect": "POST /x", "outcome": "completed", "by": "anna", "at": "2026-11-30T12:00:01Z"});
    says(
        json!({"events": {"count": 25, "bytes": 2048, "first": [event]}, "settled": [effect]}),
        &["Events that are not taken", "<code>late</code>", "and 24 others", "href=\"#call-9\"", "anna"],
    );
}

#[test]
fn what_is_offered_depends_on_the_status_and_the_role() {
    let may = |role, status: &str| offered(role, json!({"status": status}));
    assert_eq!(may(Role::Admin, "running"), ["pause", "event", "again", "cancel", "terminate"]);
    assert_eq!(may(Role::Start, "running"), ["pause", "event", "again", "cancel"]);
    assert_eq!(may(Role::Start, "paused"), ["resume", "event", "again", "cancel"]);
    assert_eq!(may(Role::Admin, "compensating"), ["pause", "event", "again", "terminate"]);
    assert_eq!(may(Role::Admin, "completed"), ["again", "delete"]);
    assert_eq!(may(Role::Start, "failed"), ["again"]);
    let undo_again = json!({"status": "failed", "not_compensated": ["reserve"]});
    assert_eq!(offered(Role::Admin, undo_again), ["resume", "again", "delete"]);
    for status in WorkflowStatus::VARIANTS {
        let page = shown(Role::Read, json!({"status": status}));
        assert!(
            !page.contains("data-action") && !page.contains("<dialog") && !page.contains("data-may-resolve"),
            "{page}"
        );
    }
}

#[test]
fn text_of_tenants_and_guests_is_escaped() {
    let hostile = "<img src=x onerror=alert(1)>\u{202e}";
    let page = shown(
        Role::Admin,
        json!({
            "workflow_name": hostile, "key": hostile, "status": "failed", "error": hostile, "error_kind": hostile,
            "not_compensated": [hostile], "in_doubt": [hostile], "current_step": hostile, "trace_id": hostile,
            "waits_for": [{"kind": "event", "name": hostile, "until": null}],
            "settled": [{"seq": 9, "effect": hostile, "outcome": hostile, "by": hostile, "at": "2026-11-30T12:00:01Z"}],
        }),
    );
    assert!(!page.contains("<img"), "{page}");
    // In attributes, which are not shown, the text stays as it is.
    let outside_of_tags: String =
        page.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect();
    assert!(
        !outside_of_tags.contains('\u{202e}') && outside_of_tags.contains("\\u{202e}"),
        "{outside_of_tags}"
    );
    let page = shown(Role::Admin, json!({"status": "running", "current_step": "a`<b>`c"}));
    assert!(
        page.contains("It executes step <code>a&#39;&lt;b&gt;&#39;c</code>.")
            || page.contains("It executes step <code>a'&lt;b&gt;'c</code>."),
        "{page}"
    );
}

#[test]
fn there_is_one_heading_and_no_inline_script_or_style() {
    let page = shown(Role::Admin, json!({"status": "paused", "pause_reason": "operator"}));
    assert_eq!(page.matches("<h1").count(), 1, "{page}");
    assert_eq!(page.matches("<script").count(), 1, "{page}");
    assert!(page.contains("<script type=\"module\" src=\"../assets/"), "{page}");
    assert!(!page.contains(" style=") && !page.contains("onclick"), "{page}");
}
