//! When things are due: the clock that all streams of one run share.

use std::time::{Duration, Instant};

use gstreamer::{self as gst, prelude::MulDiv as _};
use parking_lot::{Condvar, Mutex};

/// A camera that is further behind than this (a suspended machine) does not try to catch up; its
/// media time has lost that much against the wall clock from then on.
const MAX_CATCH_UP: Duration = Duration::from_secs(20);

/// The clock of one run. It shows zero when the first unit of the run is made, and again, as it
/// were, when the first client says PLAY: what was prepared for the answer to DESCRIBE waits until
/// then, and must not make the rest late.
#[derive(Default)]
pub(crate) struct Timeline {
    state: Mutex<State>,
    halted: Condvar,
}

#[derive(Default)]
struct State {
    /// When the position was zero.
    zero: Option<Instant>,
    /// The furthest position anybody has waited for.
    furthest: Duration,
    is_playing: bool,
    is_halted: bool,
}

impl Timeline {
    /// Returns when `position` is due, at once if it has passed: nothing is ever left out. How late
    /// that is; nothing if the camera does not want it any more.
    pub(crate) fn wait_for(&self, position: gst::ClockTime) -> Option<Duration> {
        let position = Duration::from(position);
        let mut state = self.state.lock();
        state.furthest = state.furthest.max(position);
        loop {
            let now = Instant::now();
            let due = *state.zero.get_or_insert(now - position) + position;
            if now > due + MAX_CATCH_UP {
                state.zero = Some(now - position);
            }
            if state.is_halted {
                return None;
            }
            if now >= due {
                let zero = state.zero.unwrap_or(now);
                return Some(now.saturating_duration_since(zero + position));
            }
            self.halted.wait_until(&mut state, due);
        }
    }

    /// Nothing is due any more.
    pub(crate) fn halt(&self) {
        self.state.lock().is_halted = true;
        self.halted.notify_all();
    }

    /// The first client plays: the furthest position is due now.
    pub(crate) fn play(&self) {
        let mut state = self.state.lock();
        if !state.is_playing {
            state.is_playing = true;
            state.zero = Some(Instant::now() - state.furthest);
        }
    }
}

/// The time of a tick that a payloader turns back into exactly this tick: payloaders round down,
/// so it is rounded up.
pub(crate) fn tick_to_time(tick: u64, rate_hz: u64) -> gst::ClockTime {
    let ns = tick.mul_div_ceil(gst::ClockTime::SECOND.nseconds(), rate_hz);
    gst::ClockTime::from_nseconds(ns.unwrap_or_default())
}

/// The nearest tick of a time.
pub(crate) fn time_to_tick(time_ns: u64, rate_hz: u64) -> u64 {
    time_ns
        .mul_div_round(rate_hz, gst::ClockTime::SECOND.nseconds())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloaders_get_back_every_tick() {
        for tick in (0..10_000_000).step_by(3_003) {
            let ns = tick_to_time(tick, 90_000).nseconds();
            assert_eq!(ns * 90_000 / 1_000_000_000, tick);
            assert_eq!(time_to_tick(ns, 90_000), tick);
        }
    }

    #[test]
    fn what_is_past_is_due_at_once() {
        let timeline = Timeline::default();
        let is_late = |seconds| {
            timeline
                .wait_for(gst::ClockTime::from_seconds(seconds))
                .unwrap()
        };
        assert_eq!(is_late(100), Duration::ZERO);
        assert!(is_late(99) >= Duration::from_secs(1));
        timeline.play();
        assert!(is_late(100) < Duration::from_secs(1));
        assert_eq!(timeline.state.lock().furthest, Duration::from_secs(100));
    }

    #[test]
    fn a_halted_timeline_keeps_nobody_waiting() {
        let timeline = Timeline::default();
        assert!(timeline.wait_for(gst::ClockTime::ZERO).is_some());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| timeline.wait_for(gst::ClockTime::from_seconds(3600)));
            timeline.halt();
            assert_eq!(waiting.join().unwrap(), None);
        });
    }
}
