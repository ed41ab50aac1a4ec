//! HLS: the multivariant playlist and the media playlists of a day.

use std::{collections::BTreeSet, fmt::Write as _};

use dayreel_core::{TrackFormat, TrackKind};

use crate::{DayTimeline, Document, Encoding, Sequence, Track, document::Builder, track::After};

/// RFC 8216bis §4.4.3.8: a client may skip what is older than this many target durations; six is
/// the least allowed.
const SKIP_TARGETS: u64 = 6;

/// How much of a live day a playlist lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// What a player does not know that has reloaded it lately: a delta update.
    Delta,
    /// The last seconds of it, and three target durations at least.
    Window {
        /// s.
        seconds: u64,
    },
}

/// The multivariant playlist of `day`: the picture and, while it goes as far, the preview, both with
/// the same sound. `None` while no video is recorded, or the sound that comes with it is not yet.
///
/// RFC 8216 §4.3.4.2: CODECS names every format that any segment of the day needs, BANDWIDTH is
/// the peak of the pictures plus that of audio. With `window_s`, of the media playlists that list the last
/// seconds only.
pub fn multivariant_playlist(day: &DayTimeline, window_s: Option<u64>) -> Option<String> {
    if day.is_empty() || (day.periods().len() == 1 && day.is_incomplete()) {
        return None;
    }
    let audio = day.track(TrackKind::Audio);
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    let with_audio = !audio.segments().is_empty();
    let query = window_s.map_or(String::new(), |seconds| format!("?window={seconds}"));
    // Writing to a String cannot fail.
    if let Some(TrackFormat::Audio(format)) = audio.formats().last().filter(|_| with_audio) {
        let _ = writeln!(
            text,
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"Audio\",DEFAULT=YES,AUTOSELECT=YES,\
             CHANNELS=\"{}\",URI=\"audio.m3u8{query}\"",
            format.channels
        );
    }
    // Players begin with the first.
    write_variant(day.track(TrackKind::Video), audio, &query, &mut text);
    if day.has_preview() {
        write_variant(day.track(TrackKind::Preview), audio, &query, &mut text);
    }
    Some(text)
}

/// Writes the variant that shows `video`, with the sound of `audio` if there is any.
fn write_variant(video: &Track, audio: &Track, query: &str, text: &mut String) {
    let mut seen = BTreeSet::new();
    let formats = video.formats().chain(audio.formats());
    let codecs: Vec<_> = formats
        .map(TrackFormat::codec)
        .filter(|codec| seen.insert(*codec))
        .collect();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\"",
        video.peak_bits_per_second() + audio.peak_bits_per_second(),
        video.average_bits_per_second() + audio.average_bits_per_second(),
        codecs.join(",")
    );
    if let Some((width, height)) = largest_picture(video) {
        let _ = write!(text, ",RESOLUTION={width}x{height}");
    }
    let rate_milli = video.peak_rate_milli();
    if rate_milli > 0 {
        let (whole, thousandths) = (rate_milli / 1000, rate_milli % 1000);
        let _ = write!(text, ",FRAME-RATE={whole}.{thousandths:03}");
    }
    if !audio.segments().is_empty() {
        text.push_str(",AUDIO=\"audio\"");
    }
    let _ = writeln!(text, "\n{}.m3u8{query}", video.kind());
}

/// The media playlist of one track: the day so far, or as much of it as `extent` says.
///
/// `finished` days end with `EXT-X-ENDLIST` and are listed whole. In a delta update, segments older
/// than CAN-SKIP-UNTIL are replaced by one `EXT-X-SKIP` (RFC 8216bis §6.2.5.1), with their tags: the
/// client knows the map that is in force. `None` while the track has no segment.
pub fn media_playlist(
    day: &DayTimeline,
    kind: TrackKind,
    finished: bool,
    extent: Extent,
    encoding: Encoding,
) -> Option<Document> {
    let track = day.track(kind);
    if track.segments().is_empty() {
        return None;
    }
    let mut document = Builder::new(encoding);
    let text = document.text();
    let _ = write!(
        text,
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{}\n",
        track.target_duration_s()
    );
    match extent {
        _ if finished => {
            write_sequence(track.first(), text);
            document.growing(&track.lines);
        }
        Extent::Whole | Extent::Delta => {
            let until_s = SKIP_TARGETS * track.target_duration_s();
            let _ = writeln!(text, "#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL={until_s}.0");
            write_sequence(track.first(), text);
            match track.segments_before_last(until_s) {
                skipped @ 1.. if extent == Extent::Delta => {
                    let _ = writeln!(text, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
                    // The first is dated: hls.js would count its date back from the next one given,
                    // over gaps.
                    write_from(track, skipped, After::Skipped, text);
                }
                _ => document.growing(&track.lines),
            }
        }
        Extent::Window { seconds } => {
            let first = track.window_start(seconds);
            write_sequence(track.sequence(first), text);
            write_from(track, first, After::Nothing, text);
        }
    }
    if finished {
        document.text().push_str("#EXT-X-ENDLIST\n");
    }
    Some(document.finish())
}

/// No EXT-X-PLAYLIST-TYPE: EVENT would promise that nothing is ever removed, but at midnight the old
/// day slides out of `today`; VOD that nothing ever changes (RFC 8216 §4.3.3.5), but a full disk may
/// cost a finished day its first hours.
fn write_sequence(first: Sequence, text: &mut String) {
    let _ = write!(
        text,
        "#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MEDIA-SEQUENCE:{}\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:{}\n",
        first.media, first.discontinuity
    );
}

/// Writes the segment at `first`, which comes after `after`, and all behind it.
fn write_from(track: &Track, first: usize, after: After, text: &mut String) {
    track.write_lines(first, after, text);
    (first + 1..track.segments().len())
        .for_each(|index| track.write_lines(index, After::Listed, text));
}

/// Width and height of the largest picture of the day.
pub(crate) fn largest_picture(video: &Track) -> Option<(u32, u32)> {
    let sizes = video.formats().filter_map(|format| match format {
        TrackFormat::Video(video) => Some((video.width, video.height)),
        TrackFormat::Audio(_) => None,
    });
    sizes.max_by_key(|(width, height)| u64::from(*width) * u64::from(*height))
}
