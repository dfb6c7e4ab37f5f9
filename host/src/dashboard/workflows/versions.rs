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
    html! {
        div.scroll {
            table.versions {
                thead {
                    tr {
                        th scope="col" { "Version" }
                        th scope="col" { "State" }
                        th scope="col" { "Runs" }
                        th scope="col" { "Timeout" }
                        th scope="col" { "Input" }
                        th scope="col" { "Component" }
                        th scope="col" { "Deployed" }
                        @if view.may(Role::Deploy) { th scope="col" { span.unseen { "Actions" } } }
                    }
                }
                tbody { @for info in &workflow.versions { (row(view, workflow, info)) } }
            }
        }
    }
}

fn row(view: &View, workflow: &WorkflowVersions, info: &WorkflowInfo) -> Markup {
    let version = info.version.to_string();
    let is_current = workflow.current == Some(info.version);
    html! {
        tr {
            th scope="row" { "v" (version) }
            td { (state(info, is_current)) }
            td { (counts(view, &info.name, Some(info.version))) }
            td { (info.timeout) }
            td { @if info.input_schema.is_some() { a href={ "#schema-" (version) } { "schema" } } @else { span.soft { "any" } } }
            td { (digest(&info.digest)) }
            td { (parts::time(info.created_at)) }
            @if view.may(Role::Deploy) { td.acts { (actions(workflow, info)) } }
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
