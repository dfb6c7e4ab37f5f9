//! What the figures were measured on.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// File systems that are no disk: a sync of them costs nothing.
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];

/// Refuses a folder whose files are not on a disk.
pub(crate) fn check_is_disk(folder: &Path) -> Result<()> {
    let kind = file_system(folder)?;
    ensure!(
        !IN_MEMORY.contains(&kind.as_str()),
        "{} is on {kind}, where a sync costs nothing: give a folder on a disk with --folder",
        folder.display()
    );
    Ok(())
}

/// The machine in one line, the commit that was measured, and how it was compiled.
pub(crate) fn describe(folder: &Path, plain: bool) -> Result<String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism()?;
    let processor = processor_in(&read("/proc/cpuinfo")).unwrap_or_else(|| "unknown processor".to_owned());
    let kernel = read("/proc/sys/kernel/osrelease");
    let memory = memory_in(&read("/proc/meminfo")).unwrap_or_default();
    let (disk, commit) = (file_system(folder)?, commit());
    let compiled = if plain { "without a profile" } else { "with a profile" };
    Ok(format!(
        "{cores} × {processor}, {memory} GiB, {disk}, Linux {}, forge at {commit} compiled {compiled}",
        kernel.trim()
    ))
}

fn file_system(folder: &Path) -> Result<String> {
    let folder = folder.canonicalize().with_context(|| format!("there is no folder {}", folder.display()))?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
    file_system_in(&mounts, &folder).context("no file system holds the folder")
}

/// The kind of the file system that is mounted closest to the folder; of several at the same place, the last.
fn file_system_in(mounts: &str, folder: &Path) -> Option<String> {
    let mounted = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let around = mounted.filter(|(place, _)| folder.starts_with(place));
    around.max_by_key(|(place, _)| place.len()).map(|(_, kind)| kind.to_owned())
}

fn processor_in(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"))?;
    let name = line.split_once(':')?.1.split_whitespace().collect::<Vec<_>>().join(" ");
    (!name.is_empty()).then_some(name)
}

fn memory_in(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes.div_ceil(1 << 20))
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").args(arguments).output().ok().filter(|output| output.status.success());
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else { return "an unknown commit".to_owned() };
    let is_changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    if is_changed { format!("{commit} with changes") } else { commit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_mount_holds_a_folder() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n";
        let kind = |folder: &str| file_system_in(mounts, Path::new(folder));
        assert_eq!(kind("/tmp/bench"), Some("tmpfs".to_owned()));
        assert_eq!(kind("/tmpfoo"), Some("ext4".to_owned()));
    }

    #[test]
    fn processor_and_memory_are_named() {
        assert_eq!(processor_in("processor\t: 0\nmodel name\t: A  CPU\n"), Some("A CPU".to_owned()));
        assert_eq!(memory_in("MemTotal:       24684092 kB\n"), Some(24));
    }
}
