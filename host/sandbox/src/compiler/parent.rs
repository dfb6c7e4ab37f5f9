//! The parent's side: feeds the child, ends it when its time is over, and says what became of it.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::COMMAND;
use super::child::exit;
use crate::InvalidComponent;

/// Bytes of code for each byte of WebAssembly: ordinary components have a fifth of it.
const CODE_FACTOR: u64 = 32;

/// Bytes of code that any component may have.
const LEAST_CODE: u64 = 16 << 20;

/// Bytes of what the child says that are read: one error.
const MESSAGE: u64 = 4 << 10;

/// How long a child may take to end after its last word.
const LAST_WORK: Duration = Duration::from_millis(500);

/// How a child ended.
struct Ended {
    status: ExitStatus,
    /// What it compiled; more than it may be, if it is longer than that.
    code: Vec<u8>,
    /// What it wrote to its standard error.
    message: String,
    /// It was ended because its time was over.
    late: bool,
}

/// Compiles a component in a child process.
pub(super) fn compile(
    program: &Path,
    time: Duration,
    memory: u64,
    component: &[u8],
) -> Result<Vec<u8>, InvalidComponent> {
    let most = LEAST_CODE.max(CODE_FACTOR.saturating_mul(component.len() as u64));
    let failed = |error: std::io::Error| {
        let program = program.display();
        InvalidComponent(format!(
            "this host cannot compile components (`{program}`: {error}): tell its operator"
        ))
    };
    let child = spawn(program, time, memory).map_err(failed)?;
    let ended = attend(child, time, most, component).map_err(failed)?;
    if !ended.late && ended.status.success() {
        if ended.code.len() as u64 <= most {
            return Ok(ended.code);
        }
        return Err(InvalidComponent(format!(
            "the component has more than {most} bytes of native code, the most that one of its size may have: {SIMPLER}"
        )));
    }
    Err(why(&ended, time, memory))
}

/// What to do about a component that is too much for the compiler.
const SIMPLER: &str = "make its largest functions smaller and leave out what it does not need";

/// Nothing of this process's environment reaches the child, and it begins where nothing is.
fn spawn(program: &Path, time: Duration, memory: u64) -> std::io::Result<Child> {
    let mut command = Command::new(program);
    // `program` may be a link without a telling name.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::arg0(&mut command, "forge");
    command
        .arg(COMMAND)
        .args(["--time-ms", &time.as_millis().to_string(), "--memory", &memory.to_string()])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// Waits until the child has ended, or ends it. It leaves nothing behind that would keep its pipes open.
fn attend(mut child: Child, time: Duration, most: u64, component: &[u8]) -> std::io::Result<Ended> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (has_ended, ends) = channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            // A child that has seen enough need not read all of it.
            let _ = stdin.map(|mut stdin| stdin.write_all(component));
        });
        let message = scope.spawn(move || read(stderr, MESSAGE));
        let code = scope.spawn(move || {
            let code = read(stdout, most.saturating_add(1));
            // Whoever waits for it may have gone on.
            let _ = has_ended.send(());
            code
        });
        let late = ends.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
        let status = end(&mut child, if late { Duration::ZERO } else { LAST_WORK })?;
        let code = code.join().unwrap_or_default();
        let message = String::from_utf8_lossy(&message.join().unwrap_or_default()).trim().to_owned();
        Ok(Ended { status, code, message, late })
    })
}

/// Waits so long for a child that has closed its output, or has filled it with more than it may, and then ends it.
fn end(child: &mut Child, patience: Duration) -> std::io::Result<ExitStatus> {
    let begun = Instant::now();
    while begun.elapsed() < patience {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        // The standard library has no way to wait for a child and no longer.
        thread::park_timeout(Duration::from_millis(1));
    }
    child.kill()?;
    child.wait()
}

fn read(stream: Option<impl Read>, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What was read before an error is what there is.
    let _ = stream.map(|stream| stream.take(most).read_to_end(&mut bytes));
    bytes
}

/// Why there is no code, for whoever uploaded the component.
fn why(ended: &Ended, time: Duration, memory: u64) -> InvalidComponent {
    let code = ended.status.code().and_then(|code| u8::try_from(code).ok());
    InvalidComponent(match (ended.late, code) {
        (true, _) => too_slow(time),
        (false, Some(exit::INVALID)) => ended.message.clone(),
        (false, Some(exit::OUT_OF_MEMORY)) => too_hungry(memory),
        (false, Some(_)) => broken(&ended.message),
        (false, None) => killed(ended, time, memory),
    })
}

/// A signal ended the child, and it was not ours.
fn killed(ended: &Ended, time: Duration, memory: u64) -> String {
    /// What Rust says before it aborts for lack of memory.
    const NO_MEMORY: &str = "memory allocation of";
    // SIGKILL and SIGXCPU have the same numbers wherever there are signals.
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&ended.status);
    #[cfg(not(unix))]
    let signal: Option<i32> = None;
    match signal {
        _ if ended.message.contains(NO_MEMORY) => too_hungry(memory),
        Some(24) => too_slow(time),
        // Nobody else kills it but a kernel that is short of memory.
        Some(9) => too_hungry(memory),
        _ => broken(&format!("{}, {}", ended.status, ended.message)),
    }
}

fn too_slow(time: Duration) -> String {
    let time = humantime::format_duration(time);
    format!("the component takes more than {time} to compile, which is the limit `compile_time`: {SIMPLER}")
}

fn too_hungry(memory: u64) -> String {
    let mebibytes = memory >> 20;
    format!(
        "compiling the component takes more than {mebibytes} MiB of memory, which is the limit `compile_memory`: \
         {SIMPLER}"
    )
}

fn broken(how: &str) -> String {
    format!("the compiler broke off ({how}): {SIMPLER}")
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use parking_lot::Mutex;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// What is open for writing cannot be executed, and a child that another thread starts meanwhile has it open,
    /// too.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    /// What comes of a compiler that is this shell script.
    fn compiled_by(script: &str) -> Result<Vec<u8>, String> {
        compiled_within(Duration::from_millis(500), script)
    }

    fn compiled_within(time: Duration, script: &str) -> Result<Vec<u8>, String> {
        let _turn = ONE_AT_A_TIME.lock();
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("compiler");
        std::fs::write(&program, format!("#!/bin/sh\n{script}")).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let component = vec![7; 1 << 20];
        compile(&program, time, 64 << 20, &component).map_err(|error| error.0)
    }

    #[test]
    fn the_code_is_what_the_child_writes_whether_it_reads_its_input_or_not() {
        assert_eq!(compiled_within(Duration::from_secs(60), "exec cat").unwrap(), vec![7; 1 << 20]);
        assert_eq!(compiled_by("printf code").unwrap(), b"code");
    }

    #[test]
    fn a_child_that_does_not_end_is_ended() {
        let begun = Instant::now();
        let refused = compiled_by("exec sleep 60").unwrap_err();
        assert!(refused.contains("500ms") && refused.contains("`compile_time`"), "{refused}");
        assert!(compiled_by("exec >&- 2>&-; exec sleep 60").is_err());
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_child_that_writes_without_end_is_ended() {
        // On a busy machine it takes more than half a second to read what is too much.
        let refused = compiled_within(Duration::from_secs(60), "exec cat /dev/zero").unwrap_err();
        assert!(refused.contains("compiler broke off") || refused.contains("native code"), "{refused}");
    }

    #[test]
    fn what_ended_the_child_is_said() {
        for (script, words) in [
            ("kill -KILL $$", "`compile_memory`"),
            ("kill -XCPU $$", "`compile_time`"),
            ("exit 66", "64 MiB"),
            ("echo memory allocation of 8 bytes failed >&2; kill -ABRT $$", "`compile_memory`"),
            ("echo the text >&2; exit 65", "the text"),
            ("echo oops >&2; exit 101", "broke off (oops)"),
            ("kill -SEGV $$", "broke off"),
        ] {
            let refused = compiled_within(Duration::from_secs(60), script).unwrap_err();
            assert!(refused.contains(words), "{script}: {refused}");
        }
    }

    #[test]
    fn a_host_without_a_compiler_says_so() {
        let refused = compile(Path::new("/nowhere/forge"), Duration::from_secs(1), 1, b"").unwrap_err().0;
        assert!(refused.contains("/nowhere/forge") && refused.contains("operator"), "{refused}");
    }
}
