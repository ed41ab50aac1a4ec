//! Rules of an init segment.

use shiguredo_mp4::{
    Decode, Either,
    boxes::{AvccBox, FtypBox, HvccBox, MoovBox, Mp4aBox, SampleEntry, StblBox, TrakBox, TrexBox},
};

use super::{CODEC, FTYP, NO_SAMPLES, ONE_TRAK, TIMESCALE, boxes::walk};
use crate::rules::Findings;

/// What the segments of a track refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Init {
    /// Id of the one track.
    pub track_id: u32,
    /// Ticks a second.
    pub timescale: u32,
    /// Codec string computed from the configuration box.
    pub codec: String,
    /// Pixels, of video.
    pub size: Option<(u16, u16)>,
    /// Duration of samples for which nothing else is said, ticks.
    pub default_duration: u32,
    /// Size of samples for which nothing else is said, bytes.
    pub default_size_bytes: u32,
    /// Flags of samples for which nothing else is said.
    pub default_flags: u32,
}

/// Checks the bytes of an init segment. `codec`: what the playlist claims, if it does.
pub fn check(bytes: &[u8], codec: Option<&str>) -> (Option<Init>, Findings) {
    let mut findings = Findings::default();
    let (boxes, torn) = walk(bytes);
    let names: Vec<String> = boxes.iter().map(|found| found.name()).collect();
    findings.check(torn.is_none() && names == ["ftyp", "moov"], FTYP, || {
        format!("boxes {names:?}, torn at {torn:?}")
    });
    let ftyp = boxes
        .first()
        .and_then(|ftyp| FtypBox::decode(ftyp.bytes).ok());
    let brands: Vec<[u8; 4]> = ftyp.map_or_else(Vec::new, |(ftyp, _)| {
        let compatible = ftyp.compatible_brands.iter();
        compatible
            .chain([&ftyp.major_brand])
            .map(|brand| brand.get())
            .collect()
    });
    let structural = brands
        .iter()
        .any(|brand| matches!(brand, b"cmfc" | b"cmf2"));
    findings.check(structural, FTYP, || format!("brands {brands:?}"));

    let moov = boxes.iter().find(|found| &found.kind == b"moov");
    let moov = match moov.map(|moov| MoovBox::decode(moov.bytes)) {
        Some(Ok((moov, _))) => moov,
        other => {
            findings.check(false, FTYP, || {
                format!("moov: {:?}", other.and_then(Result::err))
            });
            return (None, findings);
        }
    };
    let trex = moov
        .mvex_box
        .as_ref()
        .map_or(&[][..], |mvex| &mvex.trex_boxes);
    let ids: Vec<u32> = moov
        .trak_boxes
        .iter()
        .map(|trak| trak.tkhd_box.track_id)
        .collect();
    let extended: Vec<u32> = trex.iter().map(|trex| trex.track_id).collect();
    findings.check(ids.len() == 1 && ids == extended, ONE_TRAK, || {
        format!("tracks {ids:?}, extended {extended:?}")
    });
    let (Some(trak), Some(trex)) = (moov.trak_boxes.first(), trex.first()) else {
        return (None, findings);
    };
    let stbl = &trak.mdia_box.minf_box.stbl_box;
    findings.check(
        is_empty(stbl) && moov.mvhd_box.duration == 0,
        NO_SAMPLES,
        || format!("duration {}, {stbl:?}", moov.mvhd_box.duration),
    );
    let init = init(trak, trex, stbl);
    findings.check(init.timescale == 90_000, TIMESCALE, || {
        format!("{}", init.timescale)
    });
    let same = codec.is_none_or(|codec| codec.eq_ignore_ascii_case(&init.codec));
    let single = stbl.stsd_box.entries.len() == 1 && !init.codec.is_empty();
    findings.check(single && same, CODEC, || {
        format!("{:?} from the sample entry, claimed {codec:?}", init.codec)
    });
    (Some(init), findings)
}

fn init(trak: &TrakBox, trex: &TrexBox, stbl: &StblBox) -> Init {
    let (codec, size) = match stbl.stsd_box.entries.first() {
        Some(SampleEntry::Avc1(entry)) => (
            avc(&entry.avcc_box),
            Some((entry.visual.width, entry.visual.height)),
        ),
        Some(SampleEntry::Hvc1(entry)) => (
            hevc("hvc1", &entry.hvcc_box),
            Some((entry.visual.width, entry.visual.height)),
        ),
        Some(SampleEntry::Hev1(entry)) => (
            hevc("hev1", &entry.hvcc_box),
            Some((entry.visual.width, entry.visual.height)),
        ),
        Some(SampleEntry::Mp4a(entry)) => (aac(entry), None),
        Some(SampleEntry::Opus(_)) => ("Opus".to_owned(), None),
        _ => (String::new(), None),
    };
    Init {
        track_id: trak.tkhd_box.track_id,
        timescale: trak.mdia_box.mdhd_box.timescale.get(),
        codec,
        size,
        default_duration: trex.default_sample_duration,
        default_size_bytes: trex.default_sample_size,
        default_flags: trex.default_sample_flags.get(),
    }
}

fn is_empty(stbl: &StblBox) -> bool {
    let chunks = match &stbl.stco_or_co64_box {
        Either::A(stco) => stco.chunk_offsets.len(),
        Either::B(co64) => co64.chunk_offsets.len(),
    };
    stbl.stts_box.entries.is_empty() && stbl.stsc_box.entries.is_empty() && chunks == 0
}

/// RFC 6381 §3.3: profile, constraints and level in hexadecimal.
fn avc(config: &AvccBox) -> String {
    format!(
        "avc1.{:02x}{:02x}{:02x}",
        config.avc_profile_indication, config.profile_compatibility, config.avc_level_indication
    )
}

/// ISO/IEC 14496-15 Annex E.3: compatibility flags in reverse bit order, constraint bytes without
/// trailing zero bytes.
fn hevc(entry: &str, config: &HvccBox) -> String {
    let space = ["", "A", "B", "C"][usize::from(config.general_profile_space.get() & 3)];
    let tier = if config.general_tier_flag.get() == 0 {
        'L'
    } else {
        'H'
    };
    let constraints = config
        .general_constraint_indicator_flags
        .get()
        .to_be_bytes();
    let constraints = &constraints[2..];
    let used = constraints
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let constraints: String = constraints[..used]
        .iter()
        .map(|byte| format!(".{byte:X}"))
        .collect();
    format!(
        "{entry}.{space}{}.{:X}.{tier}{}{constraints}",
        config.general_profile_idc.get(),
        config.general_profile_compatibility_flags.reverse_bits(),
        config.general_level_idc
    )
}

/// RFC 6381 §3.3: the audio object type, the first five bits of the AudioSpecificConfig.
fn aac(entry: &Mp4aBox) -> String {
    let config = &entry.esds_box.es.dec_config_descr;
    let specific = config
        .dec_specific_info
        .as_ref()
        .map_or(&[][..], |info| &info.payload);
    match (config.object_type_indication, specific) {
        (0x40, [first, ..]) => format!("mp4a.40.{}", first >> 3),
        _ => String::new(),
    }
}
