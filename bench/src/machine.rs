//! What the figures were measured on.

use std::fs;

/// A few lines about this machine, for the head of the report.
pub(crate) fn describe() -> Vec<String> {
    about("two namespaces over veth, MTU 1500; generator on core 0, server on core 1; 64-byte payloads")
}

/// The same for overlays.
pub(crate) fn overlay() -> Vec<String> {
    about("two namespaces over veth, MTU 1500; generators and both ends of each overlay share all cores")
}

fn about(place: &str) -> Vec<String> {
    let kernel = read("/proc/sys/kernel/osrelease");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, name)| name);
    vec![
        format!("Linux {kernel}, {cores} cores ({model}), congestion control cubic for all"),
        place.to_owned(),
        format!(
            "shared machine, load {} at the start: trust ratios, and differences above the spread that is printed",
            read("/proc/loadavg").split(' ').next().unwrap_or("unknown")
        ),
    ]
}

/// Time that the hypervisor kept for others and all time, in ticks since boot.
pub(crate) fn stolen() -> (u64, u64) {
    let stat = read("/proc/stat");
    let ticks: Vec<u64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    (ticks.get(7).copied().unwrap_or(0), ticks.iter().take(8).sum())
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}
