//! HLS of a short window that slides: the live view in MPEG-TS.

use std::fmt::Write as _;

use dayreel_core::{MediaTime, TICKS_PER_SECOND};

use crate::number::Seconds;

/// A segment of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveSegment {
    /// Its media sequence number, and its name in the URL.
    pub number: u64,
    /// When its first picture is shown.
    pub start: MediaTime,
    /// 1/90000 s.
    pub duration_90k: u32,
    /// It does not continue the one before.
    pub discontinuity: bool,
}

/// To fetch the next segment in, 1/90000 s.
const SPARE: u64 = TICKS_PER_SECOND;

/// The playlist of `segments`, oldest first, numbered without a hole; `None` if there are none.
/// `discontinuities` is the number of those that have left the window.
///
/// Version 3, for old players: EXTINF has decimals (RFC 8216 §7), nothing else is newer. The caller
/// holds RFC 8216 §4.3.3.1: no rounded duration is above `target_s`.
///
/// Players that know EXT-X-START begin a target duration and a second before the end, not three as RFC 8216 §4.3.5.2
/// advises: with a keyframe every 4 s that would be 12 s. It is enough where a segment is listed as soon as it is there,
/// and who asks for it a moment before waits for it, instead of half a target duration (§6.3.4).
pub fn live_playlist(
    target_s: u64,
    discontinuities: u64,
    segments: &[LiveSegment],
) -> Option<String> {
    let first = segments.first()?;
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "#EXT-X-TARGETDURATION:{target_s}");
    let before_end = Seconds(target_s * TICKS_PER_SECOND + SPARE);
    let _ = writeln!(text, "#EXT-X-START:TIME-OFFSET=-{before_end}");
    let _ = writeln!(text, "#EXT-X-MEDIA-SEQUENCE:{}", first.number);
    let _ = writeln!(text, "#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuities}");
    for segment in segments {
        if segment.discontinuity {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        let start = segment.start.media_to_wall();
        let date = start.format("%Y-%m-%dT%H:%M:%S%.3fZ");
        let duration = Seconds(segment.duration_90k.into());
        let _ = writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{date}");
        let _ = writeln!(text, "#EXTINF:{duration},\n{}.ts", segment.number);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_reads_as_the_rfc_wants_it() {
        let segment = |number: u64, discontinuity| LiveSegment {
            number,
            start: MediaTime::from_ticks(161_582_704_650_000 + number * 180_000),
            duration_90k: 180_000,
            discontinuity,
        };
        assert_eq!(live_playlist(2, 0, &[]), None);
        assert_eq!(
            live_playlist(2, 4, &[segment(7, false), segment(8, true)]).unwrap(),
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-TARGETDURATION:2\n\
             #EXT-X-START:TIME-OFFSET=-3.0\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-DISCONTINUITY-SEQUENCE:4\n\
             #EXT-X-PROGRAM-DATE-TIME:2026-11-22T16:03:19.000Z\n#EXTINF:2.0,\n7.ts\n\
             #EXT-X-DISCONTINUITY\n\
             #EXT-X-PROGRAM-DATE-TIME:2026-11-22T16:03:21.000Z\n#EXTINF:2.0,\n8.ts\n"
        );
    }
}
