use std::io;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Waits for the end of its input, which is the end of whoever started it, however that came. Then it stops the server
/// at once and deletes its files.
const WATCH: &str = r#"cat >/dev/null
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid" && while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
rm -rf "$1""#;

/// Sees to it that a server does not outlive the process that started it.
pub(crate) struct Guard {
    watch: Child,
    input: Option<ChildStdin>,
}

impl Guard {
    /// Watches over the server in this folder.
    pub(crate) fn of(folder: &Path) -> io::Result<Self> {
        let mut watch = Command::new("sh");
        watch.arg("-c").arg(WATCH).arg("sh").arg(folder);
        watch.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Ctrl-C ends the tests, and this process after them.
        std::os::unix::process::CommandExt::process_group(&mut watch, 0);
        let mut watch = watch.spawn()?;
        Ok(Self { input: watch.stdin.take(), watch })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.input = None;
        // It ends by itself.
        let _ = self.watch.wait();
    }
}
