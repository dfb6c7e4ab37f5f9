//! The machine that figures are measured on.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// File systems in memory, on which a sync costs nothing.
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];

/// Refuses a folder whose files are not on a disk.
pub(crate) fn check_is_disk(folder: &Path) -> Result<()> {
    let (kind, folder) = (file_system(folder)?, folder.display());
    let is_disk = !IN_MEMORY.contains(&kind.as_str());
    ensure!(
        is_disk,
        "{folder} is on {kind}, where a sync costs nothing: give a folder on a disk with --folder"
    );
    Ok(())
}

/// Returns the machine and the commit that is measured, in one line.
pub(crate) fn describe(folder: &Path) -> Result<String> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let processor = processor.trim_matches(|c: char| c == ':' || c.is_whitespace());
    let (cores, disk) = (std::thread::available_parallelism()?, file_system(folder)?);
    let kernel = output(Command::new("uname").arg("-sr"))?;
    let commit = output(Command::new("git").args(["describe", "--always", "--dirty=, changed"]));
    let commit = commit.unwrap_or_else(|_| "an unknown commit".to_owned());
    Ok(format!("{cores} × {processor}, {disk}, {kernel}, forge at {commit}"))
}

/// The kind of the file system.
fn file_system(folder: &Path) -> Result<String> {
    let text = output(Command::new("df").arg("--output=fstype").arg(folder))?;
    Ok(text.lines().last().context("`df` names no file system")?.to_owned())
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_memory_is_refused() {
        let error = check_is_disk(Path::new("/dev/shm")).unwrap_err().to_string();
        let expected =
            "/dev/shm is on tmpfs, where a sync costs nothing: give a folder on a disk with --folder";
        assert_eq!(error, expected);
        assert!(describe(Path::new("/dev/shm")).unwrap().contains("tmpfs, Linux "));
    }
}
