//! Parameter sets of H.264 before the keyframes of open GOPs: `h264parse` puts them before IDR pictures only, and a
//! player that begins with a segment needs them in each.

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::glib;
use mp4_atom::{Atom as _, Avcc};

/// An IDR picture, and what is the first of an access unit, if it is there (ITU-T H.264 table 7-1, §7.4.1.2.3).
const IDR: u8 = 5;
const DELIMITER: u8 = 9;

/// What stands in the caps of a stream (ISO/IEC 14496-15 §5.3.3.1), as it stands in access units.
#[derive(Debug)]
pub(super) struct ParameterSets {
    bytes: Bytes,
    /// Bytes of the length before each NAL unit.
    prefix: usize,
}

impl ParameterSets {
    /// `None` if it is no H.264, or its caps have none.
    pub(super) fn of(caps: &gst::Caps) -> Option<Self> {
        let format = caps.structure(0)?;
        let record = format.get::<gst::Buffer>("codec_data").ok();
        let record = record.filter(|_| format.name() == "video/x-h264")?;
        let record = record.map_readable().ok()?;
        let record = Avcc::decode_body(&mut record.as_slice()).ok()?;
        let prefix = usize::from(record.length_size);
        let mut bytes = Vec::new();
        let sequence = record.sequence_parameter_sets.iter();
        for set in sequence.chain(&record.picture_parameter_sets) {
            let length = u32::try_from(set.len()).ok()?.to_be_bytes();
            let (nothing, length) = length.split_at(4_usize.checked_sub(prefix)?);
            if nothing.iter().any(|byte| *byte != 0) {
                return None;
            }
            bytes.extend_from_slice(length);
            bytes.extend_from_slice(set);
        }
        let bytes = bytes.into();
        (prefix > 0).then_some(Self { bytes, prefix })
    }

    /// `unit` with them, if it is a keyframe and no IDR picture. The bytes are shared.
    ///
    /// # Errors
    /// It cannot be read or divided.
    pub(super) fn with(&self, unit: &gst::BufferRef) -> Result<gst::Buffer, glib::BoolError> {
        if unit.flags().contains(gst::BufferFlags::DELTA_UNIT) {
            return Ok(unit.copy());
        }
        let begin = {
            let mapped = unit.map_readable()?;
            if self.nals(&mapped).any(|(kind, _)| kind == IDR) {
                return Ok(unit.copy());
            }
            let delimiter = self.nals(&mapped).next();
            delimiter
                .filter(|(kind, _)| *kind == DELIMITER)
                .map_or(0, |(_, end)| end)
        };
        let sets = gst::Memory::from_slice(self.bytes.clone());
        // There are no regions of nothing.
        if begin == 0 {
            let mut with = unit.copy();
            with.make_mut().prepend_memory(sets);
            return Ok(with);
        }
        let mut with = unit.copy_region(gst::BufferCopyFlags::all(), ..begin)?;
        with.make_mut().append_memory(sets);
        if begin < unit.size() {
            with.append(unit.copy_region(gst::BufferCopyFlags::MEMORY, begin..)?);
        }
        Ok(with)
    }

    /// The types of the NAL units, and where each ends.
    fn nals<'u>(&self, unit: &'u [u8]) -> impl Iterator<Item = (u8, usize)> + use<'u> {
        let (prefix, mut at) = (self.prefix, 0_usize);
        std::iter::from_fn(move || {
            let (length, after) = unit.get(at..)?.split_at_checked(prefix)?;
            let number = |sum, byte: &u8| (sum << 8) | usize::from(*byte);
            let length = length.iter().fold(0, number);
            at = (at + prefix).saturating_add(length).min(unit.len());
            Some((after.first()? & 0x1f, at))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: [u8; 19] = [
        1, 0x42, 0xc0, 0x0d, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x0d, 1, 0, 4, 0x68, 0xce, 0x3c,
        0x80,
    ];

    fn caps(name: &str) -> gst::Caps {
        gst::Caps::builder(name)
            .field("codec_data", gst::Buffer::from_slice(RECORD))
            .build()
    }

    fn with(unit: &'static [u8], is_keyframe: bool) -> Vec<u8> {
        let sets = ParameterSets::of(&caps("video/x-h264")).unwrap();
        let mut unit = gst::Buffer::from_slice(unit);
        let of_unit = unit.make_mut();
        if !is_keyframe {
            of_unit.set_flags(gst::BufferFlags::DELTA_UNIT);
        }
        of_unit.set_pts(gst::ClockTime::SECOND);
        let with = sets.with(of_unit).unwrap();
        let is_delta = |unit: &gst::BufferRef| unit.flags().contains(gst::BufferFlags::DELTA_UNIT);
        assert_eq!((with.pts(), is_delta(&with)), (unit.pts(), !is_keyframe));
        with.map_readable().unwrap().to_vec()
    }

    #[test]
    fn they_are_put_where_the_parser_puts_none() {
        gst::init().unwrap();
        // SEI and a slice.
        let recovery: &[u8] = &[0, 0, 0, 2, 6, 1, 0, 0, 0, 2, 0x41, 9];
        let sets: &[u8] = &[
            0, 0, 0, 4, 0x67, 0x42, 0xc0, 0x0d, 0, 0, 0, 4, 0x68, 0xce, 0x3c, 0x80,
        ];
        assert_eq!(with(recovery, true), [sets, recovery].concat());
        assert_eq!(with(recovery, false), recovery);
        let idr: &[u8] = &[0, 0, 0, 2, 6, 1, 0, 0, 0, 2, 0x65, 9];
        let delimited: &[u8] = &[0, 0, 0, 2, 9, 0xf0, 0, 0, 0, 2, 0x41, 9];
        let due = [&delimited[..6], sets, &delimited[6..]].concat();
        assert_eq!(with(delimited, true), due);
        assert_eq!(with(idr, true), idr);
        // One whose lengths are wrong.
        let torn: &[u8] = &[0, 0, 0, 200, 6, 1];
        assert_eq!(with(torn, true), [sets, torn].concat());
        assert!(ParameterSets::of(&caps("video/x-h265")).is_none());
        assert!(ParameterSets::of(&gst::Caps::new_empty_simple("video/x-h264")).is_none());
    }
}
