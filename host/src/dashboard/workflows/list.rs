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
    html! {
        div.scroll {
            table.workflows {
                thead {
                    tr {
                        th scope="col" { "Workflow" }
                        th scope="col" { "Current" }
                        th scope="col" { "Versions" }
                        th scope="col" { "Runs" }
                        th scope="col" { "Deployed" }
                        @if view.may(Role::Start) { th scope="col" { span.unseen { "Actions" } } }
                    }
                }
                tbody { @for workflow in workflows { (row(view, workflow)) } }
            }
        }
    }
}

fn row(view: &View, workflow: &WorkflowVersions) -> Markup {
    let name = &workflow.name;
    let newest = workflow.versions.iter().map(|info| info.created_at).max();
    html! {
        tr {
            th scope="row" { a href=(view.href(&["workflows", name])) { (parts::text(name)) } }
            td {
                @match workflow.current {
                    Some(version) => span.version { "v" (version) },
                    None => span.status data-status="paused" { "all deprecated" },
                }
            }
            td { (workflow.versions.len()) }
            td { (counts(view, name, None)) }
            td { @if let Some(at) = newest { (parts::time(at)) } }
            @if view.may(Role::Start) {
                td.acts {
                    a.button.small href=(view.href(&["workflows", name, "start"])) {
                        "Start" span.unseen { " " (parts::text(name)) }
                    }
                }
            }
        }
    }
}
