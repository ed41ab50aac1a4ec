//! MPEG-DASH: the MPD of a day (ISO/IEC 23009-1), over the same segments as HLS.

use std::fmt::Write as _;

use dayreel_core::{MediaTime, TICKS_PER_SECOND, TrackFormat, TrackKind, WallTime};

use crate::{
    DayTimeline, Document, Encoding, Expected, Init, Track,
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
        /// List segments before they are complete, for players that take them as they grow.
        low_latency: bool,
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
    let growing = match presentation {
        Presentation::Live {
            now,
            low_latency: true,
            ..
        } => Some(Growing::of(day, now)),
        _ => None,
    };
    let mut document = Builder::new(encoding);
    let listed = timelines
        .iter()
        .filter_map(|runs| runs.iter().find_map(Runs::start));
    let listed = listed.min().unwrap_or(first);
    write_mpd_start(
        day,
        presentation,
        growing.as_ref(),
        first,
        listed,
        document.text(),
    );
    if let Some(growing) = &growing {
        growing.write_service(document.text());
    }
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
        let growing = growing.as_ref();
        let growing = growing.filter(|_| index + 1 == day.periods().len());
        for (track, timeline) in tracks.into_iter().zip(timelines) {
            if let Some(runs) = timeline.get(index) {
                write_adaptation_set(track, runs, start, growing, &mut document);
            }
        }
        // Who is near the live edge does not wind.
        if let Some(runs) = timelines[TrackKind::Video as usize]
            .get(index)
            .filter(|_| growing.is_none())
        {
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
    growing: Option<&Growing>,
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
         profiles=\"urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019",
    );
    if growing.is_some() {
        text.push_str(",http://www.dashif.org/guidelines/low-latency-live-v5");
    }
    text.push('"');
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        " minBufferTime=\"PT{longest}S\" maxSegmentDuration=\"PT{longest}S\""
    );
    match presentation {
        Presentation::Live { now, window_s, .. } => {
            let published = xs_date_time(end.media_to_wall());
            let update_90k = growing.map_or(longest_90k, |growing| growing.update_90k);
            let update = Seconds(update_90k.max(TICKS_PER_SECOND));
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

/// `ProducerReferenceTime@id`.
const REFERENCE_TIME: u8 = 0;

/// What is told of segments that are not complete, for players with low latency.
struct Growing {
    /// Those of each track.
    expected: [Vec<Expected>; TrackKind::COUNT],
    /// No chunk is longer, 1/90000 s.
    chunk_90k: u64,
    /// Whether all are listed long before they come.
    is_even: bool,
    /// After so long, something is to be listed that was not, 1/90000 s.
    update_90k: u64,
}

impl Growing {
    /// From a chunk's last picture to the screen: recording, the way, decoding, and that a chunk is late, 1/90000 s.
    const SLACK_90K: u64 = TICKS_PER_SECOND * 7 / 10;

    fn of(day: &DayTimeline, now: WallTime) -> Self {
        let expected = TrackKind::ALL.map(|kind| day.expected(kind, now));
        let edges = TrackKind::ALL.map(|kind| day.edge(kind));
        let chunks = edges.iter().flatten().map(|edge| edge.part_target_90k);
        // Only what is even is listed long before it comes. dash.js looks no more often than each second.
        let is_even = expected.iter().all(|expected| expected.len() != 1);
        Self {
            expected,
            chunk_90k: chunks.max().unwrap_or_default().into(),
            is_even,
            update_90k: match is_even {
                true => day.max_duration_90k().into(),
                false => TICKS_PER_SECOND,
            },
        }
    }

    fn of_track(&self, track: &Track) -> GrowingTrack<'_> {
        let expected = &self.expected[track.kind() as usize];
        let newest = track.segments().last().map(|segment| segment.duration_90k);
        let length_90k = expected.first().map(|first| first.duration_90k).or(newest);
        GrowingTrack {
            expected,
            early_90k: u64::from(length_90k.unwrap_or_default()).saturating_sub(self.chunk_90k),
        }
    }

    /// Writes how far behind players are to be (annex K), ms.
    fn write_service(&self, text: &mut String) {
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

/// The same of one track.
struct GrowingTrack<'g> {
    expected: &'g [Expected],
    /// How long before its end a segment can be asked for (`availabilityTimeOffset`): its first chunk is there.
    early_90k: u64,
}

/// Writes the segments of `track` that are in `runs`, in a Period that starts at `start`; and those that are
/// `growing`, where it is the newest Period.
fn write_adaptation_set(
    track: &Track,
    runs: &Runs,
    start: MediaTime,
    growing: Option<&Growing>,
    document: &mut Builder,
) {
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
    if growing.is_some() {
        // §5.12: media time is the time of capture.
        let (ticks, time) = (start.ticks(), xs_date_time(start.media_to_wall()));
        let _ = write!(
            text,
            "<ProducerReferenceTime id=\"{REFERENCE_TIME}\" type=\"captured\" wallClockTime=\"{time}\" \
             presentationTime=\"{ticks}\"/>"
        );
    }
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
    let growing = growing.map(|growing| growing.of_track(track));
    write_template(kind, init, runs, start, &media, growing, document);
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

/// Writes where the segments in `runs` and those that grow are: their names are `media` and their start.
fn write_template(
    kind: TrackKind,
    init: &Init,
    runs: &Runs,
    start: MediaTime,
    media: &str,
    growing: Option<GrowingTrack<'_>>,
    document: &mut Builder,
) {
    // Writing to a String cannot fail.
    let _ = write!(
        document.text(),
        "<SegmentTemplate timescale=\"{TICKS_PER_SECOND}\" presentationTimeOffset=\"{}\" \
         initialization=\"../{}\" media=\"../{media}$Time$.m4s\"",
        start.ticks(),
        init_name(kind, init.hash),
    );
    if let Some(growing) = &growing {
        let offset = Seconds(growing.early_90k);
        let _ = write!(
            document.text(),
            " availabilityTimeOffset=\"{offset}\" availabilityTimeComplete=\"false\""
        );
    }
    document.text().push_str("><SegmentTimeline>");
    document.growing(runs.frozen());
    let text = document.text();
    runs.write_open(text);
    let mut end = runs.end();
    for expected in growing.iter().flat_map(|growing| growing.expected) {
        text.push_str("<S");
        if end != Some(expected.start) {
            let _ = write!(text, " t=\"{}\"", expected.start.ticks());
        }
        let _ = write!(text, " d=\"{}\"/>", expected.duration_90k);
        end = Some(expected.end());
    }
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
    write_template(kind, init, runs, start, KEYFRAME, None, document);
    let text = document.text();
    text.push_str("</Representation></AdaptationSet>");
}

/// XML Schema `dateTime`, to the millisecond.
fn xs_date_time(time: WallTime) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
