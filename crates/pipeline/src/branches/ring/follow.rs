//! Reading a ring along as it grows, by the numbers of its access units.

use std::time::Duration;

use gstreamer as gst;

use super::store::{Ring, Seam};

/// Access units of one GOP that a follower has not had.
#[derive(Clone, Debug)]
pub(crate) struct Fresh {
    /// Of all of them.
    pub(crate) caps: gst::Caps,
    /// In decode order, up to a gap within the GOP.
    pub(crate) units: Vec<gst::Buffer>,
    /// What to ask for next.
    pub(crate) next: u64,
    /// They begin with the keyframe.
    pub(crate) begins_gop: bool,
    /// What lies between the keyframe and what was before, if they begin with it.
    pub(crate) seam: Option<Seam>,
    /// Access units that were passed over: the follower was too slow, or they follow a gap without a
    /// keyframe.
    pub(crate) skipped: u64,
}

impl Ring {
    /// Where a follower begins that wants to know the last `back`: at a keyframe at or before that,
    /// or at the oldest that is continued without a seam. With it the longest GOP from there on that
    /// is complete. `None` while there is no keyframe.
    pub(crate) fn join(&self, back: Duration) -> Option<(u64, gst::ClockTime)> {
        let back = gst::ClockTime::try_from(back).unwrap_or(gst::ClockTime::MAX);
        self.look(|state| {
            let from = state.newest?.pts.saturating_sub(back);
            let mut joined: Option<(u64, gst::ClockTime)> = None;
            let mut longest = gst::ClockTime::ZERO;
            let mut end: Option<gst::ClockTime> = None;
            for gop in state.gops.iter().rev() {
                if let Some((end, start)) = end.zip(gop.start) {
                    longest = longest.max(end.saturating_sub(start));
                }
                joined = Some((gop.first, longest));
                end = gop.start;
                if gop.seam.is_some() || gop.start.is_none_or(|start| start <= from) {
                    break;
                }
            }
            joined
        })
    }

    /// The number of the first access unit that is shown at or after `pts`. For tracks that consist
    /// of keyframes.
    pub(crate) fn first_from(&self, pts: gst::ClockTime) -> u64 {
        self.look(|state| {
            let is_before = |start: Option<gst::ClockTime>| start.is_some_and(|start| start < pts);
            let first = state.gops.iter().find(|gop| !is_before(gop.start));
            let end = state.gops.back().map_or(0, |gop| gop.end());
            first.map_or(end, |gop| gop.first)
        })
    }

    /// What there is from number `next` on, of one GOP; `None` while nothing is.
    pub(crate) fn after(&self, next: u64) -> Option<Fresh> {
        self.look(|state| {
            let known = state.gops.partition_point(|gop| gop.end() <= next);
            let gop = state.gops.get(known)?;
            let from = next.max(gop.first);
            let begin = usize::try_from(from - gop.first).unwrap_or(usize::MAX);
            let usable = gop.unbroken.unwrap_or(gop.units.len());
            let units = gop.units.get(begin..usable).unwrap_or_default().to_vec();
            Some(Fresh {
                caps: gop.caps.clone(),
                next: gop.end(),
                begins_gop: begin == 0,
                seam: gop.seam.filter(|_| begin == 0),
                skipped: gop.end() - next - units.len() as u64,
                units,
            })
        })
    }

    /// Waits until there is something from number `next` on.
    pub(crate) async fn has_after(&self, next: u64) {
        loop {
            let pushed = self.pushed();
            let has = |end: u64| end > next;
            if self.look(|state| state.gops.back().is_some_and(|gop| has(gop.end()))) {
                return;
            }
            pushed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RingSettings;

    /// A unit every 100 ms, a keyframe every ten.
    fn push(ring: &Ring, numbers: std::ops::Range<u64>) {
        gst::init().unwrap();
        let caps = gst::Caps::builder("video/x-h264").build();
        for number in numbers {
            let mut unit = gst::Buffer::with_size(100).unwrap();
            let writable = unit.get_mut().unwrap();
            writable.set_pts(gst::ClockTime::from_mseconds(number * 100));
            if number % 10 != 0 {
                writable.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
            ring.push(&caps, unit);
        }
    }

    fn ring(keep_s: u64) -> Ring {
        Ring::new(RingSettings {
            keep: Duration::from_secs(keep_s),
            max_bytes: 1 << 20,
        })
    }

    #[test]
    fn a_follower_gets_every_access_unit_once() {
        let ring = ring(30);
        push(&ring, 0..25);
        let (mut next, longest) = ring.join(Duration::from_millis(1500)).unwrap();
        assert_eq!(
            (next, longest),
            (0, gst::ClockTime::SECOND),
            "0.9 s are in its GOP"
        );
        let mut times = Vec::new();
        for until in [26, 31, 55] {
            push(&ring, u64::try_from(times.len()).unwrap().max(25)..until);
            while let Some(fresh) = ring.after(next) {
                assert_eq!(fresh.skipped, 0);
                assert_eq!(fresh.begins_gop, next % 10 == 0);
                times.extend(fresh.units.iter().filter_map(|unit| unit.pts()));
                next = fresh.next;
            }
        }
        let all = (0..55).map(|number| gst::ClockTime::from_mseconds(number * 100));
        assert_eq!(times, all.collect::<Vec<_>>());
    }

    #[test]
    fn one_who_is_too_slow_goes_on_at_a_keyframe_and_knows_what_was_lost() {
        let ring = ring(1);
        push(&ring, 0..5);
        push(&ring, 5..45);
        let fresh = ring.after(5).unwrap();
        assert!(fresh.begins_gop);
        assert_eq!(
            fresh.units.first().and_then(|unit| unit.pts()),
            Some(gst::ClockTime::from_seconds(3))
        );
        assert_eq!(fresh.skipped, 25);
    }

    #[test]
    fn what_follows_a_gap_without_a_keyframe_is_passed_over() {
        let ring = ring(30);
        push(&ring, 0..5);
        push(&ring, 25..28);
        let fresh = ring.after(0).unwrap();
        assert_eq!((fresh.units.len(), fresh.skipped), (5, 3));
        push(&ring, 30..31);
        let fresh = ring.after(fresh.next).unwrap();
        assert_eq!((fresh.seam, fresh.begins_gop), (Some(Seam::Gap), true));
        assert_eq!(
            ring.join(Duration::from_secs(9)).unwrap().0,
            8,
            "not before the gap"
        );
        assert_eq!(ring.first_from(gst::ClockTime::from_seconds(3)), 8);
    }
}
