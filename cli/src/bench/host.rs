//! The machine, as far as a figure depends on it.

use std::fs;

use serde::Serialize;

/// What a figure's reader wants to know of the machine. A value that the system does not tell is 0.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Host {
    pub(super) cores: usize,
    pub(super) memory_gb: u64,
    /// How many threads wanted to run in the minute before: more than a little means that somebody
    /// else was at work.
    pub(super) load_before: f64,
}

const KIB_IN_GIB: u64 = 1024 * 1024;

impl Host {
    pub(super) fn look() -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gb: memory_kib().map_or(0, |kib| kib.div_ceil(KIB_IN_GIB)),
            load_before: load().unwrap_or(0.0),
        }
    }
}

fn memory_kib() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn load() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}
