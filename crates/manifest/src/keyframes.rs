//! Trick play: the keyframe that each segment of video begins with, by itself, as an HLS I-frame playlist
//! (RFC 8216 §4.3.3.6). It has the segments' numbers, maps and discontinuities, so that players change over to
//! it and back at any time.

use std::{
    fmt::Write as _,
    sync::{Mutex, PoisonError},
};

use dayreel_core::TrackKind;

use crate::{
    DayTimeline, Document, Edge, Encoding, Extent, GrowingText, Track,
    document::Builder,
    hls::{SKIP_TARGETS, write_control, write_head, write_sequence},
    keyframe_name,
    number::Seconds,
    track::After,
};

/// The lines of all keyframes of a track. Few ask for them, so that they are made when somebody does; who asks
/// next finds them and adds what has come since.
#[derive(Debug, Default)]
pub(crate) struct KeyframeLines {
    /// Readers add to it, of whom there are many at once.
    listed: Mutex<Listed>,
}

#[derive(Debug, Default)]
struct Listed {
    lines: GrowingText,
    /// How many.
    count: usize,
}

impl KeyframeLines {
    /// Appends those of all segments of `track` to `document`.
    fn write(&self, track: &Track, document: &mut Builder) {
        // Nobody leaves half a line behind.
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        for index in listed.count..track.segments().len() {
            let mut lines = String::with_capacity(64);
            write_keyframe(track, index, After::Listed, &mut lines);
            listed.lines.push(&lines);
        }
        listed.count = track.segments().len();
        document.growing(&listed.lines);
    }
}

/// The I-frame playlist of the picture: a keyframe of each segment of the day so far, or of as much of it as
/// `extent` says.
///
/// `finished` days end with `EXT-X-ENDLIST` and are listed whole. Live, it can be waited for and updated by
/// deltas as the playlist of the segments can, but lists whole ones only. `None` while there is no segment.
pub fn keyframe_playlist(
    day: &DayTimeline,
    finished: bool,
    extent: Extent,
    encoding: Encoding,
) -> Option<Document> {
    let track = day.track(TrackKind::Video);
    let edge = Edge {
        part_target_90k: 0,
        ..day.edge(TrackKind::Video)?
    };
    let mut document = Builder::new(encoding);
    let text = document.text();
    write_head(edge.target_s, text);
    text.push_str("#EXT-X-I-FRAMES-ONLY\n");
    let skip_s = SKIP_TARGETS * edge.target_s;
    let is_window = matches!(extent, Extent::Window { .. });
    if !finished {
        write_control(&edge, (!is_window).then_some(skip_s), text);
    }
    let from = match extent {
        Extent::Window { seconds } if !finished => {
            Some((track.window_start(seconds), After::Nothing))
        }
        Extent::Delta if !finished => match track.segments_before_last(skip_s) {
            0 => None,
            skipped => Some((skipped, After::Skipped)),
        },
        _ => None,
    };
    let first = from.filter(|_| is_window);
    write_sequence(track.sequence(first.map_or(0, |(first, _)| first)), text);
    match from {
        None => track.keyframe_lines.write(track, &mut document),
        Some((first, after)) => {
            if after == After::Skipped {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "#EXT-X-SKIP:SKIPPED-SEGMENTS={first}");
            }
            write_keyframe(track, first, after, text);
            (first + 1..track.segments().len())
                .for_each(|index| write_keyframe(track, index, After::Listed, text));
        }
    }
    if finished {
        document.text().push_str("#EXT-X-ENDLIST\n");
    }
    Some(document.finish())
}

/// Writes the lines of the keyframe of the segment at `index`, which comes after `after`.
///
/// RFC 8216bis §4.4.3.6: it lasts until the next one, which begins where its segment ends.
fn write_keyframe(track: &Track, index: usize, after: After, text: &mut String) {
    if let Some(segment) = track.segments().get(index) {
        track.write_tags(index, segment, after, text);
        let duration = Seconds(segment.duration_90k.into());
        let name = keyframe_name(segment.start);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "#EXTINF:{duration},\n../{name}");
    }
}
