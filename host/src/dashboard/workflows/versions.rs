//! One workflow: its versions, what they run, and which of them new runs take.

use axum::extract::State;
use maud::{Markup, html};

use super::{counts, digest, upload};
use crate::api::Path;
use crate::dashboard::view::View;
use crate::dashboard::{PageResult, Pages, layout, parts};
use crate::registry::{WorkflowInfo, WorkflowVersions};
use crate::tenants::{Caller, Role};

pub(super) async fn versions(
    pages: State<Pages>,
    view: View,
    caller: Caller,
    Path(name): Path<String>,
) -> PageResult {
    let workflow = pages.executor(&caller).registry().versions(&name).await?;
    let body = html! {
        p.crumbs { a href=(view.href(&["workflows"])) { "Workflows" } }
        div.head {
            h1 { (parts::text(&name)) }
            @if view.may(Role::Start) {
                a.button.main href=(view.href(&["workflows", &name, "start"])) { "Start a run" }
            }
        }
        dl.run-counts { dt { "Runs" } dd { (counts(&view, &name, None)) } }
        div data-part="versions" {
            @if workflow.current.is_none() {
                p.notice data-kind="warn" {
                    "All versions are deprecated: a start must name one. Activate a version to start it without."
                }
            }
            (table(&view, &workflow))
        }
        p.hint { "New runs take the current version: the activated one, or the highest that is not deprecated. Runs in progress keep theirs." }
        @if view.may(Role::Deploy) { (upload::upload()) }
        div data-part="schemas" {
            @for info in workflow.versions.iter().filter(|info| info.input_schema.is_some()) { (schema(info)) }
        }
        (layout::module(&view, "workflows/page.js"))
    };
    Ok(layout::page(&view, &name, body))
}

fn table(view: &View, workflow: &WorkflowVersions) -> Markup {
    let mut columns = vec!["Version", "State", "Runs", "Timeout", "Input", "Component", "Deployed"];
    columns.extend(view.may(Role::Deploy).then_some(parts::ACTIONS));
    html! {
        div.scroll {
            table.versions.cards role="table" {
                (parts::head(&columns))
                tbody role="rowgroup" { @for info in &workflow.versions { (row(view, workflow, info)) } }
            }
        }
    }
}

fn row(view: &View, workflow: &WorkflowVersions, info: &WorkflowInfo) -> Markup {
    let version = info.version.to_string();
    let is_current = workflow.current == Some(info.version);
    html! {
        tr role="row" {
            th scope="row" role="rowheader" { "v" (version) }
            td role="cell" data-label="State" { (state(info, is_current)) }
            td role="cell" data-label="Runs" { (counts(view, &info.name, Some(info.version))) }
            td role="cell" data-label="Timeout" { (info.timeout) }
            td role="cell" data-label="Input" { @if info.input_schema.is_some() { a href={ "#schema-" (version) } { "schema" } } @else { span.soft { "any" } } }
            td role="cell" data-label="Component" { (digest(&info.digest)) }
            td role="cell" data-label="Deployed" { (parts::time(info.created_at)) }
            @if view.may(Role::Deploy) { td.acts role="cell" { (actions(workflow, info)) } }
        }
    }
}

fn state(info: &WorkflowInfo, is_current: bool) -> Markup {
    html! {
        @if is_current { span.status data-status="active" { "current" } }
        @if info.active { " " span.soft { "activated" } }
        @if info.deprecated { span.status data-status="paused" { "deprecated" } }
    }
}

/// Returns the buttons of a version. A button says what it does to screen readers, too: there is one in each row.
fn actions(workflow: &WorkflowVersions, info: &WorkflowInfo) -> Markup {
    let version = info.version;
    let act = |action: &'static str, label: &str| {
        html! {
            button.small type="button" hidden data-act=(action) data-workflow=(info.name) data-version=(version)
                data-current=[workflow.current] {
                (label) span.unseen { " version " (version) }
            }
        }
    };
    html! {
        @if !info.active { (act("activate", "Activate")) }
        @if !info.deprecated { (act("deprecate", "Deprecate")) }
    }
}

/// Returns the place for the schema of a version, which is read when it is opened.
fn schema(info: &WorkflowInfo) -> Markup {
    html! {
        details.panel.schema id={ "schema-" (info.version) } data-schema=(info.name) data-version=(info.version) {
            summary { "Schema of the input of version " (info.version) }
            div.body {}
        }
    }
}
