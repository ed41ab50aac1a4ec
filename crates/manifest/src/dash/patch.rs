//! MPD patches (ISO/IEC 23009-1 §5.15): what has changed since a version of the MPD, instead of all of it.
//!
//! Each version says where the next is found, and that address says what is in it: [`Version`]. So nothing is kept of
//! who has got which. What a patch can tell is that more is listed in the newest Period; whatever else has changed is
//! seen by another skeleton, and then players are made to ask for the whole.

use std::fmt::{self, Display, Formatter, Write as _};

use dayreel_core::{TrackKind, WallTime};

use super::{LIVE_ID, Mpd, Presentation, Set, xs_date_time};
use crate::{DayTimeline, Document, Encoding, Segment, document::Builder};

/// What a version of an MPD lists; as text, `since` in the address of its patches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// Of all that is not told by patches.
    skeleton: u32,
    /// `MPD@publishTime`, ms.
    published_ms: i64,
    low_latency: bool,
    /// Of each track, in the newest Period.
    listed: [Listed; TrackKind::COUNT],
}

/// How many segments are listed of a track in the newest Period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Listed {
    complete: usize,
    /// After them.
    expected: usize,
}

impl Display for Version {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}", self.skeleton, self.published_ms)?;
        let mut listed = self.listed.iter();
        listed.try_for_each(|listed| write!(f, "-{}.{}", listed.complete, listed.expected))
    }
}

impl Version {
    /// Reads what [`Display`] wrote of an MPD that is of `low_latency` or not. `None` if that is something else.
    pub fn parse(text: &str, low_latency: bool) -> Option<Self> {
        let mut fields = text.split('-');
        let skeleton = u32::from_str_radix(fields.next()?, 16).ok()?;
        let published_ms = fields.next()?.parse().ok()?;
        let mut listed = [Listed::default(); TrackKind::COUNT];
        for of_track in &mut listed {
            let (complete, expected) = fields.next()?.split_once('.')?;
            *of_track = Listed {
                complete: complete.parse().ok()?,
                expected: expected.parse().ok()?,
            };
        }
        fields.next().is_none().then_some(Self {
            skeleton,
            published_ms,
            low_latency,
            listed,
        })
    }

    /// Writes where its patches are found.
    pub(super) fn write_location(&self, text: &mut String) {
        let latency = if self.low_latency {
            "latency=low&amp;"
        } else {
            ""
        };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "<PatchLocation>manifest.mpd?{latency}since={self}</PatchLocation>"
        );
    }
}

/// What has changed in the MPD of `day` since the version `since`. `None` if there is no MPD.
///
/// Where more has changed than that segments were added, or `since` is no version of it, it is a patch of a version
/// that nobody has: who finds that it is not of theirs asks for the whole (dash.js at once, Shaka, too, which takes
/// an MPD in place of a patch for a mistake and asks for patches again).
pub fn patch(
    day: &DayTimeline,
    presentation: Presentation,
    since: &Version,
    encoding: Encoding,
) -> Option<Document> {
    let mpd = Mpd::of(day, presentation)?;
    let version = mpd.version()?;
    let changes = changes(&mpd, &version, since);
    let original = changes.as_ref().map_or(NOBODYS, |_| since.published_ms);
    let (published, original) = (published(version.published_ms), published(original));
    let changes = changes.unwrap_or_default();
    let mut document = Builder::new(encoding);
    // Writing to a String cannot fail.
    let _ = write!(
        document.text(),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Patch xmlns=\"urn:mpeg:dash:schema:mpd-patch:2020\" mpdId=\"{LIVE_ID}\" \
         originalPublishTime=\"{original}\" publishTime=\"{published}\">{changes}</Patch>\n"
    );
    Some(document.finish())
}

/// `publishTime` of a version that nobody has, ms: a player that has been told nothing else.
const NOBODYS: i64 = 0;

fn published(published_ms: i64) -> String {
    xs_date_time(WallTime::from_timestamp_millis(published_ms).unwrap_or_default())
}

/// The operations that make `version` of the version `since`. `None` if there are none.
fn changes(mpd: &Mpd<'_>, version: &Version, since: &Version) -> Option<String> {
    let goes_on = version.skeleton == since.skeleton && since.published_ms < version.published_ms;
    let index = mpd.shown.checked_sub(1).filter(|_| goes_on)?;
    let published = published(version.published_ms);
    let mut text = format!(
        "<replace sel=\"/MPD/@publishTime\">{published}</replace><replace sel=\"/MPD/PatchLocation\">"
    );
    version.write_location(&mut text);
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "</replace><replace sel=\"/MPD/UTCTiming[2]/@value\">{published}</replace>"
    );
    for set in mpd.sets(&(index..index + 1)) {
        let kind = set.track.kind() as usize;
        let listed = Listed {
            expected: if set.keyframes {
                0
            } else {
                since.listed[kind].expected
            },
            ..since.listed[kind]
        };
        let segments = mpd.tracks[kind].in_period(index);
        let period = mpd.day.periods()[index].id();
        write_changes(&period, &set, segments, listed, &mut text)?;
    }
    Some(text)
}

/// Writes what is listed of `set`, whose segments are `segments`, and was not when it listed `listed`. `None` if it
/// never did.
fn write_changes(
    period: &str,
    set: &Set<'_>,
    segments: &[Segment],
    listed: Listed,
    text: &mut String,
) -> Option<()> {
    if !(1..=segments.len()).contains(&listed.complete) || listed.expected > MOST_EXPECTED {
        return None;
    }
    let (id, representation) = (set.id(), set.representation());
    let timeline = format!(
        "/MPD/Period[@id='{period}']/AdaptationSet[@id='{id}']/Representation[@id='{representation}']\
         /SegmentTemplate/SegmentTimeline"
    );
    let all = set.runs.first()?;
    let runs = all.runs_of(listed.complete);
    if all.runs() - runs > MOST_ADDED {
        return None;
    }
    // Writing to a String cannot fail.
    for number in (runs + 1..=runs + listed.expected).rev() {
        let _ = write!(text, "<remove sel=\"{timeline}/S[{number}]\"/>");
    }
    if all.segments_of(runs) > listed.complete {
        let _ = write!(text, "<replace sel=\"{timeline}/S[{runs}]\">");
        all.write_run(runs - 1, segments, text);
        text.push_str("</replace>");
    }
    let mut added = String::new();
    for number in runs..all.runs() {
        all.write_run(number, segments, &mut added);
    }
    set.write_expected(&mut added);
    if !added.is_empty() {
        let _ = write!(text, "<add sel=\"{timeline}\">{added}</add>");
    }
    Some(())
}

/// Who lacks more runs of a track is better off with the whole, which is kept ready.
const MOST_ADDED: usize = 256;

/// No version lists more segments of a track before they are complete.
const MOST_EXPECTED: usize = 2;

impl Mpd<'_> {
    /// What it lists, where patches tell what is new: of a live day, not of a window of it.
    pub(super) fn version(&self) -> Option<Version> {
        let Presentation::Live {
            now,
            window_s: None,
            low_latency,
        } = self.presentation
        else {
            return None;
        };
        let mut skeleton = Builder::skeleton();
        self.write(None, &mut skeleton);
        let mut listed = [Listed::default(); TrackKind::COUNT];
        let newest = self.shown.saturating_sub(1)..self.shown;
        for set in self.sets(&newest).filter(|set| !set.keyframes) {
            listed[set.track.kind() as usize] = Listed {
                complete: set.len(),
                expected: set.expected().len(),
            };
        }
        Some(Version {
            skeleton: skeleton.fingerprint(),
            published_ms: now.timestamp_millis(),
            low_latency,
            listed,
        })
    }
}
