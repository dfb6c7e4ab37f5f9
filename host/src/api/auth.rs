//! Authentication and authorization.
//!
//! The OpenAPI document states the role that each endpoint requires, and this module enforces it from there. An endpoint
//! without security metadata rejects every request.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::OpenApi;
use uuid::Uuid;

use super::answers::Answers;
use super::requirements::{self, Requirement, Requirements};
use super::{ApiError, ErrorCode, browser, credentials};
use crate::executor::WorkflowExecutor;
use crate::tenants::{Caller, Credentials, Denied, Role, RunScope};

/// The header that selects the tenant for which a key of the host acts.
pub const TENANT: HeaderName = HeaderName::from_static("forge-tenant");

/// The header with which the pages of a session prove that they send a request.
pub const CSRF: HeaderName = HeaderName::from_static("forge-csrf");

/// The parameter of the path that names a run.
const RUN: &str = "id";
const RUN_IN_PATH: &str = "{id}";

/// The time in which a request that changes something is answered after its API key was revoked: such as the one that has
/// revoked it. What waits for longer, such as for a run, a body or a compilation, is closed.
const CHANGE_GRACE: Duration = Duration::from_millis(500);

/// Authenticates and authorizes requests.
#[derive(Clone)]
pub(crate) struct Gate {
    executor: WorkflowExecutor,
    requirements: Arc<Requirements>,
    answers: Answers,
}

/// What authorization knows of a request.
struct Asked<'r> {
    method: &'r Method,
    /// The path of the route.
    path: &'r str,
    /// The run in the path.
    run: Option<&'r str>,
    query: Option<&'r str>,
    headers: &'r HeaderMap,
}

impl Gate {
    pub(super) fn new(executor: WorkflowExecutor, document: &OpenApi) -> Self {
        let answers = Answers::new(executor.limits().api_answers);
        Self { executor, requirements: Arc::new(requirements::requirements(document)), answers }
    }

    /// Returns the caller of a request that it may make; `None` for nobody in particular at a public endpoint.
    async fn caller(&self, asked: &Asked<'_>) -> Result<Option<Caller>, ApiError> {
        let method = if asked.method == Method::HEAD { &Method::GET } else { asked.method };
        let requirement = self.requirements.get(asked.path).and_then(|methods| methods.get(method));
        let Some(requirement) = requirement else { return Err(ApiError::not_open(asked.path)) };
        let in_query = asked.query.filter(|_| requirement.token_in_query).and_then(credentials::of_query);
        let Some(role) = requirement.role else {
            // A public endpoint may return more to an authenticated caller.
            let credentials = asked.credentials(in_query.as_ref()).unwrap_or(Credentials::None);
            let caller = self.executor.tenants().recognize(credentials).await.ok();
            let is_known = |caller: &Caller| {
                check_name(caller, asked.headers).is_ok() && check_scope(caller, requirement, asked).is_ok()
            };
            return Ok(caller.filter(is_known));
        };
        let (credentials, tenant) = (asked.credentials(in_query.as_ref())?, asked.tenant()?);
        let caller = self.known(credentials, asked.headers, tenant).await?;
        check(&caller, role, requirement, asked)?;
        // A suspended tenant is read-only, except for keys of the host.
        if role > Role::Read && !caller.is_host {
            self.executor.tenants().get(&caller.tenant).await?.check_active()?;
        }
        Ok(Some(caller))
    }

    /// Returns who asks for a page, from the headers of the request. A key of the host acts for `tenant`.
    ///
    /// # Errors
    /// The credentials are absent or invalid, they are a run token, or a host without API keys is addressed by a DNS name.
    pub(crate) async fn identify(
        &self,
        headers: &HeaderMap,
        tenant: Option<&str>,
    ) -> Result<Caller, ApiError> {
        let caller = self.known(credentials::of_headers(headers)?, headers, tenant).await?;
        match &caller.scope {
            // A page shows more than one run.
            Some(scope) => Err(ApiError::token_scope(scope)),
            None => Ok(caller),
        }
    }

    /// Checks that a caller may read what an endpoint of the API returns: a page that shows it requires the same.
    ///
    /// # Errors
    /// The role of the caller, or that it does not act for the host. An endpoint that does not exist is open to nobody.
    pub(crate) fn may_read(&self, caller: &Caller, path: &str) -> Result<(), ApiError> {
        let requirement = self.requirements.get(path).and_then(|methods| methods.get(&Method::GET));
        let requirement = requirement.ok_or_else(|| ApiError::not_open(path))?;
        requirement.role.map_or(Ok(()), |role| check_role(caller, role, requirement))
    }

    async fn known(
        &self,
        credentials: Credentials<'_>,
        headers: &HeaderMap,
        tenant: Option<&str>,
    ) -> Result<Caller, ApiError> {
        let caller = self.executor.tenants().identify(credentials, tenant).await?;
        check_name(&caller, headers)?;
        Ok(caller)
    }

    /// Returns who opens a WebSocket, from the headers of the request; `None` if they have no credentials and the host requires
    /// some: the first message has them.
    ///
    /// # Errors
    /// The credentials are invalid, or a host without API keys is addressed by a DNS name.
    pub(super) async fn subscriber(
        &self,
        headers: &HeaderMap,
        tenant: Option<&str>,
    ) -> Result<Option<Caller>, ApiError> {
        let credentials = credentials::of_headers(headers)?;
        let has_none = matches!(credentials, Credentials::None);
        match self.known(credentials, headers, tenant).await {
            Err(error) if has_none && error.code() == ErrorCode::Unauthorized => Ok(None),
            known => known.map(Some),
        }
    }

    /// Returns who presents an API key or a run token in a message. A key of the host acts for `tenant`.
    ///
    /// # Errors
    /// The token is unknown, revoked, expired or of another tenant.
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

impl<'r> Asked<'r> {
    /// Returns the tenant that the request names.
    fn tenant(&self) -> Result<Option<&'r str>, ApiError> {
        let name = self.headers.get(TENANT).map(|tenant| tenant.to_str()).transpose();
        name.map_err(|_| ApiError::invalid_parameter("the header `Forge-Tenant` is not a valid name"))
    }

    /// Returns the credentials in the headers, or else in the query.
    fn credentials<'c>(&'c self, in_query: Option<&'c Cow<'r, str>>) -> Result<Credentials<'c>, ApiError> {
        match (credentials::of_headers(self.headers)?, in_query) {
            (Credentials::None, Some(token)) if crate::tenants::is_run_token(token) => {
                Ok(Credentials::Token(token))
            }
            // URLs are kept in histories and logs: nobody may get used to API keys in them.
            (Credentials::None, Some(_)) => Err(Denied::InvalidToken.into()),
            (credentials, _) => Ok(credentials),
        }
    }
}

/// Checks that a caller may make a request: for all endpoints, API keys, run tokens and sessions.
fn check(caller: &Caller, role: Role, requirement: &Requirement, asked: &Asked<'_>) -> Result<(), ApiError> {
    check_scope(caller, requirement, asked)?;
    check_role(caller, role, requirement)?;
    let sent = asked.headers.get(CSRF).map(|csrf| csrf.as_bytes());
    match &caller.session {
        Some(session) if !asked.method.is_safe() && sent != Some(session.csrf.as_bytes()) => {
            Err(ApiError::no_csrf())
        }
        _ => Ok(()),
    }
}

fn check_role(caller: &Caller, role: Role, requirement: &Requirement) -> Result<(), ApiError> {
    caller.check(role)?;
    if requirement.host { caller.of_host() } else { Ok(()) }
}

/// Checks that a run token is used to read its run.
fn check_scope(caller: &Caller, requirement: &Requirement, asked: &Asked<'_>) -> Result<(), ApiError> {
    let Some(scope) = &caller.scope else { return Ok(()) };
    let is_its_run = |run: &str| run.parse::<Uuid>().is_ok_and(|run| run == scope.run.0);
    let accepts = |scope: &RunScope| match requirement.run_token {
        Some(token) => scope.payloads || !token.payloads,
        None => false,
    };
    // A path that names a run must be readable.
    let names_none = !asked.path.contains(RUN_IN_PATH);
    if accepts(scope) && (names_none || asked.run.is_some_and(is_its_run)) {
        Ok(())
    } else {
        Err(ApiError::token_scope(scope))
    }
}

/// Checks the name by which a caller without a key addresses the host: a web page can use a DNS name of its own.
fn check_name(caller: &Caller, headers: &HeaderMap) -> Result<(), ApiError> {
    if caller.key.is_none() { browser::check_host(headers) } else { Ok(()) }
}

/// Passes an authorized request on, with its caller.
pub(super) async fn admit(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let path = parts.extensions.get::<MatchedPath>().cloned();
    let names = RawPathParams::from_request_parts(&mut parts, &()).await;
    let run = names.as_ref().ok().and_then(|names| names.iter().find(|(name, _)| *name == RUN));
    let asked = Asked {
        method: &parts.method,
        path: path.as_ref().map_or("", MatchedPath::as_str),
        run: run.map(|(_, id)| id),
        query: parts.uri.query(),
        headers: &parts.headers,
    };
    let caller = gate.caller(&asked).await;
    let request = Request::from_parts(parts, body);
    match caller {
        Ok(Some(caller)) => gate.pass(caller, request, next).await,
        Ok(None) => {
            let changes = !request.method().is_safe();
            gate.answers.bounded(None, changes, next.run(request)).await
        }
        Err(error) => error.into_response(),
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
    pub(crate) fn whose(&self, of_host: bool) -> Result<Option<&str>, ApiError> {
        if of_host { self.of_host().map(|()| None) } else { Ok(Some(&self.tenant)) }
    }
}
