//! The commands of a page, on terminals.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use forge_tests::Terminal;
use forge_tests::binary::{forge, root};
use forge_toolchain::environment::forget_outer_cargo;
use tempfile::TempDir;

use crate::page::{Block, Mark};
use crate::shown::missing;

/// The size of the terminals: no line of a page is wrapped.
const ROWS: u16 = 500;
const COLUMNS: u16 = 300;

/// A reader of a page, who tries what it says.
pub(crate) struct Session {
    /// Has the reader's folder, the program `forge`, and the file in which a command leaves the folder that it has changed to.
    files: TempDir,
    /// The folder in which the next command runs.
    folder: PathBuf,
    /// The address of servers: the one in the pages may be in use on this machine.
    address: SocketAddr,
    /// The terminals whose commands go on.
    open: Vec<Terminal>,
}

/// A command of a block.
struct Step {
    command: String,
    /// The lines of its output that the page shows.
    shown: Vec<String>,
}

impl Session {
    pub(crate) fn new() -> Self {
        let files = TempDir::new().unwrap();
        let folder = files.path().canonicalize().unwrap().join("reader");
        std::fs::create_dir(&folder).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let session = Self { files, folder, address: free.local_addr().unwrap(), open: Vec::new() };
        session.install();
        session
    }

    /// Makes the program `forge`: the one of this repository, with an address for the commands that are servers.
    fn install(&self) {
        let (forge, address) = (forge().display(), self.address);
        let script = format!(
            "#!/bin/sh\ncase $1 in serve|dev) exec '{forge}' \"$@\" --listen {address} ;; esac\nexec '{forge}' \"$@\"\n"
        );
        let program = self.programs().join("forge");
        std::fs::create_dir(self.programs()).unwrap();
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Returns the folder of the program.
    fn programs(&self) -> PathBuf {
        self.files.path().join("bin")
    }

    /// Returns the file with the folder of the last command.
    fn last_folder(&self) -> PathBuf {
        self.files.path().join("folder")
    }

    /// Runs the commands of a block.
    pub(crate) async fn run(&mut self, page: &str, block: &Block) {
        let steps = steps(block);
        let last = steps.len() - 1;
        for (number, step) in steps.into_iter().enumerate() {
            let place = format!("{page}, the block at line {}: `{}`", block.line, step.command);
            match &block.mark {
                Mark::RunsOn if number == last => {
                    let terminal = self.start(&step);
                    until_shown(&terminal, &step, &place).await;
                    self.open.push(terminal);
                }
                Mark::RunsUntil(key) if number == last => {
                    let mut terminal = self.start(&step);
                    until_shown(&terminal, &step, &place).await;
                    terminal.press(key);
                    assert!(terminal.ended().await.success(), "{place}");
                }
                Mark::InRepository => {
                    let own = std::mem::replace(&mut self.folder, root().to_owned());
                    self.complete(&step, &place).await;
                    self.folder = own;
                }
                _ => self.complete(&step, &place).await,
            }
        }
    }

    /// Runs a command, which ends. The next one runs in the folder to which it has changed.
    async fn complete(&mut self, step: &Step, place: &str) {
        let mut terminal = self.start(step);
        let succeeded = terminal.ended().await.success();
        let fails = step.shown.iter().any(|line| line.starts_with("error: "));
        assert_eq!(succeeded, !fails, "{place}: whether it succeeds");
        if let Some(line) = missing(&step.shown, &terminal.screen()) {
            panic!("{place} does not print `{line}`");
        }
        self.folder = std::fs::read_to_string(self.last_folder()).unwrap().trim_end().into();
    }

    fn start(&self, step: &Step) -> Terminal {
        // The line break ends a comment after the command.
        let script = format!("{}\nstatus=$?; pwd >\"$FOLDER\"; exit $status", step.command);
        let mut path = self.programs().into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new("bash");
        forget_outer_cargo(&mut command);
        forget_settings(&mut command);
        command.args(["-c", &script]).current_dir(&self.folder).env("FOLDER", self.last_folder());
        command.env("PATH", path).env("FORGE_SERVER", format!("http://{}", self.address));
        // Builds share compiled dependencies with the guests of other tests.
        command.env("CARGO_TARGET_DIR", root().join("target/guests"));
        Terminal::start(command, ROWS, COLUMNS)
    }
}

/// Removes the settings of Forge that the developer of this repository may have.
fn forget_settings(command: &mut Command) {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let is_setting = |name: &String| name.starts_with("FORGE_") && name != forge_toolchain::SETTING;
    names.filter(is_setting).for_each(|name| _ = command.env_remove(name));
}

/// Waits until a command that goes on has printed what the page shows.
async fn until_shown(terminal: &Terminal, step: &Step, place: &str) {
    terminal
        .until_screen(&format!("{place} prints what is shown"), |text| missing(&step.shown, text).is_none())
        .await;
}

/// Returns the commands of a block.
fn steps(block: &Block) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.text.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command: command.to_owned(), shown: Vec::new() }),
            (None, Some(step)) => step.shown.push(line.to_owned()),
            (None, None) => panic!("line {}: a block begins with a command", block.line),
        }
    }
    steps
}
