//! How the clock of a track behaves: what a support answer starts with. Nothing is decided by it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dayreel_core::TrackKind;
use parking_lot::Mutex;

use super::handshake::Way;
use crate::rtp_clock::distance;

/// From the epoch of NTP to that of Unix, s (RFC 5905 §6).
const NTP_TO_UNIX_S: i128 = 2_208_988_800;
/// The least delayed packet of so long says where the clock is.
const WINDOW_NS: i64 = 1_000_000_000;
/// RTP time that is so much off the time between two packets has jumped.
const JUMP_NS: i64 = 1_000_000_000;

/// The RTP clock of a track against the clock of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpClockReport {
    /// Ticks a second, as the camera says.
    pub rate_hz: u32,
    /// Between the two instants that are compared, since it began or jumped last.
    pub measured: Duration,
    /// By how much it has advanced more than time passed, ms.
    pub ahead_ms: i64,
    /// How often it jumped by more than a second.
    pub jumps: u64,
    /// Access units that had the timestamp of the one before.
    pub repeated: u64,
}

/// The sender reports of a track (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReports {
    /// How many came.
    pub count: u64,
    /// By how much the camera's clock is ahead of this machine's by the last of them, ms.
    pub ahead_ms: i64,
}

impl SenderReports {
    /// Another report after `before`, with this NTP time.
    pub(crate) fn after(before: Option<Self>, ntp: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_ms = i128::try_from(now.unwrap_or_default().as_millis()).unwrap_or(0);
        let ms = i128::from(ntp) * 1_000 / (1 << 32) - NTP_TO_UNIX_S * 1_000;
        Self {
            count: before.map_or(0, |before| before.count) + 1,
            ahead_ms: i64::try_from(ms - now_ms).unwrap_or(i64::MAX),
        }
    }
}

/// What is seen of the running session. Written by the thread of the source once a second.
#[derive(Debug, Default)]
pub(crate) struct Observed(Mutex<Observation>);

#[derive(Clone, Copy, Debug, Default)]
struct Observation {
    way: Option<Way>,
    tracks: [(Option<RtpClockReport>, Option<SenderReports>); 2],
}

impl Observed {
    /// A session begins this way.
    pub(crate) fn begin(&self, way: Way) {
        *self.0.lock() = Observation {
            way: Some(way),
            tracks: Default::default(),
        };
    }

    pub(crate) fn note(
        &self,
        track: TrackKind,
        clock: Option<RtpClockReport>,
        reports: Option<SenderReports>,
    ) {
        self.0.lock().tracks[track as usize] = (clock, reports);
    }

    pub(crate) fn way(&self) -> Option<Way> {
        self.0.lock().way
    }

    pub(crate) fn track(&self, kind: TrackKind) -> (Option<RtpClockReport>, Option<SenderReports>) {
        self.0.lock().tracks[kind as usize]
    }
}

/// Watches the RTP clock of one track. Used by the thread that reads it.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    rate_hz: u32,
    seen: Option<Seen>,
    /// Timestamp of the last packet that ended an access unit.
    ended: Option<u32>,
    jumps: u64,
    repeated: u64,
}

/// What has been seen since the clock began or jumped.
#[derive(Clone, Copy, Debug)]
struct Seen {
    began: Instant,
    rtp: u32,
    at: Instant,
    /// Sum of what the timestamps advanced by.
    media_ns: i64,
    /// The least delayed packets of the first window, of the last whole one, and of the running one.
    first: Delayed,
    last: Delayed,
    running: Delayed,
    /// Since when the running window lasts, ns after `began`.
    window_ns: i64,
}

/// When a packet came, and how late it was against the first, ns after `began`.
#[derive(Clone, Copy, Debug)]
struct Delayed {
    at_ns: i64,
    late_ns: i64,
}

impl Delayed {
    fn least(self, other: Self) -> Self {
        std::cmp::min_by_key(self, other, |packet| packet.late_ns)
    }
}

impl ClockWatch {
    pub(crate) const fn new(rate_hz: u32) -> Self {
        Self {
            rate_hz,
            seen: None,
            ended: None,
            jumps: 0,
            repeated: 0,
        }
    }

    /// Takes up a packet that came at `now` and says whether it `ends` an access unit.
    pub(crate) fn take(&mut self, rtp: u32, ends: bool, now: Instant) {
        if ends && self.ended.replace(rtp) == Some(rtp) {
            self.repeated += 1;
        }
        match &mut self.seen {
            Some(seen) if seen.rtp == rtp => {}
            Some(seen) => {
                let step_ns =
                    distance(seen.rtp, rtp) * 1_000_000_000 / i64::from(self.rate_hz.max(1));
                if (step_ns - ns(now - seen.at)).abs() > JUMP_NS {
                    self.jumps += 1;
                    *seen = Seen::begin(rtp, now);
                } else {
                    seen.advance(rtp, step_ns, now);
                }
            }
            None => self.seen = Some(Seen::begin(rtp, now)),
        }
    }

    pub(crate) fn report(&self) -> Option<RtpClockReport> {
        let seen = self.seen?;
        Some(RtpClockReport {
            rate_hz: self.rate_hz,
            measured: Duration::from_nanos(seen.last.at_ns.abs_diff(seen.first.at_ns)),
            ahead_ms: (seen.first.late_ns - seen.last.late_ns) / 1_000_000,
            jumps: self.jumps,
            repeated: self.repeated,
        })
    }
}

impl Seen {
    const fn begin(rtp: u32, now: Instant) -> Self {
        let first = Delayed {
            at_ns: 0,
            late_ns: 0,
        };
        Self {
            began: now,
            rtp,
            at: now,
            media_ns: 0,
            first,
            last: first,
            running: first,
            window_ns: 0,
        }
    }

    fn advance(&mut self, rtp: u32, step_ns: i64, now: Instant) {
        self.rtp = rtp;
        self.at = now;
        self.media_ns += step_ns;
        let passed_ns = ns(now - self.began);
        let packet = Delayed {
            at_ns: passed_ns,
            late_ns: passed_ns - self.media_ns,
        };
        if passed_ns <= WINDOW_NS {
            self.first = self.first.least(packet);
            self.last = self.first;
        }
        if passed_ns - self.window_ns > WINDOW_NS {
            self.last = self.running;
            self.running = packet;
            self.window_ns = passed_ns;
        } else {
            self.running = self.running.least(packet);
        }
    }
}

fn ns(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pictures every 40 ms for 10 s, with the RTP time that `rtp` makes of their number.
    fn watched(rtp: impl Fn(u32) -> u32) -> RtpClockReport {
        let begin = Instant::now();
        let mut watch = ClockWatch::new(90_000);
        for number in 0..=250 {
            // Each comes up to 30 ms late.
            let late = Duration::from_millis(u64::from(number % 4) * 10);
            let now = begin + Duration::from_millis(40) * number + late;
            watch.take(rtp(number), false, now);
            watch.take(rtp(number), true, now);
        }
        watch.report().unwrap()
    }

    #[test]
    fn says_how_the_clock_runs() {
        let right = watched(|number| (u32::MAX - 9_000).wrapping_add(number * 3_600));
        assert_eq!((right.ahead_ms, right.jumps, right.repeated), (0, 0, 0));
        assert!(right.measured >= Duration::from_secs(7));
        let fast = watched(|number| number * 3_636);
        let expected_ms = fast.measured.as_secs_f64() * 10.0;
        assert!((fast.ahead_ms as f64 - expected_ms).abs() < 5.0, "{fast:?}");
        let jumps = watched(|number| number * 3_600 + number / 100 * 900_000);
        assert_eq!((jumps.ahead_ms, jumps.jumps), (0, 2));
        let coarse = watched(|number| number / 25 * 90_000);
        assert_eq!(coarse.repeated, 240);
    }

    #[test]
    fn says_how_the_cameras_clock_is_set() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let ntp = (now.as_secs() + 2_208_988_800 + 3) << 32;
        let first = SenderReports::after(None, ntp);
        let reports = SenderReports::after(Some(first), ntp);
        assert_eq!(reports.count, 2);
        assert!((1_000..=3_000).contains(&reports.ahead_ms), "{reports:?}");
    }
}
