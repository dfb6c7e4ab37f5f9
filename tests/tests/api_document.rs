//! The OpenAPI document: what it says of requests is what the host does. That it has every status that a test sees is
//! checked with every answer, in `tests/src/described.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::{Host, example};
use reqwest::Method;
use serde_json::{Value, json};

/// A path with values for its parameters.
fn filled(template: &str) -> String {
    let of = |part: &str| match part {
        "{id}" => "01a2067d-19b8-719e-a2a6-031945f4bafe".to_owned(),
        "{name}" => "payment_workflow".to_owned(),
        "{tenant}" => "default".to_owned(),
        "{step}" | "{version}" => "1".to_owned(),
        part => part.to_owned(),
    };
    template.split('/').map(of).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn an_operation_requires_a_body_exactly_if_the_document_says_so() {
    let host = Host::start().await;
    let api = host.api();
    api.deploy(&example("payment")).await;
    let document = api.get("/_api/openapi.json").await.ok();
    let mut required = 0;
    for (template, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let (name, method) =
                (&operation["operationId"], method.to_uppercase().parse::<Method>().unwrap());
            let answer = api.send(method.clone(), &filled(template), None).await;
            let Some(body) = operation.get("requestBody") else {
                assert_ne!(answer.body["error"]["code"], "invalid_body", "{name}");
                continue;
            };
            required += 1;
            assert_eq!(body["required"], true, "{name}");
            // Without a body, an upload has no content type.
            let (code, message) =
                if name == "upload_component" { answer.refused(415) } else { answer.refused(400) };
            assert!(
                code == "unsupported_media_type" || message.contains("the body is empty; it must have"),
                "{message}"
            );
        }
    }
    assert_eq!(required, 12);
}

#[tokio::test]
async fn a_header_that_the_document_does_not_require_may_name_a_tenant_that_does_not_exist() {
    let host = Host::start().await;
    let document = host.api().get("/_api/openapi.json").await.ok();
    for (template, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let parameters = operation["parameters"].as_array();
            let of_tenant = json!({"$ref": "#/components/parameters/ForgeTenant"});
            if !parameters.is_some_and(|parameters| parameters.contains(&of_tenant)) {
                assert_eq!(operation["security"][0], json!({}), "{template}");
                continue;
            }
            let method: Method = method.to_uppercase().parse().unwrap();
            let answer = host.api().for_tenant("nobody").send(method, &filled(template), None).await;
            assert_eq!(answer.refused(404).0, "unknown_tenant", "{template}");
        }
    }
}

/// The words for a type that only a programmer of Rust knows.
const RUST: [&str; 10] =
    ["struct ", "enum ", "variant of", "tuple", "sequence", "newtype", " u32", " u64", " unit", "Option"];

#[tokio::test]
async fn an_error_about_a_body_names_the_field_and_no_type_of_the_program() {
    let host = Host::start().await;
    let api = host.api();
    let tenants = (Method::POST, "/_api/tenants");
    let start = (Method::POST, "/_api/workflows/payment_workflow/start");
    let secret = (Method::PUT, "/_api/secrets/token");
    let keys = (Method::POST, "/_api/keys");
    let resolve = (Method::POST, "/_api/runs/01a2067d-19b8-719e-a2a6-031945f4bafe/steps/1/resolve");
    let change = (Method::PATCH, "/_api/tenants/default");
    for ((method, path), body, place) in [
        (tenants.clone(), json!({"name": 5}), "`name`"),
        (tenants.clone(), json!({"name": "a", "limits": {"versions": "5"}}), "`limits.versions`"),
        (tenants.clone(), json!({"name": "a", "limits": {"versions": 0}}), "`limits`: `versions`"),
        (tenants.clone(), json!({"name": "a", "egress": ["https://a.example", "b"]}), "`egress[1]`"),
        (tenants, json!({"name": "a", "egress": [], "egress_private": ["ten"]}), "`egress_private[0]`"),
        (change.clone(), json!({"suspended": {}}), "`suspended`"),
        (change, json!({"retention": "sometimes"}), "`retention`"),
        (start.clone(), json!({"version": -1}), "`version`"),
        (start.clone(), json!({"on_failed": "explode"}), "`on_failed`"),
        (start, json!({"key": ["a"]}), "`key`"),
        (secret.clone(), json!({"value": "v", "servers": {}}), "`servers`"),
        (secret, json!({"value": "12345678", "servers": ["x"]}), "`servers[0]`"),
        (keys.clone(), json!({"role": "root", "name": "a"}), "`role`"),
        (keys.clone(), json!({"role": {"read": 1}, "name": "a"}), "`role"),
        (keys, json!({"role": "read", "name": "a", "expires_at": "soon"}), "`expires_at`"),
        (resolve, json!({"failed": 1}), "`failed`"),
    ] {
        let (_, message) = api.send(method, path, Some(&body)).await.refused(400);
        assert!(message.contains(place), "{place} is missing in: {message}");
        assert!(!RUST.iter().any(|word| message.contains(word)), "{body}: {message}");
    }
}

#[tokio::test]
async fn an_error_about_a_parameter_names_it_and_no_type_of_the_program() {
    let host = Host::start().await;
    for (method, path, name) in [
        (Method::GET, "/_api/runs?limit=many", "`limit`"),
        (Method::GET, "/_api/runs?since=yesterday", "`since`"),
        (Method::GET, "/_api/runs?cursor=5", "`cursor`"),
        (Method::GET, "/_api/runs?status=odd", "`status`"),
        (Method::GET, "/_api/runs?lmit=5", "`lmit`"),
        (Method::GET, "/_api/audit?all=perhaps", "`all`"),
        (Method::GET, "/_api/runs/abc", "`id`"),
        (Method::GET, "/_api/runs/01a2067d-19b8-719e-a2a6-031945f4bafe?wait=long", "`wait`"),
        (Method::POST, "/_api/workflows/a/versions/one/activate", "`version`"),
        (Method::POST, "/_api/runs/abc/steps/1/resolve", "`id`"),
    ] {
        let (code, message) =
            host.api().send(method, path, Some(&json!({"failed": null}))).await.refused(400);
        assert!(code == "invalid_parameter" && message.contains(name), "{path}: {message}");
        assert!(!RUST.iter().any(|word| message.contains(word)), "{path}: {message}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_told_which_limit_it_exceeds() {
    let host = Host::start().await;
    let api = host.api();
    let large = Value::String("x".repeat(2 << 20));
    let (_, message) = api.try_start("payment_workflow", &json!({ "input": large })).await.refused(413);
    assert!(message.contains("payload_bytes"), "{message}");
    let (_, message) = api.upload(&vec![0; (16 << 20) + 1]).await.refused(413);
    assert!(message.contains("component_bytes"), "{message}");
    let (_, message) =
        api.post_json("/_api/keys", &json!({"role": "read", "name": large})).await.refused(413);
    assert!(message.contains("4096 bytes, the most that this operation reads"), "{message}");
}
