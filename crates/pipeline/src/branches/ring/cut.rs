//! The access units of a window of time: from the keyframe before its first picture to its last.

use std::ops::Range;

use gstreamer as gst;

use super::store::{Ring, Seam, State, StoredGop};

/// A stretch of presentation time, nanoseconds since the Unix epoch: from `start` up to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first instant that belongs to it.
    pub start: gst::ClockTime,
    /// The first that does not.
    pub end: gst::ClockTime,
}

/// Why there is less than what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Beyond it the picture has another codec, resolution or codec data.
    FormatChange,
    /// Beyond it the camera was away.
    Gap,
    /// Nothing before it is held: the program has just started, or memory was short.
    NotHeld,
    /// Nothing after it has come.
    NothingNewer,
}

impl Missing {
    /// In one word, for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::FormatChange => "format_change",
            Self::Gap => "gap",
            Self::NotHeld => "not_held",
            Self::NothingNewer => "nothing_newer",
        }
    }
}

/// A window's access units, shared with the ring.
#[derive(Clone, Debug)]
pub struct Cut {
    /// Of all of them.
    pub caps: gst::Caps,
    /// In decode order, a keyframe first, never empty.
    pub access_units: Vec<gst::Buffer>,
    /// From the first picture of the window to the end of the last.
    pub shown: Window,
    /// Why it does not begin at the window's start.
    pub starts_late: Option<Missing>,
    /// Why it ends before the window's end.
    pub ends_early: Option<Missing>,
}

impl Ring {
    /// What it holds of `window`, of one format and without a gap: the longest such stretch, the
    /// later of two. `None` if there is no picture in it.
    pub fn cut(&self, window: Window) -> Option<Cut> {
        self.look(|state| {
            let runs = runs(state);
            let best = (0..runs.len()).max_by_key(|run| (runs[*run].overlap(window), *run))?;
            runs[best].cut(window, &runs, best)
        })
    }

    /// The access units that sound anywhere in `window`, of the format of the last of them, and
    /// their caps. For tracks that consist of keyframes.
    pub fn units_in(&self, window: Window) -> Option<(gst::Caps, Vec<gst::Buffer>)> {
        self.look(|state| {
            let is_before = |gop: &StoredGop| gop.start.is_some_and(|start| start < window.end);
            let end = state.gops.partition_point(is_before);
            let caps = state.gops.get(end.checked_sub(1)?)?.caps.clone();
            let mut begin = end;
            while let Some(gop) = begin.checked_sub(1).and_then(|at| state.gops.get(at)) {
                begin -= 1;
                if gop.start.is_none_or(|start| start <= window.start) {
                    break;
                }
                if gop.seam == Some(Seam::Format) {
                    break;
                }
            }
            let gops = state.gops.range(begin..end);
            let units = gops.flat_map(|gop| gop.units.iter().cloned()).collect();
            Some((caps, units))
        })
    }
}

/// GOPs that continue each other.
pub(super) struct Run<'s> {
    pub(super) gops: Vec<&'s StoredGop>,
    /// What is before it.
    seam: Option<Seam>,
    pub(super) start: gst::ClockTime,
    /// The usual distance of two pictures, of its newest GOP that has two.
    step: gst::ClockTime,
    /// The end of its last picture.
    pub(super) end: gst::ClockTime,
}

/// The runs of a ring, oldest first. GOPs without times belong to none.
pub(super) fn runs(state: &State) -> Vec<Run<'_>> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    for gop in &state.gops {
        let (Some(start), Some(latest)) = (gop.start, gop.latest) else {
            continue;
        };
        match runs.last_mut().filter(|_| gop.seam.is_none()) {
            Some(run) => {
                run.gops.push(gop);
                run.step = step(gop).unwrap_or(run.step);
                run.end = run.end.max(latest + run.step);
            }
            None => {
                let of_first = || gop.units.first().and_then(|unit| unit.duration());
                let step = step(gop).or_else(of_first).unwrap_or(USUAL_STEP);
                runs.push(Run {
                    gops: vec![gop],
                    seam: gop.seam,
                    start,
                    step,
                    end: latest + step,
                });
            }
        }
    }
    runs
}

/// The distance of two pictures where nothing tells it.
const USUAL_STEP: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// The usual distance of two pictures of a GOP; of one picture there is none.
fn step(gop: &StoredGop) -> Option<gst::ClockTime> {
    let units = &gop.units[..gop.unbroken.unwrap_or(gop.units.len())];
    let spread = gop
        .latest
        .zip(gop.start)
        .map(|(to, from)| to.saturating_sub(from));
    let others = u64::try_from(units.len()).unwrap_or(1).saturating_sub(1);
    spread
        .filter(|spread| others > 0 && !spread.is_zero())
        .map(|spread| spread / others)
}

impl<'s> Run<'s> {
    /// How much of `window` it covers, nanoseconds.
    fn overlap(&self, window: Window) -> u64 {
        let end = self.end.min(window.end);
        end.saturating_sub(self.start.max(window.start)).nseconds()
    }

    /// Its access units in decode order; those after a gap are not.
    pub(super) fn units(&self) -> impl Iterator<Item = &'s gst::Buffer> {
        let unbroken = |gop: &&'s StoredGop| {
            let gop: &'s StoredGop = gop;
            gop.units[..gop.unbroken.unwrap_or(gop.units.len())].iter()
        };
        self.gops.iter().flat_map(unbroken)
    }

    fn cut(&self, window: Window, runs: &[Run<'_>], index: usize) -> Option<Cut> {
        // What is shown before the first keyframe refers to what is not here.
        let from = window.start.max(self.start);
        let times = || self.units().filter_map(|unit| unit.pts());
        let first = times()
            .filter(|pts| *pts >= from && *pts < window.end)
            .min()?;
        let last = times().filter(|pts| *pts < window.end).max()?;
        let after_last = times().filter(|pts| *pts > last).min();
        let end = after_last.unwrap_or(self.end.max(last + gst::ClockTime::NSECOND));
        let access_units = self.units_for(first, last)?;
        // A window may begin between two pictures.
        let starts_late = (first > window.start + self.step).then(|| match self.seam {
            Some(seam) if index > 0 => missing(seam),
            _ => Missing::NotHeld,
        });
        let ends_early = (end < window.end).then(|| {
            let next = runs.get(index + 1).and_then(|next| next.seam);
            next.map_or(Missing::NothingNewer, missing)
        });
        Some(Cut {
            caps: self.gops.last()?.caps.clone(),
            access_units,
            shown: Window { start: first, end },
            starts_late,
            ends_early,
        })
    }

    /// What has to be decoded to show the pictures `first` to `last`.
    pub(super) fn units_for(
        &self,
        first: gst::ClockTime,
        last: gst::ClockTime,
    ) -> Option<Vec<gst::Buffer>> {
        let is_before = |gop: &&StoredGop| gop.start.is_some_and(|start| start <= first);
        let begin = self.gops.iter().rposition(is_before)?;
        let lead_in: usize = self.gops[..begin]
            .iter()
            .map(|gop| gop.unbroken.unwrap_or(gop.units.len()))
            .sum();
        let all: Vec<_> = self.units().collect();
        let is_shown = |unit: &&gst::Buffer| unit.pts().is_some_and(|pts| pts <= last);
        let end = all.iter().rposition(is_shown)? + 1;
        let range: Range<usize> = lead_in..end;
        Some(all.get(range)?.iter().map(|unit| (*unit).clone()).collect())
    }
}

const fn missing(seam: Seam) -> Missing {
    match seam {
        Seam::Format => Missing::FormatChange,
        Seam::Gap => Missing::Gap,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::RingSettings;

    const SETTINGS: RingSettings = RingSettings {
        keep: Duration::from_secs(60),
        max_bytes: 1 << 20,
    };

    fn ms(ms: u64) -> gst::ClockTime {
        gst::ClockTime::from_mseconds(ms)
    }

    fn window(from_ms: u64, to_ms: u64) -> Window {
        Window {
            start: ms(from_ms),
            end: ms(to_ms),
        }
    }

    fn caps(width: i32) -> gst::Caps {
        gst::init().unwrap();
        gst::Caps::builder("video/x-h264")
            .field("width", width)
            .build()
    }

    /// A picture that is decoded at `dts_ms` and shown at `pts_ms`.
    fn picture(dts_ms: u64, pts_ms: u64, is_keyframe: bool) -> gst::Buffer {
        gst::init().unwrap();
        let mut unit = gst::Buffer::with_size(10).unwrap();
        let writable = unit.get_mut().unwrap();
        writable.set_dts(ms(dts_ms));
        writable.set_pts(ms(pts_ms));
        if !is_keyframe {
            writable.set_flags(gst::BufferFlags::DELTA_UNIT);
        }
        unit
    }

    /// Pictures from `from_ms` up to `to_ms`, one every 100 ms, ten to a GOP.
    fn fill(ring: &Ring, width: i32, from_ms: u64, to_ms: u64) {
        for number in 0..(to_ms - from_ms) / 100 {
            let at_ms = from_ms + number * 100;
            ring.push(&caps(width), picture(at_ms, at_ms, number % 10 == 0));
        }
    }

    /// First and last access unit by their presentation times, and what is shown.
    fn ends(cut: &Cut) -> (u64, u64, Window) {
        let at = |unit: Option<&gst::Buffer>| unit.unwrap().pts().unwrap().mseconds();
        (
            at(cut.access_units.first()),
            at(cut.access_units.last()),
            cut.shown,
        )
    }

    #[test]
    fn begins_at_the_keyframe_before_and_ends_with_the_last_picture() {
        let ring = Ring::new(SETTINGS);
        fill(&ring, 64, 0, 5000);
        let cut = ring.cut(window(1250, 3250)).unwrap();
        // The first picture that is wholly in it, and up to the end of the last that begins in it.
        assert_eq!(ends(&cut), (1000, 3200, window(1300, 3300)));
        assert_eq!((cut.starts_late, cut.ends_early), (None, None));
        let cut = ring.cut(window(2000, 3000)).unwrap();
        assert_eq!(ends(&cut), (2000, 2900, window(2000, 3000)), "no lead-in");
        let cut = ring.cut(window(1950, 3000)).unwrap();
        assert_eq!(ends(&cut).0, 2000, "the first picture is a keyframe");
    }

    #[test]
    fn regression_a_clip_started_late_where_the_newest_group_was_one_picture() {
        let ring = Ring::new(SETTINGS);
        fill(&ring, 64, 0, 4100);
        let cut = ring.cut(window(1250, 4050)).unwrap();
        assert_eq!(ends(&cut).2, window(1300, 4100));
        assert_eq!((cut.starts_late, cut.ends_early), (None, None));
    }

    #[test]
    fn less_is_given_and_said_when_there_is_less() {
        let ring = Ring::new(SETTINGS);
        fill(&ring, 64, 2000, 5000);
        let cut = ring.cut(window(1000, 3000)).unwrap();
        assert_eq!(ends(&cut).2, window(2000, 3000));
        assert_eq!(cut.starts_late, Some(Missing::NotHeld));
        let cut = ring.cut(window(4000, 6000)).unwrap();
        assert_eq!(ends(&cut).2, window(4000, 5000));
        assert_eq!(cut.ends_early, Some(Missing::NothingNewer));
        assert!(ring.cut(window(5000, 6000)).is_none());
        assert!(ring.cut(window(0, 2000)).is_none());
    }

    #[test]
    fn a_clip_is_of_one_format_and_without_a_gap() {
        for (width, missing) in [(128, Missing::FormatChange), (64, Missing::Gap)] {
            let ring = Ring::new(SETTINGS);
            fill(&ring, 64, 0, 3000);
            ring.begin_source();
            fill(&ring, width, 4000, 9000);
            let late = ring.cut(window(2000, 6000)).unwrap();
            assert_eq!(ends(&late).2, window(4000, 6000));
            assert_eq!(late.caps, caps(width));
            assert_eq!((late.starts_late, late.ends_early), (Some(missing), None));
            let early = ring.cut(window(500, 4500)).unwrap();
            assert_eq!(ends(&early).2, window(500, 3000));
            assert_eq!(early.caps, caps(64));
            assert_eq!((early.starts_late, early.ends_early), (None, Some(missing)));
        }
    }

    #[test]
    fn a_gap_within_a_gop_ends_a_clip_too() {
        let ring = Ring::new(SETTINGS);
        fill(&ring, 64, 0, 1500);
        ring.push(&caps(64), picture(6000, 6000, false));
        fill(&ring, 64, 6500, 8000);
        let cut = ring.cut(window(500, 4500)).unwrap();
        assert_eq!(ends(&cut), (0, 1400, window(500, 1500)));
        assert_eq!(cut.ends_early, Some(Missing::Gap));
        assert_eq!(ends(&ring.cut(window(6000, 8000)).unwrap()).0, 6500);
    }

    /// I P B B P B B …, one GOP of 2.8 s after another.
    #[test]
    fn pictures_out_of_order_are_taken_with_what_they_refer_to() {
        let ring = Ring::new(SETTINGS);
        for gop in 0..2 {
            let begin = 1000 + gop * 2800;
            for number in 0_u64..28 {
                let shown = match (number, number % 3) {
                    (0, _) => 0,
                    (_, 1) => number + 2,
                    _ => number - 1,
                };
                let (dts, pts) = (begin + number * 100 - 100, begin + shown * 100);
                ring.push(&caps(64), picture(dts, pts, number == 0));
            }
        }
        let cut = ring.cut(window(1500, 2500)).unwrap();
        assert_eq!(cut.shown, window(1500, 2500));
        let shown = cut.access_units.iter().filter_map(|unit| unit.pts());
        let shown: Vec<_> = shown.map(gst::ClockTime::mseconds).collect();
        // 2500 is decoded before 2400, which refers to it.
        assert!(shown.contains(&2500) && shown.contains(&2400), "{shown:?}");
        assert_eq!((shown[0], shown.len()), (1000, 16));
    }

    #[test]
    fn sound_is_taken_from_the_unit_that_sounds_at_the_start() {
        let ring = Ring::new(SETTINGS);
        for at_ms in (0..2000).step_by(20) {
            ring.push(&caps(1), picture(at_ms, at_ms, true));
        }
        let (_, units) = ring.units_in(window(1010, 1100)).unwrap();
        let at = |unit: &gst::Buffer| unit.pts().unwrap().mseconds();
        assert_eq!((at(&units[0]), at(units.last().unwrap())), (1000, 1080));
        ring.push(&caps(2), picture(2000, 2000, true));
        let (caps_of, units) = ring.units_in(window(1900, 2100)).unwrap();
        assert_eq!((caps_of, units.len()), (caps(2), 1), "of one format");
        assert!(Ring::new(SETTINGS).units_in(window(0, 1)).is_none());
    }
}
