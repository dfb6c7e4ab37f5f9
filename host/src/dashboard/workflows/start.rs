//! The start of a run: a form made from the JSON Schema of the input, or a field for JSON.

use std::collections::BTreeMap;

use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

use crate::api::{Path, Query};
use crate::dashboard::view::View;
use crate::dashboard::{PageResult, Pages, layout, parts, tags};
use crate::registry::{WorkflowInfo, WorkflowVersions};
use crate::tenants::{Caller, Role};

/// What the form begins with.
#[derive(Debug, Deserialize)]
pub(super) struct StartQuery {
    /// The run whose input and tags it begins with.
    from: Option<Uuid>,
    /// The version.
    version: Option<u32>,
}

pub(super) async fn start(
    pages: State<Pages>,
    view: View,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<StartQuery>,
) -> PageResult {
    caller.check(Role::Start)?;
    let workflow = pages.executor(&caller).registry().versions(&name).await?;
    let body = html! {
        p.crumbs {
            a href=(view.href(&["workflows"])) { "Workflows" } " / "
            a href=(view.href(&["workflows", &name])) { (parts::text(&name)) }
        }
        h1 { "Start " (parts::text(&name)) }
        @if let Some(run) = query.from {
            p.hint { "With the input and the tags of run " a.id href=(view.href(&["runs", &run.to_string()])) { (run) } "." }
        }
        noscript { p.notice data-kind="warn" { "This page needs JavaScript. On the command line: " code { "forge start " (parts::text(&name)) " --input '{…}'" } } }
        form #start.start novalidate data-workflow=(name) data-from=[query.from] hidden {
            (input())
            (options(&workflow, query.version))
            p #start-trouble .notice data-kind="bad" role="alert" hidden {}
            div.actions {
                button.main type="submit" { "Start the run" }
                span.hint { "Ctrl + Enter" }
            }
        }
        (layout::module(&view, "workflows/start.js"))
    };
    Ok(layout::page(&view, &format!("Start {name}"), body))
}

fn input() -> Markup {
    html! {
        section.panel aria-labelledby="input-title" {
            header {
                h2 #input-title { "Input" }
                div #start-modes.modes role="radiogroup" aria-label="How the input is entered" hidden {
                    @for (value, name) in [("form", "Form"), ("json", "JSON")] {
                        label for={ "start-" (value) "-mode" } {
                            input id={ "start-" (value) "-mode" } type="radio" name="mode" value=(value) checked[value == "form"];
                            span { (name) }
                        }
                    }
                }
            }
            div.body {
                p #start-notice .notice role="status" hidden {}
                div #start-form {}
                div #start-json.field hidden {
                    label.unseen for="start-text" { "The input as JSON" }
                    textarea #start-text rows="14" spellcheck="false" autocomplete="off" aria-describedby="start-text-error" { "{}" }
                    p #start-text-error .error-text role="alert" hidden {}
                }
            }
        }
    }
}

fn options(workflow: &WorkflowVersions, wanted: Option<u32>) -> Markup {
    let current = workflow.versions.iter().find(|info| workflow.current == Some(info.version));
    // Without a current version, a start must name one.
    let chosen =
        wanted.or_else(|| workflow.versions.first().map(|info| info.version).filter(|_| current.is_none()));
    html! {
        section.panel aria-labelledby="options-title" {
            header { h2 #options-title { "Options" } }
            div.body.options {
                div.field {
                    label for="start-version" { "Version" }
                    select #start-version {
                        @if let Some(current) = current {
                            option value="" selected[chosen.is_none()] data-has-schema[current.input_schema.is_some()] {
                                "The current one (v" (current.version) ")"
                            }
                        }
                        @for info in &workflow.versions { (version(info, chosen)) }
                    }
                }
                div.field {
                    label for="start-key" { "Idempotency key" }
                    input #start-key maxlength="255" autocomplete="off" spellcheck="false" aria-describedby="start-key-hint";
                    p #start-key-hint.hint { "A later start with the same key and input returns the same run." }
                }
                (tags::field(&BTreeMap::new()))
            }
        }
    }
}

fn version(info: &WorkflowInfo, chosen: Option<u32>) -> Markup {
    html! {
        option value=(info.version) selected[chosen == Some(info.version)] data-has-schema[info.input_schema.is_some()] {
            "v" (info.version) @if info.deprecated { " (deprecated)" }
        }
    }
}
