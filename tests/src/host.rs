//! A host: `forge serve` as a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
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
    process: Option<Process>,
    log: Log,
    /// Where the process listens, once it said so. A new port after each start: the old one may be
    /// somebody else's by then.
    url: watch::Sender<Option<String>>,
}

/// How to start a host.
#[derive(Default)]
pub struct HostBuilder {
    folder: Option<TempDir>,
    database: Option<String>,
    flags: Vec<String>,
    full_disk: bool,
    environment: Vec<(String, String)>,
}

/// A host that ended instead of serving.
#[derive(Debug)]
pub struct Refused {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote.
    pub log: String,
}

impl HostBuilder {
    /// Adds a flag of `forge serve`, and its value if it has one.
    pub fn flag<const N: usize>(mut self, flag: [&str; N]) -> Self {
        self.flags.extend(flag.map(str::to_owned));
        self
    }

    /// Sets a variable of its environment.
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Takes a folder that has a `forge.db` already.
    pub fn folder(self, folder: TempDir) -> Self {
        Self { folder: Some(folder), ..self }
    }

    /// Takes this database, not a file of its own.
    pub fn database(self, url: impl Into<String>) -> Self {
        Self { database: Some(url.into()), ..self }
    }

    /// Lets [`Host::limit_files`] act like a disk that is full: what is written beyond the limit
    /// fails, instead of ending the process with SIGXFSZ.
    pub fn disk_may_be_full(self) -> Self {
        Self { full_disk: true, ..self }
    }

    /// Starts it and waits until it serves.
    pub async fn start(self) -> Host {
        match self.try_start().await {
            Ok(host) => host,
            Err(Refused { status, log }) => panic!("forge serve ended with {status}:\n{log}"),
        }
    }

    /// Starts it and waits until it serves or ends.
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
    /// A host with an empty database.
    pub async fn start() -> Self {
        HostBuilder::default().start().await
    }

    /// A host that has the interpreter. It does not wait long for what fails, and an endless loop
    /// ends early.
    pub async fn with_interpreter() -> Self {
        let host = Self::builder().flag(["--compensation-backoff", "20ms"]).flag(["--fuel", "300M"]);
        let host = host.start().await;
        host.api().deploy(&crate::component("interpreter")).await;
        host
    }

    /// For a host with flags.
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    /// Its API, which finds it again after a restart.
    pub fn api(&self) -> Api {
        Api::new(self.url.subscribe())
    }

    /// Commands that talk to it.
    pub fn cli(&self) -> Cli {
        Cli::default().server(&self.url())
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        self.url.borrow().clone().expect("the host serves")
    }

    /// Its database's file.
    pub fn database_file(&self) -> PathBuf {
        self.folder.path().join("forge.db")
    }

    /// Its folder, which is then the caller's. The process must have ended.
    pub fn into_folder(mut self) -> TempDir {
        assert!(self.process.is_none(), "it is running");
        std::mem::replace(&mut self.folder, TempDir::new().expect("a temporary folder can be made"))
    }

    /// Its database, for plain SQL.
    pub async fn database(&self) -> Database {
        Database::open(&self.database_file()).await
    }

    /// The folder with its compiled components.
    pub fn module_cache(&self) -> PathBuf {
        self.folder.path().join("forge.db.modules")
    }

    /// All that its processes wrote.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.process().id().as_raw_nonzero().get().unsigned_abs()
    }

    /// Kills it with SIGKILL, wherever it is.
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

    /// Asks it to end with SIGTERM; how it ended, and how long that took.
    pub async fn terminate(&mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        self.process().signal(Signal::TERM);
        let mut process = self.process.take().expect("it is running");
        let status = eventually_some("the host ends after SIGTERM", async || process.try_wait()).await;
        self.url.send_replace(None);
        (status, begun.elapsed())
    }

    /// Stops it where it is, with SIGSTOP.
    pub fn freeze(&self) {
        self.process().signal(Signal::STOP);
    }

    /// Lets it go on after [`Host::freeze`].
    pub fn thaw(&self) {
        self.process().signal(Signal::CONT);
    }

    /// Whether the process is there.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Waits until the process ends by itself; how it ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let process = self.process.as_mut().expect("it is running");
        let status = eventually_some("the host ends", async || process.try_wait()).await;
        self.stop();
        status
    }

    /// Starts it after it ended, and waits until it serves.
    pub async fn restart(&mut self) {
        if let Err(Refused { status, .. }) = self.try_restart().await {
            panic!("forge serve ended with {status}");
        }
    }

    /// Starts it after it ended, and waits until it serves or ends.
    ///
    /// # Errors
    /// [`Refused`] if it ends.
    pub async fn try_restart(&mut self) -> Result<(), Refused> {
        self.launch();
        self.until_serving().await
    }

    /// Starts it after it ended, and does not wait until it serves.
    pub fn launch(&mut self) {
        assert!(self.process.is_none(), "it is running");
        let url = self.url.clone();
        let listens = move |line: &str| {
            if let Some(address) = address_in(line) {
                url.send_replace(Some(address));
            }
        };
        self.process = Some(Process::spawn(&mut self.command(), &self.log, listens));
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
        command.arg("--module-cache").arg(self.module_cache());
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

    /// Bounds the size of its files from now on; `None`: no longer.
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

/// As `--database` takes it.
pub(crate) fn database_url(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}

/// The address in the line that says where the host listens: `forge 0.1.0 serves http://... (...)`.
fn address_in(line: &str) -> Option<String> {
    let (_, rest) = line.strip_prefix("forge ")?.split_once(" serves ")?;
    rest.split_whitespace().next().map(str::to_owned)
}
