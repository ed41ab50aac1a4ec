//! The segments of the live view: a few, in memory.

use std::collections::VecDeque;

use bytes::Bytes;
use dayreel_core::{MediaTime, TICKS_PER_SECOND};
use dayreel_manifest::{LiveSegment, live_playlist, rounded_seconds};

/// Length of a segment, if GOPs are not longer, s.
pub(super) const TARGET_S: u64 = 2;

/// RFC 8216 §6.2.2: segments leave the playlist only while three target durations stay. One more,
/// so that a player that starts at the third from the end is not at its edge.
const LISTED_TARGETS: u64 = 4;

/// Most memory of all segments, in bytes: 20 s at 25 Mbit/s.
const MOST_BYTES: usize = 64 << 20;

/// A complete segment as it comes from the muxer.
#[derive(Debug)]
pub(super) struct Fragment {
    pub(super) bytes: Bytes,
    pub(super) start: MediaTime,
    pub(super) duration_90k: u32,
    /// The first of a span.
    pub(super) discontinuity: bool,
}

/// What can be asked for. Segments that have left the playlist stay as long as it is
/// (RFC 8216 §6.2.2), for those who have just read it.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Oldest first.
    segments: VecDeque<(LiveSegment, Bytes)>,
    /// Of those, the oldest that are no longer listed.
    unlisted: usize,
    /// The number of the next segment.
    next: Option<u64>,
    /// How many listed segments with a discontinuity have left the playlist.
    discontinuities: u64,
    /// Never goes back (RFC 8216 §6.2.1). 0: nothing was ever listed.
    target_s: u64,
    /// Whether something was cut off since the last segment.
    is_cut: bool,
}

impl Window {
    /// Segments may become so long, 1/90000 s.
    pub(super) fn expect(&mut self, duration_90k: u64) {
        let target_s = rounded_seconds(duration_90k).max(TARGET_S);
        self.target_s = self.target_s.max(target_s);
    }

    pub(super) fn push(&mut self, fragment: Fragment) {
        self.expect(fragment.duration_90k.into());
        // Numbers begin at the time: a cache or player that outlives this program sees none twice.
        let begins = self.next.is_none();
        let number = self
            .next
            .unwrap_or(fragment.start.ticks() / TICKS_PER_SECOND);
        self.next = Some(number + 1);
        let is_cut = std::mem::take(&mut self.is_cut);
        let segment = LiveSegment {
            number,
            start: fragment.start,
            duration_90k: fragment.duration_90k,
            // Nothing comes before the very first.
            discontinuity: !begins && (fragment.discontinuity || is_cut),
        };
        self.segments.push_back((segment, fragment.bytes));
        self.slide();
    }

    fn slide(&mut self) {
        let target_90k = self.target_s * TICKS_PER_SECOND;
        let total_90k = |segments: &mut dyn Iterator<Item = &(LiveSegment, Bytes)>| -> u64 {
            segments.map(|(one, _)| u64::from(one.duration_90k)).sum()
        };
        while self.unlisted + 1 < self.segments.len()
            && total_90k(&mut self.segments.iter().skip(self.unlisted + 1))
                >= LISTED_TARGETS * target_90k
        {
            self.unlist();
        }
        while self.unlisted > 0
            && total_90k(&mut self.segments.iter().skip(1).take(self.unlisted - 1))
                >= LISTED_TARGETS * target_90k
        {
            self.drop_oldest();
        }
        while self.segments.len() > 1 && self.held_bytes() > MOST_BYTES {
            self.drop_oldest();
        }
    }

    fn unlist(&mut self) {
        if let Some((segment, _)) = self.segments.get(self.unlisted) {
            self.discontinuities += u64::from(segment.discontinuity);
            self.unlisted += 1;
        }
    }

    fn drop_oldest(&mut self) {
        if self.unlisted == 0 {
            self.unlist();
        }
        self.segments.pop_front();
        self.unlisted -= 1;
    }

    /// Forgets all segments: nobody watches. Numbers go on.
    pub(super) fn clear(&mut self) {
        while !self.segments.is_empty() {
            self.drop_oldest();
        }
        self.is_cut = self.next.is_some();
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.segments.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// `None` while there is nothing.
    pub(super) fn playlist(&self) -> Option<String> {
        let listed = self.segments.iter().skip(self.unlisted);
        let listed: Vec<_> = listed.map(|(segment, _)| *segment).collect();
        live_playlist(self.target_s, self.discontinuities, &listed)
    }

    pub(super) fn segment(&self, number: u64) -> Option<Bytes> {
        let found = self.segments.iter().find(|(one, _)| one.number == number);
        found.map(|(_, bytes)| bytes.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(at_s: u64, bytes: usize) -> Fragment {
        Fragment {
            bytes: Bytes::from(vec![0; bytes]),
            start: MediaTime::from_ticks(at_s * TICKS_PER_SECOND),
            duration_90k: 180_000,
            discontinuity: [1000, 1002].contains(&at_s),
        }
    }

    #[test]
    fn it_slides_and_what_has_just_left_can_still_be_had() {
        let mut window = Window::default();
        assert_eq!(window.playlist(), None);
        for at_s in (1000..1024).step_by(2) {
            window.push(fragment(at_s, 10));
        }
        let text = window.playlist().unwrap();
        assert!(text.contains("#EXT-X-TARGETDURATION:2\n"), "{text}");
        assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:1008\n"), "{text}");
        assert!(text.contains("#EXT-X-DISCONTINUITY-SEQUENCE:1\n"), "{text}");
        assert_eq!(text.matches("#EXTINF").count(), 4, "{text}");
        let had: Vec<_> = (1000..1012)
            .filter(|n| window.segment(*n).is_some())
            .collect();
        assert_eq!(had, (1004..1012).collect::<Vec<_>>());
    }

    #[test]
    fn memory_is_bounded() {
        let mut window = Window::default();
        for at_s in (0..60).step_by(2) {
            window.push(fragment(at_s, 20 << 20));
            assert!(window.held_bytes() <= MOST_BYTES);
        }
        assert_eq!(window.playlist().unwrap().matches("#EXTINF").count(), 3);
    }

    #[test]
    fn numbers_go_on_after_nobody_watched() {
        let mut window = Window::default();
        window.push(fragment(1000, 10));
        window.clear();
        assert_eq!(window.playlist(), None);
        window.push(fragment(2000, 10));
        let text = window.playlist().unwrap();
        assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:1001\n"), "{text}");
        assert!(
            text.contains("#EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-DISCONTINUITY\n"),
            "{text}"
        );
    }
}
