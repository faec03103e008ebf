//! Processor time and memory: of a contender's processes, and of the whole machine, since the kernel's work for a contender
//! is nobody's process.

use super::recipe::Up;
use anyhow::{Context, Result};
use halloo_lab::Child;
use nix::unistd::{SysconfVar, sysconf};
use std::fs;

/// Processor time, seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Used {
    /// Of the contender's processes at both ends.
    pub(crate) daemons: f64,
    /// Of everything on this machine, the generators and whatever else runs included.
    pub(crate) machine: f64,
}

impl Used {
    /// Up to now.
    pub(crate) fn now(up: &Up) -> Result<Used> {
        let tick = sysconf(SysconfVar::CLK_TCK)?.context("the kernel counts in ticks")? as f64;
        let mut daemons = 0.0;
        for child in &up.children {
            daemons += seconds(child)?;
        }
        let machine = ticks_of_machine(&fs::read_to_string("/proc/stat")?).context("not as proc(5) says")?;
        Ok(Used {
            daemons,
            machine: machine as f64 / tick,
        })
    }

    /// Since an earlier reading.
    pub(crate) fn since(self, earlier: Used) -> Used {
        Used {
            daemons: self.daemons - earlier.daemons,
            machine: self.machine - earlier.machine,
        }
    }
}

/// Processor time of one process up to now, seconds.
pub(crate) fn seconds(child: &Child) -> Result<f64> {
    let tick = sysconf(SysconfVar::CLK_TCK)?.context("the kernel counts in ticks")? as f64;
    let text = fs::read_to_string(format!("/proc/{}/stat", child.pid()))
        .with_context(|| format!("it is gone: {child}"))?;
    Ok(ticks_of_process(&text).context("not as proc(5) says")? as f64 / tick)
}

/// User and system time of `/proc/PID/stat`, all threads. The name, which may hold anything, ends at the last parenthesis.
fn ticks_of_process(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut words = rest.split_whitespace().skip(11);
    let user: u64 = words.next()?.parse().ok()?;
    let system: u64 = words.next()?.parse().ok()?;
    Some(user + system)
}

/// All that was neither idle, nor waiting for a disk, nor stolen, of `/proc/stat`.
fn ticks_of_machine(stat: &str) -> Option<u64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let words: Vec<u64> = line
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    // user, nice, system, then irq and softirq
    Some(words.get(..3)?.iter().sum::<u64>() + words.get(5..7)?.iter().sum::<u64>())
}

/// Resident memory of one process, octets.
pub(crate) fn resident(child: &Child) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line
        .context("no VmRSS")?
        .trim()
        .trim_end_matches("kB")
        .trim()
        .parse()?;
    Ok(kib * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_user_and_system_time_whatever_its_name_is() {
        let stat = "77 (a) b (c) S 1 77 77 0 -1 4194304 1 2 3 4 120 30 5 6 20 0 1 0 99 0 0";
        assert_eq!(ticks_of_process(stat), Some(150));
        assert_eq!(ticks_of_process("77 (a) S 1"), None);
        assert_eq!(ticks_of_process(""), None);
    }

    #[test]
    fn a_machine_that_idles_waits_or_is_stolen_from_uses_nothing() {
        let stat = "cpu  10 20 30 4000 500 6 7 8000 0 0\ncpu0 1 1 1 1\n";
        assert_eq!(ticks_of_machine(stat), Some(10 + 20 + 30 + 6 + 7));
        assert_eq!(ticks_of_machine("cpu  1 2"), None);
        assert_eq!(ticks_of_machine("intr 1"), None);
    }
}
