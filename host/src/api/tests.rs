use serde_json::Value;

/// `docs/api.md` is the list of the endpoints and their roles that programs rely on: a change of it is a change of the API.
#[test]
fn the_documentation_lists_every_endpoint_with_its_role() {
    let described: Value = serde_json::to_value(super::openapi()).unwrap();
    let mut endpoints = Vec::new();
    for (path, methods) in described["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let scopes = operation["security"][0]["key"].as_array();
            let scopes: Vec<&str> = scopes.into_iter().flatten().filter_map(Value::as_str).collect();
            let role = if scopes.is_empty() { "none".to_owned() } else { scopes.join(", ") };
            endpoints.push(format!("{} {path}: {role}", method.to_uppercase()));
        }
    }
    let row = |line: &str| {
        let (endpoint, rest) = line.strip_prefix("| `")?.split_once('`')?;
        let role = rest.strip_suffix('|')?.rsplit_once('|')?.1.trim();
        endpoint.contains(" /_api/").then(|| format!("{endpoint}: {role}"))
    };
    let mut documented: Vec<String> = include_str!("../../../docs/api.md").lines().filter_map(row).collect();
    endpoints.sort();
    documented.sort();
    assert_eq!(documented, endpoints);
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

/// Generators name the types of a client after the schemas. A schema without a name becomes a type with an invented one.
#[test]
fn every_object_and_every_enumeration_of_the_document_has_a_name() {
    let document = serde_json::to_value(super::openapi()).unwrap();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let letters = name.chars().all(char::is_alphanumeric);
        assert!(letters && !["BTreeMap", "Option", "Vec"].contains(&name.as_str()), "{name}");
        let parts = schema["allOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
        for part in &parts {
            for (field, of_field) in part["properties"].as_object().into_iter().flatten() {
                assert!(!is_nameless(of_field), "{name}.{field} has a schema without a name: {of_field}");
            }
        }
    }
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let bodies =
                operation["responses"].as_object().unwrap().values().chain([&operation["requestBody"]]);
            for content in bodies.filter_map(|body| body["content"].as_object()).flat_map(|it| it.values()) {
                assert!(!is_nameless(&content["schema"]), "{method} {path}: {content}");
            }
        }
    }
}

/// Returns whether a schema contains an object with fields or an enumeration that has no name.
fn is_nameless(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            ["properties", "enum", "additionalProperties", "allOf"]
                .iter()
                .any(|word| fields.contains_key(*word))
                || fields.values().any(is_nameless)
        }
        Value::Array(items) => items.iter().any(is_nameless),
        _ => false,
    }
}

#[test]
fn every_operation_can_answer_with_the_errors_that_come_before_it() {
    let document = serde_json::to_value(super::openapi()).unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let mut statuses = vec!["403", "429"];
            if operation["security"][0]["key"].is_array() {
                statuses.extend(["400", "401", "404", "500", "503"]);
            }
            if operation.get("requestBody").is_some() {
                statuses.extend(["408", "413", "415"]);
            }
            for status in statuses {
                assert!(operation["responses"].get(status).is_some(), "{method} {path} has no {status}");
            }
        }
    }
}
