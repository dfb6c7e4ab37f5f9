use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::binaries::{Binaries, HOW_TO_INSTALL};
use crate::guard::Guard;

/// The superuser, who needs no password.
const USER: &str = "forge";

/// How often another port is tried: somebody may take the one that was free.
const TRIES: u32 = 5;

/// What makes it small and quick. Nothing is synced: what a test must not lose is to survive the server's end and
/// not the machine's.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
    ("shared_buffers", "32MB"),
    ("max_connections", "200"),
    ("fsync", "off"),
    ("log_line_prefix", "%m [%p] %a "),
];

/// How a server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Connections are closed, and everything is written.
    Fast,
    /// As in a crash: it recovers when it starts again.
    Immediate,
}

/// A running server with a folder of its own. It ends when this is dropped, or this process ends.
pub struct Server {
    binaries: Binaries,
    folder: PathBuf,
    port: u16,
    user: Option<User>,
    databases: AtomicU32,
    _guard: Guard,
}

/// As whom PostgreSQL runs if this process is root's: it refuses to be root's itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct User {
    uid: u32,
    gid: u32,
}

impl Server {
    /// The one of this process, which all its tests share.
    ///
    /// # Errors
    /// As text, why there is none.
    pub fn shared() -> Result<&'static Self, String> {
        static SHARED: OnceLock<Result<Server, String>> = OnceLock::new();
        SHARED
            .get_or_init(|| Self::start(&[]).map_err(|error| error.to_string()))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// Starts one with settings of `postgresql.conf`.
    ///
    /// # Errors
    /// [`io::Error`] if there is no PostgreSQL, or it does not start.
    pub fn start(settings: &[(&str, &str)]) -> io::Result<Self> {
        Self::start_in(&std::env::temp_dir(), settings)
    }

    /// The same with its files below this folder, which is on the disk that matters.
    ///
    /// # Errors
    /// [`io::Error`] if there is no PostgreSQL, it does not start, or its user cannot reach the folder.
    pub fn start_in(parent: &Path, settings: &[(&str, &str)]) -> io::Result<Self> {
        let mut server = Self::prepare(parent)?;
        let data = server.data();
        let initdb =
            ["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--no-locale", "--no-sync"];
        server.run("initdb", |command| command.args(initdb).arg("--pgdata").arg(&data))?;
        server.configure(SETTINGS)?;
        server.configure(settings)?;
        server.go_somewhere()?;
        Ok(server)
    }

    /// Starts a standby of this server, which streams its changes.
    ///
    /// # Errors
    /// [`io::Error`] if it does not start.
    pub fn standby(&self) -> io::Result<Self> {
        let mut standby = Self::prepare(&std::env::temp_dir())?;
        let (data, port) = (standby.data(), self.port.to_string());
        standby.run("pg_basebackup", |command| {
            command
                .args(["--host", "127.0.0.1", "--port", &port, "--username", USER])
                .args([
                    "--checkpoint",
                    "fast",
                    "--wal-method",
                    "stream",
                    "--write-recovery-conf",
                    "--no-sync",
                ])
                .arg("--pgdata")
                .arg(&data)
        })?;
        standby.go_somewhere()?;
        Ok(standby)
    }

    /// Makes a standby the primary.
    ///
    /// # Errors
    /// [`io::Error`] with what PostgreSQL says.
    pub fn promote(&self) -> io::Result<()> {
        self.sql(&self.url("postgres"), "SELECT pg_promote()").map(|_| ())
    }

    /// Makes a folder for a server.
    fn prepare(parent: &Path) -> io::Result<Self> {
        let binaries = Binaries::find().ok_or_else(|| io::Error::other(HOW_TO_INSTALL))?;
        let parent = parent.canonicalize()?;
        let folder = tempfile::Builder::new().prefix("forge-postgres-").tempdir_in(parent)?.keep();
        // From now on it is the guard's.
        let guard = Guard::of(&folder)?;
        let user = User::needed(&folder)?;
        if let Some(User { uid, gid }) = user {
            chown(&folder, Some(uid), Some(gid))?;
        }
        let databases = AtomicU32::new(0);
        Ok(Self { binaries, folder, port: 0, user, databases, _guard: guard })
    }

    /// Adds settings to `postgresql.auto.conf`.
    fn configure(&self, settings: &[(&str, &str)]) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).open(self.data().join("postgresql.auto.conf"))?;
        settings.iter().try_for_each(|(name, value)| writeln!(file, "{name} = '{value}'"))
    }

    /// Starts it on a free port.
    fn go_somewhere(&mut self) -> io::Result<()> {
        for tried in 1.. {
            self.port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            match self.go() {
                Err(_) if tried < TRIES => {}
                gone => return gone,
            }
        }
        Ok(())
    }

    /// A new, empty database, by its URL.
    ///
    /// # Errors
    /// [`io::Error`] with what PostgreSQL says.
    pub fn create_database(&self) -> io::Result<String> {
        let name = format!("forge_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql(&self.url("postgres"), &format!("CREATE DATABASE {name}"))?;
        Ok(self.url(&name))
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// The id of its first process, whose children the others are.
    ///
    /// # Errors
    /// [`io::Error`] if it is not running.
    pub fn pid(&self) -> io::Result<u32> {
        let lines = std::fs::read_to_string(self.data().join("postmaster.pid"))?;
        let pid = lines.lines().next().and_then(|line| line.trim().parse().ok());
        pid.ok_or_else(|| io::Error::other("postmaster.pid has no process id"))
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs SQL in a database; the answer's columns are separated by `|`.
    ///
    /// # Errors
    /// [`io::Error`] with what PostgreSQL says.
    pub fn sql(&self, url: &str, sql: &str) -> io::Result<String> {
        let options = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"];
        let said = self.run("psql", |command| {
            command.args(options).arg("--dbname").arg(url).arg("--command").arg(sql)
        })?;
        Ok(said.trim_end().to_owned())
    }

    /// Encrypts connections that ask for it, with this certificate and its key, both PEM.
    ///
    /// # Errors
    /// [`io::Error`] if it does not take them.
    pub fn encrypt(&self, certificate: &str, key: &str) -> io::Result<()> {
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let file = self.data().join(name);
            std::fs::write(&file, text)?;
            // The server refuses a key that others can read.
            std::fs::set_permissions(&file, Permissions::from_mode(0o600))?;
            if let Some(User { uid, gid }) = self.user {
                chown(&file, Some(uid), Some(gid))?;
            }
        }
        self.sql(&self.url("postgres"), "ALTER SYSTEM SET ssl = on")?;
        self.restart(Shutdown::Fast)
    }

    /// Stops it and starts it again on the same port.
    ///
    /// # Errors
    /// [`io::Error`] if it does not stop or start.
    pub fn restart(&self, how: Shutdown) -> io::Result<()> {
        self.stop(how)?;
        self.go()
    }

    /// Stops it. [`Server::go`] starts it again.
    ///
    /// # Errors
    /// [`io::Error`] if it does not stop.
    pub fn stop(&self, how: Shutdown) -> io::Result<()> {
        let mode = match how {
            Shutdown::Fast => "fast",
            Shutdown::Immediate => "immediate",
        };
        let data = self.data();
        self.run("pg_ctl", |command| {
            command.args(["stop", "--silent", "--wait", "--mode", mode, "--pgdata"]).arg(&data)
        })?;
        Ok(())
    }

    /// Starts it after [`Server::stop`].
    ///
    /// # Errors
    /// [`io::Error`] if it does not start.
    pub fn go(&self) -> io::Result<()> {
        let (data, log) = (self.data(), self.folder.join("log"));
        let port = format!("-p {}", self.port);
        let started = self.run("pg_ctl", |command| {
            command.args(["start", "--silent", "--wait", "--options", &port, "--log"]).arg(&log);
            command.arg("--pgdata").arg(&data)
        });
        started.map(|_| ()).map_err(|error| {
            io::Error::other(format!("{error}\n{}", std::fs::read_to_string(&log).unwrap_or_default()))
        })
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn run(
        &self,
        program: &str,
        arguments: impl for<'c> FnOnce(&'c mut Command) -> &'c mut Command,
    ) -> io::Result<String> {
        let mut command = Command::new(self.binaries.program(program));
        arguments(&mut command).current_dir(&self.folder).stdin(Stdio::null());
        if let Some(User { uid, gid }) = self.user {
            command.gid(gid).uid(uid);
        }
        let output = command.output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(format!("{program}: {}", said.trim())));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl User {
    /// `None`: whoever this process belongs to will do.
    fn needed(folder: &Path) -> io::Result<Option<Self>> {
        // The folder is this process's.
        if folder.metadata()?.uid() != 0 {
            return Ok(None);
        }
        let users = std::fs::read_to_string("/etc/passwd")?;
        let user = ["postgres", "nobody"].into_iter().find_map(|name| Self::of(&users, name));
        let nobody = || io::Error::other("PostgreSQL does not run as root, and there is no user `nobody`");
        user.ok_or_else(nobody).map(Some)
    }

    fn of(users: &str, name: &str) -> Option<Self> {
        let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let user = fields.into_iter().find(|fields| fields.first() == Some(&name))?;
        Some(Self { uid: user.get(2)?.parse().ok()?, gid: user.get(3)?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn users_are_found_by_their_names() {
        let users = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533:n:/:/bin/false\n";
        assert_eq!(User::of(users, "nobody"), Some(User { uid: 65_534, gid: 65_533 }));
        assert_eq!(User::of(users, "postgres"), None);
    }

    #[test]
    fn a_server_starts_recovers_and_is_gone_afterwards() {
        let parent = tempfile::tempdir_in(std::env::temp_dir()).unwrap();
        std::fs::set_permissions(parent.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let server = Server::start_in(parent.path(), &[("application_name", "test")]).unwrap();
        assert!(server.pid().unwrap() > 1);
        let url = server.create_database().unwrap();
        assert_eq!(server.sql(&url, "CREATE TABLE t AS SELECT 7 AS n; SELECT n, 'a' FROM t").unwrap(), "7|a");
        server.restart(Shutdown::Immediate).unwrap();
        assert_eq!(server.sql(&url, "SELECT n FROM t").unwrap(), "7");
        let folder = server.folder.clone();
        assert!(folder.starts_with(parent.path()));
        drop(server);
        assert!(!folder.exists());
    }
}
