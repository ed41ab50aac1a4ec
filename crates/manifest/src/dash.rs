//! MPEG-DASH: the MPD of a day (ISO/IEC 23009-1), over the same segments as HLS.

use std::{fmt::Write as _, ops::Range};

use dayreel_core::{MediaTime, TICKS_PER_SECOND, TrackFormat, TrackKind, WallTime};

use self::growing::{Growing, REFERENCE_TIME};
use crate::{
    DayTimeline, Document, Encoding, Expected, Init, Track,
    document::Builder,
    init_name,
    names::KEYFRAME,
    number::{Seconds, frame_rate_fraction, two_digits_above},
    runs::Runs,
};

mod growing;
mod patch;

pub use patch::{Version, patch};

/// `MPD@id` of `today`, whatever the day: a patch names it.
const LIVE_ID: &str = "today";

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
/// A new Period begins where a codec configuration changes; while live, also after a gap, where dash.js looks for
/// more in the same Period for ever. In a finished day a gap is an explicit `S@t`, for players that know one Period
/// only. The newest Period of a live day is shown once all tracks are in it (or one is three segments late): also
/// for that, `None`.
pub fn manifest(
    day: &DayTimeline,
    presentation: Presentation,
    encoding: Encoding,
) -> Option<Document> {
    let mpd = Mpd::of(day, presentation)?;
    let mut document = Builder::new(encoding);
    mpd.write(mpd.version().as_ref(), &mut document);
    Some(document.finish())
}

/// What is written into an MPD.
struct Mpd<'d> {
    day: &'d DayTimeline,
    presentation: Presentation,
    tracks: [&'d Track; TrackKind::COUNT],
    /// Where the first Period begins.
    first: MediaTime,
    /// How many Periods are shown.
    shown: usize,
    /// What of each track and Period is listed, where that is not all.
    windows: Option<[Vec<Runs>; TrackKind::COUNT]>,
    growing: Option<Growing>,
}

/// How far players stay behind the clock (`suggestedPresentationDelay`), in quarters of a segment: one segment passes
/// until what is shown to a camera is complete, another until the MPD is asked for again, and three quarters are left
/// to load it. With the way from the camera to the screen, it is seen within three.
const DELAY_QUARTERS: u64 = 11;

impl<'d> Mpd<'d> {
    fn of(day: &'d DayTimeline, presentation: Presentation) -> Option<Self> {
        let first = first_instant(day, presentation).filter(|_| !day.is_empty())?;
        let tracks = TrackKind::ALL.map(|kind| day.track(kind));
        let (windows, growing) = match presentation {
            Presentation::Live {
                now,
                window_s,
                low_latency,
            } => (
                window_s.map(|window_s| tracks.map(|track| track.window(window_s))),
                low_latency.then(|| Growing::of(day, now)),
            ),
            Presentation::Finished => (None, None),
        };
        let held_back = matches!(presentation, Presentation::Live { .. }) && day.is_incomplete();
        let mpd = Self {
            day,
            presentation,
            tracks,
            first,
            shown: day.periods().len() - usize::from(held_back),
            windows,
            growing,
        };
        (0..mpd.shown).any(|index| mpd.lists(index)).then_some(mpd)
    }

    /// What is listed of the track `kind`, one for each Period.
    fn timelines(&self, kind: TrackKind) -> &[Runs] {
        match &self.windows {
            Some(windows) => &windows[kind as usize],
            None => &self.tracks[kind as usize].periods,
        }
    }

    /// Whether anything is listed in the Period number `index`. One with nothing is not written: it would have no
    /// AdaptationSet (§5.3.2.2 wants one).
    fn lists(&self, index: usize) -> bool {
        let has_some = |kind| {
            self.timelines(kind)
                .get(index)
                .is_some_and(|runs: &Runs| runs.len() > 0)
        };
        TrackKind::ALL.into_iter().any(has_some)
    }

    /// Where the Periods end that are written as one with the one number `first`: in a finished day, those with
    /// nothing but gaps between them.
    fn end_of_group(&self, first: usize) -> usize {
        if matches!(self.presentation, Presentation::Live { .. }) {
            return first + 1;
        }
        let inits =
            |index: usize| TrackKind::ALL.map(|kind| self.timelines(kind).get(index)?.init());
        let mut needed = inits(first);
        let fits = |index: &usize| {
            let mut pairs = needed.iter_mut().zip(inits(*index));
            pairs.all(|(needed, init)| init.is_none_or(|init| *needed.get_or_insert(init) == init))
        };
        first + 1 + (first + 1..self.shown).take_while(fits).count()
    }

    /// What grows in the Periods `together`: the newest does.
    fn growing(&self, together: &Range<usize>) -> Option<&Growing> {
        let has_newest = together.end == self.day.periods().len();
        self.growing.as_ref().filter(|_| has_newest)
    }

    /// Writes it all; where the next version is found is told by `version`.
    fn write(&self, version: Option<&Version>, document: &mut Builder) {
        self.write_start(document);
        if let Some(version) = version {
            document.varying(|document| version.write_location(document.text()));
        }
        if let Some(growing) = &self.growing {
            growing.write_service(document.text());
        }
        let mut next = 0;
        while next < self.shown {
            let together = next..self.end_of_group(next);
            next = together.end;
            if together.clone().any(|index| self.lists(index)) {
                self.write_period(&together, document);
            }
        }
        if let Presentation::Live { now, .. } = self.presentation {
            // ISO/IEC 23009-1 §5.8.4.11, in the order of preference. What is asked for on purpose is right to half the
            // time of the way; `direct` needs no second request, but is late by what it takes to read the MPD.
            document.text().push_str(
                "<UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:http-iso:2014\" value=\"time\"/>\
                 <UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:direct:2014\" value=\"",
            );
            document.varying(|document| document.text().push_str(&xs_date_time(now)));
            document.text().push_str("\"/>");
        }
        document.text().push_str("</MPD>\n");
    }

    fn write_start(&self, document: &mut Builder) {
        let day = self.day;
        let longest_90k = day.max_duration_90k();
        // §5.3.1.2: no S@d is longer than maxSegmentDuration, so it is rounded up, to the millisecond.
        let longest_90k = u64::from(longest_90k).div_ceil(90) * 90;
        let growing = self.growing.as_ref();
        let most = Seconds(growing.map_or(longest_90k, Growing::longest_90k));
        let longest = Seconds(longest_90k);
        let text = document.text();
        text.push_str(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" \
             profiles=\"urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019",
        );
        if self.growing.is_some() {
            text.push_str(",http://www.dashif.org/guidelines/low-latency-live-v5");
        }
        text.push('"');
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            " minBufferTime=\"PT{longest}S\" maxSegmentDuration=\"PT{most}S\""
        );
        match self.presentation {
            Presentation::Live { now, window_s, .. } => {
                let growing = self.growing.as_ref();
                let update_90k = growing.map_or(longest_90k, |growing| growing.update_90k);
                let update = Seconds(update_90k.max(TICKS_PER_SECOND));
                let depth_s = match window_s {
                    None => (day.day().end() - day.day().start()).num_seconds(),
                    // §5.3.1.2: what is listed is available, also when the camera is away for longer.
                    Some(_) => (now - self.listed().media_to_wall()).num_seconds().max(0) + 1,
                };
                let delay = Seconds(longest_90k * DELAY_QUARTERS / 4);
                let _ = write!(
                    text,
                    " type=\"dynamic\" id=\"{LIVE_ID}\" availabilityStartTime=\"1970-01-01T00:00:00Z\" \
                     minimumUpdatePeriod=\"PT{update}S\" timeShiftBufferDepth=\"PT{depth_s}S\" \
                     suggestedPresentationDelay=\"PT{delay}S\" publishTime=\""
                );
                document.varying(|document| document.text().push_str(&xs_date_time(now)));
                document.text().push_str("\">");
            }
            Presentation::Finished => {
                let end = day.end().unwrap_or_default();
                let length = Seconds(end.saturating_since(self.first));
                let _ = write!(
                    text,
                    " type=\"static\" mediaPresentationDuration=\"PT{length}S\">"
                );
            }
        }
    }

    /// Where the first segment begins that is listed.
    fn listed(&self) -> MediaTime {
        let kinds = TrackKind::ALL.into_iter();
        let listed = kinds.filter_map(|kind| self.timelines(kind).iter().find_map(Runs::start));
        listed.min().unwrap_or(self.first)
    }

    /// Writes the Periods `together` as one.
    fn write_period(&self, together: &Range<usize>, document: &mut Builder) {
        let origin = match self.presentation {
            Presentation::Live { .. } => MediaTime::default(),
            Presentation::Finished => self.first,
        };
        let period = self.day.periods()[together.start];
        let start = self.first.max(period.start);
        let (id, begin) = (period.id(), start.saturating_since(origin));
        let (text, begin) = (document.text(), Seconds(begin));
        // Writing to a String cannot fail.
        let _ = write!(text, "<Period id=\"{id}\" start=\"PT{begin}S\">");
        for set in self.sets(together) {
            match document.is_skeleton() && !set.is_last {
                // The rest follows from that: a day may have hundreds of them.
                true => {
                    set.write_representation(document.text());
                    set.compare(document);
                }
                false => set.write(start, document),
            }
        }
        document.text().push_str("</Period>");
    }

    /// The AdaptationSets of the Periods `together`, in their order.
    fn sets(&self, together: &Range<usize>) -> impl Iterator<Item = Set<'_>> {
        let growing = self.growing(together);
        let (from, to) = (together.start, together.end);
        let set = move |kind, keyframes| {
            let track = self.tracks[kind as usize];
            let timelines = self.timelines(kind);
            let runs = timelines.get(from..to.min(timelines.len()))?;
            let init = runs.iter().find_map(Runs::init)?;
            Some(Set {
                track,
                runs,
                init: track.inits().get(usize::from(init))?,
                keyframes,
                growing,
                is_last: to == self.shown,
            })
        };
        let of_tracks = TrackKind::ALL
            .into_iter()
            .filter_map(move |kind| set(kind, false));
        // The keyframes are the last, so that they are not the first choice of anybody. Who is near the live edge
        // does not wind.
        let winds = growing.is_none();
        of_tracks.chain(winds.then(|| set(TrackKind::Video, true)).flatten())
    }
}

/// Where the first Period begins. While live, where it always began: a Period that is known does not
/// move when its first hours are deleted. A finished day begins with what is left of it.
fn first_instant(day: &DayTimeline, presentation: Presentation) -> Option<MediaTime> {
    let first = day.periods().first()?.start;
    if matches!(presentation, Presentation::Live { .. }) {
        return Some(first);
    }
    let tracks = TrackKind::ALL.map(|kind| day.track(kind).segments());
    let left = tracks.iter().filter_map(|segments| segments.first());
    let left = left.map(|segment| segment.start).min().unwrap_or(first);
    let next = day.periods().get(1).map_or(left, |next| next.start);
    Some(first.max(left.min(next)))
}

/// An AdaptationSet, with one Representation: what is listed of a track in a Period, or its keyframes.
struct Set<'m> {
    track: &'m Track,
    runs: &'m [Runs],
    /// The init segment that its segments need.
    init: &'m Init,
    /// The keyframes that the segments begin with: for trick mode.
    keyframes: bool,
    growing: Option<&'m Growing>,
    /// Whether its Period is the last one shown: more is listed only there.
    is_last: bool,
}

impl Set<'_> {
    /// `AdaptationSet@id`.
    fn id(&self) -> usize {
        match self.keyframes {
            false => self.track.kind() as usize + 1,
            true => TrackKind::COUNT + 1,
        }
    }

    /// `Representation@id`.
    fn representation(&self) -> &'static str {
        match self.keyframes {
            false => self.track.kind().name(),
            true => "keyframes",
        }
    }

    /// The segments that are listed before they are complete.
    fn expected(&self) -> &[Expected] {
        let growing = self.growing.filter(|_| !self.keyframes);
        growing.map_or(&[], |growing| growing.expected(self.track.kind()))
    }

    /// Writes it, in a Period that starts at `start`.
    fn write(&self, start: MediaTime, document: &mut Builder) {
        let (id, text) = (self.id(), document.text());
        let kind = self.track.kind();
        let content = if kind.is_picture() { "video" } else { "audio" };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "<AdaptationSet id=\"{id}\" contentType=\"{content}\" mimeType=\"{content}/mp4\" \
             segmentAlignment=\"true\" startWithSAP=\"1\">"
        );
        if self.growing.is_some() {
            // §5.12: media time is the time of capture.
            let (ticks, time) = (start.ticks(), xs_date_time(start.media_to_wall()));
            let _ = write!(
                text,
                "<ProducerReferenceTime id=\"{REFERENCE_TIME}\" type=\"captured\" wallClockTime=\"{time}\" \
                 presentationTime=\"{ticks}\"/>"
            );
        }
        if self.keyframes {
            // Who does not know it passes over the set (§5.8.4.8; DASH-IF IOP §3.2.9).
            let main = kind as usize + 1;
            let _ = write!(
                text,
                "<EssentialProperty schemeIdUri=\"http://dashif.org/guidelines/trickmode\" value=\"{main}\"/>"
            );
        }
        if kind == TrackKind::Preview {
            // A set of its own: its keyframes are not those of the video, and segmentAlignment is of a
            // set (§5.3.3.2).
            text.push_str("<Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"alternate\"/>");
        }
        self.write_representation(text);
        self.write_template(start, document);
        document
            .text()
            .push_str("</Representation></AdaptationSet>");
    }

    /// Writes the start of the Representation.
    fn write_representation(&self, text: &mut String) {
        let (id, codec) = (self.representation(), self.init.format.codec());
        let bandwidth = two_digits_above(self.track.peak_bits_per_second()).max(1);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "<Representation id=\"{id}\" codecs=\"{codec}\" bandwidth=\"{bandwidth}\""
        );
        let rate_milli = self.track.peak_rate_milli();
        match &self.init.format {
            TrackFormat::Video(video) => {
                let (width, height) = (video.width, video.height);
                let _ = write!(text, " width=\"{width}\" height=\"{height}\"");
                if self.keyframes {
                    let apart_s = self.track.target_duration_s();
                    // Who decodes all pictures of the video decodes as many keyframes.
                    let faster = (apart_s * rate_milli / 1000).max(1);
                    let _ = write!(
                        text,
                        " frameRate=\"1/{apart_s}\" maxPlayoutRate=\"{faster}\" codingDependency=\"false\""
                    );
                } else if rate_milli > 0 {
                    let rate = frame_rate_fraction(rate_milli);
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
    }

    /// Writes where its segments are and when.
    fn write_template(&self, start: MediaTime, document: &mut Builder) {
        let kind = self.track.kind();
        let media = match self.keyframes {
            false => format!("{}-", kind.letter()),
            true => KEYFRAME.to_owned(),
        };
        // Writing to a String cannot fail.
        let _ = write!(
            document.text(),
            "<SegmentTemplate timescale=\"{TICKS_PER_SECOND}\" presentationTimeOffset=\"{}\" \
             initialization=\"../{}\" media=\"../{media}$Time$.m4s\"",
            start.ticks(),
            init_name(kind, self.init.hash),
        );
        if let Some(growing) = self.growing {
            let offset = Seconds(growing.early_90k());
            let _ = write!(
                document.text(),
                " availabilityTimeOffset=\"{offset}\" availabilityTimeComplete=\"false\""
            );
        }
        document.text().push_str("><SegmentTimeline>");
        document.varying(|document| {
            for runs in self.runs {
                document.growing(runs.frozen());
                runs.write_open(document.text());
            }
            self.write_expected(document.text());
        });
        self.compare(document);
        document
            .text()
            .push_str("</SegmentTimeline></SegmentTemplate>");
    }

    /// Lets versions differ that list something else, but for what was added to the newest Period.
    fn compare(&self, document: &mut Builder) {
        document.compared(|text| {
            let start = self.runs.iter().find_map(Runs::start);
            let len = (!self.is_last).then(|| self.len());
            // Writing to a String cannot fail.
            let _ = write!(text, "{} {start:?} {len:?}", self.init.hash.0);
        });
    }

    /// How many segments are listed.
    fn len(&self) -> usize {
        self.runs.iter().map(Runs::len).sum()
    }

    /// Writes the segments that are expected.
    fn write_expected(&self, text: &mut String) {
        let mut end = self.runs.last().and_then(Runs::end);
        for expected in self.expected() {
            text.push_str("<S");
            // Writing to a String cannot fail.
            if end != Some(expected.start) {
                let _ = write!(text, " t=\"{}\"", expected.start.ticks());
            }
            let _ = write!(text, " d=\"{}\"/>", expected.duration_90k);
            end = Some(expected.end());
        }
    }
}

/// XML Schema `dateTime`, to the millisecond.
fn xs_date_time(time: WallTime) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
