//! The one seam to the wall clock: code that asks the time asks a [`Clock`], so tests run a week in
//! seconds.

use std::{
    fmt,
    sync::atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, Utc};

use crate::WallTime;

/// Tells the time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The wall clock now. It may step in either direction between two calls.
    fn now(&self) -> WallTime;
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
}

impl ManualClock {
    /// A clock that shows `now`, to the microsecond.
    pub fn new(now: WallTime) -> Self {
        Self {
            now_us: AtomicI64::new(now.timestamp_micros()),
        }
    }

    /// Shows `now` from here on.
    pub fn set(&self, now: WallTime) {
        self.now_us.store(now.timestamp_micros(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> WallTime {
        DateTime::from_timestamp_micros(self.now_us.load(Ordering::SeqCst)).unwrap_or_default()
    }
}
