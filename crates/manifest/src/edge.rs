//! How far the playlist of a live day goes.

use dayreel_core::{MediaTime, TICKS_PER_SECOND, TrackKind};

use crate::{DayTimeline, Part};

/// The newest of what a media playlist lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Media sequence number of the newest complete segment.
    pub complete: u64,
    /// How many parts of it are listed; 0 if nobody knows.
    pub complete_parts: u64,
    /// How many parts of the segment after it are listed.
    pub open_parts: u64,
    /// The end of all of them: where the next part begins if nothing is in between.
    pub end: MediaTime,
    /// No part that is listed is longer, 1/90000 s; 0 while none is.
    pub part_target_90k: u32,
    /// RFC 8216 §4.3.3.1, s.
    pub target_s: u64,
}

impl Edge {
    /// Media sequence number of the newest segment that something is listed of, and the index of its
    /// newest part, if there is one.
    pub const fn newest(&self) -> (u64, Option<u64>) {
        match self.open_parts.checked_sub(1) {
            Some(part) => (self.complete + 1, Some(part)),
            None => (self.complete, self.complete_parts.checked_sub(1)),
        }
    }

    /// The same for a report to who plays another track: hls.js takes LAST-PART=0 for none at all, and
    /// asks for a part that does not come for long. The last part of the segment before does as well.
    pub const fn reported(&self) -> (u64, Option<u64>) {
        match (self.open_parts, self.complete_parts.checked_sub(1)) {
            (1, Some(last)) => (self.complete, Some(last)),
            _ => self.newest(),
        }
    }

    /// Whether the playlist goes as far as the segment `media`, or as its part `part`.
    ///
    /// RFC 8216bis §6.2.5.2: a part that its segment does not have is the first of the next.
    pub const fn reaches(&self, media: u64, part: Option<u64>) -> bool {
        match part {
            None => media <= self.complete,
            Some(_) if media < self.complete => true,
            Some(part) if media == self.complete => {
                part < self.complete_parts || self.complete_parts == 0 || self.open_parts > 0
            }
            Some(part) => media == self.complete + 1 && part < self.open_parts,
        }
    }

    /// Whether nobody who follows the playlist would ask for that yet: RFC 8216bis §6.2.5.2.
    pub fn is_far_from(&self, media: u64, part: Option<u64>) -> bool {
        if media > self.complete.saturating_add(2) {
            return true;
        }
        // The Advance Part Limit.
        let part_90k = u64::from(self.part_target_90k).clamp(1, TICKS_PER_SECOND);
        let limit = (3 * TICKS_PER_SECOND).div_ceil(part_90k);
        let listed = match media.checked_sub(self.complete) {
            Some(1) => self.open_parts,
            Some(2) => 0,
            // What is there has no far future.
            _ => return false,
        };
        part.is_some_and(|part| part >= listed.saturating_add(limit))
    }
}

impl DayTimeline {
    /// How far the playlist of the track `kind` goes; `None` while it lists nothing.
    pub fn edge(&self, kind: TrackKind) -> Option<Edge> {
        let track = self.track(kind);
        let last = track.segments().len().checked_sub(1)?;
        let open = self.open(kind).map_or(&[][..], |open| &open.parts);
        let longest = open.iter().map(|part| part.duration_90k).max();
        Some(Edge {
            complete: track.sequence(last).media,
            complete_parts: track.newest_parts().len() as u64,
            open_parts: open.len() as u64,
            end: open.last().map(Part::end).or(track.end())?,
            part_target_90k: track.longest_part_90k().max(longest.unwrap_or_default()),
            target_s: track.target_duration_s(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGE: Edge = Edge {
        complete: 10,
        complete_parts: 4,
        open_parts: 2,
        end: MediaTime::from_ticks(0),
        part_target_90k: 45_000,
        target_s: 2,
    };

    #[test]
    fn it_is_known_what_is_there() {
        let reached = [
            (0, None),
            (0, Some(u64::MAX)),
            (10, None),
            (9, Some(99)),
            (10, Some(3)),
            // The first of the next segment.
            (10, Some(4)),
            (10, Some(99)),
            (11, Some(1)),
        ];
        for (media, part) in reached {
            assert!(EDGE.reaches(media, part), "{media} {part:?}");
            assert!(!EDGE.is_far_from(media, part), "{media} {part:?}");
        }
        for (media, part) in [(11, None), (11, Some(2)), (12, None), (12, Some(0))] {
            assert!(!EDGE.reaches(media, part), "{media} {part:?}");
            assert!(!EDGE.is_far_from(media, part), "{media} {part:?}");
        }
        let none_open = Edge {
            open_parts: 0,
            ..EDGE
        };
        assert!(!none_open.reaches(10, Some(4)), "the next has not begun");
        assert_eq!(EDGE.newest(), (11, Some(1)));
        assert_eq!(none_open.newest(), (10, Some(3)));
    }

    #[test]
    fn regression_a_first_part_was_reported_which_hls_js_takes_for_none() {
        let first = Edge {
            open_parts: 1,
            ..EDGE
        };
        assert_eq!(first.newest(), (11, Some(0)));
        assert_eq!(first.reported(), (10, Some(3)));
        assert_eq!(EDGE.reported(), (11, Some(1)));
    }

    #[test]
    fn who_asks_for_the_far_future_is_told_so() {
        let far = [
            (13, None),
            (u64::MAX, Some(u64::MAX)),
            (11, Some(8)),
            (12, Some(8)),
        ];
        for (media, part) in far {
            assert!(EDGE.is_far_from(media, part), "{media} {part:?}");
        }
        // Three seconds of parts.
        assert!(!EDGE.is_far_from(11, Some(7)));
    }
}
