//! Memory.

use anyhow::{Context as _, Result};

/// The proportional set size of a process in bytes: its own memory, and its share of what it shares.
pub(crate) fn memory(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    pss_in(&text).with_context(|| format!("{path} has no line `Pss`"))
}

fn pss_in(rollup: &str) -> Option<u64> {
    let value = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_all_memory_is_taken() {
        let rollup =
            "55d0-7ffd ---p 00000000 00:00 0 [rollup]\nRss:  900 kB\nPss:   800 kB\nPss_Dirty: 700 kB\n";
        assert_eq!(pss_in(rollup), Some(800 * 1_024));
        assert_eq!(pss_in(""), None);
    }
}
