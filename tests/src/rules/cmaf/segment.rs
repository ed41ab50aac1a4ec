//! Rules of a media segment.

use std::ops::Range;

use shiguredo_mp4::{
    Decode,
    boxes::{MoofBox, TrafBox},
};

use super::{
    BASE_IS_MOOF, BOX_ORDER, DATA, DURATION, ONE_TRAF, SEQUENCE, STARTS_WITH_SYNC, STYP,
    TFDT_ADVANCES, TFDT_IS_NAME,
    boxes::{BoxAt, walk},
    init::Init,
};
use crate::rules::Findings;

/// Bit of the sample flags: not a sync sample (ISO/IEC 14496-12 §8.8.3.1).
const NON_SYNC: u32 = 0x0001_0000;

/// Brands of [`STYP`].
const SEGMENT_BRANDS: [&[u8]; 5] = [b"cmfc", b"cmf2", b"cmfs", b"cmff", b"msdh"];

/// A segment as its boxes say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// `tfdt` of the first chunk, ticks.
    pub start: Option<u64>,
    /// `mfhd` sequence number of each chunk.
    pub sequence: Vec<u32>,
    /// In decoding order.
    pub samples: Vec<Sample>,
}

/// One sample: an access unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Decode time, ticks.
    pub dts: u64,
    /// Composition offset, ticks.
    pub composition: i64,
    /// Ticks.
    pub duration: u32,
    /// A decoder can start here.
    pub is_sync: bool,
    /// Its bytes, from the start of the segment.
    pub bytes: Range<usize>,
}

impl Segment {
    /// Sum of the samples' durations, ticks.
    pub fn duration(&self) -> u64 {
        self.samples
            .iter()
            .map(|sample| u64::from(sample.duration))
            .sum()
    }
}

/// What the playlist says of a segment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected {
    /// The media time in its name, ticks.
    pub start: Option<u64>,
    /// Its duration and how far off it may be (`EXTINF` is rounded), ticks.
    pub duration: Option<(u64, u64)>,
}

/// Checks the bytes of a media segment of the track of `init`.
pub fn check(bytes: &[u8], init: &Init, expected: Expected) -> (Segment, Findings) {
    let mut findings = Findings::default();
    let mut segment = Segment::default();
    let (boxes, torn) = walk(bytes);
    findings.extend(order(&boxes, torn));
    for pair in boxes.windows(2) {
        if let [moof, mdat] = pair
            && &moof.kind == b"moof"
            && &mdat.kind == b"mdat"
        {
            findings.extend(chunk(moof, mdat, init, &mut segment));
        }
    }
    if let Some(start) = expected.start {
        findings.check(segment.start == Some(start), TFDT_IS_NAME, || {
            format!("tfdt {:?}, the name says {start}", segment.start)
        });
    }
    if let Some((duration, off_by)) = expected.duration {
        let sum = segment.duration();
        findings.check(sum.abs_diff(duration) <= off_by, DURATION, || {
            format!("samples of {sum} ticks, listed with {duration}")
        });
    }
    let starts = segment.samples.first().is_some_and(|sample| sample.is_sync);
    findings.check(starts, STARTS_WITH_SYNC, || {
        format!("first sample {:?}", segment.samples.first())
    });
    findings.check(segment.sequence.is_sorted(), SEQUENCE, || {
        format!("{:?}", segment.sequence)
    });
    (segment, findings)
}

/// Checks the sequence numbers of consecutive segments of a span.
pub fn ascending<'a>(segments: impl IntoIterator<Item = &'a Segment>) -> Findings {
    let mut findings = Findings::default();
    let mut last = None;
    for segment in segments {
        let first = segment.sequence.first().copied();
        findings.check(last.is_none() || first > last, SEQUENCE, || {
            format!("{first:?} after {last:?}")
        });
        last = segment.sequence.last().copied();
    }
    findings
}

fn order(boxes: &[BoxAt<'_>], torn: Option<usize>) -> Findings {
    let mut findings = Findings::default();
    findings.check(torn.is_none(), BOX_ORDER, || {
        format!("no whole box at byte {torn:?}")
    });
    let styp = boxes.first().filter(|first| &first.kind == b"styp");
    let brands = styp.map_or(&[][..], |styp| styp.payload());
    let branded = brands
        .chunks(4)
        .any(|brand| SEGMENT_BRANDS.contains(&brand));
    findings.check(branded, STYP, || {
        format!("brands {:?}", String::from_utf8_lossy(brands))
    });
    let mut chunks = 0;
    let mut after_moof = false;
    for found in boxes.iter().skip(usize::from(styp.is_some())) {
        let in_place = match &found.kind {
            b"styp" | b"prft" | b"emsg" | b"moof" => !after_moof,
            b"mdat" => after_moof,
            _ => false,
        };
        findings.check(in_place, BOX_ORDER, || {
            format!("{} at byte {}", found.name(), found.offset)
        });
        after_moof = &found.kind == b"moof";
        chunks += usize::from(&found.kind == b"mdat");
    }
    findings.check(chunks > 0 && !after_moof, BOX_ORDER, || {
        format!("{chunks} whole chunks")
    });
    findings
}

fn chunk(moof: &BoxAt<'_>, mdat: &BoxAt<'_>, init: &Init, segment: &mut Segment) -> Findings {
    let mut findings = Findings::default();
    let at = moof.offset;
    let decoded = match MoofBox::decode(moof.bytes) {
        Ok((decoded, _)) => decoded,
        Err(error) => {
            findings.check(false, BOX_ORDER, || format!("moof at {at}: {error:?}"));
            return findings;
        }
    };
    segment.sequence.push(decoded.mfhd_box.sequence_number);
    let [traf] = decoded.traf_boxes.as_slice() else {
        let trafs = decoded.traf_boxes.len();
        findings.check(false, ONE_TRAF, || format!("{trafs} traf in moof at {at}"));
        return findings;
    };
    let tfhd = &traf.tfhd_box;
    findings.check(tfhd.track_id == init.track_id, ONE_TRAF, || {
        format!("traf of track {} in moof at {at}", tfhd.track_id)
    });
    findings.check(
        tfhd.default_base_is_moof && tfhd.base_data_offset.is_none(),
        BASE_IS_MOOF,
        || format!("moof at {at}: {tfhd:?}"),
    );
    let tfdt = traf
        .tfdt_box
        .as_ref()
        .map(|tfdt| tfdt.base_media_decode_time);
    let due = segment.start.map(|start| start + segment.duration());
    findings.check(
        tfdt.is_some() && due.is_none_or(|due| tfdt == Some(due)),
        TFDT_ADVANCES,
        || format!("moof at {at}: tfdt {tfdt:?}, due {due:?}"),
    );
    let tfdt = tfdt.unwrap_or_default();
    segment.start.get_or_insert(tfdt);
    findings.extend(samples(traf, tfdt, moof, mdat, init, segment));
    findings
}

fn samples(
    traf: &TrafBox,
    tfdt: u64,
    moof: &BoxAt<'_>,
    mdat: &BoxAt<'_>,
    init: &Init,
    segment: &mut Segment,
) -> Findings {
    let mut findings = Findings::default();
    let tfhd = &traf.tfhd_box;
    let mut dts = tfdt;
    let mut end = mdat.offset + mdat.header_bytes;
    for trun in &traf.trun_boxes {
        let from_moof = end - moof.offset;
        let offset = trun
            .data_offset
            .and_then(|offset| usize::try_from(offset).ok());
        findings.check(offset == Some(from_moof), DATA, || {
            format!(
                "moof at {}: data_offset {offset:?}, due {from_moof}",
                moof.offset
            )
        });
        for (index, sample) in trun.samples.iter().enumerate() {
            let first_flags = trun.first_sample_flags.filter(|_| index == 0);
            let flags = first_flags.or(sample.flags).or(tfhd.default_sample_flags);
            let flags = flags.map_or(init.default_flags, |flags| flags.get());
            let duration = sample.duration.or(tfhd.default_sample_duration);
            let duration = duration.unwrap_or(init.default_duration);
            let size = sample
                .size
                .or(tfhd.default_sample_size)
                .unwrap_or(init.default_size_bytes);
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            segment.samples.push(Sample {
                dts,
                composition: i64::from(sample.composition_time_offset.unwrap_or(0)),
                duration,
                is_sync: flags & NON_SYNC == 0,
                bytes: end..end.saturating_add(size),
            });
            findings.check(duration > 0 && size > 0, DATA, || {
                format!(
                    "moof at {}: sample {index} of {size} bytes, {duration} ticks",
                    moof.offset
                )
            });
            dts += u64::from(duration);
            end = end.saturating_add(size);
        }
    }
    let mdat_end = mdat.offset + mdat.bytes.len();
    findings.check(end == mdat_end, DATA, || {
        format!(
            "moof at {}: samples end at {end}, mdat at {mdat_end}",
            moof.offset
        )
    });
    findings
}
