//! What this process uses, under the names that all Prometheus clients give it.

use std::{fmt, fs, io};

use dayreel_core::WallTime;
use rustix::{
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

use super::page::{ALONE, Page};

/// Memory, open files, CPU. What the system does not tell is left out.
pub(super) fn process(page: &mut Page<'_>, started: WallTime) -> fmt::Result {
    page.gauge(
        "process_resident_memory_bytes",
        "Resident memory size in bytes",
        resident_bytes().map(|bytes| (ALONE, bytes)),
    )?;
    page.gauge(
        "process_open_fds",
        "Number of open file descriptors",
        open_files().ok().map(|count| (ALONE, count)),
    )?;
    let most_files = getrlimit(Resource::Nofile).current;
    page.gauge(
        "process_max_fds",
        "Maximum number of open file descriptors",
        most_files.map(|count| (ALONE, count)),
    )?;
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let cpu_ms = cpu.tv_sec * 1000 + cpu.tv_nsec / 1_000_000;
    page.counter(
        "process_cpu_seconds",
        "Total user and system CPU time spent in seconds",
        [(ALONE, seconds(cpu_ms))],
    )?;
    page.gauge(
        "process_start_time_seconds",
        "Start time of the process since the Unix epoch in seconds",
        [(ALONE, seconds(started.timestamp_millis()))],
    )
}

/// `VmRSS:     49152 kB`, proc(5).
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Without the one that lists them.
fn open_files() -> io::Result<u64> {
    let count = fs::read_dir("/proc/self/fd")?.count();
    Ok(count.saturating_sub(1) as u64)
}

/// Exact up to 285 000 years.
#[expect(clippy::cast_precision_loss)]
fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}
