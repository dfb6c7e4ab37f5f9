//! The client of the HTTP API.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::header::{AUTHORIZATION, ETAG, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::de::DeserializeOwned;
use url::Host;

use super::CliError;
use crate::api::{
    CallerInfo, EntryPage, ErrorBody, ErrorDetail, EventBody, KeyList, KeyedEventBody, NewRunToken,
    NewTenant, Nodes, Resealed, ResolveBody, RunToken, SecretList, SentEvent, StartBody, Started,
    StoredEntry, TENANT, TenantList, Workflows,
};
use crate::executor::{Logs, RunPage, StepRecord, Steps, WorkflowRecord};
use crate::registry::{Registered, WorkflowInfo, WorkflowVersions};
use crate::tenants::{
    ApiKey, AuditPage, CreatedKey, NewKey, NewSecret, SecretInfo, SettingsChange, TenantInfo, UsageReport,
};
use forge_journal::db::Entry;
use forge_journal::{Document, RunId};

/// The time limit for connecting to the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The time limit for a response, in addition to the time that the request asks the server to wait.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// The time limit for an upload. The server compiles the component before it responds.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(600);

/// The query of a request. Parameters without a value are left out.
type Query<'a> = &'a [(&'a str, Option<String>)];

/// A client of one server.
pub(super) struct Client {
    http: reqwest::Client,
    server: Url,
}

impl Client {
    /// Returns a client of the server at this address. Nothing is sent yet.
    pub(super) fn new(address: &str, token: Option<&str>, tenant: Option<&str>) -> Result<Self, CliError> {
        let wrong =
            || CliError::Usage(format!("`{address}` is not a server address, such as http://127.0.0.1:7070"));
        // `127.0.0.1:7070` and `localhost:7070`, as `forge serve --listen` takes them.
        let url = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        let server = Url::parse(&url).map_err(|_| wrong())?;
        let is_path = !address.contains("://") && address.contains('/');
        if is_path || !matches!(server.scheme(), "http" | "https") || !server.has_host() {
            return Err(wrong());
        }
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (AUTHORIZATION, token.map(|token| format!("Bearer {token}"))),
            (TENANT, tenant.map(str::to_owned)),
        ] {
            let Some(value) = value else { continue };
            let mut value = HeaderValue::from_str(&value).map_err(|_| {
                CliError::Usage(format!(
                    "the value for the header `{name}` has characters that headers cannot have"
                ))
            })?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let mut http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).default_headers(headers);
        if is_loopback(&server) {
            http = http.no_proxy();
        }
        if server.scheme() == "http" {
            // Without this, a machine that has no CA certificates could not use `http` either.
            http = http.tls_certs_only([]);
        }
        Ok(Self { http: http.build().map_err(anyhow::Error::from)?, server })
    }

    /// Uploads a component.
    pub(super) async fn upload(&self, component: Vec<u8>) -> Result<Registered, CliError> {
        let request = self.request(Method::POST, &["workflows"], &[]).timeout(UPLOAD_TIMEOUT);
        self.fetch(request.header("content-type", "application/wasm").body(component)).await
    }

    /// Returns all workflows.
    pub(super) async fn workflows(&self) -> Result<Workflows, CliError> {
        self.get(&["workflows"], &[]).await
    }

    /// Returns a workflow with its versions.
    pub(super) async fn workflow(&self, name: &str) -> Result<WorkflowVersions, CliError> {
        self.get(&["workflows", name], &[]).await
    }

    /// Returns the JSON Schema of the input of a version; of the current one without `version`.
    pub(super) async fn input_schema(&self, name: &str, version: Option<u32>) -> Result<Document, CliError> {
        let version = version.map(|version| version.to_string());
        self.get(&["workflows", name, "schema"], &[("version", version)]).await
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
        self.fetch(self.request(Method::POST, &path, &[])).await
    }

    /// Starts a run.
    pub(super) async fn start(&self, workflow: &str, body: &StartBody) -> Result<Started, CliError> {
        self.fetch(self.request(Method::POST, &["workflows", workflow, "start"], &[]).json(body)).await
    }

    /// Sends an event to a run.
    pub(super) async fn send_event(
        &self,
        run: RunId,
        name: &str,
        event: &EventBody,
    ) -> Result<SentEvent, CliError> {
        let path = ["runs", &run.to_string(), "events", name];
        self.fetch(self.request(Method::POST, &path, &[]).json(event)).await
    }

    /// Sends an event to the run that a start key has started.
    pub(super) async fn send_event_by_key(
        &self,
        workflow: &str,
        name: &str,
        event: &KeyedEventBody,
    ) -> Result<SentEvent, CliError> {
        let path = ["workflows", workflow, "events", name];
        self.fetch(self.request(Method::POST, &path, &[]).json(event)).await
    }

    /// Returns the hosts that share the server's database.
    pub(super) async fn nodes(&self) -> Result<Nodes, CliError> {
        self.get(&["nodes"], &[]).await
    }

    /// Returns a page of runs.
    pub(super) async fn runs(&self, query: Query<'_>) -> Result<RunPage, CliError> {
        self.get(&["runs"], query).await
    }

    /// Returns a run when it is final or paused, or after `at_most`.
    pub(super) async fn run(&self, run: RunId, at_most: Duration) -> Result<WorkflowRecord, CliError> {
        let wait = (!at_most.is_zero()).then(|| at_most.as_secs_f64().to_string());
        let request = self.request(Method::GET, &["runs", &run.to_string()], &[("wait", wait)]);
        self.fetch(request.timeout(RESPONSE_TIMEOUT + at_most)).await
    }

    /// Returns the journal of a run after a position, page by page.
    pub(super) async fn steps(&self, run: RunId, after: u64) -> Result<Vec<StepRecord>, CliError> {
        let (mut all, mut cursor) = (Vec::new(), Some(after));
        while let Some(after) = cursor {
            let query = [("cursor", Some(after.to_string()))];
            let page: Steps = self.get(&["runs", &run.to_string(), "steps"], &query).await?;
            all.extend(page.steps);
            cursor = page.next_cursor;
        }
        Ok(all)
    }

    /// Returns a page of the journal of a run after a position, without inputs and results.
    pub(super) async fn steps_page(&self, run: RunId, after: u64) -> Result<Steps, CliError> {
        let query = [("cursor", Some(after.to_string())), ("payloads", Some(false.to_string()))];
        self.get(&["runs", &run.to_string(), "steps"], &query).await
    }

    /// Returns a page of the lines that a run has logged.
    pub(super) async fn logs(&self, run: RunId, query: Query<'_>) -> Result<Logs, CliError> {
        self.get(&["runs", &run.to_string(), "logs"], query).await
    }

    /// Gives the outcome of a call.
    pub(super) async fn resolve(
        &self,
        run: RunId,
        step: &str,
        outcome: &ResolveBody,
    ) -> Result<WorkflowRecord, CliError> {
        let path = ["runs", &run.to_string(), "steps", step, "resolve"];
        self.fetch(self.request(Method::POST, &path, &[]).json(outcome)).await
    }

    /// Deletes a run.
    pub(super) async fn delete_run(&self, run: RunId) -> Result<(), CliError> {
        self.send(self.request(Method::DELETE, &["runs", &run.to_string()], &[])).await.map(|_| ())
    }

    /// Cancels, pauses, resumes or terminates a run.
    pub(super) async fn change_run(&self, run: RunId, action: &str) -> Result<WorkflowRecord, CliError> {
        self.fetch(self.request(Method::POST, &["runs", &run.to_string(), action], &[])).await
    }

    /// Makes a token that reads a run.
    pub(super) async fn create_run_token(&self, run: RunId, new: &NewRunToken) -> Result<RunToken, CliError> {
        let path = ["runs", &run.to_string(), "tokens"];
        self.fetch(self.request(Method::POST, &path, &[]).json(new)).await
    }

    /// Returns the caller that the API key stands for.
    pub(super) async fn caller(&self) -> Result<CallerInfo, CliError> {
        self.get(&["caller"], &[]).await
    }

    /// Returns all tenants.
    pub(super) async fn tenants(&self) -> Result<TenantList, CliError> {
        self.get(&["tenants"], &[]).await
    }

    /// Returns a tenant.
    pub(super) async fn tenant(&self, name: &str) -> Result<TenantInfo, CliError> {
        self.get(&["tenants", name], &[]).await
    }

    /// Creates a tenant.
    pub(super) async fn create_tenant(&self, tenant: &NewTenant) -> Result<TenantInfo, CliError> {
        self.fetch(self.request(Method::POST, &["tenants"], &[]).json(tenant)).await
    }

    /// Changes a tenant.
    pub(super) async fn change_tenant(
        &self,
        name: &str,
        change: &SettingsChange,
    ) -> Result<TenantInfo, CliError> {
        self.fetch(self.request(Method::PATCH, &["tenants", name], &[]).json(change)).await
    }

    /// Returns the API keys of the tenant, or of the host.
    pub(super) async fn keys(&self, host: bool) -> Result<KeyList, CliError> {
        self.get(&["keys"], &[("host", flag(host))]).await
    }

    /// Creates an API key.
    pub(super) async fn create_key(&self, key: &NewKey) -> Result<CreatedKey, CliError> {
        self.fetch(self.request(Method::POST, &["keys"], &[]).json(key)).await
    }

    /// Revokes an API key.
    pub(super) async fn revoke_key(&self, id: &str, host: bool) -> Result<ApiKey, CliError> {
        self.fetch(self.request(Method::DELETE, &["keys", id], &[("host", flag(host))])).await
    }

    /// Returns the secrets without their values.
    pub(super) async fn secrets(&self) -> Result<SecretList, CliError> {
        self.get(&["secrets"], &[]).await
    }

    /// Sets a secret.
    pub(super) async fn set_secret(&self, name: &str, secret: &NewSecret) -> Result<SecretInfo, CliError> {
        self.fetch(self.request(Method::PUT, &["secrets", name], &[]).json(secret)).await
    }

    /// Removes a secret.
    pub(super) async fn remove_secret(&self, name: &str) -> Result<(), CliError> {
        self.send(self.request(Method::DELETE, &["secrets", name], &[])).await.map(|_| ())
    }

    /// Encrypts all secrets with the newest key.
    pub(super) async fn reseal(&self) -> Result<Resealed, CliError> {
        self.fetch(self.request(Method::POST, &["reseal-secrets"], &[])).await
    }

    /// Returns a page of the tenant's store.
    pub(super) async fn entries(&self, query: Query<'_>) -> Result<EntryPage, CliError> {
        self.get(&["db"], query).await
    }

    /// Returns an entry of the tenant's store.
    pub(super) async fn entry(&self, key: &str) -> Result<Entry, CliError> {
        let (headers, body) = self.exchange(self.request(Method::GET, &["db", key], &[])).await?;
        let unreadable = || anyhow::anyhow!("{} sent an entry without a version", self.server);
        let version = headers.get(ETAG).and_then(|tag| tag.to_str().ok());
        let version = version.and_then(|tag| tag.trim_matches('"').parse().ok()).ok_or_else(unreadable)?;
        Ok(Entry { key: key.to_owned(), version, value: self.decode(&body)? })
    }

    /// Stores an entry, if it has this version or is absent.
    pub(super) async fn put_entry(
        &self,
        key: &str,
        value: &Document,
        if_version: Option<u64>,
        if_absent: bool,
    ) -> Result<StoredEntry, CliError> {
        let request = if_match(self.request(Method::PUT, &["db", key], &[]).json(value), if_version);
        self.fetch(if if_absent { request.header(IF_NONE_MATCH, "*") } else { request }).await
    }

    /// Deletes an entry, if it has this version.
    pub(super) async fn delete_entry(&self, key: &str, if_version: Option<u64>) -> Result<(), CliError> {
        let request = if_match(self.request(Method::DELETE, &["db", key], &[]), if_version);
        self.send(request).await.map(|_| ())
    }

    /// Returns a page of the audit log.
    pub(super) async fn audit(
        &self,
        all: bool,
        limit: u32,
        cursor: Option<i64>,
    ) -> Result<AuditPage, CliError> {
        let cursor = cursor.map(|cursor| cursor.to_string());
        let query = [("limit", Some(limit.to_string())), ("all", flag(all)), ("cursor", cursor)];
        self.get(&["audit"], &query).await
    }

    /// Returns the usage by the hour.
    pub(super) async fn usage(
        &self,
        all: bool,
        from: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
    ) -> Result<UsageReport, CliError> {
        let time = |time: Option<DateTime<Utc>>| time.map(|time| time.to_rfc3339());
        self.get(&["usage"], &[("all", flag(all)), ("from", time(from)), ("until", time(until))]).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str], query: Query<'_>) -> Result<T, CliError> {
        self.fetch(self.request(Method::GET, path, query)).await
    }

    fn request(&self, method: Method, path: &[&str], query: Query<'_>) -> RequestBuilder {
        let mut url = self.server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("_api").extend(path);
        }
        for (name, value) in query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        self.http.request(method, url).timeout(RESPONSE_TIMEOUT)
    }

    /// Sends a request and decodes the body of the response.
    async fn fetch<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CliError> {
        let body = self.send(request).await?;
        self.decode(&body)
    }

    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, CliError> {
        serde_json::from_slice(body).map_err(|error| {
            let server = &self.server;
            anyhow::anyhow!("{server} sent a response that this version of forge cannot read: {error}").into()
        })
    }

    /// Sends a request and returns the body of the response, or the error that the response contains.
    async fn send(&self, request: RequestBuilder) -> Result<Bytes, CliError> {
        self.exchange(request).await.map(|(_, body)| body)
    }

    /// The same as [`Client::send`], with the headers of the response.
    async fn exchange(&self, request: RequestBuilder) -> Result<(HeaderMap, Bytes), CliError> {
        let request = request.build().map_err(anyhow::Error::from)?;
        let changes = !request.method().is_safe();
        let failed = |error| self.no_answer(&error, changes);
        let response = self.http.execute(request).await.map_err(failed)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map_err(failed)?;
        if status.is_success() {
            Ok((headers, body))
        } else {
            Err(error_response(&self.server, status, &body))
        }
    }

    /// Returns the error of a request without an answer, which changes something or not.
    fn no_answer(&self, error: &reqwest::Error, changes: bool) -> CliError {
        let why = if error.is_timeout() { "no response in time".to_owned() } else { root_cause(error) };
        let server = self.server.as_str().trim_end_matches('/').to_owned();
        if changes && !error.is_connect() {
            CliError::NoAnswer { server, why }
        } else {
            CliError::Unreachable { server, why }
        }
    }
}

/// Returns the query parameter of a flag: absent unless the flag is set.
fn flag(is_set: bool) -> Option<String> {
    is_set.then(|| true.to_string())
}

/// Returns a request that changes an entry only if it has this version.
fn if_match(request: RequestBuilder, version: Option<u64>) -> RequestBuilder {
    match version {
        Some(version) => request.header(IF_MATCH, format!("\"{version}\"")),
        None => request,
    }
}

/// Returns the error of a response: in the API's form, or in another form from a proxy or another program.
fn error_response(server: &Url, status: StatusCode, body: &[u8]) -> CliError {
    let error = match serde_json::from_slice::<ErrorBody>(body) {
        Ok(body) => body.error,
        Err(_) => {
            let code = "unexpected_answer".to_owned();
            let message = format!("{server} answers {status}: is this a Forge server?");
            ErrorDetail { code, message, path: None }
        }
    };
    CliError::Api { status: status.as_u16(), error }
}

/// Returns the message of the innermost cause. It says what happened; the outer ones only say where.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

fn is_loopback(server: &Url) -> bool {
    match server.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_address_is_refused_before_anything_is_sent() {
        for address in ["ftp://127.0.0.1", "", "unix:x", "a b"] {
            assert!(matches!(Client::new(address, None, None), Err(CliError::Usage(_))), "{address}");
        }
    }

    #[test]
    fn loopback_is_reached_without_a_proxy() {
        let loopback = |address| is_loopback(&Url::parse(address).unwrap());
        assert!(
            loopback("http://127.0.0.1:7070") && loopback("http://[::1]") && loopback("http://localhost")
        );
        assert!(!loopback("http://10.0.0.1") && !loopback("https://forge.example"));
    }

    #[test]
    fn a_response_of_another_program_is_recognised() {
        let server = Url::parse("http://127.0.0.1/").unwrap();
        let error = error_response(&server, StatusCode::BAD_GATEWAY, b"<html>").to_string();
        assert_eq!(error, "http://127.0.0.1/ answers 502 Bad Gateway: is this a Forge server?");
    }
}
