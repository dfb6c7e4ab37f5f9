//! All workflows.

use axum::extract::State;
use maud::{Markup, html};

use super::{counts, upload};
use crate::dashboard::view::View;
use crate::dashboard::{PageResult, Pages, layout, parts};
use crate::registry::WorkflowVersions;
use crate::tenants::{Caller, Role};

pub(super) async fn list(pages: State<Pages>, view: View, caller: Caller) -> PageResult {
    let workflows = pages.executor(&caller).registry().list().await?;
    let may_deploy = view.may(Role::Deploy);
    let body = html! {
        div.head { h1 { "Workflows" } }
        @if may_deploy { (upload::upload()) }
        div data-part="workflows" {
            @if workflows.is_empty() {
                (parts::empty("There are no workflows.", html! {
                    p { "Create a project with " code { "forge new NAME" } ", and deploy it with " code { "forge deploy" } "." }
                }))
            } @else {
                (table(&view, &workflows))
            }
        }
        (layout::module(&view, "workflows/page.js"))
    };
    Ok(layout::page(&view, "Workflows", body))
}

fn table(view: &View, workflows: &[WorkflowVersions]) -> Markup {
    let mut columns = vec!["Workflow", "Current", "Versions", "Runs", "Deployed"];
    columns.extend(view.may(Role::Start).then_some(parts::ACTIONS));
    html! {
        div.scroll {
            table.workflows.cards role="table" {
                (parts::head(&columns))
                tbody role="rowgroup" { @for workflow in workflows { (row(view, workflow)) } }
            }
        }
    }
}

fn row(view: &View, workflow: &WorkflowVersions) -> Markup {
    let name = &workflow.name;
    let newest = workflow.versions.iter().map(|info| info.created_at).max();
    html! {
        tr role="row" {
            th scope="row" role="rowheader" { a href=(view.href(&["workflows", name])) { (parts::text(name)) } }
            td role="cell" data-label="Current" {
                @match workflow.current {
                    Some(version) => span.version { "v" (version) },
                    None => span.status data-status="paused" { "all deprecated" },
                }
            }
            td role="cell" data-label="Versions" { (workflow.versions.len()) }
            td role="cell" data-label="Runs" { (counts(view, name, None)) }
            td role="cell" data-label="Deployed" { @if let Some(at) = newest { (parts::time(at)) } }
            @if view.may(Role::Start) {
                td.acts role="cell" {
                    a.button.small href=(view.href(&["workflows", name, "start"])) {
                        "Start" span.unseen { " " (parts::text(name)) }
                    }
                }
            }
        }
    }
}
