//! The timeline of one day of one camera: its tracks, their spans and Periods.

use dayreel_core::{Day, GapCause, MediaTime, TICKS_PER_SECOND, TrackKind};

use crate::{
    Init, Part, Segment, Slice, Track,
    parts::OpenSegment,
    spans::{Link, Spans},
};

/// A hole between two segments that is no more than this is jitter, not a gap: 0.1 s.
pub const GAP_90K: u64 = TICKS_PER_SECOND / 10;

/// How many of the longest segments a track may be late before players are told without it.
const WAIT_SEGMENTS: u64 = 3;

/// Where numbering goes on: HLS counts segments and discontinuities over midnight, so that a player
/// of `today` sees the old day slide out and the new one begin (RFC 8216 §6.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Media sequence number of a segment.
    pub media: u64,
    /// Discontinuity sequence number of the span it is in.
    pub discontinuity: u64,
}

/// A stretch of the day that is recorded without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// First instant.
    pub start: MediaTime,
    /// The instant after the last.
    pub end: MediaTime,
    /// Why nothing is recorded before it; `None` if nothing is missing or nobody knows.
    pub after: Option<GapCause>,
}

/// A DASH Period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    /// Where it starts.
    pub(crate) start: MediaTime,
    /// The span that it began with.
    span: u64,
    /// How many Periods began with that span before it.
    nth: u32,
}

impl Period {
    /// `Period@id`, which goes on over midnight and restarts as the numbers of spans do: dash.js plays on in the
    /// Period of the new day that has the id of the one that it is in.
    pub(crate) fn id(&self) -> String {
        match self.nth {
            0 => self.span.to_string(),
            nth => format!("{}.{nth}", self.span),
        }
    }
}

/// One day of one camera, as far as it is recorded. Appended to, never rebuilt.
#[derive(Debug)]
pub struct DayTimeline {
    day: Day,
    tracks: [Track; TrackKind::COUNT],
    spans: Spans,
    /// One, and another for each new codec configuration and after each gap.
    periods: Vec<Period>,
    recorded: Vec<Recorded>,
    /// Why nothing is recorded from the end of `recorded` to the end of the day.
    ends_with: Option<GapCause>,
    /// Whether a picture was ever appended: from then on the first Period does not move.
    has_picture: bool,
}

impl DayTimeline {
    /// An empty day whose tracks are numbered from `video` and `audio`, the preview like the video;
    /// see [`DayTimeline::number_from`].
    pub fn new(day: Day, video: Sequence, audio: Sequence) -> Self {
        Self {
            day,
            tracks: [
                Track::new(TrackKind::Video, video),
                Track::new(TrackKind::Audio, audio),
                Track::new(TrackKind::Preview, video),
            ],
            spans: Spans::default(),
            periods: Vec::new(),
            recorded: Vec::new(),
            ends_with: None,
            has_picture: false,
        }
    }

    /// The local day.
    pub const fn day(&self) -> Day {
        self.day
    }

    /// One of its tracks; without segments if the camera has no such track.
    pub const fn track(&self, kind: TrackKind) -> &Track {
        &self.tracks[kind as usize]
    }

    /// Whether nothing is recorded yet.
    pub fn is_empty(&self) -> bool {
        self.track(TrackKind::Video).segments().is_empty()
    }

    /// The stretches recorded without a gap (of the video track), ascending.
    pub fn recorded(&self) -> &[Recorded] {
        &self.recorded
    }

    /// Says why nothing is recorded before the newest stretch, which has just begun. The first cause
    /// that is said counts.
    pub fn explain_gap(&mut self, cause: GapCause) {
        if let Some(newest) = self.recorded.last_mut() {
            newest.after.get_or_insert(cause);
        }
    }

    /// Says why nothing is recorded from the newest stretch to the end of the day. Holds until more
    /// is recorded.
    pub fn explain_end(&mut self, cause: GapCause) {
        self.ends_with.get_or_insert(cause);
    }

    /// Why nothing is recorded at the end of the day, if that was said.
    pub const fn ends_with(&self) -> Option<GapCause> {
        self.ends_with
    }

    /// Bytes of all segments of all tracks.
    pub fn total_bytes(&self) -> u64 {
        self.tracks.iter().map(Track::total_bytes).sum()
    }

    /// The numbers a segment of `kind` that follows without a break would have.
    pub fn next_sequence(&self, kind: TrackKind) -> Sequence {
        let track = self.track(kind);
        let newest = self.spans.newest();
        Sequence {
            media: track.first().media + track.listed_before(track.segments().len()),
            discontinuity: newest.unwrap_or(track.first().discontinuity),
        }
    }

    /// Numbers the track `kind` from `first`. Only while it has no segment.
    pub fn number_from(&mut self, kind: TrackKind, first: Sequence) {
        if self.track(kind).segments().is_empty() {
            self.track_mut(kind).set_first(first);
        }
    }

    /// Adds an init segment of `kind` and returns the index that segments refer to it by.
    pub fn add_init(&mut self, kind: TrackKind, init: Init) -> u16 {
        self.track_mut(kind).add_init(init)
    }

    /// Says how long segments are meant to be (1/90000 s), so that the first playlists of a day,
    /// whose only segment may be shorter, already have the target duration that stays
    /// (RFC 8216 §6.2.1: it must not change).
    pub fn expect_duration_90k(&mut self, duration_90k: u32) {
        for track in &mut self.tracks {
            track.expect(duration_90k);
        }
    }

    /// Neither video nor audio is recorded any more, or was for some time: what is appended next
    /// follows without a gap or begins a span for both.
    pub fn interrupt(&mut self) {
        self.spans.interrupt();
    }

    /// Whether nothing of the track is recorded since then.
    pub(crate) fn is_interrupted(&self, kind: TrackKind) -> bool {
        self.spans.is_interrupted(kind)
    }

    /// Appends `segment` to the track `kind`, and returns how many discontinuities it follows: one
    /// where there was a gap (in either track) or the codec configuration is another, more where
    /// only the other track was recorded in between.
    ///
    /// It must start at or after the end of the last segment of its track.
    pub fn append(&mut self, kind: TrackKind, segment: Segment) -> u64 {
        let track = self.track(kind);
        let link = match track.segments().last() {
            None => Link::First,
            Some(last)
                if last.init == segment.init
                    && last.end().saturating_add(GAP_90K) >= segment.start =>
            {
                Link::Unbroken
            }
            Some(_) => Link::Broken,
        };
        let first = track.first().discontinuity;
        let (span, breaks) = self.spans.enter(kind, &segment, link, first);
        if link == Link::First {
            // It may begin in a later span than it was numbered from.
            self.track_mut(kind).set_first_discontinuity(span);
        }
        self.push(kind, segment, span, breaks);
        breaks
    }

    /// Says that a segment of the track `kind` is being recorded, which needs the init segment number
    /// `init`, and what its first part is. [`DayTimeline::append`] completes it.
    pub fn begin_segment(&mut self, kind: TrackKind, init: u16, part: Part) {
        self.track_mut(kind).begin_segment(init, part);
    }

    /// Adds another part of the segment that is being recorded.
    pub fn append_part(&mut self, kind: TrackKind, part: Part) {
        self.track_mut(kind).push_part(part);
    }

    /// The segment of `kind` that is being recorded, if it goes on where what is listed ends: only when
    /// it is complete, it is known which break it follows.
    pub(crate) fn open(&self, kind: TrackKind) -> Option<&OpenSegment> {
        let track = self.track(kind);
        let (open, last) = (track.open()?, track.segments().last()?);
        let first = open.parts.first()?;
        let ends = last.end();
        let goes_on = open.init == last.init
            && ends <= first.start
            && ends.saturating_add(GAP_90K) >= first.start
            && self.spans.is_in_newest(kind);
        goes_on.then_some(open)
    }

    /// Where the parts are that there are of the segment of `kind` that is being recorded and starts at `start`, one
    /// after another.
    pub fn open_bytes(&self, kind: TrackKind, start: MediaTime) -> Option<Slice> {
        let parts = &self.track(kind).open()?.parts;
        let first = parts.first().filter(|first| first.start == start)?;
        Some(Slice {
            len_bytes: parts.iter().map(|part| part.bytes.len_bytes).sum(),
            ..first.bytes
        })
    }

    /// Appends `segment` as a day index lists it: how many discontinuities come before it is known.
    /// Returns how many do now.
    /// In the order of their ends, as they were recorded, the segments of both tracks give the
    /// timeline that [`DayTimeline::append`] gave.
    pub fn append_listed(
        &mut self,
        kind: TrackKind,
        segment: Segment,
        discontinuities: u64,
    ) -> u64 {
        let first = self.track(kind).first().discontinuity;
        let (span, breaks) = self
            .spans
            .enter_listed(kind, &segment, discontinuities, first);
        self.push(kind, segment, span, breaks);
        breaks
    }

    /// The same day without the first segments of each track, `dropped` of each
    /// [`TrackKind::ALL`]. Segments, spans and Periods keep their numbers and the target durations stay, so that
    /// players see the beginning slide out (RFC 8216 §6.2.2). Takes as long as reading what is left.
    pub fn without_first(&self, dropped: [usize; TrackKind::COUNT]) -> Self {
        let mut tracks =
            TrackKind::ALL.map(|kind| self.track(kind).without_first(dropped[kind as usize]));
        let mut spans = self.spans.clone();
        for track in &tracks {
            if track.segments().is_empty() {
                spans.leave(track.kind());
            }
        }
        // The newest Period stays: the next segments go on in it.
        let most = self.periods.len().saturating_sub(1);
        let end = self.end().unwrap_or_default();
        let is_gone = |period: &usize| {
            // Of one that has just ended, a late track may still come.
            let ended = self.periods[*period + 1].start;
            end.saturating_since(ended) >= self.wait_90k()
                && tracks.iter().all(|track| track.is_absent(*period))
        };
        let gone = (0..most).take_while(is_gone).count();
        for track in &mut tracks {
            track.forget_periods(gone);
        }
        let [video, ..] = &tracks;
        let first = video.segments().first().map(|segment| segment.start);
        let mut recorded = self.recorded.clone();
        recorded.retain(|stretch| first.is_some_and(|first| stretch.end > first));
        if let (Some(stretch), Some(first)) =
            (recorded.first_mut(), first.filter(|_| dropped[0] > 0))
        {
            // What is before it is deleted, not missing.
            (stretch.start, stretch.after) = (stretch.start.max(first), None);
        }
        Self {
            day: self.day,
            tracks,
            spans,
            periods: self.periods[gone..].to_vec(),
            recorded,
            ends_with: self.ends_with,
            has_picture: self.has_picture,
        }
    }

    fn track_mut(&mut self, kind: TrackKind) -> &mut Track {
        &mut self.tracks[kind as usize]
    }

    fn push(&mut self, kind: TrackKind, segment: Segment, span: u64, breaks: u64) {
        // RFC 8216bis §6.2.4: each variant and rendition has the same target duration.
        self.expect_duration_90k(segment.duration_90k);
        let period = self.enter_period(kind, &segment, span);
        if kind == TrackKind::Video {
            self.has_picture = true;
            self.ends_with = None;
            self.note_recorded(&segment);
        }
        self.track_mut(kind).push(segment, breaks, period);
    }

    fn note_recorded(&mut self, segment: &Segment) {
        match self.recorded.last_mut() {
            Some(last) if last.end.saturating_add(GAP_90K) >= segment.start => {
                last.end = segment.end();
            }
            _ => self.recorded.push(Recorded {
                start: segment.start,
                end: segment.end(),
                after: None,
            }),
        }
    }

    /// Returns the number of the Period that `segment` is in: the one that its middle is in. A
    /// codec configuration that changes and a gap in picture and sound begin a new Period for all tracks,
    /// unless another has begun it.
    fn enter_period(&mut self, kind: TrackKind, segment: &Segment, span: u64) -> usize {
        if self.periods.is_empty() {
            self.insert_period(0, segment.start, span);
        }
        if let ([only], TrackKind::Video, false) =
            (self.periods.as_mut_slice(), kind, self.has_picture)
        {
            // The day begins with its first picture, whichever track is appended first.
            only.start = segment.start;
        }
        let track = self.track(kind);
        let (last, here) = (track.segments().last().copied(), track.newest_period());
        let is_behind = |end: MediaTime| end.saturating_add(GAP_90K) < segment.start;
        let is_gap =
            kind != TrackKind::Preview && self.end_without_preview().is_some_and(is_behind);
        if is_gap && self.has_picture {
            return self.begin_period(self.periods.len() - 1, segment, span);
        }
        let around = self
            .periods
            .iter()
            .rposition(|period| period.start <= segment.middle())
            .unwrap_or(0);
        let (Some(last), Some(here)) = (last, here) else {
            return around;
        };
        if around > here {
            if kind == TrackKind::Video && is_behind(last.end()) {
                self.begin_with(segment, around);
            }
            return around;
        }
        if last.init == segment.init {
            return here;
        }
        self.begin_period(here, segment, span)
    }

    /// Begins a Period with `segment`, behind the one of that number. Returns its own.
    fn begin_period(&mut self, before: usize, segment: &Segment, span: u64) -> usize {
        // Ascending even if this track changes twice before the other has begun.
        let least = self.periods[before].start.saturating_add(1);
        let start = segment.start.max(least);
        self.insert_period(before + 1, start, span);
        for track in &mut self.tracks {
            track.split_period(before, start);
        }
        before + 1
    }

    fn insert_period(&mut self, number: usize, start: MediaTime, span: u64) {
        let of_span = self.periods.iter().filter(|period| period.span == span);
        let nth = of_span.map(|period| period.nth + 1).max().unwrap_or(0);
        self.periods.insert(number, Period { start, span, nth });
    }

    /// Lets the Period number `period` begin with its first picture, where that is earlier than the sound that has begun
    /// it, or hardly later, and before it is shown: players show nothing of before it, and nothing that refers to that.
    fn begin_with(&mut self, picture: &Segment, period: usize) {
        let is_shown =
            picture.end().saturating_since(self.periods[period].start) >= self.wait_90k();
        let before = period
            .checked_sub(1)
            .map(|before| self.periods[before].start);
        let has_room = before.is_none_or(|before| before < picture.start);
        let start = &mut self.periods[period].start;
        if !is_shown && has_room && picture.start <= start.saturating_add(GAP_90K) {
            *start = picture.start;
        }
    }

    /// For so long a track is waited for, 1/90000 s.
    fn wait_90k(&self) -> u64 {
        WAIT_SEGMENTS * u64::from(self.max_duration_90k())
    }

    /// Whether one track has begun the newest Period (or the day) and another is about to. Players
    /// that see it now would take it for all there is: dash.js adds no track to a Period that it
    /// knows, hls.js reads the multivariant playlist once. A track that does not come is waited
    /// for as long as [`WAIT_SEGMENTS`].
    pub(crate) fn is_incomplete(&self) -> bool {
        let newest = self.periods.len().checked_sub(1);
        self.is_incomplete_without(|track| track.newest_period() != newest)
    }

    fn is_incomplete_without(&self, is_missing: impl Fn(&Track) -> bool) -> bool {
        let is_due = |track: &Track| {
            is_missing(track)
                && !track.inits().is_empty()
                && self.recorded_since(track) < WAIT_SEGMENTS
        };
        let start = self
            .periods
            .last()
            .map_or(MediaTime::default(), |period| period.start);
        let recorded_90k = self.end().unwrap_or_default().saturating_since(start);
        self.tracks.iter().any(is_due) && recorded_90k < self.wait_90k()
    }

    /// Whether a track of the day is about to come: hls.js reads the multivariant playlist once.
    pub(crate) fn lacks_a_track(&self) -> bool {
        self.is_incomplete_without(|track| track.segments().is_empty())
    }

    /// How many segments another track has after the end of `track`.
    fn recorded_since(&self, track: &Track) -> u64 {
        let end = track.end().unwrap_or_default();
        let since = |other: &Track| {
            let segments = other.segments();
            segments.len() - segments.partition_point(|segment| segment.start < end)
        };
        let most = self.tracks.iter().map(since).max();
        most.unwrap_or(0) as u64
    }

    fn end_without_preview(&self) -> Option<MediaTime> {
        let ends = [TrackKind::Video, TrackKind::Audio].map(|kind| self.track(kind).end());
        ends.into_iter().flatten().max()
    }

    /// The end of what is recorded of any track.
    pub(crate) fn end(&self) -> Option<MediaTime> {
        self.tracks.iter().filter_map(Track::end).max()
    }

    /// Whether it has all tracks that the day `before` was recorded with to its end.
    pub fn has_tracks_of(&self, before: &Self) -> bool {
        let goes_on = |kind: &TrackKind| before.goes_as_far(*kind);
        let mut tracks = TrackKind::ALL.into_iter().filter(goes_on);
        tracks.all(|kind| !self.track(kind).segments().is_empty())
    }

    /// Whether the preview goes about as far as the picture: a player that chose one that has ended
    /// would wait for it.
    pub(crate) fn has_preview(&self) -> bool {
        self.goes_as_far(TrackKind::Preview)
    }

    /// Whether the track goes about as far as the picture.
    fn goes_as_far(&self, kind: TrackKind) -> bool {
        let end = self.track(TrackKind::Video).end().unwrap_or_default();
        let behind_90k = |other| end.saturating_since(other);
        let other = self.track(kind).end();
        other.is_some_and(|other| behind_90k(other) <= self.wait_90k())
    }

    /// The longest segment of any track, 1/90000 s.
    pub(crate) fn max_duration_90k(&self) -> u32 {
        let longest = self.tracks.iter().map(Track::max_duration_90k);
        longest.max().unwrap_or_default()
    }

    /// The DASH Periods.
    pub(crate) fn periods(&self) -> &[Period] {
        &self.periods
    }
}
