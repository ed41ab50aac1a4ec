//! What a track lacks in the middle of a span, as players of it are told.
//!
//! RFC 8216bis §6.2.4: what one variant has and another has not may only be at the beginning or the end of
//! its playlist. A preview has a session of its own, and holes of its own. A discontinuity would have to
//! be one of the picture, too (the same clause). So a hole is listed as segments that are not there
//! (§4.4.4.7): the sum of the durations stays media time, and who plays the preview knows when to change to
//! the picture. How many they are follows from the two segments around them alone, so that numbers stay what they
//! are after a restart.

use std::fmt::Write as _;

use dayreel_core::{MediaTime, TICKS_PER_SECOND, TrackKind};

use crate::{GAP_90K, Segment, number::Seconds, segment_name};

/// A hole between two segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    start: MediaTime,
    duration_90k: u64,
    /// No segment of it is longer, 1/90000 s.
    longest_90k: u64,
}

impl Hole {
    /// What is missing between two segments of a span.
    pub(crate) fn between(before: &Segment, after: &Segment) -> Option<Self> {
        let duration_90k = after.start.saturating_since(before.end());
        // No more than the target duration (RFC 8216 §4.3.3.1), which is a second at least.
        let longest_90k = before.duration_90k.max(after.duration_90k);
        (duration_90k > GAP_90K).then(|| Self {
            start: before.end(),
            duration_90k,
            longest_90k: u64::from(longest_90k).max(TICKS_PER_SECOND),
        })
    }

    /// How many segments it is listed as.
    pub(crate) const fn segments(&self) -> u64 {
        self.duration_90k.div_ceil(self.longest_90k)
    }

    /// Writes its lines in the playlist of the track `kind`.
    pub(crate) fn write(&self, kind: TrackKind, text: &mut String) {
        let usual_90k = self.duration_90k.div_ceil(self.segments());
        let mut written_90k = 0;
        while written_90k < self.duration_90k {
            let duration_90k = usual_90k.min(self.duration_90k - written_90k);
            let name = segment_name(kind, self.start.saturating_add(written_90k));
            let duration = Seconds(duration_90k);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "#EXT-X-GAP\n#EXTINF:{duration},\n../{name}");
            written_90k += duration_90k;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Slice;

    fn segment(start: u64, duration_90k: u32) -> Segment {
        Segment {
            start: MediaTime::from_ticks(start),
            duration_90k,
            access_units: 1,
            init: 0,
            bytes: Slice {
                file: 0,
                offset: 0,
                len_bytes: 1,
            },
        }
    }

    #[test]
    fn a_hole_is_as_many_segments_as_it_needs_at_the_least() {
        for (hole_90k, around_90k, expected) in [
            (9_001, 90_000, 1),
            (360_000, 360_000, 1),
            (360_001, 360_000, 2),
            (3_600 * 90_000, 360_000, 900),
            // Short ones around it.
            (900_000, 3_600, 10),
        ] {
            let before = segment(1_000, around_90k);
            let after = segment(1_000 + u64::from(around_90k) + hole_90k, 3_600);
            let hole = Hole::between(&before, &after).unwrap();
            assert_eq!(hole.segments(), expected, "{hole_90k}");
            let mut text = String::new();
            hole.write(TrackKind::Preview, &mut text);
            assert_eq!(
                text.matches("#EXT-X-GAP\n#EXTINF:").count() as u64,
                expected
            );
            let seconds = text
                .lines()
                .filter_map(|line| line.strip_prefix("#EXTINF:")?.strip_suffix(','))
                .map(|seconds| seconds.parse::<f64>().unwrap());
            let longest_s = f64::from(around_90k.max(90_000)) / 90_000.0;
            let seconds: Vec<_> = seconds.collect();
            assert!(seconds.iter().all(|s| *s <= longest_s + 1e-8));
            let sum_s: f64 = seconds.iter().sum();
            assert!((sum_s - hole_90k as f64 / 90_000.0).abs() < 1e-5, "{sum_s}");
        }
    }

    #[test]
    fn jitter_is_no_hole() {
        let after = segment(1_000 + 90_000 + GAP_90K, 90_000);
        assert_eq!(Hole::between(&segment(1_000, 90_000), &after), None);
    }
}
