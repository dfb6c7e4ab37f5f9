//! What can be configured, with defaults and the reason for each.

mod limits;
mod tenant;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use url::Url;

use forge_egress::Policy;
use forge_egress::secrets::KeyRing;

pub use forge_store::{Database, InvalidDatabase, NodeConfig, PostgresUrl, machine_name};
pub use limits::Limits;
pub use tenant::{InvalidLimit, LimitValues, TenantLimits, Unit, size};

/// The configuration of a host.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where everything is kept.
    pub database: Database,
    /// An object store for components: `s3://BUCKET/FOLDER`, `gs://…`, `az://…` or `file:///FOLDER`; none:
    /// they are in the database.
    pub components: Option<Url>,
    /// This host among those that share the database. Means nothing with SQLite, which one host has for
    /// itself.
    pub node: NodeConfig,
    /// Which servers workflows may reach. Default: all, private ones too.
    pub egress: Policy,
    /// What seals the secrets of tenants; none: there can be no secrets.
    pub secret_keys: Option<Arc<KeyRing>>,
    /// What bounds guests, requests and the host itself.
    pub limits: Limits,
    /// The folder for compiled components; none: they are compiled again after a restart. Nobody
    /// but the host may be able to write there: it runs what it finds.
    pub module_cache: Option<PathBuf>,
    /// The program that compiles components, a `forge` of this version; none: this process does. `forge serve` uses
    /// itself, so that a component which is slow or hungry to compile harms nobody.
    pub compiler: Option<PathBuf>,
}

impl Config {
    /// The default configuration with this database. Compiled components are kept beside its file, or
    /// in the folder `forge.modules`.
    pub fn new(database: Database) -> Self {
        let module_cache = match &database {
            Database::Sqlite(file) => format!("{}.modules", file.display()),
            Database::Postgres(_) => "forge.modules".to_owned(),
        };
        Self {
            database,
            components: None,
            node: NodeConfig::default(),
            egress: Policy::open(),
            secret_keys: None,
            limits: Limits::default(),
            module_cache: Some(module_cache.into()),
            compiler: None,
        }
    }
}

/// Where `forge serve` listens without configuration: loopback only, because nothing asks who calls.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7070);
