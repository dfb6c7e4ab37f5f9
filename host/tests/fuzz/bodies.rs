//! Bodies, headers and queries of the API, given to the API itself.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use forge_host::api;
use forge_host::config::{Config, Database};
use forge_host::executor::WorkflowExecutor;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tower_service::Service as _;

use crate::fuzz;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

const ENDPOINTS: &[(&str, &str)] = &[
    ("POST", "/_api/workflows"),
    ("POST", "/_api/workflows/w/start"),
    ("POST", "/_api/tenants"),
    ("PATCH", "/_api/tenants/default"),
    ("POST", "/_api/keys"),
    ("PUT", "/_api/secrets/S"),
    ("GET", "/_api/runs"),
    ("GET", "/_api/audit"),
    ("GET", "/_api/usage"),
    ("DELETE", "/_api/keys/1"),
    ("POST", "/_api/runs/1/cancel"),
];

/// Fields of all bodies but `host`: a key of the host would end what nobody needs a key for.
const FIELDS: &[&str] = &[
    "input",
    "version",
    "key",
    "name",
    "role",
    "egress",
    "egress_private",
    "limits",
    "suspended",
    "value",
    "servers",
    "expires_at",
    "other",
];

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<String>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!(true)),
        Just(json!(["https://a.example", "10.0.0.0/8", "*"])),
        Just(json!({ "versions": 5, "memory_bytes": null, "nothing": 1 })),
        select(&["admin", "read", "2026-01-01T00:00:00Z", "default", "acme"][..]).prop_map(Value::from),
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let fields = proptest::collection::btree_map(select(FIELDS).prop_map(str::to_owned), value(), 0..6);
    let document =
        fields.prop_map(|fields| Value::Object(fields.into_iter().collect()).to_string().into_bytes());
    let bytes = || proptest::collection::vec(any::<u8>(), 0..60);
    let wasm = bytes().prop_map(|rest| [b"\0asm\x0d\0\x01\0".to_vec(), rest].concat());
    prop_oneof![6 => document, 1 => bytes(), 1 => wasm, 1 => "[\\[{\":,0-9a-z]{0,40}".prop_map(String::into_bytes)]
}

#[test]
fn whatever_is_asked_the_api_answers_and_nothing_in_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    let router = RUNTIME.block_on(async {
        let config = Config::new(Database::Sqlite(folder.path().join("forge.db")));
        let config = Config { component_cache: None, ..config };
        api::router(WorkflowExecutor::open(config).await.unwrap())
    });
    let media_type = select(&["application/json", "application/wasm", "text/plain", ""][..]);
    let query =
        prop_oneof!["", "[a-z]{1,8}=[0-9a-z%:+-]{0,12}", "limit=[0-9-]{1,12}", "from=[0-9TZ:-]{1,20}"];
    let tenant = prop_oneof![8 => Just("default".to_owned()), 1 => "[ -~]{0,12}"];
    let asked = (select(ENDPOINTS), query, media_type, tenant, body());
    fuzz(3_000, asked, |((method, path), query, media_type, tenant, body)| {
        let status =
            RUNTIME.block_on(ask(&router, method, &format!("{path}?{query}"), media_type, &tenant, body));
        prop_assert!(status < 500, "{method} {path}?{query}: {status}");
        Ok(())
    });
}

async fn ask(router: &Router, method: &str, uri: &str, media_type: &str, tenant: &str, body: Vec<u8>) -> u16 {
    let request = Request::builder().method(method.parse::<Method>().unwrap()).uri(uri);
    let request = request.header("content-type", media_type).header("forge-tenant", tenant);
    let request = request.body(Body::from(body)).unwrap();
    router.clone().into_service::<Body>().call(request).await.unwrap().status().as_u16()
}
