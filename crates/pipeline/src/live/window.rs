//! The segments of the live view: a few, in memory.

use std::collections::VecDeque;

use bytes::Bytes;
use dayreel_core::{MediaTime, TICKS_PER_SECOND};
use dayreel_manifest::{LiveSegment, live_playlist, rounded_seconds};
use gstreamer as gst;

/// Length of a segment, if GOPs are not longer, s. Players that do not know
/// EXT-X-START stay three of these behind the end (RFC 8216 §6.3.3).
pub(super) const TARGET_S: u64 = 1;

/// RFC 8216 §6.2.2: segments leave the playlist only while three target durations stay. One more,
/// so that a player that starts at the third from the end is not at its edge.
const LISTED_TARGETS: u64 = 4;

/// And so much at least, s: a slow television needs time to fetch them.
const LEAST_LISTED_S: u64 = 8;

/// Segments are numbered by the half seconds since this instant when the first begins, 2020 in Unix time,
/// s: so a cache or player that outlives this program sees no number twice, and old players that count in
/// 32 bits do not overflow before 2054. None is shorter than half a second but before a discontinuity.
const NUMBERS_FROM_S: u64 = 1_577_836_800;
const NUMBERS_A_SECOND: u64 = 2;

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
    /// Never goes back while somebody watches (RFC 8216 §6.2.1). 0: nothing has been listed since.
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
        let begins = self.next.is_none();
        let number = self.next.unwrap_or_else(|| first_number(fragment.start));
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
        let listed_s = (LISTED_TARGETS * self.target_s).max(LEAST_LISTED_S);
        let listed_90k = listed_s * TICKS_PER_SECOND;
        let total_90k = |segments: &mut dyn Iterator<Item = &(LiveSegment, Bytes)>| -> u64 {
            segments.map(|(one, _)| u64::from(one.duration_90k)).sum()
        };
        while self.unlisted + 1 < self.segments.len()
            && total_90k(&mut self.segments.iter().skip(self.unlisted + 1)) >= listed_90k
        {
            self.unlist();
        }
        while self.unlisted > 0
            && total_90k(&mut self.segments.iter().skip(1).take(self.unlisted - 1)) >= listed_90k
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
        self.target_s = 0;
    }

    /// Where the newest segment ends; `None` if there is none.
    pub(super) fn end(&self) -> Option<MediaTime> {
        let newest = self.segments.back();
        newest.map(|(newest, _)| newest.start.saturating_add(newest.duration_90k.into()))
    }

    /// No segment is longer, to the second.
    pub(super) const fn target(&self) -> gst::ClockTime {
        gst::ClockTime::from_seconds(self.target_s)
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

fn first_number(start: MediaTime) -> u64 {
    let since_90k = start
        .ticks()
        .saturating_sub(NUMBERS_FROM_S * TICKS_PER_SECOND);
    since_90k * NUMBERS_A_SECOND / TICKS_PER_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(at_s: u64, bytes: usize) -> Fragment {
        Fragment {
            bytes: Bytes::from(vec![0; bytes]),
            start: MediaTime::from_ticks((NUMBERS_FROM_S + at_s) * TICKS_PER_SECOND),
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
        assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:2008\n"), "{text}");
        assert!(text.contains("#EXT-X-DISCONTINUITY-SEQUENCE:1\n"), "{text}");
        assert_eq!(text.matches("#EXTINF").count(), 4, "{text}");
        let had: Vec<_> = (2000..2012)
            .filter(|n| window.segment(*n).is_some())
            .collect();
        assert_eq!(had, (2004..2012).collect::<Vec<_>>());
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

    /// What nobody watches any more, nobody has to be told the same of.
    #[test]
    fn regression_one_long_gop_delayed_all_later_viewers() {
        let mut window = Window::default();
        window.expect(20 * TICKS_PER_SECOND);
        window.push(fragment(1000, 10));
        let text = window.playlist().unwrap();
        assert!(text.contains("#EXT-X-TARGETDURATION:20\n"), "{text}");
        window.clear();
        window.push(fragment(2000, 10));
        let text = window.playlist().unwrap();
        assert!(text.contains("#EXT-X-TARGETDURATION:2\n"), "{text}");
    }

    #[test]
    fn numbers_go_on_after_nobody_watched() {
        let mut window = Window::default();
        window.push(fragment(1000, 10));
        window.clear();
        assert_eq!(window.playlist(), None);
        window.push(fragment(2000, 10));
        let text = window.playlist().unwrap();
        assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:2001\n"), "{text}");
        assert!(
            text.contains("#EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-DISCONTINUITY\n"),
            "{text}"
        );
    }
}
