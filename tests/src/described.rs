//! Checks that the OpenAPI document has what the API answers. Every answer in a test goes through here.

use std::sync::LazyLock;

use reqwest::Method;
use serde_json::Value;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(forge_host::api::openapi()).expect("the document is JSON"));

/// Checks that the document has the status for this operation, and the code of an error.
pub(crate) fn check(method: &Method, path: &str, status: u16, body: &Value) {
    let Some(operation) = operation(method, path) else { return };
    let response = &operation["responses"][status.to_string()];
    assert!(
        response.is_object(),
        "{method} {path} answers {status}, which the OpenAPI document does not have: {body}"
    );
    if let Some(code) = body["error"]["code"].as_str() {
        let codes =
            DOCUMENT["components"]["schemas"]["ErrorCode"]["enum"].as_array().expect("an enumeration");
        assert!(codes.iter().any(|known| known == code), "the OpenAPI document has no code `{code}`");
    }
}

/// Returns the operation of a request; `None` if the API has none.
fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let (_, methods) = paths.iter().find(|(template, _)| fits(template, path))?;
    methods.get(method.as_str().to_ascii_lowercase())
}

fn fits(template: &str, path: &str) -> bool {
    let (mut template, mut path) = (template.split('/'), path.split('/'));
    loop {
        match (template.next(), path.next()) {
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == found || wanted.starts_with('{') => {}
            _ => return false,
        }
    }
}
