//! Authentication and authorization.
//!
//! The OpenAPI document states the role that each endpoint requires, and this module enforces it from there. An endpoint
//! without security metadata rejects every request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use super::answers::Answers;
use super::{ApiError, browser};
use crate::executor::WorkflowExecutor;
use crate::tenants::{Caller, Denied, Role};

/// The header that selects the tenant for which a key of the host acts.
pub const TENANT: HeaderName = HeaderName::from_static("forge-tenant");

/// The name of the security scheme in the document. Its scopes are roles.
const SCHEME: &str = "key";

/// The scope of endpoints that require a key of the host.
const HOST: &str = "host";

/// The time in which a request that changes something is answered after its API key was revoked: such as the one that has
/// revoked it. What waits for longer, such as for a run, a body or a compilation, is closed.
const CHANGE_GRACE: Duration = Duration::from_millis(500);

/// What an endpoint requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Requirement {
    /// The role; `None` for a public endpoint.
    role: Option<Role>,
    /// Whether it requires a key of the host.
    host: bool,
}

/// Requirements by the router's path and the method. Never iterated.
pub(super) type Requirements = HashMap<String, HashMap<Method, Requirement>>;

/// Authenticates and authorizes requests.
#[derive(Clone)]
pub(crate) struct Gate {
    executor: WorkflowExecutor,
    requirements: Arc<Requirements>,
    answers: Answers,
}

impl Gate {
    pub(super) fn new(executor: WorkflowExecutor, document: &OpenApi) -> Self {
        let answers = Answers::new(executor.limits().api_answers);
        Self { executor, requirements: Arc::new(requirements(document)), answers }
    }

    async fn caller(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Option<Caller>, ApiError> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let requirement = self.requirements.get(path).and_then(|methods| methods.get(method));
        let Some(requirement) = requirement else { return Err(ApiError::not_open(path)) };
        let Some(role) = requirement.role else {
            // The health endpoint returns more to an authenticated caller.
            let token = bearer(headers).unwrap_or_default();
            let caller = self.executor.tenants().recognize(token).await.ok();
            return Ok(caller.filter(|caller| check_name(caller, headers).is_ok()));
        };
        let tenant =
            match headers.get(TENANT) {
                None => None,
                Some(tenant) => Some(tenant.to_str().map_err(|_| {
                    ApiError::invalid_parameter("the header `Forge-Tenant` is not a valid name")
                })?),
            };
        let caller = self.identify(headers, tenant).await?;
        caller.check(role)?;
        if requirement.host {
            caller.of_host()?;
        }
        // A suspended tenant is read-only, except for keys of the host.
        if role > Role::Read && !caller.is_host {
            self.executor.tenants().get(&caller.tenant).await?.check_active()?;
        }
        Ok(Some(caller))
    }
}

impl Gate {
    /// Returns who sends a request, from its credentials. A key of the host acts for `tenant`.
    ///
    /// # Errors
    /// The credentials are absent or invalid, or a host without API keys is addressed by a DNS name.
    pub(crate) async fn identify(
        &self,
        headers: &HeaderMap,
        tenant: Option<&str>,
    ) -> Result<Caller, ApiError> {
        let caller = self.executor.tenants().authenticate(bearer(headers)?, tenant).await?;
        check_name(&caller, headers)?;
        Ok(caller)
    }

    /// Returns who presents an API key later than in the head of a request. A key of the host acts for `tenant`.
    ///
    /// # Errors
    /// The key is unknown, revoked, expired or of another tenant.
    pub(super) async fn identify_token(&self, token: &str, tenant: Option<&str>) -> Result<Caller, ApiError> {
        Ok(self.executor.tenants().authenticate(Some(token), tenant).await?)
    }

    /// Passes a request of a caller on. The answer counts in the tenant's budget until the client has read it, and is
    /// broken off when the caller's API key is revoked.
    pub(crate) async fn pass(&self, caller: Caller, mut request: Request, next: Next) -> Response {
        let changes = !request.method().is_safe();
        let account = self.executor.tenants().account(&caller.tenant);
        request.extensions_mut().insert(caller.clone());
        self.answers.bounded(Some(account.answers()), changes, self.answer(&caller, request, next)).await
    }

    /// Returns the response, unless the caller's API key is revoked before.
    async fn answer(&self, caller: &Caller, request: Request, next: Next) -> Response {
        let grace = if request.method().is_safe() { Duration::ZERO } else { CHANGE_GRACE };
        let revoked = async {
            self.executor.tenants().revoked(caller).await;
            tokio::time::sleep(grace).await;
        };
        tokio::select! {
            biased;
            response = next.run(request) => response,
            () = revoked => ApiError::key_revoked().into_response(),
        }
    }
}

/// Checks the name by which a caller without a key addresses the host: a web page can use a DNS name of its own.
fn check_name(caller: &Caller, headers: &HeaderMap) -> Result<(), ApiError> {
    if caller.key.is_none() { browser::check_host(headers) } else { Ok(()) }
}

/// Passes an authorized request on, with its caller.
pub(super) async fn admit(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let path = path.as_ref().map_or("", MatchedPath::as_str);
    let caller = gate.caller(request.method(), path, request.headers()).await;
    match caller {
        Ok(Some(caller)) => gate.pass(caller, request, next).await,
        Ok(None) => {
            let changes = !request.method().is_safe();
            gate.answers.bounded(None, changes, next.run(request)).await
        }
        Err(error) => error.into_response(),
    }
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let value = value.to_str().map_err(|_| Denied::InvalidKey)?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => Err(Denied::NoKey.into()),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Denied::NoKey.into())
    }
}

impl Caller {
    /// Checks that the caller acts for the host.
    pub(super) fn of_host(&self) -> Result<(), ApiError> {
        if self.is_host { Ok(()) } else { Err(ApiError::host_only()) }
    }

    /// Returns the tenant that a request is about; `None` for the host or all tenants, which requires a key of the host.
    pub(super) fn whose(&self, of_host: bool) -> Result<Option<&str>, ApiError> {
        if of_host { self.of_host().map(|()| None) } else { Ok(Some(&self.tenant)) }
    }
}

/// Adds the scheme to the document.
pub(super) fn describe(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
        "An API key. The scope of an operation is the role that it requires: `read`, `start`, `deploy` or `admin`. Each \
         role includes those before it. The scope `host` requires a key of the host. A host without API keys accepts \
         requests without a key.",
    ));
    components.add_security_scheme(SCHEME, SecurityScheme::Http(scheme.build()));
}

/// Returns the requirements of all operations. Operations without security metadata are omitted.
pub(super) fn requirements(document: &OpenApi) -> Requirements {
    let mut requirements = Requirements::new();
    let document = serde_json::to_value(document).unwrap_or_default();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let Some(security) = operation["security"].as_array() else { continue };
            let scopes = security.first().and_then(|scheme| scheme[SCHEME].as_array());
            let mut requirement = Requirement { role: None, host: false };
            for scope in scopes.into_iter().flatten().filter_map(|scope| scope.as_str()) {
                match scope.parse() {
                    Ok(role) => requirement.role = Some(role),
                    Err(_) => requirement.host |= scope == HOST,
                }
            }
            let is_public =
                security.first().is_some_and(|scheme| scheme.as_object().is_some_and(|it| it.is_empty()));
            if let Ok(method) = method.to_ascii_uppercase().parse()
                && (is_public || requirement.role.is_some())
            {
                requirements.entry(path.clone()).or_default().insert(method, requirement);
            }
        }
    }
    requirements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_has_a_requirement_and_few_are_public() {
        let document = super::super::openapi();
        let requirements = requirements(&document);
        let paths = serde_json::to_value(&document).unwrap();
        let mut public = Vec::new();
        for (path, methods) in paths["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                let wanted: Method = method.to_uppercase().parse().unwrap();
                let requirement = requirements.get(path).and_then(|methods| methods.get(&wanted));
                let requirement = requirement.unwrap_or_else(|| panic!("{method} {path} says nothing"));
                if requirement.role.is_none() {
                    public.push(path.clone());
                }
            }
        }
        // A WebSocket may present its API key in its first message.
        assert_eq!(public, ["/_api/health", "/_api/live", "/_api/openapi.json"]);
    }

    #[test]
    fn a_token_is_what_follows_bearer() {
        let with =
            |value: &'static str| HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
        assert_eq!(bearer(&HeaderMap::new()).unwrap(), None);
        assert_eq!(bearer(&with("Bearer forge_1_2")).unwrap(), Some("forge_1_2"));
        assert_eq!(bearer(&with("bearer  x")).unwrap(), Some("x"));
        for wrong in ["Basic dXNlcg==", "forge_1_2", ""] {
            assert!(bearer(&with(wrong)).is_err(), "{wrong}");
        }
    }
}
