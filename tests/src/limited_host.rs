//! A host with small limits, for tests with hostile workflows.

use std::time::{Duration, Instant};

use program::{Block, Statement, block, effect, step};
use serde_json::Value;

use crate::{Api, Host, HostBuilder, Services, component};

/// The time after which an attack counts as unbounded.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// Mebibytes of memory that a host may have had, whatever was done to it: what it takes when idle, some instances of
/// 32 MiB, and as much again for what they pass.
const MOST_MEMORY: u64 = 256;

/// A host with small limits, so that attacks end soon. It has the guest `hostile`, and `interpreter` for the runs
/// that behave.
pub struct LimitedHost {
    host: Host,
    services: Services,
}

/// The expected end of an attack.
pub struct Ending {
    /// The workflow.
    pub attack: &'static str,
    /// The run's status.
    pub status: &'static str,
    /// The kind of its error; empty: it has none.
    pub kind: &'static str,
    /// What its error says.
    pub words: &'static [&'static str],
}

/// Creates an [`Ending`].
pub const fn ending(
    attack: &'static str,
    status: &'static str,
    kind: &'static str,
    words: &'static [&'static str],
) -> Ending {
    Ending { attack, status, kind, words }
}

impl LimitedHost {
    /// Starts a host with the guests `hostile` and `interpreter`.
    pub async fn start() -> Self {
        let limited_host = Self::with(Self::builder()).await;
        limited_host.api().deploy(&component("hostile")).await;
        limited_host
    }

    /// Creates a builder with the small limits.
    pub fn builder() -> HostBuilder {
        Host::builder()
            .flag(["--fuel", "200M"])
            .flag(["--memory", "32MiB"])
            .flag(["--calls-per-run", "2000"])
            .flag(["--compensation-attempts", "2"])
            .flag(["--compensation-backoff", "10ms"])
    }

    /// Starts a host with these flags and the guest `interpreter`.
    pub async fn with(builder: HostBuilder) -> Self {
        let host = builder.start().await;
        host.api().deploy(&component("interpreter")).await;
        Self { host, services: Services::start().await }
    }

    /// Returns the host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the API.
    pub fn api(&self) -> Api {
        self.host.api()
    }

    /// Returns the services that the workflows call.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// Starts a run that behaves.
    pub async fn start_good(&self) -> String {
        let body: Block = block![effect("good"), step("s", block![effect("nested")]), Statement::Sleep(1)];
        self.api().start_program(&self.services, body).await
    }

    /// Checks that a run that behaves has come to its end.
    pub async fn is_good(&self, run: &str) {
        let record = self.api().settled(run).await;
        assert_eq!(record["status"], "completed", "a run that behaves: {record:#}");
    }

    /// Starts an attack beside a run that behaves, and gives its record once both have ended.
    pub async fn attacked(&self, attack: &str) -> Value {
        let begun = Instant::now();
        let good = self.start_good().await;
        let run = self.api().start(attack, self.services.url().into()).await;
        let record = self.api().settled(&run).await;
        self.is_good(&good).await;
        let took = begun.elapsed();
        assert!(took < ENDS_WITHIN, "`{attack}` took {took:?}");
        record
    }

    /// Starts the attacks one after the other and checks how each ends.
    pub async fn all_end(&self, endings: &[Ending]) {
        let mut otherwise = Vec::new();
        for Ending { attack, status, kind, words } in endings {
            let record = self.attacked(attack).await;
            let text = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
            let (error, found) = (text("error"), (text("status"), text("error_kind")));
            if found != ((*status).to_owned(), (*kind).to_owned())
                || words.iter().any(|word| !error.contains(word))
            {
                let error: String = error.chars().take(1_000).collect();
                otherwise.push(format!("{attack}: {} {} {error}", found.0, found.1));
            }
        }
        assert!(otherwise.is_empty(), "these ended otherwise:\n{}", otherwise.join("\n"));
        self.is_unharmed().await;
    }

    /// Checks that the host works, and has never had more memory than it may.
    pub async fn is_unharmed(&self) {
        self.is_good(&self.start_good().await).await;
        assert_eq!(self.api().health().await["status"], "ok");
        let log = self.host.log();
        assert!(!log.contains("panicked at"), "the host panicked");
        let most = self.most_memory();
        assert!(most <= MOST_MEMORY, "the host had {most} MiB of memory");
        println!("the host had {most} MiB of memory");
    }

    /// Returns the peak memory of the host in mebibytes.
    fn most_memory(&self) -> u64 {
        let status = format!("/proc/{}/status", self.host.pid());
        let status = std::fs::read_to_string(status).expect("the host runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it has a peak");
        let kibibytes: u64 = peak.trim().trim_end_matches("kB").trim().parse().expect("it is a number");
        kibibytes >> 10
    }
}
