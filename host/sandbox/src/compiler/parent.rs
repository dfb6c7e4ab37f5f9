//! The parent's side: feeds the child, ends it when its time is over, and explains a failure.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child as Process, Command};
use tokio::time::timeout;

use super::child::exit;
use super::{COMMAND, Child};
use crate::InvalidComponent;
use crate::mac::{self, MacKey};

/// The maximum bytes of native code for each byte of WebAssembly. Ordinary components need a fifth of it.
const CODE_FACTOR: u64 = 32;

/// The bytes of native code that a component of any size may have.
const LEAST_CODE: u64 = 16 << 20;

/// How many times the limit on CPU time the child may take by the clock: a busy machine does not let it compute all the time.
const CLOCK_FACTOR: u32 = 6;

/// The bytes that are read of the child's standard error: one error message.
const MESSAGE: u64 = 4 << 10;

/// The advice for a component that exceeds a limit of the compiler.
const SIMPLER: &str = "make its largest functions smaller and remove unused code";

/// How a child ended.
struct Ended {
    status: ExitStatus,
    /// The output, cut one byte after the maximum.
    output: Vec<u8>,
    /// The text on the child's standard error.
    message: String,
}

/// Compiles a component in a child process, which is killed when the returned future is dropped.
pub(super) async fn compile(child: &Child, component: &[u8]) -> Result<Vec<u8>, InvalidComponent> {
    let most = LEAST_CODE.max(CODE_FACTOR.saturating_mul(component.len() as u64));
    let key = MacKey::new().map_err(|error| cannot(child, &error))?;
    let ended = run(child, &[], &[&key.0, component], most.saturating_add(mac::SIZE as u64)).await?;
    if !ended.status.success() {
        return Err(explain(&ended, child));
    }
    authenticated(ended.output, &key)
        .ok_or_else(|| InvalidComponent(broken("its output is not what this host's compiler wrote")))
}

/// Returns the measures that confine the child and that this machine lacks.
pub(super) async fn check(child: &Child) -> Result<Vec<String>, InvalidComponent> {
    let ended = run(child, &["--check"], &[], MESSAGE).await?;
    if !ended.status.success() {
        return Err(explain(&ended, child));
    }
    Ok(String::from_utf8_lossy(&ended.output).lines().map(str::to_owned).collect())
}

/// Runs a child to its end, or to the limits of its time and output.
async fn run(child: &Child, flags: &[&str], input: &[&[u8]], most: u64) -> Result<Ended, InvalidComponent> {
    let mut process = spawn(child, flags).map_err(|error| cannot(child, &error))?;
    let Ok(ended) =
        timeout(child.time.saturating_mul(CLOCK_FACTOR), exchange(&mut process, most, input)).await
    else {
        process.kill().await.map_err(|error| cannot(child, &error))?;
        return Err(InvalidComponent(too_slow(child.time)));
    };
    let ended = ended.map_err(|error| cannot(child, &error))?;
    if ended.output.len() as u64 > most {
        return Err(InvalidComponent(format!(
            "the component has more than {most} bytes of native code, the maximum for its size: {SIMPLER}"
        )));
    }
    Ok(ended)
}

/// Returns the code without its authentication code, if this is right.
fn authenticated(mut output: Vec<u8>, key: &MacKey) -> Option<Vec<u8>> {
    let size = output.len().checked_sub(mac::SIZE)?;
    let tag = output.split_off(size);
    key.verifies(&tag, "", &output).then_some(output)
}

fn cannot(child: &Child, error: &std::io::Error) -> InvalidComponent {
    let program = child.program.display();
    InvalidComponent(format!("this host cannot compile components (`{program}`: {error}): tell its operator"))
}

/// Starts the child. It gets nothing of this process's environment. It has a process group of its own, so that Ctrl-C in the
/// host's terminal does not reach it: the host ends it.
fn spawn(child: &Child, flags: &[&str]) -> std::io::Result<Process> {
    let mut command = Command::new(&child.program);
    // `program` may be a link such as `/proc/self/exe`.
    #[cfg(unix)]
    command.arg0("forge").process_group(0);
    command.arg(COMMAND).args(flags).args([
        "--time-ms",
        &child.time.as_millis().to_string(),
        "--memory",
        &child.memory.to_string(),
    ]);
    if let Some(user) = child.user {
        command.args(["--user", &user.to_string()]);
    }
    command
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

/// Feeds the child, reads its output and waits for its end.
async fn exchange(child: &mut Process, most: u64, input: &[&[u8]]) -> std::io::Result<Ended> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            for part in input {
                // The child may end without reading all of its input.
                let _ = stdin.write_all(part).await;
            }
        }
    };
    let ((), output, message, status) =
        tokio::join!(feed, read(stdout, most.saturating_add(1)), read(stderr, MESSAGE), child.wait());
    let message = String::from_utf8_lossy(&message).trim().to_owned();
    Ok(Ended { status: status?, output, message })
}

/// Reads up to `most` bytes and closes the stream, so that a child that writes more ends.
async fn read(stream: Option<impl AsyncRead + Unpin>, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // After an error, the bytes read so far count.
        let _ = stream.take(most).read_to_end(&mut bytes).await;
    }
    bytes
}

/// Returns the reason for the author of the component why there is no code.
fn explain(ended: &Ended, child: &Child) -> InvalidComponent {
    let Child { time, memory, .. } = *child;
    let code = ended.status.code().and_then(|code| u8::try_from(code).ok());
    InvalidComponent(match code {
        Some(exit::INVALID) => ended.message.clone(),
        Some(exit::OUT_OF_MEMORY) => too_hungry(memory),
        Some(_) => broken(&ended.message),
        None => killed(ended, time, memory),
    })
}

/// Returns the reason for a child that a signal of the kernel or of its own has ended.
fn killed(ended: &Ended, time: Duration, memory: u64) -> String {
    /// The text that Rust's standard library prints before it aborts for lack of memory. The hook that could set an
    /// exit code instead (`alloc_error_hook`) is not stable.
    const NO_MEMORY: &str = "memory allocation of";
    // SIGKILL and SIGXCPU have these numbers on every Unix.
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&ended.status);
    #[cfg(not(unix))]
    let signal: Option<i32> = None;
    match signal {
        _ if ended.message.contains(NO_MEMORY) => too_hungry(memory),
        Some(24) => too_slow(time),
        // Only a kernel that is short of memory kills the child.
        Some(9) => too_hungry(memory),
        _ => broken(&format!("{}, {}", ended.status, ended.message)),
    }
}

fn too_slow(time: Duration) -> String {
    let time = humantime::format_duration(time);
    format!(
        "the component takes more than {time} of CPU time to compile, the limit --compile-time: {SIMPLER}"
    )
}

fn too_hungry(memory: u64) -> String {
    let mebibytes = memory >> 20;
    format!(
        "compiling the component takes more than {mebibytes} MiB of memory, the limit --compile-memory: \
         {SIMPLER}"
    )
}

fn broken(how: &str) -> String {
    format!("the compiler broke off ({how}): {SIMPLER}")
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Instant;

    use tokio::sync::Mutex;

    use super::*;

    /// A file that is open for writing cannot be executed, and a child that another thread starts meanwhile inherits
    /// the open file.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

    /// Runs a shell script as the compiler, and returns its output.
    async fn compiled_by(script: &str) -> Result<Vec<u8>, String> {
        compiled_within(Duration::from_millis(500), script).await
    }

    async fn compiled_within(time: Duration, script: &str) -> Result<Vec<u8>, String> {
        with_compiler(time, script, async |child| {
            let component = vec![7; 1 << 20];
            let ended = run(child, &[], &[&component], LEAST_CODE).await?;
            if ended.status.success() { Ok(ended.output) } else { Err(explain(&ended, child)) }
        })
        .await
    }

    async fn with_compiler(
        time: Duration,
        script: &str,
        compile: impl AsyncFnOnce(&Child) -> Result<Vec<u8>, InvalidComponent>,
    ) -> Result<Vec<u8>, String> {
        let _turn = ONE_AT_A_TIME.lock().await;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("compiler");
        std::fs::write(&program, format!("#!/bin/sh\n{script}")).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let child = Child { program, time, memory: 64 << 20, user: None };
        compile(&child).await.map_err(|error| error.0)
    }

    #[tokio::test]
    async fn code_without_the_authentication_code_is_refused() {
        for script in ["printf code", "cat", "exit 0"] {
            let compiled =
                with_compiler(Duration::from_secs(60), script, async |child| compile(child, b"c").await);
            let refused = compiled.await.unwrap_err();
            assert!(refused.contains("not what this host's compiler wrote"), "{script}: {refused}");
        }
        let key = MacKey::new().unwrap();
        let output = [b"code".as_slice(), &key.tag("", b"code")].concat();
        assert_eq!(authenticated(output, &key).unwrap(), b"code");
    }

    #[tokio::test]
    async fn the_code_is_what_the_child_writes_whether_it_reads_its_input_or_not() {
        assert_eq!(compiled_within(Duration::from_secs(60), "exec cat").await.unwrap(), vec![7; 1 << 20]);
        assert_eq!(compiled_by("printf code").await.unwrap(), b"code");
    }

    #[tokio::test]
    async fn a_child_that_does_not_end_is_ended() {
        let begun = Instant::now();
        let refused = compiled_by("exec sleep 60").await.unwrap_err();
        assert!(refused.contains("500ms") && refused.contains("--compile-time"), "{refused}");
        assert!(compiled_by("exec >&- 2>&-; exec sleep 60").await.is_err());
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[tokio::test]
    async fn a_child_that_writes_without_end_is_ended() {
        // On a busy machine it takes more than half a second to read what is too much.
        let refused = compiled_within(Duration::from_secs(60), "exec cat /dev/zero").await.unwrap_err();
        assert!(refused.contains("compiler broke off") || refused.contains("native code"), "{refused}");
    }

    #[tokio::test]
    async fn what_ended_the_child_is_said() {
        for (script, words) in [
            ("kill -KILL $$", "--compile-memory"),
            ("kill -XCPU $$", "--compile-time"),
            ("exit 66", "64 MiB"),
            ("echo memory allocation of 8 bytes failed >&2; kill -ABRT $$", "--compile-memory"),
            ("echo the text >&2; exit 65", "the text"),
            ("echo oops >&2; exit 101", "broke off (oops)"),
            ("kill -SEGV $$", "broke off"),
        ] {
            let refused = compiled_within(Duration::from_secs(60), script).await.unwrap_err();
            assert!(refused.contains(words), "{script}: {refused}");
        }
    }

    #[tokio::test]
    async fn a_host_without_a_compiler_says_so() {
        let program = "/nowhere/forge".into();
        let child = Child { program, time: Duration::from_secs(1), memory: 1, user: None };
        let refused = compile(&child, b"").await.unwrap_err().0;
        assert!(refused.contains("/nowhere/forge") && refused.contains("operator"), "{refused}");
    }
}
