//! Who looks at a page, and where the page is.

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::form_urlencoded;

use crate::api::ApiError;
use crate::tenants::{Caller, Denied, Role};
use forge_journal::DEFAULT_TENANT;

/// The parameter of each page that names the tenant for which a caller of the host acts.
pub(super) const TENANT: &str = "tenant";

/// The characters of a segment of a path that are escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Who looks at a page, and where the page is.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// Who looks; `None` before the login.
    pub(super) caller: Option<Caller>,
    /// What a request that changes something must send as `Forge-CSRF`; `None` without a session.
    pub(super) csrf: Option<String>,
    /// The way from the page to the root of the dashboard: empty, or `../` once or more.
    pub(super) root: String,
    /// The path below the root, as the browser sends it.
    pub(super) path: String,
    /// The query without `?`, as the browser sends it.
    pub(super) query: String,
}

impl View {
    /// Returns the view of somebody who is not known.
    pub(super) fn new(uri: &Uri) -> Self {
        let path = uri.path().strip_prefix('/').unwrap_or_default();
        Self {
            caller: None,
            csrf: None,
            root: "../".repeat(path.matches('/').count()),
            path: path.to_owned(),
            query: uri.query().unwrap_or_default().to_owned(),
        }
    }

    pub(super) fn with_caller(self, caller: Caller) -> Self {
        let csrf = caller.session.as_ref().map(|session| session.csrf.clone());
        Self { caller: Some(caller), csrf, ..self }
    }

    /// Returns the tenant that the URL names.
    pub(super) fn tenant(&self) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        pairs.find(|(name, value)| name == TENANT && !value.is_empty()).map(|(_, value)| value.into_owned())
    }

    /// Returns the tenant that links must name, because the caller may act for others, too.
    pub(super) fn chosen_tenant(&self) -> Option<&str> {
        let caller = self.caller.as_ref().filter(|caller| caller.is_host)?;
        Some(&*caller.tenant).filter(|tenant| *tenant != DEFAULT_TENANT)
    }

    /// Returns whether the caller has at least this role. A page shows only what its caller may do.
    pub(super) fn may(&self, role: Role) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.check(role).is_ok())
    }

    /// Returns whether the caller acts for the host.
    pub(super) fn is_host(&self) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.is_host)
    }

    /// Returns the relative link to a page, such as `["runs", id]`.
    pub(super) fn href(&self, segments: &[&str]) -> String {
        self.href_with(segments, &[])
    }

    /// Returns the relative link to a page with a query.
    pub(super) fn href_with(&self, segments: &[&str], query: &[(&str, &str)]) -> String {
        self.link(segments, query, self.chosen_tenant())
    }

    /// Returns the relative link to a page of a tenant, for which a caller of the host acts there.
    pub(super) fn href_for(&self, tenant: &str, segments: &[&str]) -> String {
        self.link(segments, &[], Some(tenant).filter(|tenant| self.is_host() && *tenant != DEFAULT_TENANT))
    }

    fn link(&self, segments: &[&str], query: &[(&str, &str)], tenant: Option<&str>) -> String {
        let segments: Vec<String> =
            segments.iter().map(|segment| utf8_percent_encode(segment, ESCAPED).to_string()).collect();
        let path = format!("{}{}", self.root, segments.join("/"));
        let tenant = tenant.map(|tenant| (TENANT, tenant));
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        pairs.extend_pairs(query.iter().copied().chain(tenant));
        match pairs.finish() {
            empty if empty.is_empty() => path,
            query => format!("{path}?{query}"),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for View {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Denied::NoKey.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(uri: &'static str) -> View {
        View::new(&Uri::from_static(uri))
    }

    #[test]
    fn links_are_relative_to_the_depth_of_the_page() {
        for (uri, root) in [
            ("/", ""),
            ("/runs", ""),
            ("/runs?a=/b/c", ""),
            ("/runs/", "../"),
            ("/runs/x%2Fy", "../"),
            ("/workflows/a/start", "../../"),
            ("//runs", "../"),
        ] {
            assert_eq!(view(uri).root, root, "{uri}");
        }
        assert_eq!(view("/workflows/a/start").href(&["runs", "1"]), "../../runs/1");
    }

    #[test]
    fn names_in_links_are_escaped() {
        let link = view("/runs").href_with(&["workflows", "a/b?c#\"ü"], &[("q", "x&y=\u{202e}")]);
        assert_eq!(link, "workflows/a%2Fb%3Fc%23%22%C3%BC?q=x%26y%3D%E2%80%AE");
    }

    #[test]
    fn links_keep_the_tenant_that_a_caller_of_the_host_has_chosen() {
        let caller = |tenant: &str| Caller::local(tenant.into());
        let chosen = view("/runs").with_caller(caller("acme"));
        assert_eq!(chosen.href_with(&["runs"], &[("key", "a")]), "runs?key=a&tenant=acme");
        assert_eq!(view("/runs").with_caller(caller(DEFAULT_TENANT)).href(&["runs"]), "runs");
        let of_tenant = Caller { is_host: false, ..caller("acme") };
        assert_eq!(view("/runs").with_caller(of_tenant).href(&["runs"]), "runs");
        assert_eq!(view("/runs?a=1&tenant=acme").tenant().unwrap(), "acme");
        assert_eq!(chosen.href_for("other", &["runs"]), "runs?tenant=other");
        assert_eq!(chosen.href_for(DEFAULT_TENANT, &["runs"]), "runs");
    }
}
