//! How many files the process may have open, and how they are shared out.
//!
//! None may be left over for a camera to run out of: GLib makes a descriptor for many a wait and ends
//! the process if it gets none (`GWakeup`), and with it all recordings.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More are of no use: 2730 connections.
const WANTED: u64 = 16_384;

/// Takes as many open files as are of use and the system allows, and returns how many that are.
/// Programs are started with 1024 as a rule, for the sake of `select`, which nothing here uses.
pub(crate) fn raise() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // `None` is any number.
    let now = current.unwrap_or(WANTED);
    let raised = maximum.map_or(WANTED, |most| most.min(WANTED)).max(now);
    let wanted = Rlimit {
        current: Some(raised),
        maximum,
    };
    match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => raised,
        Err(error) => {
            tracing::warn!(%error, now, "cannot have more open files");
            now
        }
    }
}

/// HTTP connections that `open_files` allow. Half of the files are for cameras, recordings and
/// pictures; a connection takes two, and another for what it is sent.
pub(crate) fn connections(open_files: u64) -> usize {
    usize::try_from(open_files.min(WANTED) / 6).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_half_of_the_files() {
        assert_eq!(connections(1024), 170);
        assert_eq!(connections(1 << 20), 2730);
    }
}
