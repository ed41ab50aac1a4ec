//! Threads, descriptors and memory of this program, for tests that are the only ones of theirs.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use super::deadline;

/// What this program has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) threads: usize,
    pub(crate) descriptors: usize,
    pub(crate) memory_kib: u64,
}

pub(crate) fn usage() -> Usage {
    let count = |folder| fs::read_dir(folder).unwrap().count();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let memory = status.lines().find(|line| line.starts_with("VmRSS:"));
    let memory_kib = memory.and_then(|line| line.split_whitespace().nth(1));
    Usage {
        threads: count("/proc/self/task"),
        descriptors: count("/proc/self/fd"),
        memory_kib: memory_kib.unwrap().parse().unwrap(),
    }
}

/// What is left once all that ends has ended: the camera's threads notice a closed connection by
/// themselves.
pub(crate) fn usage_at_rest(most: Option<Usage>) -> Usage {
    let deadline = deadline();
    loop {
        let now = usage();
        let is_at_rest = most
            .is_none_or(|most| now.threads <= most.threads && now.descriptors <= most.descriptors);
        if is_at_rest || Instant::now() > deadline {
            return now;
        }
        thread::park_timeout(Duration::from_millis(20));
    }
}
