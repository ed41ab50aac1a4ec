//! Presentation times from RTP timestamps, where no jitter buffer makes them.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use gstreamer as gst;
use gstreamer::prelude::*;

/// Where RTP time begins in a session, in seconds: it may go back a little before its base.
const BEGIN_S: i64 = 3_600;
/// A base further than this from the first packet is none (RFC 2326 §12.33 says where it should be).
const NEAR_S: i64 = 60;

/// When the first packet of a session came: RTP clocks without a base are aligned by arrival.
pub(crate) type FirstPacket = Arc<OnceLock<Instant>>;

/// The RTP clock of one track, from 32 bits to a time that never wraps.
#[derive(Debug)]
pub(crate) struct RtpClock {
    rate_hz: i64,
    /// The RTP time that the camera says its tracks have in common.
    base: Option<u32>,
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    rtp: u32,
    /// Ticks of `rate_hz` since the beginning of the session.
    ticks: i64,
}

impl RtpClock {
    /// The clock of a track with these caps; `None` if they lack its rate.
    pub(crate) fn of(caps: &gst::CapsRef) -> Option<Self> {
        let fields = caps.structure(0)?;
        let rate_hz = fields
            .get::<i32>("clock-rate")
            .ok()
            .filter(|rate| *rate > 0)?;
        Some(Self {
            rate_hz: rate_hz.into(),
            base: fields.get::<u32>("clock-base").ok(),
            last: None,
        })
    }

    /// The time of a packet with timestamp `rtp`; `late_ns` after the first of the session.
    fn time(&mut self, rtp: u32, late_ns: i64) -> gst::ClockTime {
        let begin = BEGIN_S * self.rate_hz;
        let ticks = match self.last {
            Some(last) => last.ticks.saturating_add(distance(last.rtp, rtp)),
            None => {
                let near = |ticks: &i64| ticks.abs() <= NEAR_S * self.rate_hz;
                let since_base = self.base.map(|base| distance(base, rtp)).filter(near);
                let late = i128::from(late_ns) * i128::from(self.rate_hz) / 1_000_000_000;
                begin + since_base.unwrap_or_else(|| i64::try_from(late).unwrap_or(0))
            }
        };
        self.last = Some(Last { rtp, ticks });
        let ns = i128::from(ticks.max(0)) * 1_000_000_000 / i128::from(self.rate_hz);
        gst::ClockTime::from_nseconds(u64::try_from(ns).unwrap_or(u64::MAX - 1))
    }

    /// Lets the packets of `pad` carry their times.
    pub(crate) fn attach(mut self, pad: &gst::Pad, first: FirstPacket) {
        let stamp = move |packet: &mut gst::Buffer| {
            let mut head = [0; 8];
            if packet.copy_to_slice(0, &mut head).is_err() {
                return;
            }
            let late = first.get_or_init(Instant::now).elapsed().as_nanos();
            let [.., a, b, c, d] = head;
            let late_ns = i64::try_from(late).unwrap_or(i64::MAX);
            let time = self.time(u32::from_be_bytes([a, b, c, d]), late_ns);
            let packet = packet.make_mut();
            packet.set_pts(time);
            packet.set_dts(gst::ClockTime::NONE);
        };
        // One streaming thread calls it: the lock is never waited for.
        let stamp = parking_lot::Mutex::new(stamp);
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(packet) = info.buffer_mut() {
                (stamp.lock())(packet);
            }
            gst::PadProbeReturn::Ok
        });
    }
}

/// From `from` to `to` the shorter way round, in ticks.
fn distance(from: u32, to: u32) -> i64 {
    to.wrapping_sub(from).cast_signed().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(base: Option<u32>) -> RtpClock {
        RtpClock {
            rate_hz: 90_000,
            base,
            last: None,
        }
    }

    fn seconds(time: gst::ClockTime) -> f64 {
        time.nseconds() as f64 / 1e9 - 3_600.0
    }

    #[test]
    fn goes_on_where_the_timestamp_wraps() {
        let mut clock = clock(Some(u32::MAX - 89_999));
        assert_eq!(seconds(clock.time(u32::MAX - 89_999, 5)), 0.0);
        assert_eq!(seconds(clock.time(0, 5)), 1.0);
        assert_eq!(seconds(clock.time(90_000, 5)), 2.0);
        assert_eq!(seconds(clock.time(45_000, 5)), 1.5);
    }

    #[test]
    fn tracks_are_aligned_by_their_base_or_by_arrival() {
        assert_eq!(
            seconds(clock(Some(1_000)).time(181_000, 7_000_000_000)),
            2.0
        );
        assert_eq!(seconds(clock(None).time(181_000, 7_000_000_000)), 7.0);
        let made_up = Some(2_000_000_000);
        assert_eq!(seconds(clock(made_up).time(181_000, 7_000_000_000)), 7.0);
    }

    #[test]
    fn a_mad_timestamp_does_not_move_those_after_it() {
        let mut clock = clock(None);
        clock.time(90_000, 0);
        for mad in [u32::MAX, 0, 1 << 31] {
            clock.time(mad, 0);
            assert_eq!(seconds(clock.time(180_000, 0)), 1.0, "{mad}");
        }
    }
}
