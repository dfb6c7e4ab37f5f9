//! What the host says when it listens.

use serde_json::json;

use crate::cli::output;

/// What the host says when it listens.
pub(super) struct Served {
    pub(super) url: String,
    pub(super) database: String,
    pub(super) has_dashboard: bool,
    pub(super) has_keys: bool,
}

impl Served {
    /// Prints the address of the server, for which the parent process may wait. An error is ignored.
    pub(super) fn announce(&self, json: bool) {
        let Self { url, database, .. } = self;
        let version = env!("CARGO_PKG_VERSION");
        let dashboard = self.has_dashboard.then(|| format!("{url}/runs"));
        let _ = if json {
            output::print_json(
                &json!({ "version": version, "url": url, "database": database, "dashboard": dashboard }),
            )
        } else {
            // In one write: who waits for the first line may read no other.
            let dashboard = dashboard.map(|url| format!("\nthe dashboard is {url}")).unwrap_or_default();
            output::print(&format!("forge {version} serves {url} (database {database}){dashboard}"))
        };
        tracing::info!(url, database, "listening");
        if !self.has_keys {
            tracing::info!(
                "there are no API keys: every program on this machine has full access, as the tenant `default`"
            );
        }
    }
}
