//! What a low-latency MPD tells of segments that are not complete.

use std::fmt::Write as _;

use dayreel_core::{TICKS_PER_SECOND, TrackKind, WallTime};

use crate::{DayTimeline, Expected};

/// `ProducerReferenceTime@id`.
pub(super) const REFERENCE_TIME: u8 = 0;

/// The longest chunk is told in these steps, so that it stays while the camera's clock trembles: 1/25 s.
const JITTER_90K: u64 = TICKS_PER_SECOND / 25;

/// What is told of segments that are not complete, for players with low latency.
pub(super) struct Growing {
    /// Those of each track.
    expected: [Vec<Expected>; TrackKind::COUNT],
    /// No chunk is longer, 1/90000 s.
    chunk_90k: u64,
    /// Whether all are listed long before they come.
    is_even: bool,
    /// No segment is longer, 1/90000 s.
    longest_90k: u64,
    /// After so long, something is to be listed that was not, 1/90000 s.
    pub(super) update_90k: u64,
}

impl Growing {
    /// From a chunk's last picture to the screen: recording, the way, decoding, and that a chunk is late, 1/90000 s.
    const SLACK_90K: u64 = TICKS_PER_SECOND * 7 / 10;

    pub(super) fn of(day: &DayTimeline, now: WallTime) -> Self {
        let expected = TrackKind::ALL.map(|kind| day.expected(kind, now));
        let edges = TrackKind::ALL.map(|kind| day.edge(kind));
        let chunks = edges.iter().flatten().map(|edge| edge.part_target_90k);
        // Only what is even is listed long before it comes. dash.js looks no more often than each second.
        let is_even = expected.iter().all(|expected| expected.len() != 1);
        Self {
            expected,
            chunk_90k: u64::from(chunks.max().unwrap_or_default()).next_multiple_of(JITTER_90K),
            is_even,
            longest_90k: day.max_duration_90k().into(),
            update_90k: match is_even {
                true => day.max_duration_90k().into(),
                false => TICKS_PER_SECOND,
            },
        }
    }

    /// No segment is longer, nor will one that is expected be: in whole seconds, so that it stays while that grows,
    /// 1/90000 s.
    pub(super) fn longest_90k(&self) -> u64 {
        let all = self.expected.iter().flatten();
        let expected_90k = all.map(|expected| expected.duration_90k.into()).max();
        let longest_90k = self.longest_90k.max(expected_90k.unwrap_or_default());
        longest_90k.next_multiple_of(TICKS_PER_SECOND)
    }

    /// The segments of the track `kind` that are expected.
    pub(super) fn expected(&self, kind: TrackKind) -> &[Expected] {
        &self.expected[kind as usize]
    }

    /// How long before its end a segment can be asked for (`availabilityTimeOffset`), 1/90000 s: its first chunk is
    /// there then. That of a shorter segment is not, but it is waited for.
    pub(super) const fn early_90k(&self) -> u64 {
        self.longest_90k.saturating_sub(self.chunk_90k)
    }

    /// Writes how far behind players are to be (annex K), ms.
    pub(super) fn write_service(&self, text: &mut String) {
        let update_90k = if self.is_even { 0 } else { self.update_90k };
        let target_ms = (self.chunk_90k + update_90k + Self::SLACK_90K) * 1000 / TICKS_PER_SECOND;
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "<ServiceDescription id=\"0\"><Latency referenceId=\"{REFERENCE_TIME}\" target=\"{target_ms}\"/>\
             <PlaybackRate min=\"0.96\" max=\"1.04\"/></ServiceDescription>"
        );
    }
}
