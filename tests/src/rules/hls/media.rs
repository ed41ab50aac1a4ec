//! Rules of one media playlist.

use std::collections::HashSet;

use m3u8_rs::parse_media_playlist_res;

use super::{
    CAN_SKIP_UNTIL, DATE_ADVANCES, DATE_IS_MEDIA_TIME, DATE_PRESENT, DISCONTINUITY, END_LIST, GAP,
    HOLD_BACK, INDEPENDENT, LISTED_ONCE, MAP, NAMES_ADVANCE, NEEDLESS_DISCONTINUITY, SECOND_PARSER,
    TARGET_DURATION, VERSION,
    reader::{Media, Segment, read},
};
use crate::rules::Findings;

/// What a playlist is said to be.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Today: no `EXT-X-ENDLIST`. Otherwise a finished day.
    pub live: bool,
    /// Delta updates are offered.
    pub deltas: bool,
    /// Segment names carry their start in 1/90000 s since the Unix epoch (`v-{t}.m4s`).
    pub epoch_names: bool,
    /// How far a date may lie from the sum of the durations before it, ns.
    pub tolerance_ns: u64,
}

impl Expected {
    /// Today's playlist of the server. Dates are written to the millisecond.
    pub const TODAY: Self = Self {
        live: true,
        deltas: true,
        epoch_names: true,
        tolerance_ns: 20_000_000,
    };
    /// A finished day's playlist of the server.
    pub const FINISHED: Self = Self {
        live: false,
        deltas: false,
        ..Self::TODAY
    };
    /// The last seconds of today.
    pub const WINDOW: Self = Self {
        deltas: false,
        ..Self::TODAY
    };
}

/// Checks the text of a full playlist; also returns what was read.
pub fn check(text: &str, expected: Expected) -> (Media, Findings) {
    let (media, mut findings) = read(text);
    findings.extend(second_parser(text, &media));
    findings.extend(header(&media));
    findings.extend(server_control(&media, expected));
    findings.extend(segments(&media));
    findings.extend(dates(&media, expected));
    findings.extend(maps(&media));
    if expected.epoch_names {
        findings.extend(names(&media));
    }
    (media, findings)
}

/// Checks the text of the live view in MPEG-TS, which has neither maps nor delta updates.
pub fn check_ts(text: &str) -> (Media, Findings) {
    let (media, mut findings) = read(text);
    findings.extend(second_parser(text, &media));
    findings.extend(header(&media));
    let expected = Expected {
        epoch_names: false,
        ..Expected::TODAY
    };
    findings.extend(dates(&media, expected));
    (media, findings)
}

/// Start of a segment or keyframe in 1/90000 s, from its name `[folders/]v-{t}.m4s`.
pub fn start_90k(uri: &str) -> Option<u64> {
    let name = uri.rsplit('/').next()?.strip_suffix(".m4s")?;
    let (track, ticks) = name.split_once('-')?;
    matches!(track, "v" | "a" | "p" | "k").then(|| ticks.parse().ok())?
}

fn ticks_to_ns(ticks_90k: u64) -> u64 {
    let ns = u128::from(ticks_90k) * 1_000_000_000 / 90_000;
    u64::try_from(ns).unwrap_or(u64::MAX)
}

/// What `m3u8-rs` reads, compared with what [`read`] read. It reads `EXTINF` as f32 and attaches a
/// map only to the segment that carries the tag.
pub fn second_parser(text: &str, media: &Media) -> Findings {
    let mut findings = Findings::default();
    let second = match parse_media_playlist_res(text.as_bytes()) {
        Ok(second) => second,
        Err(error) => {
            let error = format!("{error:.200}");
            findings.check(false, SECOND_PARSER, || error);
            return findings;
        }
    };
    let header = (
        second
            .version
            .and_then(|version| u64::try_from(version).ok()),
        second.target_duration,
        second.media_sequence,
        second.discontinuity_sequence,
        second.end_list,
        second.i_frames_only,
        second.segments.len(),
    );
    let there = second.segments.iter().filter(|theirs| {
        let mut tags = theirs.unknown_tags.iter();
        !tags.any(|tag| tag.tag == "X-GAP")
    });
    let ours = (
        media.version,
        media.target_duration_s.unwrap_or(0),
        media.media_sequence,
        media.discontinuity_sequence,
        media.end_list,
        media.i_frames_only,
        media.listed(),
    );
    findings.check(header == ours, SECOND_PARSER, || {
        format!("header and number of segments: {header:?}, read here as {ours:?}")
    });
    for (theirs, segment) in there.zip(&media.segments) {
        let seconds = std::time::Duration::from_nanos(segment.duration_ns).as_secs_f64();
        let range = theirs.byte_range.as_ref().map(|range| range.length);
        let map = theirs.map.as_ref().map(|map| map.uri.as_str());
        let date = theirs.program_date_time.map(|date| date.to_utc());
        let same = theirs.uri == segment.uri
            && (f64::from(theirs.duration) - seconds).abs() < 0.001
            && theirs.discontinuity == (segment.discontinuities > 0)
            && range == segment.byte_range.map(|(_, length)| length)
            && date == segment.program_date_time
            && map.is_none_or(|map| segment.map.as_ref().is_some_and(|ours| ours.uri == map));
        findings.check(same, SECOND_PARSER, || {
            format!(
                "line {}: {theirs:?}, read here as {segment:?}",
                segment.line
            )
        });
    }
    findings
}

/// The lowest version that has every feature used (bis §8).
fn version_needed(media: &Media) -> u64 {
    let any = |uses: fn(&Segment) -> bool| media.segments.iter().any(uses);
    if media.skipped_segments.is_some() {
        9
    } else if any(|segment| segment.map.is_some()) {
        6
    } else if any(|segment| segment.byte_range.is_some()) {
        4
    } else if any(|segment| segment.decimals > 0) {
        3
    } else {
        1
    }
}

/// Version, target duration, independent segments.
pub(super) fn header(media: &Media) -> Findings {
    let mut findings = Findings::default();
    let needed = version_needed(media);
    findings.check(media.version.unwrap_or(1) >= needed, VERSION, || {
        format!("version {:?}, needed {needed}", media.version)
    });
    let target_s = media.target_duration_s.unwrap_or(0);
    findings.check(target_s > 0, TARGET_DURATION, || "missing".to_owned());
    for segment in &media.segments {
        for duration_ns in segment.gaps_ns.iter().chain([&segment.duration_ns]) {
            let rounded_s = (duration_ns + 500_000_000) / 1_000_000_000;
            findings.check(rounded_s <= target_s, TARGET_DURATION, || {
                format!(
                    "line {}: {duration_ns} ns, target duration {target_s} s",
                    segment.line
                )
            });
        }
    }
    findings.check(media.independent_segments, INDEPENDENT, || {
        "missing".to_owned()
    });
    findings
}

fn server_control(media: &Media, expected: Expected) -> Findings {
    let mut findings = Findings::default();
    let target_s = media.target_duration_s.unwrap_or(0);
    let vod = media.playlist_type.as_deref() == Some("VOD");
    findings.check(
        media.end_list != expected.live && (media.end_list || !vod),
        END_LIST,
        || {
            format!(
                "live: {}, EXT-X-ENDLIST: {}, type {:?}",
                expected.live, media.end_list, media.playlist_type
            )
        },
    );
    let target_ns = target_s * 1_000_000_000;
    let skip_ns = media.server_control_ns("CAN-SKIP-UNTIL");
    if expected.deltas || skip_ns.is_some() {
        findings.check(
            skip_ns.is_some_and(|skip_ns| skip_ns >= 6 * target_ns),
            CAN_SKIP_UNTIL,
            || format!("{skip_ns:?} ns, target duration {target_s} s"),
        );
    }
    if let Some(hold_ns) = media.server_control_ns("HOLD-BACK") {
        findings.check(hold_ns >= 3 * target_ns, HOLD_BACK, || {
            format!("{hold_ns} ns, target duration {target_s} s")
        });
    }
    findings
}

/// A map for each, and none twice.
pub(super) fn segments(media: &Media) -> Findings {
    let mut findings = Findings::default();
    let mut listed = HashSet::new();
    for segment in &media.segments {
        findings.check(segment.map.is_some(), MAP, || {
            format!("line {}: no map applies", segment.line)
        });
        findings.check(
            listed.insert((&segment.uri, segment.byte_range)),
            LISTED_ONCE,
            || format!("line {}: {} again", segment.line, segment.uri),
        );
    }
    findings
}

fn maps(media: &Media) -> Findings {
    let mut findings = Findings::default();
    for pair in media.segments.windows(2) {
        let [before, after] = pair else { continue };
        findings.check(
            before.map == after.map || after.discontinuities > 0 || is_preview(after),
            DISCONTINUITY,
            || format!("line {}: another map without discontinuity", after.line),
        );
    }
    findings
}

/// Dates: there, and in step with the durations.
pub(super) fn dates(media: &Media, expected: Expected) -> Findings {
    let mut findings = Findings::default();
    // The last date seen, ns since the epoch, and the durations since.
    let mut running_ns: Option<u64> = None;
    for (index, segment) in media.segments.iter().enumerate() {
        let own_ns = segment
            .program_date_time
            .and_then(|date| u64::try_from(date.timestamp_nanos_opt()?).ok());
        let gaps_ns: u64 = segment.gaps_ns.iter().sum();
        let running = running_ns.map(|running_ns| running_ns + gaps_ns);
        if index == 0 || segment.discontinuities > 0 {
            findings.check(own_ns.is_some(), DATE_PRESENT, || {
                format!("line {}: no date", segment.line)
            });
        } else if let (Some(own_ns), Some(running_ns)) = (own_ns, running) {
            findings.check(
                own_ns.abs_diff(running_ns) <= expected.tolerance_ns,
                DATE_ADVANCES,
                || {
                    format!(
                        "line {}: {} ns away from the durations before it",
                        segment.line,
                        own_ns.abs_diff(running_ns)
                    )
                },
            );
        }
        let date_ns = own_ns.or(running);
        if let (true, Some(date_ns)) = (expected.epoch_names, date_ns) {
            let named_ns = start_90k(&segment.uri).map(ticks_to_ns);
            findings.check(
                named_ns.is_some_and(|named| named.abs_diff(date_ns) <= expected.tolerance_ns),
                DATE_IS_MEDIA_TIME,
                || {
                    format!(
                        "line {}: {} is dated {date_ns} ns since the epoch",
                        segment.line, segment.uri
                    )
                },
            );
        }
        running_ns = date_ns.map(|date_ns| date_ns + segment.duration_ns);
    }
    findings
}

fn names(media: &Media) -> Findings {
    let mut findings = Findings::default();
    for segment in &media.segments {
        findings.check(start_90k(&segment.uri).is_some(), NAMES_ADVANCE, || {
            format!("line {}: {} names no media time", segment.line, segment.uri)
        });
    }
    for pair in media.segments.windows(2) {
        let [before, after] = pair else { continue };
        let (Some(from_90k), Some(to_90k)) = (start_90k(&before.uri), start_90k(&after.uri)) else {
            continue;
        };
        let gaps_ns: u64 = after.gaps_ns.iter().sum();
        let end_ns = ticks_to_ns(from_90k) + before.duration_ns + gaps_ns;
        let start_ns = ticks_to_ns(to_90k);
        // Half a unit of the last decimal of EXTINF, and a tick.
        let rounding_ns = 10_u64.pow(9_u32.saturating_sub(decimals(before))) / 2 + 11_112;
        findings.check(
            to_90k > from_90k && start_ns + rounding_ns >= end_ns,
            NAMES_ADVANCE,
            || {
                format!(
                    "line {}: {} begins before {} ends",
                    after.line, after.uri, before.uri
                )
            },
        );
        let hole = start_ns > end_ns + rounding_ns;
        findings.check(!hole || after.discontinuities > 0, DISCONTINUITY, || {
            format!(
                "line {}: {} ns after the end of {} without discontinuity",
                after.line,
                start_ns - end_ns,
                before.uri
            )
        });
        findings.check(
            after.gaps_ns.is_empty() || after.discontinuities == 0,
            GAP,
            || format!("line {}: a gap and a discontinuity", after.line),
        );
        // It follows those of the picture.
        let breaks = hole || before.map != after.map || is_preview(after);
        findings.check(
            breaks || after.discontinuities == 0,
            NEEDLESS_DISCONTINUITY,
            || {
                format!(
                    "line {}: same map, no hole before {}",
                    after.line, after.uri
                )
            },
        );
    }
    findings
}

/// RFC 8216 §4.3.2.3 says that another encoding SHOULD be a discontinuity, §6.2.4 that variants MUST have the
/// same: one of the preview would be one of the picture.
fn is_preview(segment: &Segment) -> bool {
    let name = segment.uri.rsplit('/').next().unwrap_or_default();
    name.starts_with("p-")
}

fn decimals(segment: &Segment) -> u32 {
    u32::try_from(segment.decimals).unwrap_or(9)
}
