//! One track of a day: its segments, and what players are told about it, growing.

use std::fmt::Write as _;

use dayreel_core::{MediaTime, TICKS_PER_SECOND, TrackFormat, TrackKind};

use crate::{
    GrowingText, Init, InitHash, Part, Segment, Sequence,
    holes::Hole,
    init_name,
    keyframes::KeyframeLines,
    number::{Seconds, rounded_seconds},
    part_name,
    parts::{OpenSegment, Parts},
    runs::Runs,
    segment_name,
};

/// RFC 8216bis §4.4.4.9: the parts of segments that end longer than so many target durations before
/// the end are not listed.
const PART_TARGETS: u64 = 3;

/// What a playlist lists before a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// The segment before it.
    Listed,
    /// The segment before it, skipped: not every player knows its map, and its date.
    Skipped,
    /// Nothing: it is the first.
    Nothing,
}

/// One track of a day.
#[derive(Debug)]
pub struct Track {
    kind: TrackKind,
    segments: Vec<Segment>,
    inits: Vec<Init>,
    /// Indices into `segments` of those that follow a discontinuity, ascending, and how many
    /// spans later than the first segment they are.
    breaks: Vec<(usize, u64)>,
    /// Indices into `segments` of those that follow a hole within a span, ascending, and how many segments
    /// that are not there are listed before them.
    holes: Vec<(usize, u64)>,
    /// The numbers of the first segment.
    first: Sequence,
    /// The HLS lines of the segments before `settled`, whose parts are not listed any more.
    pub(crate) lines: GrowingText,
    pub(crate) keyframe_lines: KeyframeLines,
    settled: usize,
    parts: Parts,
    /// The DASH timeline, one for each Period of the day.
    pub(crate) periods: Vec<Runs>,
    max_duration_90k: u32,
    peak_bits_per_second: u64,
    peak_rate_milli: u64,
    total_bytes: u64,
    total_90k: u64,
}

impl Track {
    pub(crate) fn new(kind: TrackKind, first: Sequence) -> Self {
        Self {
            kind,
            segments: Vec::new(),
            inits: Vec::new(),
            breaks: Vec::new(),
            holes: Vec::new(),
            first,
            lines: GrowingText::default(),
            keyframe_lines: KeyframeLines::default(),
            settled: 0,
            parts: Parts::default(),
            periods: vec![Runs::default()],
            max_duration_90k: 0,
            peak_bits_per_second: 0,
            peak_rate_milli: 0,
            total_bytes: 0,
            total_90k: 0,
        }
    }

    /// Which track this is.
    pub const fn kind(&self) -> TrackKind {
        self.kind
    }

    /// The numbers of its first segment.
    pub const fn first(&self) -> Sequence {
        self.first
    }

    pub(crate) fn set_first(&mut self, first: Sequence) {
        self.first = first;
    }

    pub(crate) fn set_first_discontinuity(&mut self, discontinuity: u64) {
        self.first.discontinuity = discontinuity;
    }

    /// Number of the newest Period that it has a segment in.
    pub(crate) fn newest_period(&self) -> Option<usize> {
        self.periods.iter().rposition(|runs| runs.len() > 0)
    }

    /// Its segments, ascending.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Its init segments, in the order they were first used.
    pub fn inits(&self) -> &[Init] {
        &self.inits
    }

    /// The init segment with that hash.
    pub fn init(&self, hash: InitHash) -> Option<&Init> {
        self.inits.iter().find(|init| init.hash == hash)
    }

    /// The segment that starts exactly then.
    pub fn segment(&self, start: MediaTime) -> Option<&Segment> {
        let index = self
            .segments
            .binary_search_by_key(&start, |segment| segment.start)
            .ok()?;
        self.segments.get(index)
    }

    /// Index of the last segment that starts at `at` or before.
    pub fn index_at(&self, at: MediaTime) -> Option<usize> {
        let after = self.segments.partition_point(|segment| segment.start <= at);
        after.checked_sub(1)
    }

    /// The segment that `at` is in.
    pub fn segment_at(&self, at: MediaTime) -> Option<&Segment> {
        let segment = self.segments.get(self.index_at(at)?)?;
        (at < segment.end()).then_some(segment)
    }

    /// The instant after its last access unit.
    pub fn end(&self) -> Option<MediaTime> {
        self.segments.last().map(Segment::end)
    }

    /// Bytes of all its segments.
    pub const fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Media time of all its segments, 1/90000 s.
    pub const fn total_90k(&self) -> u64 {
        self.total_90k
    }

    /// The index of the init segment with these bytes, if it is known.
    pub fn init_index(&self, hash: InitHash) -> Option<u16> {
        let index = self.inits.iter().position(|init| init.hash == hash)?;
        u16::try_from(index).ok()
    }

    /// Adds an init segment and returns its index; a known one keeps the index it has.
    pub(crate) fn add_init(&mut self, init: Init) -> u16 {
        self.init_index(init.hash).unwrap_or_else(|| {
            self.inits.push(init);
            u16::try_from(self.inits.len() - 1).unwrap_or(u16::MAX)
        })
    }

    /// RFC 8216 §4.3.3.1: no rounded EXTINF is longer. At least 1 s.
    pub(crate) fn target_duration_s(&self) -> u64 {
        rounded_seconds(self.max_duration_90k.into()).max(1)
    }

    /// Counts as if there were a segment of that length.
    pub(crate) fn expect(&mut self, duration_90k: u32) {
        self.max_duration_90k = self.max_duration_90k.max(duration_90k);
    }

    /// The longest segment, 1/90000 s.
    pub(crate) const fn max_duration_90k(&self) -> u32 {
        self.max_duration_90k
    }

    /// RFC 8216 §4.3.4.2 BANDWIDTH: the largest bit rate of any stretch of segments. While all is
    /// too short to count as one: the average.
    pub(crate) fn peak_bits_per_second(&self) -> u64 {
        self.peak_bits_per_second
            .max(self.average_bits_per_second())
    }

    /// RFC 8216 §4.3.4.2 AVERAGE-BANDWIDTH.
    pub(crate) fn average_bits_per_second(&self) -> u64 {
        bits_per_second(self.total_bytes, self.total_90k)
    }

    /// The highest frame rate of a segment, in thousandths of an access unit a second; 0 while all
    /// are too short to tell.
    pub(crate) const fn peak_rate_milli(&self) -> u64 {
        self.peak_rate_milli
    }

    /// How it can be played: the formats it has, in the order of their first use.
    pub(crate) fn formats(&self) -> impl Iterator<Item = &TrackFormat> {
        self.inits.iter().map(|init| &init.format)
    }

    /// Number of segments that end `seconds` of playing time, or more, before the end. Gaps do not
    /// play: they count nothing.
    pub(crate) fn segments_before_last(&self, seconds: u64) -> usize {
        let mut rest_90k = seconds * TICKS_PER_SECOND;
        let kept = self.segments.iter().rev().take_while(|segment| {
            let within = rest_90k > 0;
            rest_90k = rest_90k.saturating_sub(segment.duration_90k.into());
            within
        });
        self.segments.len() - kept.count()
    }

    /// Appends `segment`, which is `breaks` spans later than the one before, to the Period number
    /// `period`.
    pub(crate) fn push(&mut self, segment: Segment, breaks: u64, period: usize) {
        let index = self.segments.len();
        if breaks > 0 {
            let before = self.breaks.last().map_or(0, |(_, spans)| *spans);
            self.breaks.push((index, before + breaks));
        } else if let Some(hole) = self.hole_before(&segment) {
            let before = up_to(&self.holes, index);
            self.holes.push((index, before + hole.segments()));
        }
        self.segments.push(segment);
        if let Some(runs) = self.periods.get_mut(period) {
            runs.push(&segment);
        }
        self.measure(&segment);
        self.parts.complete(segment.start);
        self.settle();
    }

    /// Freezes the lines of segments whose parts are not listed any more.
    fn settle(&mut self) {
        let until = self.segments_before_last(PART_TARGETS * self.target_duration_s());
        for index in self.settled..until {
            let mut lines = String::with_capacity(64);
            self.write_lines(index, After::Listed, &mut lines);
            self.lines.push(&lines);
        }
        self.settled = self.settled.max(until);
        if let Some(oldest) = self.segments.get(self.settled) {
            self.parts.forget_before(oldest.start);
        }
    }

    /// Index of the first segment whose lines are not among [`Track::lines`] yet.
    pub(crate) const fn settled(&self) -> usize {
        self.settled
    }

    /// Adds the first part of a segment, which needs the init segment number `init`.
    pub(crate) fn begin_segment(&mut self, init: u16, part: Part) {
        self.parts.begin(init, part);
    }

    /// Adds another part of it.
    pub(crate) fn push_part(&mut self, part: Part) {
        self.parts.push(part);
    }

    /// The part that starts exactly then, of the newest segments.
    pub fn part(&self, start: MediaTime) -> Option<&Part> {
        self.parts.find(start)
    }

    /// The segment that is being recorded.
    pub(crate) const fn open(&self) -> Option<&OpenSegment> {
        self.parts.open()
    }

    /// The parts of the newest complete segment; none if they are not listed any more.
    pub fn newest_parts(&self) -> &[Part] {
        let newest = self.segments.last();
        newest.map_or(&[], |newest| self.parts.of(newest.start))
    }

    /// The longest part of complete segments, 1/90000 s; 0 if there is none.
    pub(crate) fn longest_part_90k(&self) -> u32 {
        self.parts.longest_90k()
    }

    /// The same track without its first `dropped` segments; what is left keeps its numbers, and the
    /// target duration stays.
    pub(crate) fn without_first(&self, dropped: usize) -> Self {
        let dropped = dropped.min(self.segments.len());
        let mut kept = Self::new(self.kind, self.sequence(dropped));
        kept.inits.clone_from(&self.inits);
        kept.expect(self.max_duration_90k);
        kept.periods = self.periods.iter().map(|_| Runs::default()).collect();
        let mut index = 0;
        for (period, runs) in self.periods.iter().enumerate() {
            for _ in 0..runs.len() {
                if index >= dropped {
                    // The first that is left opens its span: it follows nothing.
                    let breaks = match index > dropped {
                        true => self.breaks_before(index),
                        false => 0,
                    };
                    kept.push(self.segments[index], breaks, period);
                }
                index += 1;
            }
        }
        kept.parts = self.parts.clone();
        kept
    }

    /// Whether it has nothing in the Period number `period`.
    pub(crate) fn is_absent(&self, period: usize) -> bool {
        self.periods.get(period).is_none_or(|runs| runs.len() == 0)
    }

    /// Forgets the first `gone` Periods, in which it has nothing.
    pub(crate) fn forget_periods(&mut self, gone: usize) {
        self.periods.drain(..gone.min(self.periods.len()));
    }

    /// The hole between the newest segment and `next`, of the same span.
    fn hole_before(&self, next: &Segment) -> Option<Hole> {
        Hole::between(self.segments.last()?, next)
    }

    /// How many spans later the segment at `index` is than the first.
    fn spans_before(&self, index: usize) -> u64 {
        up_to(&self.breaks, index)
    }

    /// How many spans later the segment at `index` is than the one before.
    fn breaks_before(&self, index: usize) -> u64 {
        let before = index.checked_sub(1);
        self.spans_before(index) - before.map_or(0, |before| self.spans_before(before))
    }

    /// The numbers of the segment at `index`.
    pub(crate) fn sequence(&self, index: usize) -> Sequence {
        Sequence {
            media: self.first.media + index as u64 + up_to(&self.holes, index),
            discontinuity: self.first.discontinuity + self.spans_before(index),
        }
    }

    /// How many segments are listed before the one at `index`, those of a hole just before it not counted.
    pub(crate) fn listed_before(&self, index: usize) -> u64 {
        let last = index
            .checked_sub(1)
            .map(|before| self.sequence(before).media);
        last.map_or(0, |last| last + 1 - self.first.media)
    }

    /// Index of the first segment of a window of `seconds` that slides along the end. RFC 8216 §6.2.2:
    /// it is never shorter than three target durations.
    pub(crate) fn window_start(&self, seconds: u64) -> usize {
        self.segments_before_last(seconds.max(3 * self.target_duration_s()))
    }

    /// The DASH timeline of a window of `seconds` that slides along the end, one for each Period.
    pub(crate) fn window(&self, seconds: u64) -> Vec<Runs> {
        let first = self.window_start(seconds);
        let mut end = 0;
        let listed = self.periods.iter().map(|runs| {
            let start = end;
            end += runs.len();
            Runs::of(&self.segments[start.max(first)..end.max(first)])
        });
        listed.collect()
    }

    /// The segments of the Period number `period`.
    pub(crate) fn in_period(&self, period: usize) -> &[Segment] {
        let before: usize = self.periods.iter().take(period).map(Runs::len).sum();
        let len = self.periods.get(period).map_or(0, Runs::len);
        self.segments.get(before..before + len).unwrap_or(&[])
    }

    /// Splits the Period number `period` in two: what is mostly at `from` or later is in the new
    /// one. Costs as much as the Period is long where something is: a codec change is rare.
    pub(crate) fn split_period(&mut self, period: usize, from: MediaTime) {
        let segments = self.in_period(period);
        let kept = segments.partition_point(|segment| segment.middle() < from);
        let (before, after) = segments.split_at(kept);
        let old = (!after.is_empty()).then(|| Runs::of(before));
        let new = Runs::of(after);
        let Some(runs) = self.periods.get_mut(period) else {
            return;
        };
        if let Some(old) = old {
            *runs = old;
        }
        self.periods.insert(period + 1, new);
    }

    /// Writes the HLS lines of the segment at `index`, which comes after `after`.
    pub(crate) fn write_lines(&self, index: usize, after: After, text: &mut String) {
        if let Some(segment) = self.segments.get(index) {
            self.write_tags(index, segment, after, text);
            self.write_name(segment, text);
        }
    }

    /// The same with its parts.
    pub(crate) fn write_lines_of_parts(&self, index: usize, after: After, text: &mut String) {
        if let Some(segment) = self.segments.get(index) {
            self.write_tags(index, segment, after, text);
            self.write_parts(self.parts.of(segment.start), text);
            self.write_name(segment, text);
        }
    }

    /// Writes the lines of the segment that is being recorded and goes on without a break, and where
    /// its next part will be.
    pub(crate) fn write_open(&self, open: &OpenSegment, text: &mut String) {
        let (Some(first), Some(newest)) = (open.parts.first(), open.parts.last()) else {
            return;
        };
        if self.end() != Some(first.start) {
            write_date(first.start, text);
        }
        self.write_parts(&open.parts, text);
        let next = part_name(self.kind, newest.end());
        // Writing to a String cannot fail.
        let _ = writeln!(text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"../{next}\"");
    }

    /// Writes what players must know before the segment `segment` at `index`.
    pub(crate) fn write_tags(
        &self,
        index: usize,
        segment: &Segment,
        after: After,
        text: &mut String,
    ) {
        let before = index
            .checked_sub(1)
            .filter(|_| after != After::Nothing)
            .and_then(|before| self.segments.get(before));
        // RFC 8216 §6.2.1: each tag counts, so a track that has nothing in a span has two in a row.
        let breaks = before.map_or(0, |_| self.breaks_before(index));
        if let Some(before) = before.filter(|_| breaks == 0)
            && let Some(hole) = Hole::between(before, segment)
        {
            hole.write(self.kind, text);
        }
        (0..breaks).for_each(|_| text.push_str("#EXT-X-DISCONTINUITY\n"));
        let is_told =
            after == After::Skipped || before.is_none_or(|before| before.init != segment.init);
        if is_told && let Some(init) = self.inits.get(usize::from(segment.init)) {
            let name = init_name(self.kind, init.hash);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "#EXT-X-MAP:URI=\"../{name}\"");
        }
        if after == After::Skipped
            || breaks > 0
            || before.is_none_or(|before| before.end() != segment.start)
        {
            write_date(segment.start, text);
        }
    }

    fn write_parts(&self, parts: &[Part], text: &mut String) {
        for part in parts {
            let duration = Seconds(part.duration_90k.into());
            let name = part_name(self.kind, part.start);
            let _ = write!(text, "#EXT-X-PART:DURATION={duration},URI=\"../{name}\"");
            text.push_str(match part.is_independent {
                true => ",INDEPENDENT=YES\n",
                false => "\n",
            });
        }
    }

    fn write_name(&self, segment: &Segment, text: &mut String) {
        let duration = Seconds(segment.duration_90k.into());
        let name = segment_name(self.kind, segment.start);
        let _ = writeln!(text, "#EXTINF:{duration},\n../{name}");
    }

    fn measure(&mut self, segment: &Segment) {
        let length_90k = u64::from(segment.duration_90k);
        self.max_duration_90k = self.max_duration_90k.max(segment.duration_90k);
        self.total_bytes += u64::from(segment.bytes.len_bytes);
        self.total_90k += length_90k;
        // RFC 8216 §4.1: the peak is taken over stretches of 0.5 to 1.5 target durations; a short
        // segment at the end of a span is none.
        let target_90k = self.target_duration_s() * TICKS_PER_SECOND;
        let (mut stretch_bytes, mut stretch_90k) = (0_u64, 0_u64);
        for segment in self.segments.iter().rev() {
            stretch_bytes += u64::from(segment.bytes.len_bytes);
            stretch_90k += u64::from(segment.duration_90k);
            if stretch_90k * 2 > target_90k * 3 {
                break;
            }
            if stretch_90k * 2 >= target_90k {
                let peak = bits_per_second(stretch_bytes, stretch_90k);
                self.peak_bits_per_second = self.peak_bits_per_second.max(peak);
            }
        }
        if length_90k * 2 >= target_90k {
            let rate =
                u64::from(segment.access_units) * 1000 * TICKS_PER_SECOND / length_90k.max(1);
            self.peak_rate_milli = self.peak_rate_milli.max(rate);
        }
    }
}

/// The sum in `sums`, which are those of ascending indices, of the last index up to `index`.
fn up_to(sums: &[(usize, u64)], index: usize) -> u64 {
    let after = sums.partition_point(|(at, _)| *at <= index);
    let newest = after.checked_sub(1).and_then(|at| sums.get(at));
    newest.map_or(0, |(_, sum)| *sum)
}

fn write_date(time: MediaTime, text: &mut String) {
    let time = time.media_to_wall().format("%Y-%m-%dT%H:%M:%S%.3fZ");
    let _ = writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{time}");
}

fn bits_per_second(bytes: u64, length_90k: u64) -> u64 {
    // A day of 8K video is some 10^13 bytes: times 8 times 90000 still fits.
    (bytes * 8 * TICKS_PER_SECOND).div_ceil(length_90k.max(1))
}
