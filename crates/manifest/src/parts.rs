//! Parts: the chunks of the newest segments, for players that do not wait for whole ones
//! (RFC 8216bis §4.4.4.9).

use std::collections::VecDeque;

use dayreel_core::MediaTime;

use crate::Slice;

/// A segment of more parts is listed when it is complete, without them: some cameras send a keyframe in a
/// minute or none at all, and each reload would list all.
const MOST_PARTS: usize = 384;

/// A chunk of a segment, on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Decode time of its first access unit (`tfdt`).
    pub start: MediaTime,
    /// Sum of its access units' durations, 1/90000 s. Always > 0.
    pub duration_90k: u32,
    /// Whether it begins with a keyframe.
    pub is_independent: bool,
    /// Where the bytes are.
    pub bytes: Slice,
}

impl Part {
    /// The instant after its last access unit.
    pub const fn end(&self) -> MediaTime {
        self.start.saturating_add(self.duration_90k as u64)
    }
}

/// The segment that is being recorded.
#[derive(Clone, Debug)]
pub(crate) struct OpenSegment {
    /// Which init segment it needs.
    pub(crate) init: u16,
    /// What there is of it. Never empty.
    pub(crate) parts: Vec<Part>,
}

/// The parts of the newest segments of a track.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    /// Those of segments that are complete, oldest first.
    complete: VecDeque<Vec<Part>>,
    open: Option<OpenSegment>,
}

impl Parts {
    /// Adds the first part of a segment.
    pub(crate) fn begin(&mut self, init: u16, part: Part) {
        let parts = vec![part];
        self.open = Some(OpenSegment { init, parts });
    }

    /// Adds another part of the segment.
    pub(crate) fn push(&mut self, part: Part) {
        let fits = |open: &&mut OpenSegment| open.parts.len() < MOST_PARTS;
        match self.open.as_mut().filter(fits) {
            Some(open) => open.parts.push(part),
            None => self.open = None,
        }
    }

    /// The segment that starts at `start` is complete.
    pub(crate) fn complete(&mut self, start: MediaTime) {
        let open = self.open.take().map(|open| open.parts);
        self.complete
            .extend(open.filter(|parts| starts_at(parts, start)));
    }

    /// Lets go of the parts of segments before the one that starts at `start`.
    pub(crate) fn forget_before(&mut self, start: MediaTime) {
        let is_before = |parts: &Vec<Part>| parts.first().is_some_and(|first| first.start < start);
        while self.complete.front().is_some_and(is_before) {
            self.complete.pop_front();
        }
    }

    /// Those of the complete segment that starts at `start`; none if that is too old.
    pub(crate) fn of(&self, start: MediaTime) -> &[Part] {
        let found = self.complete.iter().find(|parts| starts_at(parts, start));
        found.map_or(&[], Vec::as_slice)
    }

    /// The segment that is being recorded.
    pub(crate) const fn open(&self) -> Option<&OpenSegment> {
        self.open.as_ref()
    }

    /// The one that starts exactly then.
    pub(crate) fn find(&self, start: MediaTime) -> Option<&Part> {
        let open = self.open.iter().map(|open| &open.parts);
        let mut all = self.complete.iter().chain(open).flatten();
        all.find(|part| part.start == start)
    }

    /// The longest of complete segments, 1/90000 s.
    pub(crate) fn longest_90k(&self) -> u32 {
        let all = self.complete.iter().flatten();
        all.map(|part| part.duration_90k).max().unwrap_or_default()
    }
}

/// Whether the segment of these parts starts at `start`.
pub(crate) fn starts_at(parts: &[Part], start: MediaTime) -> bool {
    parts.first().is_some_and(|first| first.start == start)
}
