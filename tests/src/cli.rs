//! The command line of the `forge` binary.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::binary;

/// Runs commands of the real binary.
#[derive(Default)]
pub struct Cli {
    server: Option<String>,
    folder: Option<PathBuf>,
    stdin: Option<String>,
    environment: Vec<(String, String)>,
}

/// The result of a command.
#[derive(Debug)]
pub struct Output {
    /// The exit code.
    pub code: i32,
    /// The standard output.
    pub stdout: String,
    /// The standard error.
    pub stderr: String,
}

impl Output {
    /// Returns the output of a command that succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:#?}");
        self.stdout
    }

    /// Returns the output of a command that succeeded, as JSON.
    #[track_caller]
    pub fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Returns the standard error of a command that failed with this code.
    #[track_caller]
    pub fn failed(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:#?}");
        self.stderr
    }
}

impl Cli {
    /// Uses this server.
    pub fn server(self, url: &str) -> Self {
        Self { server: Some(url.to_owned()), ..self }
    }

    /// Runs in this folder.
    pub fn folder(self, folder: &Path) -> Self {
        Self { folder: Some(folder.to_owned()), ..self }
    }

    /// Writes this to the command's standard input.
    pub fn stdin(self, text: &str) -> Self {
        Self { stdin: Some(text.to_owned()), ..self }
    }

    /// Sets an environment variable.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs a command to its end, on another thread: the test's thread may serve its requests.
    pub async fn run<S: AsRef<str>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        let (mut command, stdin) = (self.command(arguments), self.stdin.clone().unwrap_or_default());
        let run = tokio::task::spawn_blocking(move || {
            let mut child = command.spawn().expect("forge can be run");
            let mut pipe = child.stdin.take().expect("the input is a pipe");
            // A command that does not read its input may end before it is written.
            let _ = pipe.write_all(stdin.as_bytes());
            drop(pipe);
            child.wait_with_output().expect("forge can be waited for")
        });
        let output = run.await.expect("running forge does not panic");
        Output {
            code: output.status.code().expect("forge was not killed"),
            stdout: String::from_utf8(output.stdout).expect("forge writes UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("forge writes UTF-8"),
        }
    }

    /// Returns a command that was not started.
    pub fn command<S: AsRef<str>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(binary::forge());
        command.args(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Builds of `forge build` share compiled dependencies with the guests.
        command.env("CARGO_TARGET_DIR", binary::root().join("target/guests")).env_remove("FORGE_SERVER");
        command.env_remove("FORGE_TOKEN").env_remove("FORGE_TENANT");
        command.envs(self.environment.iter().cloned());
        if let Some(server) = &self.server {
            command.env("FORGE_SERVER", server);
        }
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }
}
