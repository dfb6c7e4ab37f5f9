//! A host: a process that runs `forge serve`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal, prlimit};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::process::{Log, Process};
use crate::{Api, Cli, Database, binary, eventually_some};

/// A host with a database of its own, which outlives the process. Dropping it kills the process and
/// prints its log if the test fails.
pub struct Host {
    folder: TempDir,
    database: Option<String>,
    flags: Vec<String>,
    full_disk: bool,
    environment: Vec<(String, String)>,
    log_to: Option<Stdio>,
    process: Option<Process>,
    log: Log,
    /// The address that the process printed. The port is new after each start, because another process may have taken
    /// the old one.
    url: watch::Sender<Option<String>>,
}

/// A builder of a [`Host`].
#[derive(Default)]
pub struct HostBuilder {
    folder: Option<TempDir>,
    database: Option<String>,
    flags: Vec<String>,
    full_disk: bool,
    environment: Vec<(String, String)>,
    log_to: Option<Stdio>,
}

/// A host that ended instead of serving.
#[derive(Debug)]
pub struct Refused {
    /// The exit status.
    pub status: ExitStatus,
    /// The log.
    pub log: String,
}

impl HostBuilder {
    /// Adds a flag of `forge serve`, and its value if it has one.
    pub fn flag<const N: usize>(mut self, flag: [&str; N]) -> Self {
        self.flags.extend(flag.map(str::to_owned));
        self
    }

    /// Sets an environment variable.
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Uses a folder that may contain a `forge.db`.
    pub fn folder(self, folder: TempDir) -> Self {
        Self { folder: Some(folder), ..self }
    }

    /// Uses this database instead of a file.
    pub fn database(self, url: impl Into<String>) -> Self {
        Self { database: Some(url.into()), ..self }
    }

    /// Lets [`Host::limit_files`] act like a disk that is full: what is written beyond the limit
    /// fails, instead of ending the process with SIGXFSZ.
    pub fn disk_may_be_full(self) -> Self {
        Self { full_disk: true, ..self }
    }

    /// Lets the host log to this file or pipe until it is restarted.
    pub fn log_to(self, output: impl Into<Stdio>) -> Self {
        Self { log_to: Some(output.into()), ..self }
    }

    /// Starts the host and waits until it serves.
    pub async fn start(self) -> Host {
        match self.try_start().await {
            Ok(host) => host,
            Err(Refused { status, log }) => panic!("forge serve ended with {status}:\n{log}"),
        }
    }

    /// Starts the host and waits until it serves or ends.
    ///
    /// # Errors
    /// [`Refused`] if it ends.
    pub async fn try_start(self) -> Result<Host, Refused> {
        let folder = self.folder.unwrap_or_else(|| TempDir::new().expect("a temporary folder can be made"));
        let mut host = Host {
            folder,
            database: self.database,
            flags: self.flags,
            full_disk: self.full_disk,
            environment: self.environment,
            log_to: self.log_to,
            process: None,
            log: Log::default(),
            url: watch::Sender::new(None),
        };
        host.launch();
        host.until_serving().await?;
        Ok(host)
    }
}

impl Host {
    /// Starts a host with an empty database.
    pub async fn start() -> Self {
        HostBuilder::default().start().await
    }

    /// Starts a host with the interpreter deployed, short waits for rollbacks and compensations, and little fuel, so that
    /// an endless loop ends early.
    pub async fn with_interpreter() -> Self {
        let host = Self::builder().flag(["--compensation-backoff", "20ms"]).flag(["--fuel", "300M"]);
        let host = host.flag(["--rollback-patience", "300ms"]);
        let host = host.start().await;
        host.api().deploy(&crate::component("interpreter")).await;
        host
    }

    /// Creates a builder, for a host with flags.
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    /// Returns the API. It finds the host again after a restart.
    pub fn api(&self) -> Api {
        Api::new(self.url.subscribe())
    }

    /// Returns the command line, for this host.
    pub fn cli(&self) -> Cli {
        Cli::default().server(&self.url())
    }

    /// Returns the address of the host.
    pub fn url(&self) -> String {
        self.url.borrow().clone().expect("the host serves")
    }

    /// Returns the path of the database file.
    pub fn database_file(&self) -> PathBuf {
        self.folder.path().join("forge.db")
    }

    /// Returns the folder, which the caller then owns. The process must have ended.
    pub fn into_folder(mut self) -> TempDir {
        assert!(self.process.is_none(), "it is running");
        std::mem::replace(&mut self.folder, TempDir::new().expect("a temporary folder can be made"))
    }

    /// Opens the database, for plain SQL.
    pub async fn database(&self) -> Database {
        Database::open(&self.database_file()).await
    }

    /// Returns the folder of the compiled components.
    pub fn component_cache(&self) -> PathBuf {
        self.folder.path().join("forge.db.cache")
    }

    /// Returns the log of all processes of this host.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.process().id().as_raw_nonzero().get().unsigned_abs()
    }

    /// Kills the process with SIGKILL.
    pub fn kill(&mut self) {
        let process = self.process.as_mut().expect("it is running");
        if let Some(status) = process.try_wait() {
            panic!("the host ended by itself, with {status}");
        }
        self.stop();
    }

    fn stop(&mut self) {
        self.process = None;
        self.url.send_replace(None);
    }

    /// Sends SIGTERM and waits. Returns the exit status and the time that it took.
    pub async fn terminate(&mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        self.process().signal(Signal::TERM);
        let mut process = self.process.take().expect("it is running");
        let status = eventually_some("the host ends after SIGTERM", async || process.try_wait()).await;
        self.url.send_replace(None);
        (status, begun.elapsed())
    }

    /// Stops the process with SIGSTOP.
    pub fn freeze(&self) {
        self.process().signal(Signal::STOP);
    }

    /// Continues the process after [`Host::freeze`].
    pub fn thaw(&self) {
        self.process().signal(Signal::CONT);
    }

    /// Returns whether the process is running.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Waits until the process ends and returns the exit status.
    pub async fn ended(&mut self) -> ExitStatus {
        let process = self.process.as_mut().expect("it is running");
        let status = eventually_some("the host ends", async || process.try_wait()).await;
        self.stop();
        status
    }

    /// Starts the ended process again and waits until it serves.
    pub async fn restart(&mut self) {
        if let Err(Refused { status, .. }) = self.try_restart().await {
            panic!("forge serve ended with {status}");
        }
    }

    /// Starts the ended process again and waits until it serves or ends.
    ///
    /// # Errors
    /// [`Refused`] if it ends.
    pub async fn try_restart(&mut self) -> Result<(), Refused> {
        self.launch();
        self.until_serving().await
    }

    /// Starts the ended process again without waiting.
    pub fn launch(&mut self) {
        assert!(self.process.is_none(), "it is running");
        let url = self.url.clone();
        let listens = move |line: &str| {
            if let Some(address) = address_in(line) {
                url.send_replace(Some(address));
            }
        };
        self.process = Some(Process::spawn(&mut self.command(), self.log_to.take(), &self.log, listens));
    }

    fn command(&self) -> Command {
        let mut command = Command::new(binary::forge());
        if self.full_disk {
            command = Command::new("sh");
            command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(binary::forge());
        }
        let database = self.database.clone().unwrap_or_else(|| database_url(&self.database_file()));
        command.args(["serve", "--database", &database]);
        if !self.flags.iter().any(|flag| flag == "--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        if !self.flags.iter().any(|flag| flag == "--component-cache") {
            command.arg("--component-cache").arg(self.component_cache());
        }
        command.args(&self.flags);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    async fn until_serving(&mut self) -> Result<(), Refused> {
        let url = self.url.subscribe();
        let process = self.process.as_mut().expect("it was started");
        let ended = eventually_some("the host says where it listens", async || match process.try_wait() {
            None if url.borrow().is_some() => Some(None),
            None => None,
            Some(status) => Some(Some(status)),
        })
        .await;
        let Some(status) = ended else { return Ok(()) };
        self.process = None;
        Err(Refused { status, log: self.log() })
    }

    /// Sets the maximum size of the process's files; `None` removes the limit.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Some(self.process().id()), Resource::Fsize, limit).expect("limits can be set here");
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("it is running")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("the host's log:\n{}", self.log());
        }
    }
}

/// Returns a path as a value of `--database`.
pub(crate) fn database_url(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}

/// Returns the address in the line that the host prints: `forge 0.1.0 serves http://... (...)`.
fn address_in(line: &str) -> Option<String> {
    let (_, rest) = line.strip_prefix("forge ")?.split_once(" serves ")?;
    rest.split_whitespace().next().map(str::to_owned)
}
