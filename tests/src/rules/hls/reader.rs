//! A careful line reader of media playlists: every tag that the rules look at, with its line, the
//! exact decimals of `EXTINF`, and the tags that `m3u8-rs` does not know (`EXT-X-SKIP`,
//! `EXT-X-SERVER-CONTROL`).

use chrono::{DateTime, Utc};

use super::{
    SYNTAX,
    attributes::{Attributes, attributes},
};
use crate::rules::Findings;

/// A media playlist as its lines say it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Media {
    /// `EXT-X-VERSION`.
    pub version: Option<u64>,
    /// `EXT-X-TARGETDURATION`, s.
    pub target_duration_s: Option<u64>,
    /// `EXT-X-MEDIA-SEQUENCE`; absent means 0.
    pub media_sequence: u64,
    /// `EXT-X-DISCONTINUITY-SEQUENCE`; absent means 0.
    pub discontinuity_sequence: u64,
    /// `EXT-X-PLAYLIST-TYPE`: `EVENT` or `VOD`.
    pub playlist_type: Option<String>,
    /// `EXT-X-INDEPENDENT-SEGMENTS`.
    pub independent_segments: bool,
    /// `EXT-X-I-FRAMES-ONLY`.
    pub i_frames_only: bool,
    /// `EXT-X-SERVER-CONTROL`.
    pub server_control: Option<Attributes>,
    /// `EXT-X-SKIP`'s `SKIPPED-SEGMENTS`: this is a delta update.
    pub skipped_segments: Option<u64>,
    /// `EXT-X-ENDLIST`.
    pub end_list: bool,
    /// In order.
    pub segments: Vec<Segment>,
}

/// A segment with what applies to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// As written.
    pub uri: String,
    /// `EXTINF`, ns: exact for up to nine decimals.
    pub duration_ns: u64,
    /// Digits after the decimal point of `EXTINF`.
    pub decimals: usize,
    /// `EXT-X-BYTERANGE`: (offset, length), bytes; an absent offset is resolved.
    pub byte_range: Option<(u64, u64)>,
    /// The `EXT-X-MAP` in force, also when an earlier segment carried the tag.
    pub map: Option<Map>,
    /// `EXTINF` of the segments before it that are not there (`EXT-X-GAP`), ns.
    pub gaps_ns: Vec<u64>,
    /// How often `EXT-X-DISCONTINUITY` stands before it: each counts (RFC 8216 §6.2.2).
    pub discontinuities: u64,
    /// Its own `EXT-X-PROGRAM-DATE-TIME`.
    pub program_date_time: Option<DateTime<Utc>>,
    /// Line of its URI, from 1.
    pub line: usize,
}

/// An `EXT-X-MAP`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// As written.
    pub uri: String,
    /// `BYTERANGE`: (offset, length), bytes.
    pub byte_range: Option<(u64, u64)>,
}

impl Media {
    /// Sum of the listed segments' `EXTINF`, ns.
    pub fn duration_ns(&self) -> u64 {
        self.segments
            .iter()
            .map(|segment| segment.duration_ns)
            .sum()
    }

    /// How many segments are listed, those that are not there included.
    pub fn listed(&self) -> usize {
        let segments = self.segments.iter();
        segments.map(|segment| segment.gaps_ns.len() + 1).sum()
    }

    /// The media sequence number of each segment: those that are not there count, too.
    pub fn numbers(&self) -> Vec<u64> {
        let mut next = self.media_sequence;
        let number = |segment: &Segment| {
            let number = next + segment.gaps_ns.len() as u64;
            next = number + 1;
            number
        };
        self.segments.iter().map(number).collect()
    }

    /// A number (s) of `EXT-X-SERVER-CONTROL`, in ns.
    pub fn server_control_ns(&self, attribute: &str) -> Option<u64> {
        let (ns, _) = decimal_ns(self.server_control.as_ref()?.get(attribute)?)?;
        Some(ns)
    }
}

/// `12.345` as ns and its number of decimals; more than nine decimals, signs and exponents are no
/// decimal-floating-point of RFC 8216 §4.2 that this reader accepts.
pub fn decimal_ns(text: &str) -> Option<(u64, usize)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    if text.ends_with('.') {
        return None;
    }
    let whole_ns = whole.parse::<u64>().ok()?.checked_mul(1_000_000_000)?;
    let fraction_ns = format!("{fraction:0<9}").parse::<u64>().ok()?;
    Some((whole_ns.checked_add(fraction_ns)?, fraction.len()))
}

/// What has been read of the segment whose URI has not come yet.
#[derive(Default)]
struct Pending {
    extinf: Option<(u64, usize)>,
    byte_range: Option<(Option<u64>, u64)>,
    discontinuities: u64,
    program_date_time: Option<DateTime<Utc>>,
    is_gap: bool,
    gaps_ns: Vec<u64>,
}

impl Pending {
    /// Ends a segment that is not there.
    fn end_gap(&mut self) -> bool {
        self.is_gap = false;
        let duration_ns = self.extinf.take().map(|(duration_ns, _)| duration_ns);
        self.gaps_ns.extend(duration_ns);
        duration_ns.is_some()
    }

    fn is_empty(&self) -> bool {
        self.extinf.is_none() && self.byte_range.is_none() && self.gaps_ns.is_empty()
    }
}

/// Tags that may stand only once (RFC 8216 §4.3.3 and §4.3.1.2).
const ONCE: &[&str] = &[
    "#EXTM3U",
    "#EXT-X-VERSION",
    "#EXT-X-TARGETDURATION",
    "#EXT-X-MEDIA-SEQUENCE",
    "#EXT-X-DISCONTINUITY-SEQUENCE",
    "#EXT-X-PLAYLIST-TYPE",
    "#EXT-X-INDEPENDENT-SEGMENTS",
    "#EXT-X-I-FRAMES-ONLY",
    "#EXT-X-SERVER-CONTROL",
    "#EXT-X-SKIP",
    "#EXT-X-ENDLIST",
];

/// Reads `text`; what cannot be read is a finding of [`SYNTAX`] and left out.
pub fn read(text: &str) -> (Media, Findings) {
    let mut media = Media::default();
    let mut findings = Findings::default();
    let mut pending = Pending::default();
    let mut map = None;
    let mut seen = Vec::new();
    findings.check(text.lines().next() == Some("#EXTM3U"), SYNTAX, || {
        "the first line is not #EXTM3U".to_owned()
    });
    findings.check(text.ends_with('\n'), SYNTAX, || {
        "the last line has no end".to_owned()
    });

    for (number, line) in (1..).zip(text.lines()) {
        if line.is_empty() || (line.starts_with('#') && !line.starts_with("#EXT")) {
            continue;
        }
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        if ONCE.contains(&tag) {
            findings.check(!seen.contains(&tag), SYNTAX, || {
                format!("line {number}: {tag} for a second time")
            });
            seen.push(tag);
        }
        let before_segments = media.segments.is_empty() && pending.is_empty();
        let readable = match tag {
            "#EXTM3U" => true,
            "#EXT-X-VERSION" => set(&mut media.version, value),
            "#EXT-X-TARGETDURATION" => set(&mut media.target_duration_s, value),
            "#EXT-X-MEDIA-SEQUENCE" => {
                media.media_sequence = integer(value).unwrap_or(0);
                before_segments && integer(value).is_some()
            }
            "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                media.discontinuity_sequence = integer(value).unwrap_or(0);
                before_segments && pending.discontinuities == 0 && integer(value).is_some()
            }
            "#EXT-X-PLAYLIST-TYPE" => {
                media.playlist_type = Some(value.to_owned());
                matches!(value, "EVENT" | "VOD")
            }
            "#EXT-X-INDEPENDENT-SEGMENTS" => {
                media.independent_segments = true;
                true
            }
            "#EXT-X-I-FRAMES-ONLY" => {
                media.i_frames_only = true;
                true
            }
            "#EXT-X-SERVER-CONTROL" => {
                media.server_control = attributes(value);
                media.server_control.is_some()
            }
            "#EXT-X-SKIP" => {
                media.skipped_segments =
                    attributes(value).and_then(|list| integer(list.unquoted("SKIPPED-SEGMENTS")?));
                before_segments && media.skipped_segments.is_some()
            }
            "#EXT-X-ENDLIST" => {
                media.end_list = true;
                true
            }
            "#EXTINF" => {
                let readable = value
                    .split_once(',')
                    .and_then(|(number, _)| decimal_ns(number));
                let first = pending.extinf.is_none();
                pending.extinf = readable;
                first && readable.is_some_and(|(ns, _)| ns > 0)
            }
            "#EXT-X-BYTERANGE" => {
                pending.byte_range = byte_range(value);
                pending.byte_range.is_some()
            }
            "#EXT-X-GAP" => {
                pending.is_gap = true;
                true
            }
            "#EXT-X-DISCONTINUITY" => {
                pending.discontinuities += 1;
                true
            }
            "#EXT-X-PROGRAM-DATE-TIME" => {
                pending.program_date_time = DateTime::parse_from_rfc3339(value)
                    .ok()
                    .map(|time| time.to_utc());
                pending.program_date_time.is_some()
            }
            "#EXT-X-MAP" => {
                map = read_map(value);
                map.is_some()
            }
            // A tag of another kind is not forbidden; the rules do not look at it.
            _ if line.starts_with('#') => true,
            _ if pending.is_gap => pending.end_gap(),
            uri => {
                let segment = finish(uri, number, &mut pending, &map, media.segments.last());
                let readable = segment.is_some();
                media.segments.extend(segment);
                readable
            }
        };
        findings.check(readable, SYNTAX, || format!("line {number}: {line:?}"));
    }
    findings.check(pending.is_empty(), SYNTAX, || {
        "nothing follows the last EXTINF or EXT-X-GAP".to_owned()
    });
    (media, findings)
}

/// A decimal-integer (RFC 8216 §4.2): digits only, where Rust would also take a sign.
fn integer(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

fn set(slot: &mut Option<u64>, value: &str) -> bool {
    *slot = integer(value);
    slot.is_some()
}

fn finish(
    uri: &str,
    line: usize,
    pending: &mut Pending,
    map: &Option<Map>,
    previous: Option<&Segment>,
) -> Option<Segment> {
    let pending = std::mem::take(pending);
    let (duration_ns, decimals) = pending.extinf?;
    let byte_range = match pending.byte_range {
        None => None,
        Some((Some(offset), length)) => Some((offset, length)),
        // Without an offset it continues the previous range of the same file (RFC 8216 §4.3.2.2).
        Some((None, length)) => {
            let previous = previous.filter(|segment| segment.uri == uri)?;
            let (offset, previous_length) = previous.byte_range?;
            Some((offset + previous_length, length))
        }
    };
    Some(Segment {
        uri: uri.to_owned(),
        duration_ns,
        decimals,
        byte_range,
        map: map.clone(),
        gaps_ns: pending.gaps_ns,
        discontinuities: pending.discontinuities,
        program_date_time: pending.program_date_time,
        line,
    })
}

/// `<n>[@<o>]` as (offset, length).
fn byte_range(text: &str) -> Option<(Option<u64>, u64)> {
    match text.split_once('@') {
        Some((length, offset)) => Some((Some(integer(offset)?), integer(length)?)),
        None => Some((None, integer(text)?)),
    }
}

fn read_map(value: &str) -> Option<Map> {
    let list = attributes(value)?;
    let uri = list.quoted("URI")?.to_owned();
    let byte_range = match list.get("BYTERANGE") {
        None => None,
        Some(_) => {
            let (offset, length) = byte_range(list.quoted("BYTERANGE")?)?;
            Some((offset.unwrap_or(0), length))
        }
    };
    Some(Map { uri, byte_range })
}
