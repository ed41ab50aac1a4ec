//! Presentation times from RTP timestamps, where no jitter buffer makes them.

use gstreamer as gst;

/// Where RTP time begins in a session, in seconds: it may go back a little from its first packet.
const BEGIN_S: i64 = 3_600;

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

    /// By how much the least delayed packet was less delayed than the first, in ns.
    pub(crate) const fn early_ns(&self) -> i64 {
        self.early_ns
    }

    /// The time of timestamp `rtp`, which is near that of the last packet, in ns since the beginning of
    /// the session. `None` if there was no packet, or it was of another source.
    pub(crate) fn ns_of(&self, rtp: u32) -> Option<i64> {
        let last = self.last.filter(|_| !self.is_other_source)?;
        let ticks = last.ticks.checked_add(distance(last.rtp, rtp))?;
        let ns = i128::from(ticks) * 1_000_000_000 / i128::from(self.rate_hz);
        i64::try_from(ns - i128::from(BEGIN_S) * 1_000_000_000).ok()
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
    fn begins_at_arrival() {
        for rate_hz in [8_000, 90_000] {
            let mut clock = RtpClock::new(rate_hz);
            assert_eq!(seconds(clock.time(181_000, 7_000_000_000)), 7.0);
            assert_eq!(seconds(clock.time(181_000 + rate_hz, 9_000_000_000)), 8.0);
            clock.begin_anew();
            assert_eq!(seconds(clock.time(5, 10_000_000_000)), 10.0);
        }
    }

    #[test]
    fn knows_when_a_report_was() {
        let mut clock = RtpClock::new(90_000);
        assert_eq!(clock.ns_of(5), None);
        clock.time(u32::MAX - 89_999, 2_000_000_000);
        clock.time(0, 3_000_000_000);
        assert_eq!(clock.ns_of(90_000), Some(4_000_000_000));
        assert_eq!(clock.ns_of(u32::MAX - 44_999), Some(2_500_000_000));
        clock.change_source();
        assert_eq!(clock.ns_of(90_000), None);
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
