//! What is counted since a camera was started, for monitoring. Counting takes no lock that another
//! thread holds for longer than an addition.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use dayreel_core::TrackKind;
use parking_lot::Mutex;

/// Upper ends of the classes of [`Durations`], seconds: from a disk that is awake to one that hangs.
pub const DURATION_CLASSES_S: [f64; 9] = [0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 3.0, 10.0, 30.0];

/// How long something took, over all times it was done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Durations {
    /// How often it took at most as long as the class of [`DURATION_CLASSES_S`] and longer than the
    /// one before; last, how often it took longer than all of them.
    pub times: [u64; DURATION_CLASSES_S.len() + 1],
    /// All of it together, seconds.
    pub sum_s: f64,
}

impl Durations {
    pub(crate) fn push(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let class = DURATION_CLASSES_S.partition_point(|end| *end < seconds);
        self.times[class] += 1;
        self.sum_s += seconds;
    }
}

/// Counts since the camera was started. The arrays are indexed by [`TrackKind`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CameraCounts {
    /// Access units that arrived.
    pub access_units: [u64; 2],
    /// Their bytes.
    pub bytes: [u64; 2],
    /// Access units that could not be recorded.
    pub not_recorded: u64,
    /// Pictures that could not be encoded in time.
    pub not_converted: u64,
    /// Pictures that were left out because packets are missing.
    pub damaged: u64,
    /// How often recording got into trouble, by the code of [`crate::RecordingError`].
    pub recording_errors: BTreeMap<&'static str, u64>,
    /// How long the disk took for a segment of a track and its line in the index.
    pub segment_writes: Durations,
}

/// Access units as they arrive.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    units: [AtomicU64; 2],
    bytes: [AtomicU64; 2],
}

impl Arrivals {
    pub(crate) fn push(&self, track: TrackKind, bytes: usize) {
        self.units[track as usize].fetch_add(1, Ordering::Relaxed);
        self.bytes[track as usize].fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Access units and bytes.
    pub(crate) fn all(&self) -> ([u64; 2], [u64; 2]) {
        let load = |counts: &[AtomicU64; 2]| counts.each_ref().map(|n| n.load(Ordering::Relaxed));
        (load(&self.units), load(&self.bytes))
    }
}

/// What the writer thread meets.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    errors: Mutex<BTreeMap<&'static str, u64>>,
    segments: Mutex<Durations>,
}

impl Writes {
    pub(crate) fn trouble(&self, code: &'static str) {
        *self.errors.lock().entry(code).or_default() += 1;
    }

    pub(crate) fn segment(&self, duration: Duration) {
        self.segments.lock().push(duration);
    }

    pub(crate) fn errors(&self) -> BTreeMap<&'static str, u64> {
        self.errors.lock().clone()
    }

    pub(crate) fn segments(&self) -> Durations {
        *self.segments.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_class_that_it_does_not_exceed() {
        let mut durations = Durations::default();
        for ms in [0, 1, 2, 30_000, 30_001] {
            durations.push(Duration::from_millis(ms));
        }
        assert_eq!(durations.times, [2, 1, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert!((durations.sum_s - 60.004).abs() < 1e-9, "{durations:?}");
    }
}
