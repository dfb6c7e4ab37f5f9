//! The state that all workloads share.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::database::{Kind, PostgresServer};
use crate::figures::Figures;
use crate::host::Host;
use crate::http::EffectServer;
use crate::machine;
use crate::settings::Settings;

/// The hosts that share a PostgreSQL database.
pub(crate) const NODES: usize = 2;

/// A benchmark under way.
pub(crate) struct Bench {
    pub(crate) figures: Figures,
    pub(crate) effects: EffectServer,
    pub(crate) database: Kind,
    pub(crate) component: Vec<u8>,
    quick: bool,
    began: Instant,
    forge: PathBuf,
    /// The hosts' databases; `None`: each host has a file.
    server: Option<PostgresServer>,
    folder: TempDir,
}

impl Bench {
    /// Prepares the benchmark, and starts PostgreSQL if it is asked for.
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        let Settings { forge, component, folder, database, .. } = settings;
        let server = match database {
            Kind::Sqlite => None,
            Kind::Postgres => Some(PostgresServer::start(folder)?.with_log()?),
        };
        Ok(Self {
            figures: Figures::default(),
            effects: EffectServer::start()?,
            database: *database,
            component: std::fs::read(component)
                .with_context(|| format!("cannot read {}", component.display()))?,
            quick: settings.quick,
            began: Instant::now(),
            forge: forge.canonicalize().with_context(|| format!("there is no {}", forge.display()))?,
            server,
            folder: tempfile::Builder::new().prefix("forge-bench-").tempdir_in(folder.canonicalize()?)?,
        })
    }

    /// Returns what is measured, on which machine and with which database.
    pub(crate) fn describe(&self) -> Result<String> {
        let server = self.server.as_ref().map(PostgresServer::describe).transpose()?.unwrap_or_default();
        Ok(format!("{}\n{server}", machine::describe(self.folder.path())?))
    }

    /// Starts a host with an empty database.
    pub(crate) async fn host(&self, flags: &[&str]) -> Result<Host> {
        self.hosts(flags, 1).await?.pop().context("no host was started")
    }

    /// Starts hosts that share an empty database; one with SQLite.
    pub(crate) async fn hosts(&self, flags: &[&str], count: usize) -> Result<Vec<Host>> {
        let database = self.server.as_ref().map(PostgresServer::create_database).transpose()?;
        let mut hosts = Vec::new();
        for _ in 0..if database.is_some() { count } else { 1 } {
            let (folder, database) = (self.folder.path(), database.clone());
            hosts.push(Host::start(&self.forge, folder, &self.component, flags, database).await?);
        }
        Ok(hosts)
    }

    /// Returns the first value, or the second with `--quick`.
    pub(crate) fn full_or_quick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Reports progress.
    pub(crate) fn say(&self, text: &str) {
        eprintln!("bench: {:>3} s  {text}", self.began.elapsed().as_secs());
    }
}
