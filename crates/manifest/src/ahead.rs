//! What will be recorded next, as far as it can be known: low-latency DASH lists segments before they are complete.

use dayreel_core::{MediaTime, TrackKind, WallTime};

use crate::{DayTimeline, Segment, parts::starts_at};

/// After so many equal segments, another one is expected.
const EQUAL: usize = 3;

/// A segment that is not complete yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Where it starts, and its name.
    pub start: MediaTime,
    /// How long it will be if the camera goes on as it did, 1/90000 s.
    pub duration_90k: u32,
}

impl Expected {
    /// Where it ends.
    pub(crate) const fn end(&self) -> MediaTime {
        self.start.saturating_add(self.duration_90k as u64)
    }
}

impl DayTimeline {
    /// The segments of the track `kind` that are expected to come, ascending: the one that is being recorded; and
    /// where those before it were equally long, so that it can be known where it will end, the one after it. None
    /// while nothing is recorded: where the newest part ended a segment's length before `now`.
    pub fn expected(&self, kind: TrackKind, now: WallTime) -> Vec<Expected> {
        let track = self.track(kind);
        let (Some(last), Some(edge)) = (track.segments().last(), self.edge(kind)) else {
            return Vec::new();
        };
        let length_90k = last.duration_90k;
        let silent = edge.end.saturating_add(length_90k.into()).media_to_wall();
        let open = self.open(kind);
        if silent < now || (track.open().is_some() && open.is_none()) {
            return Vec::new();
        }
        let recorded_90k = edge.end.saturating_since(last.end());
        let start = open.and_then(|open| open.parts.first());
        let start = start.map_or(last.end(), |first| first.start);
        // One whose end is overdue by its length was cut short: how long it is, is known when it is complete.
        let due_90k = u64::from(length_90k).max(edge.end.saturating_since(start));
        if start.saturating_add(2 * due_90k).media_to_wall() <= now {
            return Vec::new();
        }
        let expected = |start: MediaTime, duration_90k| Expected {
            start,
            duration_90k,
        };
        let goes_on = start == last.end() && recorded_90k <= u64::from(length_90k);
        if goes_on && is_even(track.segments()) {
            let next = start.saturating_add(length_90k.into());
            return vec![expected(start, length_90k), expected(next, length_90k)];
        }
        let length_90k = u64::from(length_90k).max(edge.end.saturating_since(start));
        let open = open.map(|_| expected(start, u32::try_from(length_90k).unwrap_or(u32::MAX)));
        open.into_iter().collect()
    }

    /// What became of a segment of the track `kind` that was expected at `start`, where none is: nothing starts then, and
    /// the one before ended less than two of the longest before. `None` where nobody was told of one.
    pub fn prospect(&self, kind: TrackKind, start: MediaTime) -> Option<Prospect> {
        let track = self.track(kind);
        let index = track.index_at(start)?;
        let before = track.segments().get(index)?;
        let most_90k = 2 * u64::from(track.max_duration_90k());
        let is_near = before.end() <= start && start.saturating_since(before.end()) < most_90k;
        let is_begun = track
            .open()
            .is_some_and(|open| starts_at(&open.parts, start));
        let edge = self.edge(kind).filter(|_| is_near && !is_begun)?;
        let is_past = index + 1 < track.segments().len() || start < edge.end;
        Some(match is_past || self.is_interrupted(kind) {
            true => Prospect::Vain,
            false => Prospect::Open,
        })
    }
}

/// What may become of a segment that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prospect {
    /// The camera may go on with it.
    Open,
    /// It does not come: others go on, or the recording was interrupted before it.
    Vain,
}

/// Whether the newest of `segments` are equally long and without a hole.
fn is_even(segments: &[Segment]) -> bool {
    let newest = segments.len().checked_sub(EQUAL);
    let newest = newest.and_then(|from| segments.get(from..)).unwrap_or(&[]);
    let are_even = |pair: &[Segment]| match pair {
        [before, after] => {
            before.duration_90k == after.duration_90k
                && before.end() == after.start
                && before.init == after.init
        }
        _ => false,
    };
    !newest.is_empty() && newest.windows(2).all(are_even)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use chrono_tz::UTC;
    use dayreel_core::Day;

    use super::*;
    use crate::{Part, Sequence, Slice};

    const SECOND: u32 = 90_000;

    fn now() -> WallTime {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    fn bytes() -> Slice {
        Slice {
            file: 0,
            offset: 0,
            len_bytes: 1,
        }
    }

    /// Segments so long, in s, and so many parts of half a second of the next, up to now.
    fn day(lengths_s: &[u32], parts: u32) -> DayTimeline {
        let none = Sequence::default();
        let mut day = DayTimeline::new(Day::containing(now(), UTC), none, none);
        let all_90k = lengths_s.iter().sum::<u32>() * SECOND + parts * SECOND / 2;
        let end = MediaTime::wall_to_media(now());
        let mut start = MediaTime::from_ticks(end.ticks() - u64::from(all_90k));
        for length_s in lengths_s {
            let segment = Segment {
                start,
                duration_90k: length_s * SECOND,
                access_units: 1,
                init: 0,
                bytes: bytes(),
            };
            day.append(TrackKind::Video, segment);
            start = segment.end();
        }
        for index in 0..parts {
            let part = Part {
                start,
                duration_90k: SECOND / 2,
                is_independent: index == 0,
                bytes: bytes(),
            };
            match index {
                0 => day.begin_segment(TrackKind::Video, 0, part),
                _ => day.append_part(TrackKind::Video, part),
            }
            start = part.end();
        }
        day
    }

    /// Starts before now and lengths of what is expected, in s.
    fn expected(day: &DayTimeline, now: WallTime) -> Vec<(f64, u32)> {
        let expected = day.expected(TrackKind::Video, now);
        let at_s = |one: &Expected| {
            let before = self::now() - one.start.media_to_wall();
            (before.as_seconds_f64(), one.duration_90k / SECOND)
        };
        expected.iter().map(at_s).collect()
    }

    #[test]
    fn after_equal_segments_two_are_expected() {
        assert_eq!(expected(&day(&[2, 2, 2], 3), now()), [(1.5, 2), (-0.5, 2)]);
        assert_eq!(
            expected(&day(&[4, 2, 2, 2], 0), now()),
            [(0.0, 2), (-2.0, 2)]
        );
    }

    #[test]
    fn where_the_end_is_not_known_one_is_expected_when_it_has_begun() {
        assert_eq!(expected(&day(&[2, 2], 3), now()), [(1.5, 2)]);
        assert_eq!(expected(&day(&[2, 3, 2], 3), now()), [(1.5, 2)]);
        assert_eq!(expected(&day(&[2, 3, 2], 0), now()), []);
        // Longer than those before already.
        assert_eq!(expected(&day(&[2, 2, 2], 6), now()), [(3.0, 3)]);
        assert_eq!(expected(&day(&[], 3), now()), []);
    }

    #[test]
    fn what_was_expected_and_did_not_come_is_known() {
        let mut day = day(&[2, 2, 2], 3);
        let end = MediaTime::wall_to_media(now()).ticks() - u64::from(3 * SECOND / 2);
        let of = |day: &DayTimeline, half_s: i64| {
            let start = end.saturating_add_signed(half_s * i64::from(SECOND / 2));
            day.prospect(TrackKind::Video, MediaTime::from_ticks(start))
        };
        // Within the segment that is being recorded none starts; behind it one may.
        for (half_s, due) in [
            (1, Prospect::Vain),
            (2, Prospect::Vain),
            (3, Prospect::Open),
            (7, Prospect::Open),
        ] {
            assert_eq!(of(&day, half_s), Some(due), "{half_s}");
        }
        for half_s in [-13, -12, -8, -4, -1, 8] {
            assert_eq!(of(&day, half_s), None, "{half_s}");
        }
        day.interrupt();
        for half_s in [3, 7] {
            assert_eq!(of(&day, half_s), Some(Prospect::Vain), "{half_s}");
        }
    }

    #[test]
    fn nothing_is_expected_of_a_camera_that_is_silent_or_of_another_configuration() {
        let even = day(&[2, 2, 2], 3);
        assert_eq!(expected(&even, now() + TimeDelta::seconds(2)).len(), 2);
        assert_eq!(expected(&even, now() + TimeDelta::milliseconds(2001)), []);
        let mut changed = day(&[2, 2, 2], 0);
        let part = Part {
            start: MediaTime::wall_to_media(now()),
            duration_90k: SECOND / 2,
            is_independent: true,
            bytes: bytes(),
        };
        changed.begin_segment(TrackKind::Video, 1, part);
        assert_eq!(expected(&changed, now()), []);
    }
}
