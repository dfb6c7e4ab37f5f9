//! What the requests of a tenant may do now, and what becomes of those under way when that changes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use forge_journal::{Failure, kind};
use forge_scheduling::Present;
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use url::Url;

use super::connections::{Connections, SendError};
use super::connector::connector;
use super::departure::{GivenUp, MayLeave};
use super::guard::{Lookup, host_name};
use super::headers::HeaderSource;
use super::hop::Hop;
use super::rules::{Denied, Policy};
use super::{EgressLimits, Tls};
use crate::secrets::Secrets;

/// What the requests of a tenant may do, until it changes.
pub(super) struct Terms {
    pub(super) policy: Arc<Policy>,
    pub(super) secrets: Arc<Secrets>,
    /// The connections that were opened under this policy and may have carried these secrets.
    pub(super) connections: Arc<Connections>,
    pub(super) default_timeout: Duration,
    pub(super) response_bytes: usize,
    pub(super) response_bytes_in_flight: u64,
    limits: EgressLimits,
}

impl Terms {
    /// Creates the first terms.
    pub(super) fn new(
        tls: &Tls,
        lookup: &Lookup,
        policy: Policy,
        secrets: Arc<Secrets>,
        limits: &EgressLimits,
    ) -> Self {
        let policy = Arc::new(policy);
        let connections = Arc::new(Connections::new(
            connector(tls, Arc::clone(&policy), Arc::clone(lookup)),
            Duration::from_millis(limits.http_connect_timeout_ms),
            requests(limits),
        ));
        Self {
            policy,
            secrets,
            connections,
            default_timeout: Duration::from_millis(limits.http_timeout_ms),
            response_bytes: EgressLimits::size(limits.response_bytes),
            response_bytes_in_flight: limits.response_bytes_in_flight,
            limits: limits.clone(),
        }
    }

    /// Returns whether connections that were opened under these terms can be used under the others.
    pub(super) fn share_connections(&self, other: &Self) -> bool {
        self.policy == other.policy && self.limits == other.limits && self.secrets.is_same(&other.secrets)
    }

    /// Returns the headers of a request under these terms.
    ///
    /// # Errors
    /// The failure of a request that may not be sent.
    pub(super) fn headers(&self, Sent { hop, headers }: &Sent<'_>) -> Result<HeaderMap, Failure> {
        headers.to(&self.policy, &self.secrets, hop)
    }

    /// Returns why a request that was sent under other terms would not be sent in the same way under these. `reached` is
    /// the address to which it was sent.
    fn objection(&self, before: &Self, sent: &Sent<'_>, reached: Option<SocketAddr>) -> Option<Failure> {
        let hop = sent.hop;
        if let Err(denied) = self.policy.permit_url(hop.url()) {
            return Some(not_permitted(&denied));
        }
        if let Some(reached) = reached
            && let Err(denied) = self.policy.permit_address(&host_of(hop.url()), reached.ip())
        {
            return Some(not_permitted(&denied));
        }
        match (before.headers(sent), self.headers(sent)) {
            (_, Err(denied)) => Some(denied),
            (Ok(then), Ok(now)) if then == now => None,
            _ => Some(Failure::new(
                kind::DENIED,
                "a secret that it has was changed, or may be sent elsewhere now",
            )),
        }
    }
}

/// Returns how many requests may be under way.
pub(super) fn requests(limits: &EgressLimits) -> usize {
    EgressLimits::size(limits.http_requests).clamp(1, Semaphore::MAX_PERMITS)
}

/// A request to one server.
pub(super) struct Sent<'s> {
    pub(super) hop: &'s Hop,
    pub(super) headers: &'s HeaderSource<'s>,
}

/// A request to one server that is sent under these terms, and watched for as long as it is under way.
pub(super) struct UnderWay<'u> {
    present: &'u Present<Terms>,
    terms: &'u Arc<Terms>,
    sent: Sent<'u>,
    /// The address that the request was sent to. `None`: nothing has left yet.
    reached: Mutex<Option<SocketAddr>>,
}

impl<'u> UnderWay<'u> {
    pub(super) fn new(present: &'u Present<Terms>, terms: &'u Arc<Terms>, sent: Sent<'u>) -> Self {
        Self { present, terms, sent, reached: Mutex::default() }
    }

    /// Lets the request leave over a connection to this address.
    ///
    /// # Errors
    /// [`SendError::GivenUp`] if the present terms do not allow it; [`SendError::Withheld`].
    pub(super) fn leave(&self, address: SocketAddr, may_leave: MayLeave<'_>) -> Result<(), SendError> {
        if !self.present.is(self.terms)
            && let Some(given_up) = self.objected(&self.present.get(), Some(address))
        {
            return Err(SendError::GivenUp(given_up));
        }
        if !may_leave() {
            return Err(SendError::Withheld);
        }
        *self.reached.lock() = Some(address);
        Ok(())
    }

    /// Completes when the tenant's terms no longer allow the request.
    pub(super) async fn given_up(&self) -> GivenUp {
        let find = |present: &Arc<Terms>| {
            if Arc::ptr_eq(present, self.terms) { None } else { self.objected(present, None) }
        };
        self.present.until(find).await
    }

    /// Returns how the request ends if these terms do not allow it. `address` is the one that it is about to leave for.
    fn objected(&self, present: &Terms, address: Option<SocketAddr>) -> Option<GivenUp> {
        let left_for = *self.reached.lock();
        let why = present.objection(self.terms, &self.sent, address.or(left_for))?;
        Some(if left_for.is_some() { GivenUp::Revoked(revoked(why)) } else { GivenUp::Here })
    }
}

/// Returns the failure of a request that was aborted while it was under way.
fn revoked(why: Failure) -> Failure {
    let message = format!(
        "the request was aborted while it was under way, because it is no longer allowed: {}. It may have arrived",
        why.message
    );
    Failure { kind: kind::REVOKED.to_owned(), message, ..why }
}

fn host_of(url: &Url) -> String {
    host_name(url.host_str().unwrap_or_default())
}

pub(super) fn not_permitted(denied: &Denied) -> Failure {
    Failure::permanent(kind::DENIED, denied.to_string())
}
