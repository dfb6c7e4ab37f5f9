//! The limits of a tenant. Operators change them, and errors refer to them, by name.

use std::collections::BTreeMap;
use std::time::Duration;

use forge_egress::EgressLimits;
use forge_journal::db;
use forge_sandbox::InstanceLimits;
use serde::{Deserialize, Serialize};

/// The unit of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LimitUnit)]
pub enum Unit {
    /// Units of fuel: about one for each WebAssembly instruction.
    Fuel,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Milliseconds,
    /// A number of things.
    Count,
    /// A number of things each second.
    PerSecond,
    /// Bytes each second.
    BytesPerSecond,
    /// Seconds of work in each hour.
    SecondsPerHour,
}

/// Values of limits, by name.
pub type LimitValues = BTreeMap<String, u64>;

/// Limits by name.
#[derive(utoipa::ToSchema)]
#[schema(as = LimitValues)]
#[expect(dead_code, reason = "a name for the document")]
pub(crate) struct LimitValuesSchema(BTreeMap<String, u64>);

/// Limits by name; `null` resets a limit to the host's value.
#[derive(utoipa::ToSchema)]
#[schema(as = LimitChanges)]
#[expect(dead_code, reason = "a name for the document")]
pub(crate) struct LimitChangesSchema(BTreeMap<String, Option<u64>>);

/// An error of an invalid limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLimit {
    /// The limit does not exist.
    #[error("there is no limit `{name}`; there are: {}", TenantLimits::NAMES.join(", "))]
    Unknown {
        /// The requested name.
        name: String,
    },
    /// The value exceeds the maximum of this host.
    #[error("`{name}` can be {most} at most on this host, not {value}")]
    TooHigh {
        /// The name of the limit.
        name: &'static str,
        /// The requested value.
        value: u64,
        /// The maximum.
        most: u64,
    },
    /// The value is 0.
    #[error("`{0}` cannot be 0; to stop a tenant, suspend it")]
    Zero(&'static str),
}

macro_rules! tenant_limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $unit:ident = $default:expr,)+) => {
        /// The limits of one tenant.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct TenantLimits {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Default for TenantLimits {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl TenantLimits {
            /// The names of all limits.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name),)+];

            /// Returns all limits: name, unit, value and description.
            pub fn all(&self) -> Vec<(&'static str, Unit, u64, &'static str)> {
                vec![$((stringify!($name), Unit::$unit, self.$name, concat!($($doc,)+).trim_ascii()),)+]
            }

            fn value_mut(&mut self, name: &str) -> Option<(&'static str, &mut u64)> {
                match name {
                    $(stringify!($name) => Some((stringify!($name), &mut self.$name)),)+
                    _ => None,
                }
            }
        }
    };
}

tenant_limits! {
    /// Fuel from one wait of a guest to the next. Default 5 billion, some seconds of computing: far more than orchestration
    /// needs, and an endless loop ends soon.
    fuel_per_activation: Fuel = 5_000_000_000,
    /// Fuel of a run in total, without replays: its CPU timeout. Default 500 billion, some minutes of a core.
    fuel_per_run: Fuel = 500_000_000_000,
    /// Linear memory of one instance, summed over its memories. Default 64 MiB.
    memory_bytes: Bytes = 64 << 20,
    /// Elements of one instance's tables. Default 100,000: function pointers of a large component.
    table_elements: Count = 100_000,
    /// Size of a component at upload. Default 16 MiB: a Rust workflow has about 100 KiB.
    component_bytes: Bytes = 16 << 20,
    /// Compile time of uploads in each hour on one host, in seconds; beyond it, uploads are rejected (429). Default 600: some
    /// hundred deployments, and a sixth of one core.
    compile_seconds: SecondsPerHour = 600,
    /// Versions of workflows. Default 1,000: some years of weekly deployments of a few workflows.
    versions: Count = 1_000,
    /// Size of an input, an output, a step's result or a request. Default 1 MiB: pass larger data by reference.
    payload_bytes: Bytes = 1 << 20,
    /// Size of the response to a guest's HTTP request. Default 4 MiB.
    response_bytes: Bytes = 4 << 20,
    /// Timeout of a guest's HTTP request that does not set one. Default 60 s.
    http_timeout_ms: Milliseconds = 60_000,
    /// Timeout of a new connection of a guest's HTTP request, within the timeout of the request: the lookup of the name, the
    /// attempts to connect, and TLS. Default 10 s: three SYNs to an address that does not answer.
    http_connect_timeout_ms: Milliseconds = 10_000,
    /// Concurrent HTTP requests; further requests wait, within their timeout. Default 1,000: one for each instance.
    http_requests: Count = 1_000,
    /// Calls of one run, without compensations. Default 100,000.
    calls_per_run: Count = 100_000,
    /// Concurrent calls of one run. Default 1,000.
    calls_outstanding: Count = 1_000,
    /// Size of the journal of one run: inputs, results and failures of its calls. A rollback may use the same amount again.
    /// Default 256 MiB: a replay reads all of it.
    journal_bytes_per_run: Bytes = 256 << 20,
    /// Size of all runs with their journals in the database. Beyond it, no run starts, and a run that makes another call fails;
    /// rollbacks may take as much again. Default 1 TiB, more than most disks: a host of its owner's
    /// workflows does not end them. Tenants that do not trust each other need a lower one.
    storage_bytes: Bytes = 1 << 40,
    /// Size of the lines that are kept of one run, with 100 bytes more for each, and of what it writes to the host's log while
    /// it is in memory; further lines are dropped, and the last one says so. Default 1 MiB, some thousand lines.
    log_bytes_per_run: Bytes = 1 << 20,
    /// What workflows write to the host's log, each second on one host: bytes, and 100 more for each line. Further lines are
    /// dropped and counted. Default 1 MiB, some thousand lines: the log is shared by all tenants.
    log_rate: BytesPerSecond = 1 << 20,
    /// Names under which one run publishes values. Default 16: each read of the run has all of them.
    published_names: Count = 16,
    /// Size of the values that one run publishes, with their names. Default 64 KiB: a commit writes all of them.
    published_bytes: Bytes = 64 << 10,
    /// Bodies of responses that are being received, with what is decoded of them, without the first 64 KiB of each; further
    /// bodies wait for their turn, within the timeout of their request. Default 256 MiB: 64 of the largest.
    response_bytes_in_flight: Bytes = 256 << 20,
    /// Runs with an instance in memory; further runs wait for a permit. Default 1,000: all permits of the host.
    runs_in_flight: Count = 1_000,
    /// Starts that may wait at once for their commit or an instance permit; further starts are rejected (429). Default
    /// 10,000: some seconds of work.
    start_queue: Count = 10_000,
    /// Starts each second on one host; further starts are rejected (429). Default 50,000: more than a host can do.
    start_rate: PerSecond = 50_000,
    /// Runs that are not final: under way, waiting or paused. Further starts are rejected (429), and a call that starts a child
    /// fails. Default 1 million: each takes some KiB in the database for as long as it waits.
    unfinished_runs: Count = 1_000_000,
    /// Changes of API keys and secrets by the tenant's own keys, each second on one host; further changes are rejected (429).
    /// Each is a commit that every node reads. Default 10: a script that sets up a tenant is not held up for long.
    directory_rate: PerSecond = 10,
    /// Operations on workflows and runs that the audit log notes, each second on one host, without those of operators; further
    /// ones are rejected (429). Default 50, faster than people and their scripts work: nobody can delete a line.
    audit_rate: PerSecond = 50,
    /// Events that a run has not taken; further events are rejected (429). Default 10,000: an inbox is read whole when its run is
    /// loaded.
    inbox_events: Count = 10_000,
    /// Size of the events that a run has not taken; further events are rejected (429). Default 16 MiB.
    inbox_bytes: Bytes = 16 << 20,
    /// Runs below one another that started each other. Default 16: a workflow that starts itself ends soon.
    child_depth: Count = 16,
    /// Attached children of one run under way at once. Default 1,000, as `calls_outstanding`: each is a call.
    children_per_run: Count = 1_000,
    /// Size of a key of the tenant's store. Default 512: a path of some names or ids.
    db_key_bytes: Bytes = 512,
    /// Size of a value of the tenant's store. Default 256 KiB: a transaction changes whole values, and a journal keeps them.
    db_value_bytes: Bytes = 256 << 10,
    /// Operations of one transaction of the tenant's store. Default 256: the commits of other runs wait for them.
    db_operations: Count = 256,
    /// Entries of the tenant's store. Default 1 million.
    db_entries: Count = 1_000_000,
    /// Size of all keys and values of the tenant's store. Default 1 GiB: it is a store for the state of workflows, and no
    /// warehouse.
    db_bytes: Bytes = 1 << 30,
    /// Secrets. Default 1,000.
    secrets: Count = 1_000,
    /// API keys that are not revoked. Default 1,000.
    keys: Count = 1_000,
}

impl TenantLimits {
    /// The maximum of `calls_per_run`: a store has room for twice as many rows, because each call can have a compensation.
    pub const MOST_CALLS_PER_RUN: u64 = (1 << 23) - 1;

    /// Returns the limits of one instance of this tenant.
    pub(crate) fn instance(&self) -> InstanceLimits {
        InstanceLimits {
            fuel_per_activation: self.fuel_per_activation,
            fuel_per_run: self.fuel_per_run,
            memory_bytes: self.memory_bytes,
            table_elements: self.table_elements,
            payload_bytes: self.payload_bytes,
            log_bytes_per_run: self.log_bytes_per_run,
            db: self.db(),
        }
    }

    /// Returns the limits of this tenant's store.
    pub(crate) fn db(&self) -> db::Limits {
        db::Limits {
            key_bytes: self.db_key_bytes,
            value_bytes: self.db_value_bytes,
            operations: self.db_operations,
            entries: self.db_entries,
            bytes: self.db_bytes,
        }
    }

    /// Returns the limits of this tenant's requests.
    pub(crate) fn egress(&self) -> EgressLimits {
        EgressLimits {
            http_timeout_ms: self.http_timeout_ms,
            http_connect_timeout_ms: self.http_connect_timeout_ms,
            http_requests: self.http_requests,
            response_bytes: self.response_bytes,
            response_bytes_in_flight: self.response_bytes_in_flight,
        }
    }

    /// Returns the limits with some of them changed.
    ///
    /// # Errors
    /// [`InvalidLimit`] if a limit does not exist or a value is invalid.
    pub fn with(&self, values: &LimitValues) -> Result<Self, InvalidLimit> {
        let mut limits = self.clone();
        for (name, value) in values {
            let (name, limit) =
                limits.value_mut(name).ok_or_else(|| InvalidLimit::Unknown { name: name.clone() })?;
            if *value == 0 {
                return Err(InvalidLimit::Zero(name));
            }
            let most = match name {
                // The memory of instances is allocated with these at the start.
                "memory_bytes" => self.memory_bytes,
                "table_elements" => self.table_elements,
                "calls_per_run" => Self::MOST_CALLS_PER_RUN,
                _ => u64::MAX >> 1,
            };
            if *value > most {
                return Err(InvalidLimit::TooHigh { name, value: *value, most });
            }
            *limit = *value;
        }
        Ok(limits)
    }

    /// Checks that there is a limit with this name.
    ///
    /// # Errors
    /// [`InvalidLimit::Unknown`].
    pub fn check_name(name: &str) -> Result<(), InvalidLimit> {
        let is_known = Self::NAMES.contains(&name);
        is_known.then_some(()).ok_or_else(|| InvalidLimit::Unknown { name: name.to_owned() })
    }
}

/// Converts a duration to whole milliseconds, saturating.
pub fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Converts a limit to `usize`, saturating.
pub fn size(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: u64) -> Result<TenantLimits, InvalidLimit> {
        TenantLimits::default().with(&LimitValues::from([(name.to_owned(), value)]))
    }

    #[test]
    fn a_limit_is_changed_by_its_name() {
        assert_eq!(with("payload_bytes", 5).unwrap().payload_bytes, 5);
        assert_eq!(TenantLimits::default().all().len(), TenantLimits::NAMES.len());
        for name in TenantLimits::NAMES {
            assert!(with(name, 1).is_ok(), "{name}");
            assert!(matches!(with(name, 0), Err(InvalidLimit::Zero(_))), "{name}");
        }
    }

    #[test]
    fn what_the_host_cannot_give_is_refused() {
        let error = with("memory_bytes", 1 << 40).unwrap_err().to_string();
        assert!(error.contains("`memory_bytes` can be 67108864 at most"), "{error}");
        assert!(with("calls_per_run", 1 << 23).is_err());
        assert!(with("fuel", 1).unwrap_err().to_string().contains("fuel_per_run, memory_bytes"));
    }
}
