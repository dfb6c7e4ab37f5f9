use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Api, ApiResult};
use forge_store::Node;

/// `GET /_api/nodes`.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(nodes))
}

/// The nodes that share a database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = NodeList)]
pub struct Nodes {
    /// The nodes by name; empty with SQLite.
    pub nodes: Vec<Node>,
}

/// List the nodes
///
/// Returns the live nodes that share the database, and those that ended less than an hour ago or own unfinished runs.
#[utoipa::path(
    get, path = "/_api/nodes", tag = "host",
    security(("key" = ["read", "host"])),
    responses(
        (status = 200, description = "The nodes.", body = Nodes),
    ),
)]
async fn nodes(api: State<Api>) -> ApiResult<Nodes> {
    Ok(Json(Nodes { nodes: api.host.nodes().await? }))
}
