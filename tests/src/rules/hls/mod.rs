//! Rules of HLS playlists. "bis" is draft-pantos-hls-rfc8216bis-17.

pub mod attributes;
pub mod delta;
pub mod index;
pub mod keyframes;
pub mod low_latency;
pub mod media;
pub mod multivariant;
pub mod reader;
pub mod reload;

use super::Rule;

/// Lines, tags and attribute lists are well formed; what may stand once stands once.
pub const SYNTAX: Rule = Rule::new("syntax", "RFC 8216 §4.1–4.3");
/// `m3u8-rs` reads the same segments, durations, ranges, maps and times.
pub const SECOND_PARSER: Rule = Rule::new("second-parser", "RFC 8216 §4");
/// `EXT-X-VERSION` is high enough for the features used.
pub const VERSION: Rule = Rule::new("version", "RFC 8216 §7, bis §8");
/// No segment, rounded to whole seconds, is longer than `EXT-X-TARGETDURATION`.
pub const TARGET_DURATION: Rule = Rule::new("target-duration", "RFC 8216 §4.3.3.1");
/// An `EXT-X-MAP` applies to every fragmented MP4 segment.
pub const MAP: Rule = Rule::new("map", "RFC 8216 §3.3, §4.3.2.5");
/// Another map, or a hole in media time, is announced by `EXT-X-DISCONTINUITY`.
pub const DISCONTINUITY: Rule = Rule::new("discontinuity", "RFC 8216 §4.3.2.3");
/// No `EXT-X-DISCONTINUITY` where neither the map nor the timeline breaks.
pub const NEEDLESS_DISCONTINUITY: Rule = Rule::new("needless-discontinuity", "contract");
/// What another variant has meanwhile is listed as `EXT-X-GAP`, with durations up to the next segment.
pub const GAP: Rule = Rule::new("gap", "bis §4.4.4.7, §6.2.4");
/// Variants and their renditions have the same target duration.
pub const SAME_TARGET: Rule = Rule::new("same-target-duration", "RFC 8216 §6.2.4");
/// The first segment and each one after a discontinuity has a date.
pub const DATE_PRESENT: Rule = Rule::new("date-present", "RFC 8216 §6.2.1, bis §6.2.1");
/// A segment's date is the previous one's plus its duration.
pub const DATE_ADVANCES: Rule = Rule::new("date-advances", "RFC 8216 §4.3.2.6");
/// A segment's date is the media time in its name.
pub const DATE_IS_MEDIA_TIME: Rule = Rule::new("date-is-media-time", "contract");
/// Names carry media time, strictly ascending; without a discontinuity, by `EXTINF`.
pub const NAMES_ADVANCE: Rule = Rule::new("names-advance", "contract, RFC 8216 §3");
/// No segment is listed twice.
pub const LISTED_ONCE: Rule = Rule::new("listed-once", "contract");
/// `EXT-X-INDEPENDENT-SEGMENTS`: every segment begins with a keyframe, and the playlist says so.
pub const INDEPENDENT: Rule = Rule::new("independent-segments", "RFC 8216 §4.3.5.1");
/// A finished day has `EXT-X-ENDLIST`, today has not; `VOD` only with it.
pub const END_LIST: Rule = Rule::new("endlist", "RFC 8216 §4.3.3.4–5, contract");
/// `CAN-SKIP-UNTIL` is offered and at least six target durations.
pub const CAN_SKIP_UNTIL: Rule = Rule::new("can-skip-until", "bis §4.4.3.8");
/// `HOLD-BACK` is at least three target durations.
pub const HOLD_BACK: Rule = Rule::new("hold-back", "bis §4.4.3.8");

/// The media sequence numbers of a reload go on from the older playlist's.
pub const RELOAD_SEQUENCE: Rule = Rule::new("reload-sequence", "RFC 8216 §6.2.2");
/// What was listed stays as it was; new segments come at the end.
pub const RELOAD_APPENDS: Rule = Rule::new("reload-appends", "RFC 8216 §6.2.1");
/// `EXT-X-TARGETDURATION` stays.
pub const RELOAD_TARGET: Rule = Rule::new("reload-target-duration", "RFC 8216 §6.2.1");
/// `EXT-X-DISCONTINUITY-SEQUENCE` grows by the discontinuities removed.
pub const RELOAD_DISCONTINUITIES: Rule = Rule::new("reload-discontinuities", "RFC 8216 §6.2.2");
/// An `EVENT` playlist loses nothing; after `EXT-X-ENDLIST` nothing changes.
pub const RELOAD_TYPE: Rule = Rule::new("reload-type", "RFC 8216 §4.3.3.5, §6.2.1");
/// A sliding window keeps at least three target durations.
pub const RELOAD_WINDOW: Rule = Rule::new("reload-window", "RFC 8216 §6.2.2");

/// A delta update says version 9 or higher.
pub const DELTA_VERSION: Rule = Rule::new("delta-version", "bis §8");
/// A delta update keeps everything nearer to the end than `CAN-SKIP-UNTIL`.
pub const DELTA_BOUNDARY: Rule = Rule::new("delta-boundary", "bis §6.2.5.1");
/// What a delta update skips is in the older playlist.
pub const DELTA_APPLIES: Rule = Rule::new("delta-applies", "bis §4.4.5.2, §6.3.7");
/// A delta update applied on an older playlist gives the full one.
pub const DELTA_EQUALS_FULL: Rule = Rule::new("delta-equals-full", "bis §6.2.5.1");

/// A server of parts can block reloads.
pub const BLOCK_RELOAD: Rule = Rule::new("block-reload", "bis §B.1");
/// No part is longer than `PART-TARGET`.
pub const PART_DURATION: Rule = Rule::new("part-duration", "bis §4.4.3.7");
/// No part but the last of its segment is shorter than 85 % of `PART-TARGET`.
pub const PART_LEAST: Rule = Rule::new("part-least", "bis §4.4.3.7");
/// `PART-HOLD-BACK` is at least two `PART-TARGET`s.
pub const PART_HOLD_BACK: Rule = Rule::new("part-hold-back", "bis §4.4.3.8");
/// The parts of a segment are all of it.
pub const PART_SUM: Rule = Rule::new("part-sum", "bis §3.1");
/// Segments begin with a keyframe, and so do their first parts.
pub const PART_INDEPENDENT: Rule = Rule::new("part-independent", "bis §4.4.4.9");
/// Parts are listed of the last three target durations only.
pub const PARTS_RECENT: Rule = Rule::new("parts-recent", "bis §4.4.4.9");
/// A hint is of what is not there yet.
pub const HINT: Rule = Rule::new("preload-hint", "bis §4.4.5.3");
/// What was hinted at is the next part.
pub const HINT_COMES_TRUE: Rule = Rule::new("hint-comes-true", "bis §4.4.5.3");
/// Parts that were listed stay the first of their segment.
pub const PARTS_STAY: Rule = Rule::new("parts-stay", "bis §6.2.1");
/// It is said how far each other playlist goes.
pub const REPORT: Rule = Rule::new("rendition-report", "bis §4.4.5.4");

/// An I-frame playlist says that it is one, in version 5, and lists no parts.
pub const I_FRAMES_ONLY: Rule = Rule::new("i-frames-only", "RFC 8216 §4.3.3.6, §7");
/// An I-frame lasts until the next, and has the number, discontinuity number and map of its segment.
pub const I_FRAMES_MATCH: Rule = Rule::new("i-frames-match", "RFC 8216 §6.2.4, bis §4.4.3.6");
/// What an I-frame playlist lists is one keyframe, as it is in its segment.
pub const ONE_I_FRAME: Rule = Rule::new("one-i-frame", "RFC 8216 §4.3.3.6");
/// `EXT-X-I-FRAME-STREAM-INF` has a URI, a `BANDWIDTH` that covers its I-frames, the codecs and size of pictures
/// alone, and nothing that is not about them.
pub const I_FRAME_STREAM: Rule = Rule::new("i-frame-stream", "RFC 8216 §4.3.4.3");

/// Every variant has its URI, every rendition `TYPE`, `GROUP-ID` and its own `NAME`.
pub const VARIANTS: Rule = Rule::new("variants", "RFC 8216 §4.3.4.1–2");
/// `CODECS` is there, in the forms of RFC 6381, and covers every rendition.
pub const CODECS: Rule = Rule::new("codecs", "RFC 8216 §4.3.4.2, RFC 6381 §3.3");
/// `RESOLUTION` of video.
pub const RESOLUTION: Rule = Rule::new("resolution", "RFC 8216 §4.3.4.2");
/// `FRAME-RATE` of video, with up to three decimals.
pub const FRAME_RATE: Rule = Rule::new("frame-rate", "RFC 8216 §4.3.4.2");
/// `BANDWIDTH` is no less than the peak of the segments together.
pub const BANDWIDTH: Rule = Rule::new("bandwidth", "RFC 8216 §4.3.4.2");
/// `AVERAGE-BANDWIDTH` is there, no more than `BANDWIDTH`, and near the segments' average.
pub const AVERAGE_BANDWIDTH: Rule = Rule::new("average-bandwidth", "RFC 8216 §4.3.4.2");
/// A variant's `AUDIO` names a group that is there.
pub const GROUPS: Rule = Rule::new("groups", "RFC 8216 §4.3.4.2.1");

/// Ranges of the index on disk are in order, do not overlap and lie inside their files.
pub const RANGES: Rule = Rule::new("ranges", "RFC 8216 §4.3.2.2, contract");
/// An index on disk says what a growing file may say: no `VOD`, a map with a range.
pub const INDEX_FORM: Rule = Rule::new("index-form", "RFC 8216 §4.3.2.5, contract");

/// Every rule of this module.
pub const RULES: &[Rule] = &[
    SYNTAX,
    SECOND_PARSER,
    VERSION,
    TARGET_DURATION,
    MAP,
    DISCONTINUITY,
    NEEDLESS_DISCONTINUITY,
    GAP,
    SAME_TARGET,
    DATE_PRESENT,
    DATE_ADVANCES,
    DATE_IS_MEDIA_TIME,
    NAMES_ADVANCE,
    LISTED_ONCE,
    INDEPENDENT,
    END_LIST,
    CAN_SKIP_UNTIL,
    HOLD_BACK,
    RELOAD_SEQUENCE,
    RELOAD_APPENDS,
    RELOAD_TARGET,
    RELOAD_DISCONTINUITIES,
    RELOAD_TYPE,
    RELOAD_WINDOW,
    DELTA_VERSION,
    DELTA_BOUNDARY,
    DELTA_APPLIES,
    DELTA_EQUALS_FULL,
    BLOCK_RELOAD,
    PART_DURATION,
    PART_LEAST,
    PART_HOLD_BACK,
    PART_SUM,
    PART_INDEPENDENT,
    PARTS_RECENT,
    HINT,
    HINT_COMES_TRUE,
    PARTS_STAY,
    REPORT,
    I_FRAMES_ONLY,
    I_FRAMES_MATCH,
    ONE_I_FRAME,
    I_FRAME_STREAM,
    VARIANTS,
    CODECS,
    RESOLUTION,
    FRAME_RATE,
    BANDWIDTH,
    AVERAGE_BANDWIDTH,
    GROUPS,
    RANGES,
    INDEX_FORM,
];

#[cfg(test)]
mod tests;
