//! The nodes that share the database.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use maud::{Markup, html};

use super::parts::{self, text};
use super::view::View;
use super::{PageResult, Pages, layout};
use crate::tenants::Caller;
use forge_store::{MOST_COUNTED, Node};

pub(super) fn router() -> Router<Pages> {
    Router::new().route("/nodes", get(nodes))
}

async fn nodes(pages: State<Pages>, view: View, caller: Caller) -> PageResult {
    pages.gate.may_read(&caller, "/_api/nodes")?;
    let nodes = pages.host.nodes().await?;
    let body = html! {
        div.head { h1 { "Nodes" } }
        @if nodes.is_empty() {
            (parts::empty("This host has no other nodes.", html! {
                p { "Nodes share a PostgreSQL database, and this host has an SQLite file." }
            }))
        } @else {
            div.scroll {
                table {
                    caption.unseen { "The nodes that share the database" }
                    thead {
                        tr {
                            th scope="col" { "Node" }
                            th scope="col" { "State" }
                            th.number scope="col" { "Epoch" }
                            th.number scope="col" { "Runs" }
                            th scope="col" { "Version" }
                            th scope="col" { "Since" }
                            th scope="col" { "Lease until" }
                        }
                    }
                    tbody { @for node in &nodes { (row(node)) } }
                }
            }
            p.hint {
                "Runs are those that are neither final nor paused. A node whose lease expires counts as dead, and the other nodes take \
                 over its runs."
            }
        }
    };
    Ok(layout::page(&view, "Nodes", body))
}

fn row(node: &Node) -> Markup {
    let state = if node.ended_at.is_some() { "ended" } else { "live" };
    html! {
        tr {
            td { (text(&node.name)) @if node.here { " " span.chip { "this one" } } }
            td { span.status data-status=(state) { (state) } }
            td.number { (node.epoch) }
            td.number { (node.runs) @if node.runs >= MOST_COUNTED.into() { "+" } }
            td { (text(&node.version)) }
            td { (parts::time(node.ended_at.unwrap_or(node.started_at))) }
            td { @if node.ended_at.is_none() { (parts::time(node.lease_until)) } }
        }
    }
}
