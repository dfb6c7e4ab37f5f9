//! What the OpenAPI document requires of the callers of each endpoint.

use std::collections::HashMap;

use axum::http::Method;
use serde_json::Value;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use crate::tenants::Role;

/// The security scheme of API keys. Its scopes are roles.
const KEY: &str = "key";

/// The scope of endpoints that require a key of the host.
const HOST: &str = "host";

/// The security scheme of run tokens.
const RUN_TOKEN: &str = "run_token";

/// The scope of endpoints that require a run token with payloads.
const PAYLOADS: &str = "payloads";

/// The parameter of the query with a run token.
const TOKEN: &str = "token";

/// What an endpoint requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Requirement {
    /// The role; `None` for a public endpoint.
    pub(super) role: Option<Role>,
    /// Whether it requires a key of the host.
    pub(super) host: bool,
    /// What a run token must give; `None` if the endpoint accepts no run tokens.
    pub(super) run_token: Option<RunToken>,
    /// Whether the query may have the run token, because its client cannot send headers.
    pub(super) token_in_query: bool,
}

/// What an endpoint requires of a run token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RunToken {
    /// Whether it must read payloads.
    pub(super) payloads: bool,
}

/// Requirements by the router's path and the method. Never iterated.
pub(super) type Requirements = HashMap<String, HashMap<Method, Requirement>>;

/// Adds the schemes to the document.
pub(super) fn describe(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    let mut add = |name: &str, description: &str| {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description));
        components.add_security_scheme(name, SecurityScheme::Http(scheme.build()));
    };
    add(
        KEY,
        "An API key. The scope of an operation is the role that it requires: `read`, `start`, `deploy` or `admin`. Each \
         role includes those before it. The scope `host` requires a key of the host. A host without API keys accepts \
         requests without a key. The cookie of a session does what its key may; a request that changes something needs the \
         header `Forge-CSRF` then.",
    );
    add(
        RUN_TOKEN,
        "A run token, which reads one run. The scope `payloads` requires one that was made with payloads.",
    );
}

/// Returns the requirements of all operations. Operations without security metadata are omitted.
pub(super) fn requirements(document: &OpenApi) -> Requirements {
    let mut requirements = Requirements::new();
    let document = serde_json::to_value(document).unwrap_or_default();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            if let Ok(method) = method.to_ascii_uppercase().parse()
                && let Some(requirement) = requirement(operation)
            {
                requirements.entry(path.clone()).or_default().insert(method, requirement);
            }
        }
    }
    requirements
}

/// Returns the requirement of an operation. Its first alternative is an API key with a role, or nothing for a public one.
fn requirement(operation: &Value) -> Option<Requirement> {
    let alternatives = operation["security"].as_array()?;
    let first = alternatives.first()?.as_object()?;
    let (mut role, mut host) = (None, false);
    for scope in scopes(first.get(KEY)) {
        match scope.parse() {
            Ok(parsed) => role = Some(parsed),
            Err(_) => host |= scope == HOST,
        }
    }
    let token = alternatives.iter().find_map(|alternative| alternative.get(RUN_TOKEN));
    let run_token =
        token.map(|token| RunToken { payloads: scopes(Some(token)).any(|scope| scope == PAYLOADS) });
    let mut parameters = operation["parameters"].as_array().into_iter().flatten();
    let token_in_query = parameters.any(|one| one["name"] == TOKEN && one["in"] == "query");
    (role.is_some() || first.is_empty()).then_some(Requirement { role, host, run_token, token_in_query })
}

fn scopes(scheme: Option<&Value>) -> impl Iterator<Item = &str> {
    scheme.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the endpoints of the document that fit.
    fn endpoints(fits: impl Fn(&Requirement) -> bool) -> Vec<String> {
        let document = super::super::openapi();
        let requirements = requirements(&document);
        let paths = serde_json::to_value(&document).unwrap();
        let mut found = Vec::new();
        for (path, methods) in paths["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                let wanted: Method = method.to_uppercase().parse().unwrap();
                let requirement = requirements.get(path).and_then(|methods| methods.get(&wanted));
                let requirement = requirement.unwrap_or_else(|| panic!("{method} {path} says nothing"));
                if fits(requirement) {
                    found.push(format!("{wanted} {path}"));
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn every_endpoint_has_a_requirement_and_only_these_are_public() {
        let public = endpoints(|requirement| requirement.role.is_none());
        // A WebSocket may present its credentials in its first message.
        let expected = ["GET /_api/health", "GET /_api/live", "GET /_api/openapi.json", "POST /_api/session"];
        assert_eq!(public, expected);
    }

    #[test]
    fn a_run_token_only_reads_what_its_run_has() {
        let accepting = endpoints(|requirement| requirement.run_token.is_some());
        let expected = [
            "GET /_api/live",
            "GET /_api/runs/{id}",
            "GET /_api/runs/{id}/live",
            "GET /_api/runs/{id}/logs",
            "GET /_api/runs/{id}/steps",
        ];
        assert_eq!(accepting, expected);
        let of_payloads = endpoints(|requirement| requirement.run_token.is_some_and(|token| token.payloads));
        assert_eq!(of_payloads, ["GET /_api/runs/{id}/logs"]);
    }
}
