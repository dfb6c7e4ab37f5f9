use serde_json::Value;

/// A change here is a change of what programs build on.
#[test]
fn the_document_has_every_endpoint() {
    let document: Value = serde_json::to_value(super::openapi()).unwrap();
    let mut endpoints = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        endpoints.extend(methods.as_object().unwrap().keys().map(|method| format!("{method} {path}")));
    }
    endpoints.sort();
    assert_eq!(
        endpoints,
        [
            "delete /_api/keys/{id}",
            "delete /_api/secrets/{name}",
            "get /_api/audit",
            "get /_api/caller",
            "get /_api/health",
            "get /_api/keys",
            "get /_api/nodes",
            "get /_api/openapi.json",
            "get /_api/runs",
            "get /_api/runs/{id}",
            "get /_api/runs/{id}/steps",
            "get /_api/secrets",
            "get /_api/tenants",
            "get /_api/tenants/{tenant}",
            "get /_api/usage",
            "get /_api/workflows",
            "get /_api/workflows/{name}",
            "patch /_api/tenants/{tenant}",
            "post /_api/keys",
            "post /_api/reseal-secrets",
            "post /_api/runs/{id}/cancel",
            "post /_api/runs/{id}/pause",
            "post /_api/runs/{id}/resume",
            "post /_api/tenants",
            "post /_api/workflows",
            "post /_api/workflows/{name}/start",
            "post /_api/workflows/{name}/versions/{version}/activate",
            "post /_api/workflows/{name}/versions/{version}/deprecate",
            "put /_api/secrets/{name}",
        ]
    );
}

/// Generated clients name their functions after them.
#[test]
fn every_endpoint_has_an_id_of_its_own() {
    let document: Value = serde_json::to_value(super::openapi()).unwrap();
    let methods = document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap());
    let ids: Vec<&str> = methods.map(|(_, method)| method["operationId"].as_str().unwrap()).collect();
    let unique: std::collections::BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "{ids:?}");
}

#[test]
fn every_type_that_the_document_names_is_in_it() {
    let document = serde_json::to_value(super::openapi()).unwrap();
    let text = document.to_string();
    let references: Vec<&str> = text.split("\"#/components/schemas/").skip(1).collect();
    assert!(!references.is_empty());
    for reference in references {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name} is missing");
    }
}
