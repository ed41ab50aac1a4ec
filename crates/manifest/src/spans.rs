//! Which span each segment is in: HLS discontinuity sequence numbers, the same for all tracks.

use std::collections::BTreeMap;

use dayreel_core::{MediaTime, TrackKind};

use crate::Segment;

/// How a segment follows the one before it in its track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// It is the first of its track in this day.
    First,
    /// Same codec configuration, no gap.
    Unbroken,
    /// After a gap, or with another codec configuration.
    Broken,
}

/// The spans of a day by discontinuity sequence number. Players match tracks by that number
/// (RFC 8216 §6.2.4), so a break in one track makes a span for both: the other joins it with its
/// next segment that is mostly there, or after a break of its own.
///
/// The preview begins none. It comes from a session of its own, and whatever happens to that must not
/// break up the recording: it is in the span that is around it, and a hole of its own is a jump
/// of its times.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spans {
    /// Number and start of each span.
    starts: BTreeMap<u64, MediaTime>,
    /// The span each track is in; `None` before its first segment of the day.
    here: [Option<u64>; TrackKind::COUNT],
    /// Whether video and audio have no segment yet since both were interrupted.
    interrupted: [bool; 2],
}

impl Spans {
    /// The highest number.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.starts.last_key_value().map(|(number, _)| *number)
    }

    /// Whether the track is in the span with the highest number.
    pub(crate) fn is_in_newest(&self, kind: TrackKind) -> bool {
        self.here[kind as usize] == self.newest()
    }

    /// A track has no segment any more: its next one follows nothing.
    pub(crate) fn leave(&mut self, kind: TrackKind) {
        self.here[kind as usize] = None;
    }

    /// Neither track is recorded any more. The one that goes on first begins a span, unless it follows
    /// without a gap: what the other had begun before is not its own, however little that was.
    pub(crate) fn interrupt(&mut self) {
        self.interrupted = [true; 2];
    }

    /// Whether the track has no segment yet since it was interrupted.
    pub(crate) fn is_interrupted(&self, kind: TrackKind) -> bool {
        self.interrupted.get(kind as usize).is_some_and(|is| *is)
    }

    /// Decides which span `segment` is in. A track that is the first to begin starts at `first`.
    /// Returns the number and by how many it is higher than that of the segment before.
    pub(crate) fn enter(
        &mut self,
        kind: TrackKind,
        segment: &Segment,
        link: Link,
        first: u64,
    ) -> (u64, u64) {
        if kind == TrackKind::Preview {
            let around = self.around(segment).unwrap_or(first);
            let number = self.here[kind as usize].map_or(around, |here| here.max(around));
            return self.go_to(kind, number, segment);
        }
        let goes_on_first = self.interrupted == [true; 2];
        self.interrupted[kind as usize] = false;
        let around = match self.newest() {
            Some(newest) if goes_on_first && link != Link::Unbroken => Some(newest + 1),
            _ => self.around(segment),
        };
        let number = match (self.here[kind as usize], link) {
            (Some(here), Link::Unbroken) => here.max(around.unwrap_or(here)),
            (Some(here), _) => (here + 1).max(around.unwrap_or(0)),
            (None, _) => around.unwrap_or(first),
        };
        self.go_to(kind, number, segment)
    }

    /// Like [`Spans::enter`], for a segment of which it is known how many discontinuities come
    /// before it, and which number its track starts with.
    pub(crate) fn enter_listed(
        &mut self,
        kind: TrackKind,
        segment: &Segment,
        discontinuities: u64,
        first: u64,
    ) -> (u64, u64) {
        let number = match self.here[kind as usize] {
            None => first,
            Some(here) if discontinuities == 0 => here,
            // Where a segment of the other track is lost, that one has broken once more.
            Some(here) => here
                .saturating_add(discontinuities)
                .max(self.around(segment).unwrap_or(0)),
        };
        self.go_to(kind, number, segment)
    }

    fn go_to(&mut self, kind: TrackKind, number: u64, segment: &Segment) -> (u64, u64) {
        let before = self.here[kind as usize].replace(number).unwrap_or(number);
        if kind != TrackKind::Preview {
            self.starts.entry(number).or_insert(segment.start);
        }
        (number, number - before)
    }

    /// The span that the middle of `segment` is in; what is before all of them is in the first.
    fn around(&self, segment: &Segment) -> Option<u64> {
        let middle = segment.middle();
        let found = self
            .starts
            .iter()
            .rev()
            .find(|(_, start)| **start <= middle);
        found
            .or(self.starts.first_key_value())
            .map(|(number, _)| *number)
    }
}
