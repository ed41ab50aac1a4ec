//! One picture of the last seconds, with what has to be decoded to see it.

use std::time::Instant;

use dayreel_archive::Pick;
use gstreamer as gst;

use super::{
    cut::{Run, runs},
    store::{Gop, Newest, Ring},
};

impl Ring {
    /// The access units that show the picture which `pick` means by `at`: [`Gop::newest`] is that
    /// picture. `None` if it holds none that is shown then.
    pub(crate) fn shown_at(&self, at: gst::ClockTime, pick: Pick) -> Option<Gop> {
        self.look(|state| {
            let runs = runs(state);
            let run = runs
                .iter()
                .rev()
                .find(|run| (run.start..run.end).contains(&at))?;
            let (pts, access_units) = match pick {
                Pick::Exact => {
                    let shown = run.units().filter_map(|unit| unit.pts());
                    let pts = shown.filter(|pts| *pts <= at).max()?;
                    (pts, run.units_for(pts, pts)?)
                }
                Pick::NearestKeyframe => run.keyframe(|start| at.absdiff(start))?,
                Pick::LastKeyframe => run.keyframe(|start| {
                    let is_later = start > at;
                    (is_later, at.absdiff(start))
                })?,
            };
            Some(Gop {
                caps: run.gops.last()?.caps.clone(),
                access_units,
                newest: Newest {
                    pts,
                    arrived: Instant::now(),
                    version: 0,
                },
            })
        })
    }
}

impl Run<'_> {
    /// The keyframe whose time has the least `cost`, and its time.
    fn keyframe<C: Ord>(
        &self,
        cost: impl Fn(gst::ClockTime) -> C,
    ) -> Option<(gst::ClockTime, Vec<gst::Buffer>)> {
        let starts = self
            .gops
            .iter()
            .filter_map(|gop| Some((gop.start?, gop.units.first()?)));
        let (start, unit) = starts.min_by_key(|(start, _)| cost(*start))?;
        Some((start, vec![unit.clone()]))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        RingSettings,
        frame::streams::{INTERVAL, START, Stream},
    };

    const SETTINGS: RingSettings = RingSettings {
        keep: Duration::from_secs(60),
        max_bytes: 1 << 24,
    };

    /// Number of the picture, and of the access units to decode.
    fn found(ring: &Ring, ms: u64, pick: Pick) -> Option<(u64, usize)> {
        let gop = ring.shown_at(START + gst::ClockTime::from_mseconds(ms), pick)?;
        let number = (gop.newest.pts - START).nseconds() / INTERVAL.nseconds();
        Some((number, gop.access_units.len()))
    }

    #[test]
    fn every_instant_has_its_picture_and_its_keyframes() {
        let (caps, units) = Stream {
            gop: 25,
            pictures: 60,
            ..Stream::default()
        }
        .encode();
        let ring = Ring::new(SETTINGS);
        for unit in units {
            ring.push(&caps, unit);
        }
        for (ms, picture) in [
            (0, (0, 1)),
            (39, (0, 1)),
            (40, (1, 2)),
            (999, (24, 25)),
            (1000, (25, 1)),
            (2399, (59, 10)),
        ] {
            assert_eq!(found(&ring, ms, Pick::Exact), Some(picture), "{ms}");
        }
        for (ms, nearest, last) in [(0, 0, 0), (499, 0, 0), (501, 25, 0), (1999, 50, 25)] {
            assert_eq!(found(&ring, ms, Pick::NearestKeyframe), Some((nearest, 1)));
            assert_eq!(found(&ring, ms, Pick::LastKeyframe), Some((last, 1)));
        }
        for pick in [Pick::Exact, Pick::NearestKeyframe, Pick::LastKeyframe] {
            assert_eq!(found(&ring, 2400, pick), None, "nothing is shown any more");
            assert!(ring.shown_at(START - INTERVAL, pick).is_none());
        }
    }

    #[test]
    fn leading_pictures_take_the_gop_before_with_them() {
        let stream = Stream {
            codec: "h265",
            gop: 25,
            b_frames: 3,
            pictures: 60,
            ..Stream::default()
        };
        let (caps, units) = stream.encode();
        let ring = Ring::new(SETTINGS);
        for unit in units {
            ring.push(&caps, unit);
        }
        for number in 0..60 {
            let (shown, units) = found(&ring, number * 40 + 20, Pick::Exact).unwrap();
            assert_eq!(shown, number);
            assert!(units as u64 > number % 25, "{units} for picture {number}");
        }
    }

    #[test]
    fn nothing_is_shown_in_a_gap() {
        let (caps, units) = Stream {
            gop: 5,
            pictures: 10,
            ..Stream::default()
        }
        .encode();
        let ring = Ring::new(SETTINGS);
        for unit in &units {
            ring.push(&caps, unit.clone());
        }
        ring.begin_source();
        for mut unit in units {
            let late = unit.make_mut();
            let pts = late.pts().map(|pts| pts + gst::ClockTime::from_seconds(5));
            late.set_pts(pts);
            late.set_dts(gst::ClockTime::NONE);
            ring.push(&caps, unit);
        }
        for pick in [Pick::Exact, Pick::NearestKeyframe] {
            assert_eq!(found(&ring, 2000, pick), None);
        }
        assert_eq!(found(&ring, 399, Pick::Exact), Some((9, 5)));
        assert_eq!(found(&ring, 5000, Pick::Exact), Some((125, 1)));
    }
}
