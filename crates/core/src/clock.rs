//! The one seam to the clocks: code whose result depends on the time asks a [`Clock`], so tests run
//! a week in seconds. (Deadlines of waiting threads are [`std::time::Instant`]s: they end in real
//! time whatever a test's clock shows.)

use std::{
    fmt,
    sync::{
        LazyLock,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};

use crate::WallTime;

/// Tells the time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The wall clock now. It may step in either direction between two calls.
    fn now(&self) -> WallTime;

    /// Since any fixed instant, by a clock that is never set. Stands while the machine sleeps.
    fn steady(&self) -> Duration {
        static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        ORIGIN.elapsed()
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> WallTime {
        Utc::now()
    }
}

/// A clock that stands still until it is told otherwise. For tests and tools.
#[derive(Debug)]
pub struct ManualClock {
    /// Microseconds since the epoch. Atomic: set by the test, read by any thread.
    now_us: AtomicI64,
    /// Microseconds that have passed.
    steady_us: AtomicI64,
}

impl ManualClock {
    /// A clock that shows `now`, to the microsecond.
    pub fn new(now: WallTime) -> Self {
        Self {
            now_us: AtomicI64::new(now.timestamp_micros()),
            steady_us: AtomicI64::new(0),
        }
    }

    /// Shows `now` from here on. No time passes.
    pub fn set(&self, now: WallTime) {
        self.now_us.store(now.timestamp_micros(), Ordering::SeqCst);
    }

    /// Lets time pass, to the microsecond.
    pub fn pass(&self, time: TimeDelta) {
        let time_us = time.num_microseconds().unwrap_or(0).max(0);
        self.now_us.fetch_add(time_us, Ordering::SeqCst);
        self.steady_us.fetch_add(time_us, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> WallTime {
        DateTime::from_timestamp_micros(self.now_us.load(Ordering::SeqCst)).unwrap_or_default()
    }

    fn steady(&self) -> Duration {
        let steady_us = self.steady_us.load(Ordering::SeqCst);
        Duration::from_micros(u64::try_from(steady_us).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_shows_another_time_and_none_has_passed() {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        clock.pass(TimeDelta::seconds(3));
        clock.set(DateTime::UNIX_EPOCH + TimeDelta::hours(1));
        clock.pass(TimeDelta::seconds(4));
        assert_eq!(clock.now().timestamp(), 3604);
        assert_eq!(clock.steady(), Duration::from_secs(7));
    }
}
