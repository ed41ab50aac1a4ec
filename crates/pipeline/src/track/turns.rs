//! Where the recording of a track has to begin anew, with a muxer of its own.

use gstreamer as gst;

/// A muxer that has been given access units for so long, and so many, and made nothing of them, makes
/// nothing any more. A chunk is a third of a second, or one access unit.
const STUCK: gst::ClockTime = gst::ClockTime::from_seconds(5);
const STUCK_UNITS: u32 = 25;

/// Why a recording begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Media time steps.
    Span,
    /// Other parameter sets: another init segment. A muxer (0.14.5) that is told what to split does not live to make it.
    Format,
    /// The muxer makes nothing of what it gets.
    Stuck,
}

/// What passes a tee, as far as recordings depend on it. Used by its streaming thread.
#[derive(Default)]
pub(super) struct Turns {
    segment: Option<gst::Segment>,
    caps: Option<gst::Caps>,
    /// What the muxer had made when the last access unit came.
    made: u64,
    /// Since the first keyframe after that.
    waiting: Option<Waiting>,
}

struct Waiting {
    since: Option<gst::ClockTime>,
    units: u32,
}

impl Turns {
    /// Whether a recording begins anew with this. `made` counts what the muxer has made so far.
    pub(super) fn step(&mut self, info: &gst::PadProbeInfo, made: u64) -> Option<Turn> {
        match &info.data {
            Some(gst::PadProbeData::Buffer(unit)) => self.unit(unit, made),
            Some(gst::PadProbeData::Event(event)) => match event.view() {
                gst::EventView::Segment(event) => {
                    let segment = event.segment().clone();
                    let before = self.segment.replace(segment.clone())?;
                    (before != segment).then(|| self.turn(Turn::Span))
                }
                gst::EventView::Caps(event) => {
                    let caps = event.caps_owned();
                    let before = self.caps.replace(caps.clone())?;
                    (before != caps).then(|| self.turn(Turn::Format))
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn unit(&mut self, unit: &gst::BufferRef, made: u64) -> Option<Turn> {
        let is_keyframe = !unit.flags().contains(gst::BufferFlags::DELTA_UNIT);
        if made != self.made {
            self.made = made;
            self.waiting = None;
        }
        match &mut self.waiting {
            None if is_keyframe => {
                self.waiting = Some(Waiting {
                    since: unit.pts(),
                    units: 0,
                });
                None
            }
            None => None,
            Some(waiting) => {
                waiting.units += 1;
                let time = unit.pts().zip(waiting.since);
                let time = time.map(|(now, since)| now.saturating_sub(since));
                let is_stuck = waiting.units >= STUCK_UNITS && time.is_some_and(|t| t >= STUCK);
                is_stuck.then(|| self.turn(Turn::Stuck))
            }
        }
    }

    /// Another muxer waits for its first keyframe.
    fn turn(&mut self, turn: Turn) -> Turn {
        self.waiting = None;
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The turns of access units, each with its time in ms, whether it is a keyframe, and how much the
    /// muxer had made.
    fn turns(units: impl IntoIterator<Item = (u64, bool, u64)>) -> Vec<(u64, Turn)> {
        gst::init().unwrap();
        let mut turns = Turns::default();
        let turn = |(ms, is_keyframe, made): (u64, bool, u64)| {
            let mut unit = gst::Buffer::new();
            let fields = unit.make_mut();
            fields.set_pts(gst::ClockTime::from_mseconds(ms));
            if !is_keyframe {
                fields.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
            Some((ms, turns.unit(&unit, made)?))
        };
        units.into_iter().filter_map(turn).collect()
    }

    #[test]
    fn a_muxer_that_makes_nothing_is_replaced_and_the_next_waits_for_its_keyframe() {
        // A keyframe every 20 s, and nothing made from 22 s on.
        let unit = |n: u64| (40 * n, n.is_multiple_of(500), (n / 12).min(45));
        assert_eq!(turns((0..1_000).map(unit)), []);
        assert_eq!(turns((0..1_300).map(unit)), [(45_000, Turn::Stuck)]);
    }

    #[test]
    fn a_picture_a_minute_is_no_reason() {
        assert_eq!(turns((0..60).map(|n| (60_000 * n, true, n))), []);
        assert_eq!(turns((0..20).map(|n| (60_000 * n, true, 0))), []);
    }
}
