//! Writes what comes before the access units of a fragment.

use mp4_atom::{
    Atom as _, Encode as _, Header, Mdat, Mfhd, Moof, Tfdt, Tfhd, Traf, Trun, TrunEntry,
    TrunSamples,
};

use crate::cmaf::BOX_HEADER_BYTES;

/// ISO/IEC 14496-12 §8.8.3.1: depends on no other picture; depends on others, no place to begin.
pub(crate) const KEYFRAME: u32 = 0x0200_0000;
pub(crate) const NOT_KEYFRAME: u32 = 0x0101_0000;

/// A fragment of one track.
#[derive(Clone, Debug)]
pub(crate) struct Fragment {
    pub(crate) track_id: u32,
    /// Ascends from one to the next.
    pub(crate) number: u32,
    /// Decode time of the first access unit, in the track's time scale.
    pub(crate) start: u64,
    /// Its access units, with their sizes.
    pub(crate) samples: Vec<TrunEntry>,
}

impl Fragment {
    /// Adds `moof` and the head of `mdat` to `into`; the access units come behind it.
    pub(crate) fn write_head(self, into: &mut Vec<u8>) -> mp4_atom::Result<()> {
        let sizes = self.samples.iter().filter_map(|sample| sample.size);
        let len_bytes = sizes.fold(0_usize, |sum, size| {
            sum.saturating_add(usize::try_from(size).unwrap_or(usize::MAX))
        });
        let mut moof = Moof {
            mfhd: Mfhd {
                sequence_number: self.number,
            },
            traf: vec![Traf {
                tfhd: Tfhd {
                    track_id: self.track_id,
                    default_base_is_moof: true,
                    ..Tfhd::default()
                },
                tfdt: Some(Tfdt {
                    base_media_decode_time: self.start,
                }),
                trun: vec![Trun {
                    data_offset: Some(0),
                    samples: TrunSamples::from(self.samples),
                }],
                ..Traf::default()
            }],
        };
        // Its length does not depend on the offset in it.
        let mut measured = Vec::new();
        moof.encode(&mut measured)?;
        let begin = i32::try_from(measured.len() + BOX_HEADER_BYTES).unwrap_or(i32::MAX);
        moof.traf[0].trun[0].data_offset = Some(begin);
        moof.encode(into)?;
        mdat_header(len_bytes).encode(into)
    }
}

/// The head of an `mdat` of so many bytes.
pub(crate) fn mdat_header(len_bytes: usize) -> Header {
    Header {
        kind: Mdat::KIND,
        size: Some(len_bytes),
    }
}
