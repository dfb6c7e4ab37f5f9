use std::sync::Arc;

use forge_egress::secrets::Secrets;
use forge_egress::{Egress, Policy, Responses, Tls, Workers};
use forge_sandbox::InstanceLimits;
use forge_scheduling::Present;

use super::{Account, Settings, TenantError};
use crate::config::TenantLimits;

/// A tenant, for as long as the host is there: its account, its requests, and its settings as they are now.
///
/// Runs, requests and callers hold the tenant and read its [`Terms`] for each action. None keeps a copy, so that a change
/// reaches all of them.
pub struct Tenant {
    /// The name of the tenant.
    pub name: Arc<str>,
    /// The usage, and the state of its rate limits.
    pub account: Arc<Account>,
    /// Sends the requests of its runs.
    pub egress: Egress,
    terms: Present<Terms>,
}

/// The settings of a tenant at one moment, with the limits that follow from them.
pub struct Terms {
    /// The settings.
    pub settings: Settings,
    /// The limits of the tenant.
    pub limits: Arc<TenantLimits>,
    /// The limits of one instance.
    pub instance_limits: Arc<InstanceLimits>,
}

/// What the directory says of a tenant.
pub(super) struct Definition {
    pub(super) settings: Settings,
    pub(super) limits: TenantLimits,
    pub(super) policy: Policy,
    pub(super) secrets: Arc<Secrets>,
}

impl Tenant {
    /// Creates a tenant whose responses are within `responses`, and are decoded and searched by `workers`.
    pub(super) fn new(
        account: Arc<Account>,
        tls: &Tls,
        responses: Responses,
        workers: Workers,
        definition: Definition,
    ) -> Self {
        let Definition { settings, limits, policy, secrets } = definition;
        let egress = Egress::new(tls, policy, secrets, &limits.egress(), account.lookups());
        Self {
            name: Arc::clone(&account.tenant),
            egress: egress
                .counting(account.http_bytes())
                .within(responses)
                .working(workers, Arc::clone(&account.tenant)),
            account,
            terms: Present::new(Arc::new(Terms::new(settings, limits))),
        }
    }

    /// Changes the tenant, for everything that it does from now on and that is under way.
    pub(super) fn change(&self, definition: Definition) {
        let Definition { settings, limits, policy, secrets } = definition;
        self.egress.change(policy, secrets, &limits.egress());
        self.terms.replace(Arc::new(Terms::new(settings, limits)));
    }

    /// Returns the settings as they are now.
    pub fn terms(&self) -> Arc<Terms> {
        self.terms.get()
    }

    /// Returns the limits as they are now.
    pub fn limits(&self) -> Arc<TenantLimits> {
        self.terms.read(|terms| Arc::clone(&terms.limits))
    }

    /// Returns whether the tenant is suspended now.
    pub fn is_suspended(&self) -> bool {
        self.terms.read(|terms| terms.settings.suspended)
    }

    /// Completes when the tenant is suspended.
    pub(crate) async fn suspended(&self) {
        self.terms.until(|terms| terms.settings.suspended.then_some(())).await;
    }

    /// Checks that a limit allows `count` things.
    ///
    /// # Errors
    /// [`TenantError::Limit`] with advice on what to do.
    pub(crate) fn check_limit(
        &self,
        limit: &'static str,
        value: u64,
        count: usize,
        advice: &'static str,
    ) -> Result<(), TenantError> {
        if count as u64 <= value {
            return Ok(());
        }
        Err(TenantError::Limit { tenant: self.name.to_string(), limit, value, advice })
    }

    /// Checks that the runs of the tenant may take more space in the database.
    ///
    /// # Errors
    /// [`TenantError::Storage`].
    pub(crate) fn check_room(&self) -> Result<(), TenantError> {
        let (stored, most) = (self.account.stored(), self.limits().storage_bytes);
        if stored < most {
            return Ok(());
        }
        Err(TenantError::Storage { tenant: self.name.to_string(), stored, most })
    }

    /// Checks that the tenant is not suspended now.
    ///
    /// # Errors
    /// [`TenantError::Suspended`].
    pub(crate) fn check_active(&self) -> Result<(), TenantError> {
        if self.is_suspended() { Err(TenantError::Suspended(self.name.to_string())) } else { Ok(()) }
    }
}

impl Terms {
    fn new(settings: Settings, limits: TenantLimits) -> Self {
        Self { settings, instance_limits: Arc::new(limits.instance()), limits: Arc::new(limits) }
    }

    /// Returns the number of instance permits of the tenant: none while it is suspended.
    pub(super) fn permits(&self) -> u32 {
        if self.settings.suspended {
            0
        } else {
            u32::try_from(self.limits.runs_in_flight).unwrap_or(u32::MAX)
        }
    }
}
