//! Rules of MPDs. "DASH" is ISO/IEC 23009-1 (5th edition), "IOP" the DASH-IF interoperability
//! points.

mod apply;
pub mod expand;
pub mod manifest;
pub mod patch;
pub mod schema;
pub mod update;

use super::Rule;

/// `dash-mpd-core` reads the document, and it is in the namespace of the MPD schema.
pub const PARSES: Rule = Rule::new("parses", "DASH §5.2, Annex B");
/// `profiles`, `minBufferTime` and `maxSegmentDuration` are there; no segment is longer.
pub const ROOT: Rule = Rule::new("root", "DASH §5.3.1.2");
/// A dynamic MPD has `availabilityStartTime`, `publishTime`, `minimumUpdatePeriod`, no
/// `mediaPresentationDuration`; a static one is not dynamic.
pub const TYPE: Rule = Rule::new("type", "DASH §5.3.1.2, §5.4.1");
/// Media time is Unix time: a dynamic MPD's availability starts with 1970.
pub const EPOCH: Rule = Rule::new("epoch", "contract, DASH §5.3.1.2");
/// `timeShiftBufferDepth` reaches back to the first listed segment.
pub const TIME_SHIFT: Rule = Rule::new("time-shift", "DASH §5.3.1.2, contract");
/// `UTCTiming` with a scheme that players know and a value.
pub const UTC_TIMING: Rule = Rule::new("utc-timing", "DASH §5.8.4.11, IOP §4.7");
/// A static MPD tells `mediaPresentationDuration`, and it is what its segments last.
pub const DURATION: Rule = Rule::new("duration", "DASH §5.3.1.2");
/// At least one Period; with ids, each its own; starts ascend.
pub const PERIODS: Rule = Rule::new("periods", "DASH §5.3.2.1–2");
/// Ids of Adaptation Sets and Representations are unique within their Period.
pub const IDS: Rule = Rule::new("ids", "DASH §5.3.3.2, §5.3.5.2");
/// A Representation has `id`, `bandwidth`, and a `mimeType` that fits.
pub const REPRESENTATION: Rule = Rule::new("representation", "DASH §5.3.5.2, §5.3.7.2");
/// `codecs` in the forms of RFC 6381, of the kind of the Adaptation Set.
pub const CODECS: Rule = Rule::new("codecs", "DASH §5.3.7.2, RFC 6381 §3.3");
/// Video tells `width`, `height`, `frameRate`; audio its sampling rate and channels.
pub const PRESENTATION: Rule = Rule::new("presentation", "DASH §5.3.7.2, IOP §3.2.4");
/// An Adaptation Set is `segmentAlignment`ed and starts with a sync sample (SAP type 1).
pub const ALIGNED: Rule = Rule::new("aligned", "DASH §5.3.3.2, IOP §3.2");
/// Segments come from a `SegmentTemplate` with `initialization`, `$Time$` and a `SegmentTimeline`.
pub const TEMPLATE: Rule = Rule::new("template", "DASH §5.3.9.4–6");
/// `S` elements: the first has `t`, none overlaps, `d` > 0, `r` is not open-ended.
pub const TIMELINE: Rule = Rule::new("timeline", "DASH §5.3.9.6.2");
/// Where the Period starts is where `presentationTimeOffset` lies, and its segments belong to it.
pub const OFFSET: Rule = Rule::new("offset", "DASH §5.3.9.2.2, §5.3.2.1");
/// A set for trick mode names the set of the same Period that it is of, which comes before it; its Representations
/// depend on nothing, and say how much faster they can be played.
pub const TRICK_MODE: Rule = Rule::new("trick-mode", "DASH §5.3.5.2, §5.8.4.8, IOP §3.2.9");
/// The segments are those of the HLS playlist: same names, starts, durations, in the same order.
pub const SAME_AS_HLS: Rule = Rule::new("same-as-hls", "contract");
/// Valid against the schema of the standard.
pub const SCHEMA: Rule = Rule::new("schema", "DASH Annex B");

/// An update is not published earlier, and keeps `availabilityStartTime`.
pub const UPDATE_ROOT: Rule = Rule::new("update-root", "DASH §5.4.1");
/// Periods, Adaptation Sets and Representations that stay keep ids, starts and offsets.
pub const UPDATE_IDS: Rule = Rule::new("update-ids", "DASH §5.4.1");
/// Segments that were announced stay, unless they fall out of the time shift buffer, or were announced before they
/// were complete.
pub const UPDATE_SEGMENTS: Rule = Rule::new("update-segments", "DASH §5.4.1, contract");

/// A patch names the MPD that it is of: `mpdId` is its `id`, `originalPublishTime` its `publishTime`; and is later.
pub const PATCH_ROOT: Rule = Rule::new("patch-root", "DASH §5.15.3");
/// Each operation of a patch selects one node.
pub const PATCH_APPLIES: Rule = Rule::new("patch-applies", "DASH §5.15.4, RFC 5261 §4");

/// Every rule of this module.
pub const RULES: &[Rule] = &[
    PARSES,
    ROOT,
    TYPE,
    EPOCH,
    TIME_SHIFT,
    UTC_TIMING,
    DURATION,
    PERIODS,
    IDS,
    REPRESENTATION,
    CODECS,
    PRESENTATION,
    ALIGNED,
    TEMPLATE,
    TIMELINE,
    OFFSET,
    TRICK_MODE,
    SAME_AS_HLS,
    SCHEMA,
    UPDATE_ROOT,
    PATCH_ROOT,
    PATCH_APPLIES,
    UPDATE_IDS,
    UPDATE_SEGMENTS,
];

#[cfg(test)]
mod tests;
