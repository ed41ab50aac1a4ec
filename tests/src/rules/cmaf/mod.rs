//! Rules of CMAF init segments and segments, read box by box: the top level by [`boxes`], what is
//! inside by `shiguredo_mp4`.

pub mod boxes;
pub mod init;
pub mod segment;

use super::Rule;

/// Boxes are whole, and stand in the order a CMAF segment has them: chunks of `styp`, `prft`
/// and `emsg` if any, `moof` `mdat`. (The last chunk of a session has a `styp` of its own, with `lmsg`.)
pub const BOX_ORDER: Rule = Rule::new("box-order", "ISO/IEC 14496-12 §4.2, 23000-19 §7.3.2–3");
/// `styp` comes first and carries a brand of CMAF (structure, segment, fragment) or of DASH
/// segments. `cmafmux` writes the structural ones, `cmf2` and `cmfc`.
pub const STYP: Rule = Rule::new("styp", "ISO/IEC 14496-12 §8.16.2, 23000-19 §7.2–3");
/// `moof` has exactly one `traf`, of the track of the init segment.
pub const ONE_TRAF: Rule = Rule::new("one-traf", "ISO/IEC 23000-19 §7.3.2.3, 14496-12 §8.8.6");
/// `tfhd` says default-base-is-moof and gives no base offset.
pub const BASE_IS_MOOF: Rule = Rule::new("base-is-moof", "ISO/IEC 23000-19 §7.5, 14496-12 §8.8.7");
/// The first `tfdt` is the media time in the segment's name.
pub const TFDT_IS_NAME: Rule = Rule::new("tfdt-is-name", "contract, ISO/IEC 14496-12 §8.8.12");
/// Each `tfdt` is the one before plus the durations of that chunk.
pub const TFDT_ADVANCES: Rule = Rule::new("tfdt-advances", "ISO/IEC 14496-12 §8.8.12");
/// The durations of the samples add up to the segment's in the playlist and the manifest.
pub const DURATION: Rule = Rule::new("duration", "RFC 8216 §4.3.2.1, ISO/IEC 23009-1 §5.3.9.6");
/// The first sample is a sync sample.
pub const STARTS_WITH_SYNC: Rule = Rule::new("starts-with-sync", "ISO/IEC 23000-19 §7.3.2.3");
/// `data_offset` points at the first byte of `mdat`, and the sample sizes fill it.
pub const DATA: Rule = Rule::new("data", "ISO/IEC 14496-12 §8.8.8, §8.1.1");
/// `mfhd` sequence numbers ascend from segment to segment; the chunks of one may share theirs.
pub const SEQUENCE: Rule = Rule::new("sequence", "ISO/IEC 14496-12 §8.8.5");

/// `ftyp` first, with a structural brand `cmfc` or `cmf2`; then `moov`, and no media.
pub const FTYP: Rule = Rule::new("ftyp", "ISO/IEC 23000-19 §7.2, §7.3.2.1");
/// One `trak`, and `mvex` with the `trex` of its id.
pub const ONE_TRAK: Rule = Rule::new("one-trak", "ISO/IEC 23000-19 §7.3.2.1, 14496-12 §8.8.1");
/// The track's timescale is 90000.
pub const TIMESCALE: Rule = Rule::new("timescale", "contract, ISO/IEC 14496-12 §8.4.2");
/// No samples in `moov`, no duration that a live stream cannot know.
pub const NO_SAMPLES: Rule = Rule::new("no-samples", "ISO/IEC 23000-19 §7.5");
/// One sample entry, and its configuration gives the codec string that the playlist claims.
pub const CODEC: Rule = Rule::new("codec", "RFC 6381 §3.3, ISO/IEC 14496-15 Annex E");

/// Every rule of this module.
pub const RULES: &[Rule] = &[
    BOX_ORDER,
    STYP,
    ONE_TRAF,
    BASE_IS_MOOF,
    TFDT_IS_NAME,
    TFDT_ADVANCES,
    DURATION,
    STARTS_WITH_SYNC,
    DATA,
    SEQUENCE,
    FTYP,
    ONE_TRAK,
    TIMESCALE,
    NO_SAMPLES,
    CODEC,
];

#[cfg(test)]
mod tests;
