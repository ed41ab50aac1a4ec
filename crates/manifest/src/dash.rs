//! MPEG-DASH: the MPD of a day (ISO/IEC 23009-1), over the same segments as HLS.

use std::fmt::Write as _;

use dayreel_core::{MediaTime, TICKS_PER_SECOND, TrackFormat, TrackKind, WallTime};

use crate::{
    DayTimeline, Document, Encoding, Init, Track,
    document::Builder,
    init_name,
    names::KEYFRAME,
    number::{Seconds, frame_rate_fraction},
    runs::Runs,
};

/// How the day is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presentation {
    /// `today`: `dynamic`, on the timeline of the Unix epoch.
    Live {
        /// The wall clock of the server, for `UTCTiming`.
        now: WallTime,
        /// List the last seconds only; the whole day so far if `None`.
        window_s: Option<u64>,
    },
    /// A finished day: `static`, from 0.
    Finished,
}

/// The MPD of `day`. `None` while no video is recorded.
///
/// A gap is an explicit `S@t` within the Period; a new Period begins only where a codec
/// configuration changes. While live, the newest Period is shown once all tracks are in it (or one
/// is three segments late): also for that, `None`.
pub fn manifest(
    day: &DayTimeline,
    presentation: Presentation,
    encoding: Encoding,
) -> Option<Document> {
    let first = first_instant(day, presentation).filter(|_| !day.is_empty())?;
    let held_back = matches!(presentation, Presentation::Live { .. }) && day.is_incomplete();
    let shown = day.periods().len() - usize::from(held_back);
    let tracks = TrackKind::ALL.map(|kind| day.track(kind));
    let windows = match presentation {
        Presentation::Live { window_s, .. } => {
            window_s.map(|window_s| tracks.map(|track| track.window(window_s)))
        }
        Presentation::Finished => None,
    };
    let timelines = TrackKind::ALL.map(|kind| match &windows {
        Some(windows) => &windows[kind as usize],
        None => &tracks[kind as usize].periods,
    });
    // One of which nothing is listed between others has no AdaptationSet (§5.3.2.2 wants one).
    let is_left = |index: &usize| {
        let runs = timelines.iter().filter_map(|runs| runs.get(*index));
        runs.map(Runs::len).sum::<usize>() > 0
    };
    if !(0..shown).any(|index| is_left(&index)) {
        return None;
    }
    let mut document = Builder::new(encoding);
    let listed = timelines
        .iter()
        .filter_map(|runs| runs.iter().find_map(Runs::start));
    let listed = listed.min().unwrap_or(first);
    write_mpd_start(day, presentation, first, listed, document.text());
    for index in (0..shown).filter(is_left) {
        let start = day.periods()[index];
        let origin = match presentation {
            Presentation::Live { .. } => MediaTime::default(),
            Presentation::Finished => first,
        };
        let start = first.max(start);
        let (id, begin) = (day.periods_gone() + index, start.saturating_since(origin));
        let (text, begin) = (document.text(), Seconds(begin));
        let _ = write!(text, "<Period id=\"{id}\" start=\"PT{begin}S\">");
        for (track, timeline) in tracks.into_iter().zip(timelines) {
            if let Some(runs) = timeline.get(index) {
                write_adaptation_set(track, runs, start, &mut document);
            }
        }
        if let Some(runs) = timelines[TrackKind::Video as usize].get(index) {
            write_trick_set(
                tracks[TrackKind::Video as usize],
                runs,
                start,
                &mut document,
            );
        }
        document.text().push_str("</Period>");
    }
    if let Presentation::Live { now, .. } = presentation {
        // ISO/IEC 23009-1 §5.8.4.11: `direct` carries the time itself, and needs no second request.
        let now = xs_date_time(now);
        let _ = write!(
            document.text(),
            "<UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:direct:2014\" value=\"{now}\"/>"
        );
    }
    document.text().push_str("</MPD>\n");
    Some(document.finish())
}

/// Where the first Period begins. While live, where it always began: a Period that is known does not
/// move when its first hours are deleted. A finished day begins with what is left of it.
fn first_instant(day: &DayTimeline, presentation: Presentation) -> Option<MediaTime> {
    let first = *day.periods().first()?;
    if matches!(presentation, Presentation::Live { .. }) {
        return Some(first);
    }
    let tracks = TrackKind::ALL.map(|kind| day.track(kind).segments());
    let left = tracks.iter().filter_map(|segments| segments.first());
    let left = left.map(|segment| segment.start).min().unwrap_or(first);
    let next = day.periods().get(1).copied().unwrap_or(left);
    Some(first.max(left.min(next)))
}

/// The first Period begins at `first`, the first segment that is listed at `listed`.
fn write_mpd_start(
    day: &DayTimeline,
    presentation: Presentation,
    first: MediaTime,
    listed: MediaTime,
    text: &mut String,
) {
    let end = day.end().unwrap_or_default();
    let longest_90k = day.max_duration_90k();
    // §5.3.1.2: no S@d is longer than maxSegmentDuration, so it is rounded up, to the millisecond.
    let longest_90k = u64::from(longest_90k).div_ceil(90) * 90;
    let longest = Seconds(longest_90k);
    text.push_str(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" \
         profiles=\"urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019\"",
    );
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        " minBufferTime=\"PT{longest}S\" maxSegmentDuration=\"PT{longest}S\""
    );
    match presentation {
        Presentation::Live { now, window_s } => {
            let published = xs_date_time(end.media_to_wall());
            let update = Seconds(longest_90k.max(TICKS_PER_SECOND));
            let depth_s = match window_s {
                None => (day.day().end() - day.day().start()).num_seconds(),
                // §5.3.1.2: what is listed is available, also when the camera is away for longer.
                Some(_) => (now - listed.media_to_wall()).num_seconds().max(0) + 1,
            };
            let delay = Seconds(3 * longest_90k);
            let _ = write!(
                text,
                " type=\"dynamic\" availabilityStartTime=\"1970-01-01T00:00:00Z\" \
                 publishTime=\"{published}\" minimumUpdatePeriod=\"PT{update}S\" \
                 timeShiftBufferDepth=\"PT{depth_s}S\" suggestedPresentationDelay=\"PT{delay}S\">"
            );
        }
        Presentation::Finished => {
            let length = Seconds(end.saturating_since(first));
            let _ = write!(
                text,
                " type=\"static\" mediaPresentationDuration=\"PT{length}S\">"
            );
        }
    }
}

/// Writes the segments of `track` that are in `runs`, in a Period that starts at `start`.
fn write_adaptation_set(track: &Track, runs: &Runs, start: MediaTime, document: &mut Builder) {
    let Some(init) = init_of(track, runs) else {
        return;
    };
    let kind = track.kind();
    let (id, text) = (set_id(kind), document.text());
    let content = if kind.is_picture() { "video" } else { "audio" };
    let _ = write!(
        text,
        "<AdaptationSet id=\"{id}\" contentType=\"{content}\" mimeType=\"{content}/mp4\" \
         segmentAlignment=\"true\" startWithSAP=\"1\">"
    );
    if kind == TrackKind::Preview {
        // A set of its own: its keyframes are not those of the video, and segmentAlignment is of a
        // set (§5.3.3.2).
        text.push_str("<Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"alternate\"/>");
    }
    let bandwidth = track.peak_bits_per_second().max(1);
    let codec = init.format.codec();
    let _ = write!(
        text,
        "<Representation id=\"{kind}\" codecs=\"{codec}\" bandwidth=\"{bandwidth}\""
    );
    match &init.format {
        TrackFormat::Video(video) => {
            let (width, height) = (video.width, video.height);
            let _ = write!(text, " width=\"{width}\" height=\"{height}\"");
            if track.peak_rate_milli() > 0 {
                let rate = frame_rate_fraction(track.peak_rate_milli());
                let _ = write!(text, " frameRate=\"{rate}\"");
            }
            text.push('>');
        }
        TrackFormat::Audio(audio) => {
            let _ = write!(
                text,
                " audioSamplingRate=\"{}\"><AudioChannelConfiguration \
                 schemeIdUri=\"urn:mpeg:dash:23003:3:audio_channel_configuration:2011\" \
                 value=\"{}\"/>",
                audio.sample_rate_hz, audio.channels
            );
        }
    }
    let media = format!("{}-", kind.letter());
    write_template(kind, init, runs, start, &media, document);
    let text = document.text();
    text.push_str("</Representation></AdaptationSet>");
}

/// `AdaptationSet@id` of a track.
const fn set_id(kind: TrackKind) -> u8 {
    kind as u8 + 1
}

/// The init segment that the segments of `track` in `runs` need; `None` if there are none.
fn init_of<'t>(track: &'t Track, runs: &Runs) -> Option<&'t Init> {
    track.inits().get(usize::from(runs.init()?))
}

/// Writes where the segments in `runs` are: their names are `media` and their start.
fn write_template(
    kind: TrackKind,
    init: &Init,
    runs: &Runs,
    start: MediaTime,
    media: &str,
    document: &mut Builder,
) {
    // Writing to a String cannot fail.
    let _ = write!(
        document.text(),
        "<SegmentTemplate timescale=\"{TICKS_PER_SECOND}\" presentationTimeOffset=\"{}\" \
         initialization=\"../{}\" media=\"../{media}$Time$.m4s\"><SegmentTimeline>",
        start.ticks(),
        init_name(kind, init.hash),
    );
    document.growing(runs.frozen());
    let text = document.text();
    runs.write_open(text);
    text.push_str("</SegmentTimeline></SegmentTemplate>");
}

/// Writes the keyframes that the segments of `video` in `runs` begin with: a set for trick mode, which who does not
/// know its `EssentialProperty` passes over (§5.8.4.8; DASH-IF IOP §3.2.9). It is the last of its Period, so that
/// it is not the first choice of anybody else.
fn write_trick_set(video: &Track, runs: &Runs, start: MediaTime, document: &mut Builder) {
    let (Some(init), kind) = (init_of(video, runs), video.kind()) else {
        return;
    };
    let TrackFormat::Video(format) = &init.format else {
        return;
    };
    let (id, main) = (TrackKind::COUNT + 1, set_id(kind));
    let (bandwidth, codec) = (video.peak_bits_per_second().max(1), &format.codec);
    let (width, height) = (format.width, format.height);
    let apart_s = video.target_duration_s();
    // Who decodes all pictures of the video decodes as many keyframes.
    let faster = (apart_s * video.peak_rate_milli() / 1000).max(1);
    // Writing to a String cannot fail.
    let _ = write!(
        document.text(),
        "<AdaptationSet id=\"{id}\" contentType=\"video\" mimeType=\"video/mp4\" segmentAlignment=\"true\" \
         startWithSAP=\"1\"><EssentialProperty schemeIdUri=\"http://dashif.org/guidelines/trickmode\" \
         value=\"{main}\"/><Representation id=\"keyframes\" codecs=\"{codec}\" bandwidth=\"{bandwidth}\" \
         width=\"{width}\" height=\"{height}\" frameRate=\"1/{apart_s}\" maxPlayoutRate=\"{faster}\" \
         codingDependency=\"false\">"
    );
    write_template(kind, init, runs, start, KEYFRAME, document);
    let text = document.text();
    text.push_str("</Representation></AdaptationSet>");
}

/// XML Schema `dateTime`, to the millisecond.
fn xs_date_time(time: WallTime) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
