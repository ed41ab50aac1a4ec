//! Rules of I-frame playlists and of what they list.

use super::{
    I_FRAMES_MATCH, I_FRAMES_ONLY, ONE_I_FRAME,
    media::{self, Expected, start_90k},
    reader::{Media, Segment},
};
use crate::rules::{
    Findings,
    cmaf::{self, init::Init},
};

/// Checks the text of a full I-frame playlist; also returns what was read.
pub fn check(text: &str, expected: Expected) -> (Media, Findings) {
    let (media, mut findings) = media::check(text, expected);
    // EXT-X-MAP in such a playlist is of version 5.
    let version = media.version.unwrap_or(1);
    let has_parts = text.contains("#EXT-X-PART");
    findings.check(
        media.i_frames_only && version >= 5 && !has_parts,
        I_FRAMES_ONLY,
        || {
            let only = media.i_frames_only;
            format!("EXT-X-I-FRAMES-ONLY: {only}, version {version}, with parts: {has_parts}")
        },
    );
    for frame in &media.segments {
        let is_named = frame.uri.starts_with("../k-");
        findings.check(is_named, I_FRAMES_ONLY, || {
            format!("line {}: {}", frame.line, frame.uri)
        });
    }
    (media, findings)
}

/// Compares `frames` with `segments`, the playlist that they are of, at the same moment: at most `slack` may be
/// missing from the end of either.
pub fn of_segments(frames: &Media, segments: &Media, slack: usize) -> Findings {
    let mut findings = Findings::default();
    let (ours, theirs) = (described(frames), described(segments));
    let ends = [&ours, &theirs].map(|list| list.last().map_or(0, |last| last.number));
    let starts = [&ours, &theirs].map(|list| list.first().map_or(0, |first| first.number));
    let apart = |pair: [u64; 2]| usize::try_from(pair[0].abs_diff(pair[1])).unwrap_or(usize::MAX);
    findings.check(
        apart(ends) <= slack && apart(starts) <= slack && !ours.is_empty(),
        I_FRAMES_MATCH,
        || format!("numbers from {starts:?} to {ends:?}"),
    );
    let common = starts[0].max(starts[1])..=ends[0].min(ends[1]);
    let common = |list: Vec<Described>| {
        let mut list = list;
        list.retain(|one| common.contains(&one.number));
        list
    };
    for (frame, segment) in common(ours).iter().zip(&common(theirs)) {
        findings.check(frame == segment, I_FRAMES_MATCH, || {
            format!("{frame:?}, the segment is {segment:?}")
        });
    }
    findings
}

/// What an I-frame has in common with its segment.
#[derive(Debug, PartialEq)]
struct Described {
    number: u64,
    discontinuity: u64,
    start_90k: Option<u64>,
    duration_ns: u64,
    map: Option<super::reader::Map>,
}

fn described(media: &Media) -> Vec<Described> {
    let mut discontinuity = media.discontinuity_sequence;
    let numbered = (media.media_sequence..).zip(&media.segments);
    let describe = |(number, segment): (u64, &Segment)| {
        discontinuity += segment.discontinuities;
        Described {
            number,
            discontinuity,
            start_90k: start_90k(&segment.uri),
            duration_ns: segment.duration_ns,
            map: segment.map.clone(),
        }
    };
    numbered.map(describe).collect()
}

/// Checks `bytes`, which `frame` lists: a fragment of one keyframe, the same as `segment` begins with.
pub fn fragment(frame: &Segment, bytes: &[u8], segment: &[u8], init: &Init) -> Findings {
    let expected = cmaf::segment::Expected {
        start: start_90k(&frame.uri),
        // EXTINF is rounded up to the nanosecond.
        duration: Some((frame.duration_ns * 9 / 100_000, 1)),
    };
    let (read, mut findings) = cmaf::segment::check(bytes, init, expected);
    let (whole, _) = cmaf::segment::check(segment, init, cmaf::segment::Expected::default());
    let (samples, first) = (read.samples.as_slice(), whole.samples.first());
    let is_first = match (samples, first) {
        ([only], Some(first)) => {
            only.is_sync
                && (only.dts, only.composition) == (first.dts, first.composition)
                && bytes.get(only.bytes.clone()) == segment.get(first.bytes.clone())
        }
        _ => false,
    };
    findings.check(is_first, ONE_I_FRAME, || {
        format!(
            "{}: {samples:?}, the segment begins with {first:?}",
            frame.uri
        )
    });
    findings
}
