//! Where chunks and segments begin, decided before the muxer.
//!
//! Chunks are the parts of low-latency HLS, and those of one length are what players expect: no part is shorter
//! than 85 % of the longest, but the last of a segment (RFC 8216bis §4.4.3.7). So a GOP is divided into chunks of equally
//! many access units, as far as its length can be known: from the one before it. Where GOPs are shorter than a
//! chunk, as those of sound are, chunks are made of whole GOPs.

use std::{sync::Arc, time::Duration};

use gstreamer as gst;
use parking_lot::Mutex;

/// Length of a chunk: what a crash can lose, and how far live playback is behind at least.
pub(super) const CHUNK: gst::ClockTime = gst::ClockTime::from_nseconds(333_333_333);
/// No chunk of more than one access unit is planned to be longer; it may become so, up to [`LATE`].
const LONGEST: gst::ClockTime = gst::ClockTime::from_mseconds(500);
/// Nor shorter.
const SHORTEST: gst::ClockTime = gst::ClockTime::from_mseconds(200);
/// A chunk that would be shorter goes on, unless its segment ends: keyframes came sooner than before, or access units.
const TOO_SHORT: gst::ClockTime = gst::ClockTime::from_mseconds(150);
/// After so much, a chunk ends however many access units it was to have: they come less often than before.
const LATE: gst::ClockTime = gst::ClockTime::from_mseconds(600);
/// So much before its target a segment may end: a slewed or rounded clock must not make it miss
/// the keyframe it was meant to end at.
pub(super) const EARLY: Duration = Duration::from_millis(230);
/// So much shorter than the longest chunk the shortest may be, in percent.
const MOST_UNEVEN_PERCENT: u64 = 15;

/// What begins with an access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    Chunk,
    /// And with it a chunk.
    Segment,
}

/// What an access unit means for what is cut before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    /// Decode time; where there is none, presentation time.
    pub(super) time: gst::ClockTime,
    pub(super) pts: gst::ClockTime,
    pub(super) is_keyframe: bool,
}

impl Unit {
    /// `None` if it has no time: the muxer refuses it.
    pub(super) fn of(buffer: &gst::BufferRef) -> Option<Self> {
        Some(Self {
            time: buffer.dts_or_pts()?,
            pts: buffer.pts()?,
            is_keyframe: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
        })
    }
}

/// How the GOPs of a track are divided. Kept from one muxer to the next: a camera goes on as it did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rhythm(Arc<Mutex<Option<Plan>>>);

/// Cuts the access units of one muxer.
#[derive(Debug)]
pub(super) struct Cutter {
    /// Length from which on a segment ends with its GOP.
    least: gst::ClockTime,
    rhythm: Rhythm,
    open: Option<Open>,
}

/// What is being made.
#[derive(Debug)]
struct Open {
    /// Where the segment, the chunk and the GOP began.
    segment: gst::ClockTime,
    chunk: gst::ClockTime,
    gop: gst::ClockTime,
    /// Decode time of the newest access unit that may begin a chunk.
    last: gst::ClockTime,
    /// When it is shown: after all before it.
    shown_last: gst::ClockTime,
    /// How many of these the GOP has so far.
    units: u64,
    /// How the GOP is divided; `None`: by time.
    plan: Option<Plan>,
    /// How many chunks of the GOP have ended.
    ended: u64,
}

impl Cutter {
    /// For segments of `target`.
    pub(super) fn new(target: Duration, rhythm: Rhythm) -> Self {
        let least = target.saturating_sub(EARLY).as_nanos();
        Self {
            least: gst::ClockTime::from_nseconds(u64::try_from(least).unwrap_or(u64::MAX - 1)),
            rhythm,
            open: None,
        }
    }

    /// What begins with `unit`; nothing with the first keyframe, before which there is nothing to cut.
    pub(super) fn unit(&mut self, unit: Unit) -> Option<Cut> {
        let Some(open) = &mut self.open else {
            let plan = *self.rhythm.0.lock();
            self.open = unit.is_keyframe.then(|| Open::at(unit, plan));
            return None;
        };
        let is_over = match unit.is_keyframe {
            true => open.ends_with_gop(unit),
            false => open.ends_within_gop(unit),
        };
        if unit.is_keyframe {
            *self.rhythm.0.lock() = open.plan;
        }
        // Where time goes back, a segment cannot go on.
        let goes_on = open.segment <= unit.time && unit.time - open.segment < self.least;
        let is_segment = is_over && unit.is_keyframe && !goes_on;
        let length = unit.time.saturating_sub(open.chunk);
        if !is_over || (length < TOO_SHORT && !is_segment) {
            return None;
        }
        open.begin_chunk(unit);
        if is_segment {
            open.segment = unit.time;
            return Some(Cut::Segment);
        }
        Some(Cut::Chunk)
    }
}

impl Open {
    const fn at(unit: Unit, plan: Option<Plan>) -> Self {
        Self {
            segment: unit.time,
            chunk: unit.time,
            gop: unit.time,
            last: unit.time,
            shown_last: unit.pts,
            units: 1,
            plan,
            ended: 0,
        }
    }

    /// Whether the chunk ends where a keyframe comes.
    fn ends_with_gop(&mut self, unit: Unit) -> bool {
        let time = unit.time;
        let length = time.saturating_sub(self.gop);
        // A keyframe on top of another, as for a viewer that has just come, says nothing of the next GOP.
        if length >= SHORTEST {
            self.plan = Some(Plan::of(self.units, length));
        }
        (self.units, self.ended) = (1, 0);
        (self.gop, self.last, self.shown_last) = (time, time, unit.pts);
        // With whole GOPs, as near to the length of a chunk as can be.
        time < self.chunk || (time - self.chunk).saturating_add(length / 2) >= CHUNK
    }

    /// Whether the chunk ends before another access unit of the GOP.
    fn ends_within_gop(&mut self, unit: Unit) -> bool {
        // A chunk that began with a picture that is shown before another would begin before that one's ends.
        if unit.pts <= self.shown_last {
            return false;
        }
        let time = unit.time;
        let is_late = time.saturating_sub(self.chunk) >= LATE;
        self.plan = self
            .plan
            .filter(|plan| !is_late && !plan.is_over(self.units));
        let is_over = match self.plan {
            Some(plan) => plan.chunks_before(self.units) > self.ended,
            None => {
                // Where one is nearest to the length of so many chunks.
                let half_step = time.saturating_sub(self.last) / 2;
                let chunks = |time: gst::ClockTime| {
                    let since = time.saturating_add(half_step).saturating_sub(self.gop);
                    since.nseconds() / CHUNK.nseconds()
                };
                is_late || chunks(time) > chunks(self.chunk)
            }
        };
        self.last = time;
        self.shown_last = unit.pts;
        self.units += 1;
        is_over
    }

    /// A chunk begins with `unit`, the newest.
    fn begin_chunk(&mut self, unit: Unit) {
        self.chunk = unit.time;
        let of_unit = self.units - 1;
        self.ended = self.plan.map_or(0, |plan| plan.chunks_before(of_unit));
    }
}

/// A GOP of so many access units that may begin chunks, in so many of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    units: u64,
    chunks: u64,
}

impl Plan {
    /// For the GOP after one of `units` that was as long as `length`.
    fn of(units: u64, length: gst::ClockTime) -> Self {
        let fewest = length.nseconds().div_ceil(LONGEST.nseconds());
        let fewest = fewest.clamp(1, units);
        let most = length.nseconds() / SHORTEST.nseconds();
        let plans = (fewest..=most.clamp(fewest, units)).map(|chunks| Self { units, chunks });
        let best = plans.min_by_key(|plan| {
            let (chunk, due) = ((length / plan.chunks).nseconds(), CHUNK.nseconds());
            let from_due_percent = chunk.max(due).saturating_mul(100) / chunk.min(due).max(1);
            (plan.percent_uneven(), from_due_percent)
        });
        best.unwrap_or(Self { units, chunks: 1 })
    }

    /// How much shorter the shortest chunk is than the longest, in percent; 0 where players do not mind.
    const fn percent_uneven(self) -> u64 {
        let percent = 100 - self.units / self.chunks * 100 / self.units.div_ceil(self.chunks);
        match percent <= MOST_UNEVEN_PERCENT {
            true => 0,
            false => percent,
        }
    }

    /// How many chunks are over before the access unit of that number, from 0. The last may be one access unit longer
    /// than others: of half seconds at 25 pictures a second, GOPs have 12 and 13 in turn.
    const fn chunks_before(self, unit: u64) -> u64 {
        match unit < self.units {
            true => ((unit + 1) * self.chunks - 1) / self.units,
            false => self.chunks - 1,
        }
    }

    /// Whether the GOP turns out to be longer by more than half a chunk, with the access unit of that number.
    const fn is_over(self, unit: u64) -> bool {
        2 * unit.saturating_sub(self.units) * self.chunks > self.units
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An access unit that is shown when it is decoded.
    const fn shown_at(time: gst::ClockTime, is_keyframe: bool) -> Unit {
        Unit {
            time,
            pts: time,
            is_keyframe,
        }
    }

    /// The lengths of chunks in ms, and which of them begin segments, of units `step_us` apart with a keyframe every
    /// `gop`, from the second GOP on.
    fn chunks(step_us: u64, gop: u64, units: u64) -> Vec<(u64, bool)> {
        let mut cutter = Cutter::new(Duration::from_secs(4), Rhythm::default());
        let mut begun = vec![(0, true)];
        for number in 0..units {
            let time = gst::ClockTime::from_useconds(number * step_us);
            if let Some(cut) = cutter.unit(shown_at(time, number % gop == 0)) {
                begun.push((number * step_us, cut == Cut::Segment));
            }
        }
        let pairs = begun.windows(2).filter(|pair| pair[0].0 >= gop * step_us);
        pairs
            .map(|pair| ((pair[1].0 - pair[0].0) / 1000, pair[0].1))
            .collect()
    }

    #[test]
    fn parts_are_as_long_as_players_expect_at_any_usual_rate_of_pictures() {
        let mut uneven = vec![];
        for rate in [
            1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 15, 16, 18, 20, 24, 25, 30, 50, 60,
        ] {
            for gop in [rate, 2 * rate, 3 * rate, 4 * rate, 10 * rate, 250] {
                let all = chunks(1_000_000 / rate, gop, 30 * rate + 3 * gop);
                let lengths = || all.iter().map(|chunk| chunk.0);
                let longest = lengths().max().unwrap();
                let least = longest * 85 / 100;
                // The last of a segment may be shorter.
                let ends = |index: usize| all.get(index + 1).is_none_or(|next| next.1);
                if lengths()
                    .enumerate()
                    .any(|(index, length)| length < least && !ends(index))
                {
                    uneven.push((rate, gop));
                }
                let most = (1000 / rate).max(550);
                assert!(
                    longest <= most,
                    "{rate} pictures, GOP of {gop}: {longest} ms"
                );
            }
        }
        assert_eq!(uneven, []);
    }

    #[test]
    fn the_first_gop_after_an_outage_is_divided_as_those_before() {
        let rhythm = Rhythm::default();
        // Half a second each: it is not known of the first.
        let begun = |gops: u64| {
            let mut cutter = Cutter::new(Duration::from_secs(4), rhythm.clone());
            let cuts = (0..12 * gops).filter(|number| {
                let time = gst::ClockTime::from_mseconds(40 * number);
                cutter.unit(shown_at(time, number % 12 == 0)).is_some()
            });
            cuts.collect::<Vec<_>>()
        };
        assert_eq!(begun(2), [8, 12, 18]);
        assert_eq!(begun(2), [6, 12, 18]);
    }

    #[test]
    fn chunks_of_sound_are_whole_frames_and_equally_long() {
        for rate in [8000, 16_000, 22_050, 32_000, 44_100, 48_000] {
            let all = chunks(1_024_000_000 / rate, 1, 1000);
            let shortest = all.iter().map(|chunk| chunk.0).min().unwrap();
            let longest = all.iter().map(|chunk| chunk.0).max().unwrap();
            assert!(
                longest - shortest <= 1,
                "{rate}: {shortest} to {longest} ms"
            );
            assert!((280..=400).contains(&longest), "{rate}: {longest} ms");
        }
    }

    #[test]
    fn gops_that_have_one_picture_more_in_turn_have_no_short_chunks() {
        let mut cutter = Cutter::new(Duration::from_secs(4), Rhythm::default());
        let (mut sizes, mut begun) = (vec![], 0);
        for number in 0..250_u64 {
            let time = gst::ClockTime::from_mseconds(40 * number);
            if cutter.unit(shown_at(time, number % 25 % 13 == 0)).is_some() {
                sizes.push(number - begun);
                begun = number;
            }
        }
        // Of the first GOP, nothing is known.
        assert_eq!(sizes[..4], [8, 5, 6, 6]);
        assert!(
            sizes[4..].iter().all(|size| (6..=7).contains(size)),
            "{sizes:?}"
        );
    }

    /// The lengths of chunks in ms of units `step_ms` apart, with keyframes at these.
    fn lengths(steps_ms: impl IntoIterator<Item = (u64, bool)>) -> Vec<u64> {
        let mut cutter = Cutter::new(Duration::from_secs(4), Rhythm::default());
        let (mut time_ms, mut begun_ms, mut lengths) = (0, 0, vec![]);
        for (step_ms, is_keyframe) in steps_ms {
            time_ms += step_ms;
            let time = gst::ClockTime::from_mseconds(time_ms);
            if cutter.unit(shown_at(time, is_keyframe)).is_some() {
                lengths.push(time_ms - begun_ms);
                begun_ms = time_ms;
            }
        }
        lengths
    }

    #[test]
    fn regression_a_short_gop_made_tiny_parts_of_the_one_after_it() {
        for short in 1..8 {
            // A keyframe for a viewer that has just come, and then none for long.
            let units = (0..1000).map(|n| (40, [0, 50, 50 + short].contains(&n)));
            let lengths = lengths(units);
            assert!(
                lengths.iter().all(|ms| (150..=640).contains(ms)),
                "{short}: {lengths:?}"
            );
            assert!(lengths.len() < 130, "{short}: {}", lengths.len());
        }
    }

    #[test]
    fn a_camera_that_sends_more_pictures_by_day_has_no_tiny_parts() {
        let night = (0..50).map(|n| (200, n % 5 == 0));
        let lengths = lengths(night.chain((0..500).map(|n| (40, n % 25 == 0))));
        assert!(
            lengths.iter().all(|ms| (160..=640).contains(ms)),
            "{lengths:?}"
        );
    }

    #[test]
    fn a_keyframe_that_comes_just_after_a_chunk_has_begun_begins_none() {
        let early = 9;
        let lengths = lengths((0..200).map(|n| (40, n % 25 == 0 || n == 100 + early)));
        assert!(lengths.iter().all(|ms| *ms >= 150), "{lengths:?}");
    }

    #[test]
    fn a_gop_is_divided_as_the_one_before() {
        let second = gst::ClockTime::SECOND;
        for (units, chunks) in [(25, 3), (30, 3), (16, 4), (10, 2), (14, 2), (5, 5), (1, 1)] {
            assert_eq!(Plan::of(units, second), Plan { units, chunks });
        }
        let [one, four] = [1, 4].map(|n| n * second);
        assert_eq!(Plan::of(100, four).chunks, 12);
        let plan = Plan::of(25, one);
        let over = |unit| plan.chunks_before(unit);
        let begun: Vec<_> = (1..40).filter(|&n| over(n) > over(n - 1)).collect();
        assert_eq!(begun, [8, 16]);
        assert!(!plan.is_over(29) && plan.is_over(30));
        assert_eq!(Plan::of(1, gst::ClockTime::ZERO).chunks, 1);
    }

    #[test]
    fn a_camera_that_sends_fewer_pictures_at_night_has_no_long_chunks() {
        let mut cutter = Cutter::new(Duration::from_secs(4), Rhythm::default());
        let mut chunk = gst::ClockTime::ZERO;
        let mut time = gst::ClockTime::ZERO;
        for number in 0..200 {
            let step_ms = if number < 100 { 40 } else { 160 };
            time += gst::ClockTime::from_mseconds(step_ms);
            let is_keyframe = number % 50 == 0;
            if cutter.unit(shown_at(time, is_keyframe)).is_some() {
                assert!(
                    time - chunk <= gst::ClockTime::from_mseconds(760),
                    "{number}"
                );
                chunk = time;
            }
        }
        assert!(time - chunk < LATE);
    }

    #[test]
    fn a_segment_begins_where_time_goes_back() {
        let mut cutter = Cutter::new(Duration::from_secs(4), Rhythm::default());
        let mut keyframe = |s| cutter.unit(shown_at(gst::ClockTime::from_seconds(s), true));
        assert_eq!(keyframe(10), None);
        assert_eq!(keyframe(12), Some(Cut::Chunk));
        assert_eq!(keyframe(9), Some(Cut::Segment));
        assert_eq!(keyframe(11), Some(Cut::Chunk));
        assert_eq!(keyframe(13), Some(Cut::Segment));
    }

    /// `cmafmux` lets a chunk begin where the first of its pictures is shown, and that has to be where the one before
    /// ends.
    #[test]
    fn no_chunk_begins_with_a_picture_that_others_are_shown_before() {
        let mut cutter = Cutter::new(Duration::from_secs(4), Rhythm::default());
        let mut begun = Vec::new();
        // I P B B P B B: each P is shown after the two that follow it.
        for number in 0..150_u64 {
            let shown = match number % 3 {
                1 => number + 3,
                _ => number,
            };
            let [time, pts] = [number, shown].map(|n| gst::ClockTime::from_mseconds(40 * n));
            let is_keyframe = number % 75 == 0;
            if cutter
                .unit(Unit {
                    time,
                    pts,
                    is_keyframe,
                })
                .is_some()
            {
                begun.push(number % 75);
            }
        }
        let second: Vec<_> = (4..75).step_by(6).collect();
        assert_eq!(begun[begun.len() - second.len()..], second);
        assert!(begun.iter().all(|begun| begun % 3 < 2), "{begun:?}");
    }
}
