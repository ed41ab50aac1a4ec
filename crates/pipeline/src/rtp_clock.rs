//! Presentation times from RTP timestamps, where no jitter buffer makes them.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

use gstreamer as gst;

/// Where RTP time begins in a session, in seconds: it may go back a little from its first packet.
const BEGIN_S: i64 = 3_600;

/// How the RTP clocks of sound and picture stand to each other: by the arrival of their packets.
///
/// Not by RTP-Info (RFC 2326 §12.33) and not by sender reports (RFC 3550 §6.4.1): some cameras make up
/// the one, some are off by seconds in the other, and gst-rtsp-server says of a live stream which
/// packet comes next, which for sound is another instant than for the picture.
///
/// A session's first picture is often late, because an encoder starts or a GOP is sent at once. So sound
/// waits for a second; then it is known which packets of either were the least delayed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alignment(Arc<Arrivals>);

#[derive(Debug, Default)]
struct Arrivals {
    first: OnceLock<Instant>,
    /// When the first packet of the picture came, in ns after `first`.
    picture_ns: OnceLock<i64>,
    /// By how much a packet of the picture was less delayed than the first, in ns.
    picture_early_ns: AtomicI64,
}

/// How long packets are looked at, and sound waits for.
const WINDOW_NS: i64 = 1_000_000_000;
/// How long sound waits if no picture comes.
const MOST_WAIT_NS: i64 = 3_000_000_000;

impl Alignment {
    /// How long ago the first packet of the session came, in ns. The first caller's is the first.
    pub(crate) fn since(&self) -> i64 {
        let since = self.0.first.get_or_init(Instant::now).elapsed().as_nanos();
        i64::try_from(since).unwrap_or(i64::MAX)
    }

    /// Notes a packet of the picture that came `late_ns` after the first of the session.
    pub(crate) fn note_picture(&self, late_ns: i64, clock: &RtpClock) {
        if late_ns - self.0.picture_ns.get_or_init(|| late_ns) <= WINDOW_NS {
            let early_ns = &self.0.picture_early_ns;
            early_ns.store(clock.early_ns, Ordering::Relaxed);
        }
    }

    /// By how much sound has to be moved that began `since_ns` after the first packet of the session,
    /// at `late_ns`. `None`: it is too early to say.
    pub(crate) fn shift_ns(&self, since_ns: i64, late_ns: i64, clock: &RtpClock) -> Option<i64> {
        let waited_ns = late_ns - since_ns;
        let picture_ns = self.0.picture_ns.get().copied();
        let is_known = picture_ns.is_some_and(|picture_ns| late_ns - picture_ns > WINDOW_NS);
        let is_known = is_known && waited_ns > WINDOW_NS;
        let picture_early_ns = self.0.picture_early_ns.load(Ordering::Relaxed);
        (is_known || waited_ns > MOST_WAIT_NS).then_some(picture_early_ns - clock.early_ns)
    }
}

/// The RTP clock of one track, from 32 bits to a time that never wraps.
#[derive(Debug)]
pub(crate) struct RtpClock {
    rate_hz: i64,
    last: Option<Last>,
    /// By how much a packet was less delayed than the first, in ns.
    early_ns: i64,
    /// The next packet has nothing to do with the last but the time between them.
    is_other_source: bool,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    rtp: u32,
    /// Ticks of `rate_hz` since the beginning of the session.
    ticks: i64,
    /// When it came, in ns after the first packet of the session.
    late_ns: i64,
}

impl RtpClock {
    /// A clock of `rate_hz`, more than 0.
    pub(crate) fn new(rate_hz: u32) -> Self {
        Self {
            rate_hz: i64::from(rate_hz).max(1),
            last: None,
            early_ns: 0,
            is_other_source: false,
        }
    }

    /// The clock of a track with these caps; `None` if they lack its rate.
    pub(crate) fn of(caps: &gst::CapsRef) -> Option<Self> {
        let rate_hz = caps.structure(0)?.get::<i32>("clock-rate").ok()?;
        let rate_hz = u32::try_from(rate_hz).ok().filter(|rate| *rate > 0)?;
        Some(Self::new(rate_hz))
    }

    /// Ticks a second.
    pub(crate) fn rate_hz(&self) -> u32 {
        u32::try_from(self.rate_hz).unwrap_or(u32::MAX)
    }

    /// What comes now has nothing to do with what came before.
    pub(crate) fn begin_anew(&mut self) {
        self.last = None;
    }

    /// The timestamps that come now have nothing to do with those before. Time goes on as it passed
    /// between the packets: the first of a session is late, so that arrival alone would lead back.
    pub(crate) fn change_source(&mut self) {
        self.is_other_source = true;
    }

    /// From the packet before to one with timestamp `rtp`, in ns: 0 for the first, or if it comes
    /// earlier.
    pub(crate) fn since_last_ns(&self, rtp: u32) -> i64 {
        let last = self.last.filter(|_| !self.is_other_source);
        let ticks = last.map_or(0, |last| distance(last.rtp, rtp).max(0));
        ticks.saturating_mul(1_000_000_000) / self.rate_hz
    }

    /// The time of a packet with timestamp `rtp`; `late_ns` after the first of the session.
    pub(crate) fn time(&mut self, rtp: u32, late_ns: i64) -> gst::ClockTime {
        let rate_hz = i128::from(self.rate_hz);
        let passed = |ns: i64| {
            let ticks = i128::from(ns) * rate_hz / 1_000_000_000;
            i64::try_from(ticks).unwrap_or(i64::MAX)
        };
        let is_other_source = std::mem::take(&mut self.is_other_source);
        let ticks = match self.last {
            Some(last) if is_other_source => {
                let since_ns = late_ns.saturating_sub(last.late_ns).max(0);
                last.ticks.saturating_add(passed(since_ns))
            }
            Some(last) => last.ticks.saturating_add(distance(last.rtp, rtp)),
            None => (BEGIN_S * self.rate_hz).saturating_add(passed(late_ns)),
        };
        self.last = Some(Last {
            rtp,
            ticks,
            late_ns,
        });
        let ns = i128::from(ticks.max(0)) * 1_000_000_000 / i128::from(self.rate_hz);
        let early_ns = ns - i128::from(BEGIN_S) * 1_000_000_000 - i128::from(late_ns);
        self.early_ns = self.early_ns.max(i64::try_from(early_ns).unwrap_or(0));
        gst::ClockTime::from_nseconds(u64::try_from(ns).unwrap_or(u64::MAX - 1))
    }
}

/// From `from` to `to` the shorter way round, in ticks.
pub(crate) fn distance(from: u32, to: u32) -> i64 {
    to.wrapping_sub(from).cast_signed().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(time: gst::ClockTime) -> f64 {
        time.nseconds() as f64 / 1e9 - 3_600.0
    }

    #[test]
    fn goes_on_where_the_timestamp_wraps() {
        let mut clock = RtpClock::new(90_000);
        assert_eq!(seconds(clock.time(u32::MAX - 89_999, 5)), 0.0);
        assert_eq!(seconds(clock.time(0, 5)), 1.0);
        assert_eq!(seconds(clock.time(90_000, 5)), 2.0);
        assert_eq!(seconds(clock.time(45_000, 5)), 1.5);
    }

    #[test]
    fn tracks_are_aligned_by_arrival() {
        for rate_hz in [8_000, 90_000] {
            let mut clock = RtpClock::new(rate_hz);
            assert_eq!(seconds(clock.time(181_000, 7_000_000_000)), 7.0);
            assert_eq!(seconds(clock.time(181_000 + rate_hz, 9_000_000_000)), 8.0);
            clock.begin_anew();
            assert_eq!(seconds(clock.time(5, 10_000_000_000)), 10.0);
        }
    }

    /// Sound comes every 20 ms and is never late; the picture's first packet is 140 ms late.
    #[test]
    fn sound_and_picture_stand_right_though_the_first_picture_was_late() {
        const MS: i64 = 1_000_000;
        let alignment = Alignment::default();
        let (mut picture, mut sound) = (RtpClock::new(90_000), RtpClock::new(8_000));
        let mut late_ms = (0.0, 0.0);
        let ms = |time: gst::ClockTime, now| (seconds(time) * 1e3 - now as f64 / 1e6).round();
        let shift_ns = (0..200).find_map(|tick: u32| {
            let now = i64::from(tick) * 10 * MS;
            if tick.is_multiple_of(2) {
                late_ms.1 = ms(sound.time(tick * 80, now), now);
            }
            if tick >= 14 && tick % 4 == 2 {
                let made = if tick == 14 { 0 } else { tick };
                late_ms.0 = ms(picture.time(made * 900, now), now);
                alignment.note_picture(now, &picture);
            }
            alignment.shift_ns(0, now, &sound)
        });
        assert_eq!(late_ms, (140.0, 0.0));
        assert_eq!(shift_ns, Some(140 * MS));
    }

    #[test]
    fn another_source_goes_on_as_time_passes() {
        let mut clock = RtpClock::new(90_000);
        clock.time(181_000, 7_000_000_000);
        // As late as the first, and 1 s of media behind it.
        assert_eq!(seconds(clock.time(271_000, 7_800_000_000)), 8.0);
        clock.change_source();
        assert_eq!(clock.since_last_ns(5), 0);
        assert_eq!(seconds(clock.time(5, 8_300_000_000)), 8.5);
        assert_eq!(seconds(clock.time(90_005, 8_300_000_000)), 9.5);
    }

    #[test]
    fn a_mad_timestamp_does_not_move_those_after_it() {
        let mut clock = RtpClock::new(90_000);
        clock.time(90_000, 0);
        for mad in [u32::MAX, 0, 1 << 31] {
            clock.time(mad, 0);
            assert_eq!(seconds(clock.time(180_000, 0)), 1.0, "{mad}");
        }
    }
}
