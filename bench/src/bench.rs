//! What all workloads share, and in which order they are measured.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::database::{Kind, Place, PostgresServer};
use crate::duels;
use crate::host::{Host, HostOptions};
use crate::http::EffectServer;
use crate::limits::{self, Journal, wasm::Bare, wasm::Fuel};
use crate::load::{Until, load};
use crate::measurements::{Measurements, Metric};
use crate::plan::{BATCHES, Plan, STEPS};
use crate::report::Figure;
use crate::settings::Settings;
use crate::workloads::{
    Workload, ageing, fuel, http_steps, neighbour, one_step, parallel_steps, pure_steps, recovery, replay,
    sleepers, steady,
};

/// Hosts that share a database beside one that has it for itself.
const NODES: usize = 2;

/// Runs in flight while a journal is made for the limits of the database, and connections for that of HTTP.
const MANY: u32 = 64;

/// How often in a round a limit is measured whose single measurement is short.
const REPEATS: usize = 3;

/// A benchmark under way.
pub(crate) struct Bench {
    /// How much is measured.
    pub(crate) plan: Plan,
    /// What was measured so far.
    pub(crate) measured: Measurements,
    /// What workflows call.
    pub(crate) effects: EffectServer,
    began: Instant,
    selected: BTreeSet<Workload>,
    forge: PathBuf,
    component: Vec<u8>,
    /// The folder that was given.
    disk: PathBuf,
    folder: TempDir,
    /// What keeps the hosts' data; `None`: a file each.
    server: Option<Arc<PostgresServer>>,
    bare: [Bare; 2],
}

impl Bench {
    /// Prepares it.
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        let component = std::fs::read(&settings.component)
            .with_context(|| format!("cannot read {}", settings.component.display()))?;
        let all = <Workload as clap::ValueEnum>::value_variants();
        let selected = if settings.workloads.is_empty() { all } else { &settings.workloads };
        let server = match settings.database {
            Kind::Sqlite => None,
            Kind::Postgres => {
                let server = PostgresServer::start(&settings.folder)?;
                server.warm_up()?;
                Some(Arc::new(server))
            }
        };
        Ok(Self {
            plan: if settings.quick { Plan::QUICK } else { Plan::FULL },
            measured: Measurements::with(settings.database),
            effects: EffectServer::start()?,
            began: Instant::now(),
            selected: selected.iter().copied().collect(),
            forge: settings.forge.clone(),
            disk: settings.folder.clone(),
            server,
            folder: tempfile::Builder::new().prefix("forge-bench-").tempdir_in(&settings.folder)?,
            bare: [Bare::new(&component, Fuel::On)?, Bare::new(&component, Fuel::Off)?],
            component,
        })
    }

    /// The workflows.
    pub(crate) fn component(&self) -> &[u8] {
        &self.component
    }

    /// A folder on the disk, which goes when the benchmark ends.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder on the disk that was given: one that others may reach, and that stays.
    pub(crate) fn disk(&self) -> &Path {
        &self.disk
    }

    /// What keeps the hosts' data, in words; `None`: a file each.
    pub(crate) fn describe_server(&self) -> Result<Option<String>> {
        self.server.as_ref().map(|server| server.describe()).transpose()
    }

    /// A host with an empty database that has the workflows.
    pub(crate) async fn host(&self, options: HostOptions) -> Result<Host> {
        Host::start(&self.forge, self.folder(), &self.component, options, self.new_place()?).await
    }

    /// A host with this database.
    pub(crate) async fn host_at(&self, place: Place, options: HostOptions) -> Result<Host> {
        Host::start(&self.forge, self.folder(), &self.component, options, Some(place)).await
    }

    /// Hosts that share an empty database; `None`: with this kind of database they cannot.
    pub(crate) async fn hosts(&self, options: HostOptions) -> Result<Option<Vec<Host>>> {
        let Some(place) = self.new_place()? else { return Ok(None) };
        let mut hosts = Vec::new();
        for _ in 0..NODES {
            hosts.push(self.host_at(place.clone(), options.clone()).await?);
        }
        Ok(Some(hosts))
    }

    /// An empty database of the server; `None`: there is none, and every host has a file.
    fn new_place(&self) -> Result<Option<Place>> {
        let Some(server) = &self.server else { return Ok(None) };
        Ok(Some(Place::Postgres(Arc::clone(server), server.create_database()?)))
    }

    /// Says what is going on: it takes minutes.
    pub(crate) fn say(&self, text: &str) {
        eprintln!("bench: {:>3} s  {text}", self.began.elapsed().as_secs());
    }

    /// Measures all that was selected.
    pub(crate) async fn run(&mut self) -> Result<()> {
        for round in 1..=self.plan.rounds {
            self.say(&format!("round {round} of {}", self.plan.rounds));
            self.round().await?;
        }
        self.count().await?;
        if self.has(Workload::Ageing) {
            ageing::measure(self).await.context("ageing")?;
        }
        if self.has(Workload::W4) {
            recovery::measure(self).await.context("W4")?;
        }
        if self.has(Workload::W5) {
            sleepers::measure(self).await.context("W5")?;
        }
        if self.has(Workload::W9) {
            neighbour::measure(self).await.context("W9")?;
        }
        if self.has(Workload::W6) {
            replay::measure(self).await.context("W6")?;
        }
        Ok(())
    }

    /// What the database has to do for a run.
    async fn count(&mut self) -> Result<()> {
        let database = self.measured.database();
        if self.has(Workload::W1) {
            match database {
                Kind::Sqlite => pure_steps::count_syncs(self).await.context("W1, syncs")?,
                Kind::Postgres => pure_steps::count_statements(self).await.context("W1, statements")?,
            }
        }
        if self.has(Workload::W2) {
            match database {
                Kind::Sqlite => http_steps::count_syncs(self).await.context("W2, syncs")?,
                Kind::Postgres => http_steps::count_statements(self).await.context("W2, statements")?,
            }
        }
        Ok(())
    }

    /// The figures of what was measured: limits first.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let measured = &self.measured;
        let mut figures = limits::figures(measured);
        for (workload, of_workload) in [
            (Workload::W1, pure_steps::figures(measured)),
            (Workload::W2, http_steps::figures(measured)),
            (Workload::W3, one_step::figures(measured)),
            (Workload::W4, recovery::figures(measured)),
            (Workload::W5, sleepers::figures(measured)),
            (Workload::W6, replay::figures(measured)),
            (Workload::W7, fuel::figures(measured)),
            (Workload::W8, parallel_steps::figures(measured)),
            (Workload::W9, neighbour::figures(measured)),
            (Workload::Ageing, ageing::figures(measured)),
        ] {
            if self.has(workload) {
                figures.extend(of_workload);
            }
        }
        figures
    }

    /// Whether this workload was selected.
    pub(crate) fn has(&self, workload: Workload) -> bool {
        self.selected.contains(&workload)
    }

    /// Everything that is short, once: limits between workloads, so that both see the same machine.
    async fn round(&mut self) -> Result<()> {
        self.http_limits().await.context("HTTP alone")?;
        let mut host = self.host(HostOptions::default()).await?;
        if self.has(Workload::W1) {
            pure_steps::measure(self, host.alone()).await.context("W1")?;
        } else {
            load(host.alone(), &pure_steps::start(), MANY, Until::Time(self.plan.warm_up)).await?;
        }
        host.stop().await?;
        let mut journal = self.database_limits(host.place()).await.context("the database alone")?;
        if [Workload::W1, Workload::W2, Workload::W3].into_iter().any(|workload| self.has(workload)) {
            let fresh = self.host(HostOptions::default()).await?;
            duels::measure(self, &mut journal, &fresh).await.context("workloads and limits in turns")?;
        }
        drop((journal, host));
        self.wasm_limits().await.context("wasmtime alone")?;
        if self.has(Workload::W2) || self.has(Workload::W8) {
            let host = self.host(HostOptions::default()).await?;
            self.requests(host.alone()).await?;
        }
        if [Workload::W1, Workload::W2, Workload::W8].into_iter().any(|workload| self.has(workload))
            && let Some(hosts) = self.hosts(HostOptions::default()).await?
        {
            if self.has(Workload::W1) {
                pure_steps::measure(self, &hosts).await.context("W1, several nodes")?;
            }
            self.requests(&hosts).await.context("several nodes")?;
        }
        Ok(())
    }

    async fn requests(&mut self, hosts: &[Host]) -> Result<()> {
        if self.has(Workload::W2) {
            http_steps::measure(self, hosts).await.context("W2")?;
        }
        if self.has(Workload::W8) {
            parallel_steps::measure(self, hosts).await.context("W8")?;
        }
        Ok(())
    }

    async fn http_limits(&mut self) -> Result<()> {
        let latency = limits::http::latency(&self.effects, self.plan.limit).await?;
        self.measured.add_limit(Metric::RoundTrip, latency);
        let rate = limits::http::rate(&self.effects, MANY, self.plan.limit).await?;
        self.measured.add_limit(Metric::RoundTripsPerSecond, rate);
        Ok(())
    }

    async fn database_limits(&mut self, place: &Place) -> Result<Journal> {
        let mut journal = Journal::read(place, self.folder()).await?;
        for batch in BATCHES.repeat(REPEATS) {
            let rate = journal.rows_per_second(batch).await?;
            self.measured.add_limit(Metric::RowsPerSecond(batch), rate);
        }
        let commits = journal.commits(self.plan.limit, limits::at_once).await?;
        self.measured.add_limit(Metric::CommitsPerSecond, commits.rate);
        self.measured.add_limit(Metric::CommitLatency, commits.median);
        Ok(journal)
    }

    async fn wasm_limits(&mut self) -> Result<()> {
        let [with_fuel, without] = &self.bare;
        let input = steady::pure(STEPS);
        for _ in 0..REPEATS {
            for (bare, metric) in [(with_fuel, Metric::BareCall), (without, Metric::BareCallWithoutFuel)] {
                let call = bare.measure("pure_steps", &input, self.plan.limit / 2).await?;
                self.measured.add_limit(metric, call);
            }
        }
        Ok(())
    }
}
