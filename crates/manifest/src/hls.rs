//! HLS: the multivariant playlist and the media playlists of a day.

use std::{collections::BTreeSet, fmt::Write as _};

use dayreel_core::{TICKS_PER_SECOND, TrackFormat, TrackKind};

use crate::{
    DayTimeline, Document, Edge, Encoding, Sequence, Track, document::Builder, number::Seconds,
    track::After,
};

/// RFC 8216bis §4.4.3.8: a client may skip what is older than this many target durations; six is
/// the least allowed.
pub(crate) const SKIP_TARGETS: u64 = 6;

/// RFC 8216bis §4.4.3.8 asks for two at least, which leaves a part's time to load the next one, and advises
/// three: a third of a second more. Players that stall stay further behind by themselves.
const HOLD_BACK_PARTS: u64 = 2;

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
    let query = window_query(window_s);
    let mut text = folder_playlist_of(day, &query)?;
    write_keyframes(day.track(TrackKind::Video), &query, &mut text);
    Some(text)
}

/// The same for who finds the indexes in the folder of the day and nothing else: without the keyframes, which are
/// cut out when they are asked for.
pub fn folder_playlist(day: &DayTimeline) -> Option<String> {
    folder_playlist_of(day, "")
}

fn folder_playlist_of(day: &DayTimeline, query: &str) -> Option<String> {
    if day.is_empty() || day.lacks_a_track() {
        return None;
    }
    let audio = day.track(TrackKind::Audio);
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    let with_audio = !audio.segments().is_empty();
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
    write_variant(day.track(TrackKind::Video), audio, query, &mut text);
    if day.has_preview() {
        write_variant(day.track(TrackKind::Preview), audio, query, &mut text);
    }
    Some(text)
}

/// What the names of playlists of a window end with.
fn window_query(window_s: Option<u64>) -> String {
    window_s.map_or(String::new(), |seconds| format!("?window={seconds}"))
}

/// Writes the variant that shows `video`, with the sound of `audio` if there is any.
fn write_variant(video: &Track, audio: &Track, query: &str, text: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\"",
        video.peak_bits_per_second() + audio.peak_bits_per_second(),
        video.average_bits_per_second() + audio.average_bits_per_second(),
        codecs([video, audio]).join(",")
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

/// Writes the variant of the keyframes of `video`, RFC 8216 §4.3.4.3.
///
/// How large a keyframe is, nobody knows before it is asked for, but no larger than its segment: BANDWIDTH bounds
/// them, which §4.3.4.2 asks of a playlist that still grows.
fn write_keyframes(video: &Track, query: &str, text: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={},CODECS=\"{}\"",
        video.peak_bits_per_second(),
        codecs([video]).join(",")
    );
    if let Some((width, height)) = largest_picture(video) {
        let _ = write!(text, ",RESOLUTION={width}x{height}");
    }
    let _ = writeln!(text, ",URI=\"keyframes.m3u8{query}\"");
}

/// CODECS of what `tracks` have, each once.
fn codecs<'t>(tracks: impl IntoIterator<Item = &'t Track>) -> Vec<&'t str> {
    let mut seen = BTreeSet::new();
    let formats = tracks.into_iter().flat_map(Track::formats);
    let codecs = formats.map(TrackFormat::codec);
    codecs.filter(|codec| seen.insert(*codec)).collect()
}

/// The media playlist of one track: the day so far, or as much of it as `extent` says.
///
/// `finished` days end with `EXT-X-ENDLIST` and are listed whole. In a delta update, segments older
/// than CAN-SKIP-UNTIL are replaced by one `EXT-X-SKIP` (RFC 8216bis §6.2.5.1), with their tags; the
/// map that is in force is told again. `None` while the track has no segment.
pub fn media_playlist(
    day: &DayTimeline,
    kind: TrackKind,
    finished: bool,
    extent: Extent,
    encoding: Encoding,
) -> Option<Document> {
    let track = day.track(kind);
    let edge = day.edge(kind)?;
    let mut document = Builder::new(encoding);
    let text = document.text();
    let target_s = edge.target_s;
    write_head(target_s, text);
    if finished {
        write_sequence(track.first(), text);
        document.growing(&track.lines);
        let text = document.text();
        (track.settled()..track.segments().len())
            .for_each(|index| track.write_lines(index, After::Listed, text));
        text.push_str("#EXT-X-ENDLIST\n");
        return Some(document.finish());
    }
    let skip_s = SKIP_TARGETS * target_s;
    write_control(
        &edge,
        (!matches!(extent, Extent::Window { .. })).then_some(skip_s),
        text,
    );
    match extent {
        Extent::Window { seconds } => {
            let first = track.window_start(seconds);
            write_sequence(track.sequence(first), text);
            write_from(track, first, After::Nothing, text);
        }
        Extent::Whole | Extent::Delta => {
            write_sequence(track.first(), text);
            match track.segments_before_last(skip_s) {
                skipped @ 1.. if extent == Extent::Delta => {
                    let listed = track.listed_before(skipped);
                    let _ = writeln!(text, "#EXT-X-SKIP:SKIPPED-SEGMENTS={listed}");
                    // The first is dated: hls.js would count its date back from the next one given,
                    // over gaps. And it has its map: Shaka would append it without.
                    write_from(track, skipped, After::Skipped, text);
                }
                _ => {
                    document.growing(&track.lines);
                    write_from(track, track.settled(), After::Listed, document.text());
                }
            }
        }
    }
    let text = document.text();
    if let Some(open) = day.open(kind) {
        track.write_open(open, text);
    }
    write_reports(day, kind, extent, text);
    Some(document.finish())
}

pub(crate) fn write_head(target_s: u64, text: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{target_s}\n"
    );
}

/// RFC 8216bis §4.4.3.8 and §4.4.3.7.
pub(crate) fn write_control(edge: &Edge, skip_s: Option<u64>, text: &mut String) {
    text.push_str("#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES");
    // Writing to a String cannot fail.
    if let Some(skip_s) = skip_s {
        let _ = write!(text, ",CAN-SKIP-UNTIL={skip_s}.0");
    }
    let part_90k = u64::from(edge.part_target_90k);
    if part_90k == 0 {
        text.push('\n');
        return;
    }
    // In hundredths: twice a duration that was rounded up to a nanosecond may be a nanosecond more.
    let back_90k = (HOLD_BACK_PARTS * part_90k).next_multiple_of(TICKS_PER_SECOND / 100);
    let (part, back) = (Seconds(part_90k), Seconds(back_90k));
    let _ = writeln!(
        text,
        ",PART-HOLD-BACK={back}\n#EXT-X-PART-INF:PART-TARGET={part}"
    );
}

/// How far the other playlists of the presentation go, RFC 8216bis §4.4.5.4: who changes over knows
/// what to ask for.
fn write_reports(day: &DayTimeline, kind: TrackKind, extent: Extent, text: &mut String) {
    let query = match extent {
        Extent::Window { seconds } => window_query(Some(seconds)),
        Extent::Whole | Extent::Delta => String::new(),
    };
    let is_listed =
        |other: &TrackKind| *other != kind && (*other != TrackKind::Preview || day.has_preview());
    for other in TrackKind::ALL.into_iter().filter(is_listed) {
        let Some(edge) = day.edge(other) else {
            continue;
        };
        let (media, part) = edge.reported();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "#EXT-X-RENDITION-REPORT:URI=\"{other}.m3u8{query}\",LAST-MSN={media}"
        );
        if let Some(part) = part {
            let _ = write!(text, ",LAST-PART={part}");
        }
        text.push('\n');
    }
}

/// No EXT-X-PLAYLIST-TYPE: EVENT would promise that nothing is ever removed, but at midnight the old
/// day slides out of `today`; VOD that nothing ever changes (RFC 8216 §4.3.3.5), but a full disk may
/// cost a finished day its first hours.
pub(crate) fn write_sequence(first: Sequence, text: &mut String) {
    let _ = write!(
        text,
        "#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MEDIA-SEQUENCE:{}\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:{}\n",
        first.media, first.discontinuity
    );
}

/// Writes the segment at `first`, which comes after `after`, and all behind it.
fn write_from(track: &Track, first: usize, after: After, text: &mut String) {
    track.write_lines_of_parts(first, after, text);
    (first + 1..track.segments().len())
        .for_each(|index| track.write_lines_of_parts(index, After::Listed, text));
}

/// Width and height of the largest picture of the day.
pub(crate) fn largest_picture(video: &Track) -> Option<(u32, u32)> {
    let sizes = video.formats().filter_map(|format| match format {
        TrackFormat::Video(video) => Some((video.width, video.height)),
        TrackFormat::Audio(_) => None,
    });
    sizes.max_by_key(|(width, height)| u64::from(*width) * u64::from(*height))
}
