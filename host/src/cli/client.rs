//! The HTTP API from the other side.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::CliError;
use crate::api::{
    CallerInfo, ErrorBody, ErrorDetail, KeyList, NewTenant, Nodes, Resealed, SecretList, StartBody, Started,
    Steps, TENANT, TenantList, Workflows,
};
use crate::executor::{RunPage, WorkflowRecord};
use crate::registry::{Registered, WorkflowInfo, WorkflowVersions};
use crate::tenants::{
    ApiKey, AuditPage, CreatedKey, NewKey, NewSecret, SecretInfo, SettingsChange, TenantInfo, UsageReport,
};
use forge_journal::RunId;

/// A server that does not accept a connection within this is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An answer comes within this, besides the time that the request itself asks the server to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// An upload is compiled before it is answered.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(600);

/// A server.
pub(super) struct Client {
    http: reqwest::Client,
    server: Url,
}

impl Client {
    /// The server at this address. Nothing is sent yet.
    pub(super) fn new(address: &str, token: Option<&str>, tenant: Option<&str>) -> Result<Self, CliError> {
        let wrong =
            || CliError::Usage(format!("`{address}` is no server's address; one is http://127.0.0.1:7070"));
        let server = Url::parse(address).map_err(|_| wrong())?;
        if !matches!(server.scheme(), "http" | "https") || !server.has_host() {
            return Err(wrong());
        }
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (AUTHORIZATION, token.map(|token| format!("Bearer {token}"))),
            (TENANT, tenant.map(str::to_owned)),
        ] {
            let Some(value) = value else { continue };
            let invalid =
                |_| CliError::Usage(format!("what was given for the header `{name}` cannot be in one"));
            let mut value = HeaderValue::from_str(&value).map_err(invalid)?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let mut http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).default_headers(headers);
        if is_loopback(&server) {
            http = http.no_proxy();
        }
        if server.scheme() == "http" {
            // Otherwise a machine without certificates could not even talk to itself.
            http = http.tls_certs_only([]);
        }
        Ok(Self { http: http.build().map_err(anyhow::Error::from)?, server })
    }

    /// Uploads a component.
    pub(super) async fn upload(&self, component: Vec<u8>) -> Result<Registered, CliError> {
        let request = self.request(Method::POST, &["workflows"], &[]);
        let request = request.header("content-type", "application/wasm").body(component);
        self.answer(request.timeout(UPLOAD_TIMEOUT)).await
    }

    /// All workflows.
    pub(super) async fn workflows(&self) -> Result<Workflows, CliError> {
        self.answer(self.request(Method::GET, &["workflows"], &[])).await
    }

    /// A workflow and its versions.
    pub(super) async fn workflow(&self, name: &str) -> Result<WorkflowVersions, CliError> {
        self.answer(self.request(Method::GET, &["workflows", name], &[])).await
    }

    /// Activates or deprecates a version.
    pub(super) async fn change_version(
        &self,
        name: &str,
        version: u32,
        action: &str,
    ) -> Result<WorkflowInfo, CliError> {
        let version = version.to_string();
        let path = ["workflows", name, "versions", &version, action];
        self.answer(self.request(Method::POST, &path, &[])).await
    }

    /// Starts a run.
    pub(super) async fn start(&self, workflow: &str, body: &StartBody) -> Result<Started, CliError> {
        self.answer(self.request(Method::POST, &["workflows", workflow, "start"], &[]).json(body)).await
    }

    /// The hosts that share the server's database.
    pub(super) async fn nodes(&self) -> Result<Nodes, CliError> {
        self.answer(self.request(Method::GET, &["nodes"], &[])).await
    }

    /// A page of runs.
    pub(super) async fn runs(&self, query: &[(&str, String)]) -> Result<RunPage, CliError> {
        self.answer(self.request(Method::GET, &["runs"], query)).await
    }

    /// A run, once it is final or paused, or after `at_most`.
    pub(super) async fn run(&self, run: RunId, at_most: Duration) -> Result<WorkflowRecord, CliError> {
        let wait = [("wait", at_most.as_secs_f64().to_string())];
        let query = if at_most.is_zero() { &[] } else { wait.as_slice() };
        let request = self.request(Method::GET, &["runs", &run.to_string()], query);
        self.answer(request.timeout(ANSWER_TIMEOUT + at_most)).await
    }

    /// The journal of a run.
    pub(super) async fn steps(&self, run: RunId) -> Result<Steps, CliError> {
        self.answer(self.request(Method::GET, &["runs", &run.to_string(), "steps"], &[])).await
    }

    /// Cancels, pauses or resumes a run.
    pub(super) async fn change_run(&self, run: RunId, action: &str) -> Result<WorkflowRecord, CliError> {
        self.answer(self.request(Method::POST, &["runs", &run.to_string(), action], &[])).await
    }

    /// Who asks.
    pub(super) async fn caller(&self) -> Result<CallerInfo, CliError> {
        self.answer(self.request(Method::GET, &["caller"], &[])).await
    }

    /// All tenants.
    pub(super) async fn tenants(&self) -> Result<TenantList, CliError> {
        self.answer(self.request(Method::GET, &["tenants"], &[])).await
    }

    /// A tenant.
    pub(super) async fn tenant(&self, name: &str) -> Result<TenantInfo, CliError> {
        self.answer(self.request(Method::GET, &["tenants", name], &[])).await
    }

    /// Makes a tenant.
    pub(super) async fn create_tenant(&self, tenant: &NewTenant) -> Result<TenantInfo, CliError> {
        self.answer(self.request(Method::POST, &["tenants"], &[]).json(tenant)).await
    }

    /// Changes a tenant.
    pub(super) async fn change_tenant(
        &self,
        name: &str,
        change: &SettingsChange,
    ) -> Result<TenantInfo, CliError> {
        self.answer(self.request(Method::PATCH, &["tenants", name], &[]).json(change)).await
    }

    /// The API keys of the tenant, or of the host.
    pub(super) async fn keys(&self, host: bool) -> Result<KeyList, CliError> {
        self.answer(self.request(Method::GET, &["keys"], &of_host(host))).await
    }

    /// Makes an API key.
    pub(super) async fn create_key(&self, key: &NewKey) -> Result<CreatedKey, CliError> {
        self.answer(self.request(Method::POST, &["keys"], &[]).json(key)).await
    }

    /// Revokes an API key.
    pub(super) async fn revoke_key(&self, id: &str, host: bool) -> Result<ApiKey, CliError> {
        self.answer(self.request(Method::DELETE, &["keys", id], &of_host(host))).await
    }

    /// The secrets, without their values.
    pub(super) async fn secrets(&self) -> Result<SecretList, CliError> {
        self.answer(self.request(Method::GET, &["secrets"], &[])).await
    }

    /// Sets a secret.
    pub(super) async fn set_secret(&self, name: &str, secret: &NewSecret) -> Result<SecretInfo, CliError> {
        self.answer(self.request(Method::PUT, &["secrets", name], &[]).json(secret)).await
    }

    /// Removes a secret.
    pub(super) async fn remove_secret(&self, name: &str) -> Result<(), CliError> {
        self.send(self.request(Method::DELETE, &["secrets", name], &[])).await.map(|_| ())
    }

    /// Seals all secrets with the newest key.
    pub(super) async fn reseal(&self) -> Result<Resealed, CliError> {
        self.answer(self.request(Method::POST, &["reseal-secrets"], &[])).await
    }

    /// A page of the audit log.
    pub(super) async fn audit(
        &self,
        all: bool,
        limit: u32,
        cursor: Option<i64>,
    ) -> Result<AuditPage, CliError> {
        let mut query = vec![("limit", limit.to_string())];
        query.extend(all.then(|| ("all", true.to_string())));
        query.extend(cursor.map(|cursor| ("cursor", cursor.to_string())));
        self.answer(self.request(Method::GET, &["audit"], &query)).await
    }

    /// What was used.
    pub(super) async fn usage(
        &self,
        all: bool,
        from: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
    ) -> Result<UsageReport, CliError> {
        let mut query = Vec::new();
        query.extend(all.then(|| ("all", true.to_string())));
        query.extend(from.map(|time| ("from", time.to_rfc3339())));
        query.extend(until.map(|time| ("until", time.to_rfc3339())));
        self.answer(self.request(Method::GET, &["usage"], &query)).await
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> RequestBuilder {
        let mut url = self.server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("_api").extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.http.request(method, url).timeout(ANSWER_TIMEOUT)
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CliError> {
        let body = self.send(request).await?;
        serde_json::from_slice(&body).map_err(|error| {
            let server = &self.server;
            anyhow::anyhow!("{server} answers what this version of forge does not understand: {error}").into()
        })
    }

    /// The body of an answer that is no error.
    async fn send(&self, request: RequestBuilder) -> Result<Bytes, CliError> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        if !status.is_success() {
            return Err(refused(&self.server, status, &body));
        }
        Ok(body)
    }

    fn unreachable(&self, error: &reqwest::Error) -> CliError {
        let why = if error.is_timeout() { "no answer in time".to_owned() } else { innermost(error) };
        CliError::Unreachable { server: self.server.as_str().trim_end_matches('/').to_owned(), why }
    }
}

fn of_host(host: bool) -> Vec<(&'static str, String)> {
    host.then(|| ("host", host.to_string())).into_iter().collect()
}

/// An answer that is an error, in the API's form or, from a proxy or another program, in any other.
fn refused(server: &Url, status: StatusCode, body: &[u8]) -> CliError {
    let error = match serde_json::from_slice::<ErrorBody>(body) {
        Ok(body) => body.error,
        Err(_) => {
            let code = "unexpected_answer".to_owned();
            ErrorDetail { code, message: format!("{server} answers {status}: is this a Forge server?") }
        }
    };
    CliError::Api { status: status.as_u16(), error }
}

/// The cause that has no further one: it says what happened, the others where.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

fn is_loopback(server: &Url) -> bool {
    let host = server.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

/// The record of a run with its steps, as `--json` prints it.
#[derive(Serialize)]
pub(super) struct RunWithSteps {
    /// The run.
    pub(super) run: WorkflowRecord,
    /// Its journal.
    #[serde(flatten)]
    pub(super) steps: Steps,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_server_is_refused_before_anything_is_sent() {
        for address in ["localhost:7070", "127.0.0.1:7070", "ftp://127.0.0.1", "", "unix:/tmp/x"] {
            assert!(matches!(Client::new(address, None, None), Err(CliError::Usage(_))), "{address}");
        }
    }

    #[test]
    fn loopback_is_never_behind_a_proxy() {
        let loopback = |address| is_loopback(&Url::parse(address).unwrap());
        assert!(
            loopback("http://127.0.0.1:7070") && loopback("http://[::1]") && loopback("http://localhost")
        );
        assert!(!loopback("http://10.0.0.1") && !loopback("https://forge.example"));
    }

    #[test]
    fn an_answer_of_another_program_is_told_apart() {
        let server = Url::parse("http://127.0.0.1/").unwrap();
        let error = refused(&server, StatusCode::BAD_GATEWAY, b"<html>").to_string();
        assert_eq!(error, "http://127.0.0.1/ answers 502 Bad Gateway: is this a Forge server?");
    }
}
