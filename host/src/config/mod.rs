//! The configuration of a host, with the defaults and their reasons.

mod limits;
mod live;
mod origin;
mod retention;
mod server;
mod tenant;
mod workflow_name;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use url::Url;

use forge_egress::Policy;
use forge_egress::secrets::KeyRing;
use forge_sandbox::CompilerUser;

pub use forge_store::{Database, InvalidDatabase, LogLimits, NodeConfig, PostgresUrl, machine_name};
pub use limits::Limits;
pub use live::LiveLimits;
pub use origin::{InvalidOrigin, Origin};
pub use retention::{InvalidRetention, Retention};
pub use server::ServerLimits;
pub use tenant::{InvalidLimit, LimitValues, TenantLimits, Unit, milliseconds, size};
pub(crate) use tenant::{LimitChangesSchema, LimitValuesSchema};
pub(crate) use workflow_name::{LONGEST_WORKFLOW_NAME, is_workflow_name};

/// The configuration of a host.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database.
    pub database: Database,
    /// The object store for components: `s3://BUCKET/FOLDER`, `gs://…`, `az://…` or `file:///FOLDER`. `None` stores them in
    /// the database.
    pub components: Option<Url>,
    /// The node that this host is, if the database is PostgreSQL.
    pub node: NodeConfig,
    /// The servers that workflows of the default tenant may reach. Default: all, including private ones.
    pub egress: Policy,
    /// The keys that encrypt the secrets of tenants. Without keys, no secrets can be set.
    pub secret_keys: Option<Arc<KeyRing>>,
    /// The limits of guests, requests and the host.
    pub limits: Limits,
    /// Whether an upload may replace the component of a registered version: for development. Runs keep the component that
    /// they were started with.
    pub replace_versions: bool,
    /// How long final runs are kept. Default: for ever.
    pub retention: Retention,
    /// The folder in an object store, as for `components`, to which runs are written before retention deletes them. `None`
    /// does not archive them.
    pub archive: Option<Url>,
    /// The folder for compiled components. `None` compiles them again after a restart. Only the host may be able to write to
    /// it, because the host executes its contents.
    pub component_cache: Option<PathBuf>,
    /// The file with the key that authenticates the compiled components, which is created if it does not exist. `None`: the
    /// name of the folder followed by `.key`.
    pub component_cache_key: Option<PathBuf>,
    /// The program that compiles components in a child process: a `forge` of this version. `None` compiles in this process.
    /// `forge serve` uses itself, so that a compilation cannot exhaust the host's memory or time.
    pub compiler: Option<PathBuf>,
    /// The user as which that program compiles. `None`: `nobody`, if this process runs as root, and its own user otherwise.
    pub compiler_user: Option<CompilerUser>,
}

impl Config {
    /// Returns the default configuration with a database. The folder for compiled components is beside the SQLite file, or
    /// `forge.cache`.
    pub fn new(database: Database) -> Self {
        let component_cache = match &database {
            Database::Sqlite(file) => format!("{}.cache", file.display()),
            Database::Postgres(_) => "forge.cache".to_owned(),
        };
        Self {
            database,
            components: None,
            node: NodeConfig::default(),
            egress: Policy::open(),
            secret_keys: None,
            limits: Limits::default(),
            replace_versions: false,
            retention: Retention::default(),
            archive: None,
            component_cache: Some(component_cache.into()),
            component_cache_key: None,
            compiler: None,
            compiler_user: None,
        }
    }
}

/// The default address of `forge serve`: loopback only, because a host without API keys does not authenticate callers.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7070);
