//! CPU time and bytes written.

use std::time::Duration;

use anyhow::{Context as _, Result};

/// Ticks a second in `/proc/PID/stat`: the kernel's interface has the same number on every machine.
const TICKS_PER_SECOND: u64 = 100;

/// What a process has used since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Time on a CPU, of all threads, in the program and in the kernel.
    pub(crate) cpu: Duration,
    /// Bytes that it caused to be sent to a disk.
    pub(crate) written: u64,
}

impl Usage {
    /// Of a process, so far.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
        };
        let cpu = cpu_in(&read("stat")?).context("/proc/PID/stat is of a form that is not known here")?;
        let written = written_in(&read("io")?).context("/proc/PID/io does not say what was written")?;
        Ok(Self { cpu, written })
    }

    /// Of a process and its children, so far. Those that ended meanwhile are not in it.
    pub(crate) fn of_family(parent: u32) -> Result<Self> {
        let mut all = Self::of(parent)?;
        for entry in std::fs::read_dir("/proc").context("cannot read /proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if parent_in(&stat) != Some(parent) {
                continue;
            }
            // It may end at any moment.
            if let Ok(child) = Self::of(pid) {
                all = all.and(child);
            }
        }
        Ok(all)
    }

    /// Of this process, so far.
    pub(crate) fn of_ourselves() -> Result<Self> {
        Self::of(std::process::id())
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, written: self.written + other.written }
    }

    /// What was used from then until now.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            written: self.written.saturating_sub(earlier.written),
        }
    }
}

/// Time on a CPU of everything on this machine, since it was started.
pub(crate) fn cpu_of_all() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    cpu_of_all_in(&stat).context("/proc/stat is of a form that is not known here")
}

/// `cpu user nice system idle iowait irq softirq steal ...`: all but the fourth and the fifth.
fn cpu_of_all_in(stat: &str) -> Option<Duration> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|field| field.parse().ok()).collect();
    let [user, nice, system, _, _, interrupts, soft_interrupts, stolen] = ticks[..] else { return None };
    let busy = user + nice + system + interrupts + soft_interrupts + stolen;
    Some(Duration::from_millis(busy * 1_000 / TICKS_PER_SECOND))
}

/// The fields after the name, which stands in parentheses and may hold anything: `utime` and `stime`
/// are the 14th and the 15th of all.
fn cpu_in(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut times = after_name.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (times.next()?.parse().ok()?, times.next()?.parse().ok()?);
    Some(Duration::from_millis((user + system) * 1_000 / TICKS_PER_SECOND))
}

/// The second field after the name.
fn parent_in(stat: &str) -> Option<u32> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(1)?.parse().ok()
}

fn written_in(io: &str) -> Option<u64> {
    let value = io.lines().find_map(|line| line.strip_prefix("write_bytes:"))?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "42 (a) b) S 1 1 1 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 8 0 100 1000 10";
        assert_eq!(cpu_in(stat), Some(Duration::from_secs(3)));
        assert_eq!(parent_in(stat), Some(1));
        assert_eq!(cpu_in("42 (forge) S 1"), None);
    }

    #[test]
    fn waiting_is_no_time_on_a_cpu() {
        let stat = "cpu  100 10 20 9000 800 1 2 3 0 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(cpu_of_all_in(stat), Some(Duration::from_millis(1_360)));
        assert_eq!(cpu_of_all_in("cpu  1 2\n"), None);
    }

    #[test]
    fn bytes_that_were_cancelled_are_another_line() {
        let io = "rchar: 1\nwchar: 2\nread_bytes: 3\nwrite_bytes: 4096\ncancelled_write_bytes: 5\n";
        assert_eq!(written_in(io), Some(4_096));
    }

    #[test]
    fn a_process_can_be_asked() {
        let before = Usage::of_ourselves().unwrap();
        let after = Usage::of_ourselves().unwrap();
        assert!(Usage::of_family(std::process::id()).unwrap().cpu >= after.cpu);
        assert!(after.cpu >= before.cpu && after.since(before).cpu < Duration::from_secs(60));
    }
}
