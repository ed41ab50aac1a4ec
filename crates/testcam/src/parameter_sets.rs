//! Parameter sets: from beside the stream into it.

use anyhow::{Context as _, Result};

use crate::{VideoCodec, normal_form::is_parameter_set};

/// The parameter sets of an `avcC` or `hvcC` box, in its order.
///
/// # Errors
/// If the box ends too early.
pub(crate) fn of_codec_data(codec_data: &[u8], codec: VideoCodec) -> Result<Vec<&[u8]>> {
    let mut reader = Reader(codec_data);
    let mut sets = Vec::new();
    match codec {
        // ISO/IEC 14496-15 §5.3.3.1: SPS, then PPS, each list with its count.
        VideoCodec::H264 => {
            reader.take(5)?;
            for mask in [0x1f, 0xff] {
                for _ in 0..reader.byte()? & mask {
                    sets.push(reader.nal()?);
                }
            }
        }
        // ISO/IEC 14496-15 §8.3.3.1: lists by NAL unit type.
        VideoCodec::H265 => {
            reader.take(22)?;
            for _ in 0..reader.byte()? {
                reader.byte()?;
                for _ in 0..reader.length()? {
                    sets.push(reader.nal()?);
                }
            }
        }
        VideoCodec::Mjpeg | VideoCodec::Mpeg4 => {}
    }
    sets.retain(|nal| is_parameter_set(nal, codec));
    Ok(sets)
}

/// An access unit with `sets` where the standards want them, after the access unit delimiter, and
/// with no others; NAL units behind 4-byte lengths.
///
/// # Errors
/// If a NAL unit is over 4 GiB.
pub(crate) fn place(nals: &[&[u8]], sets: &[&[u8]], codec: VideoCodec) -> Result<Vec<u8>> {
    let has_delimiter = nals.first().is_some_and(|nal| is_delimiter(nal, codec));
    let (delimiter, rest) = nals.split_at(usize::from(has_delimiter));
    let rest = rest.iter().filter(|nal| !is_parameter_set(nal, codec));
    let mut bytes = Vec::new();
    for nal in delimiter.iter().chain(sets).chain(rest) {
        bytes.extend_from_slice(&u32::try_from(nal.len())?.to_be_bytes());
        bytes.extend_from_slice(nal);
    }
    Ok(bytes)
}

fn is_delimiter(nal: &[u8], codec: VideoCodec) -> bool {
    match (codec, nal.first()) {
        (VideoCodec::H264, Some(header)) => header & 0x1f == 9,
        (VideoCodec::H265, Some(header)) => header >> 1 & 0x3f == 35,
        (VideoCodec::Mjpeg | VideoCodec::Mpeg4, _) | (_, None) => false,
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .context("codec data too short")?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn length(&mut self) -> Result<usize> {
        Ok(usize::from(self.byte()?) << 8 | usize::from(self.byte()?))
    }

    fn nal(&mut self) -> Result<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn avcc_and_hvcc_list_their_sets() {
        let avcc = [1, 66, 0, 30, 0xff, 0xe1, 0, 2, 0x67, 9, 1, 0, 1, 0x68];
        let sets = of_codec_data(&avcc, VideoCodec::H264).unwrap();
        assert_eq!(sets, [&[0x67, 9][..], &[0x68]]);
        let mut hvcc = vec![0; 22];
        hvcc.extend([2, 0x20, 0, 1, 0, 2, 0x40, 1, 0x27, 0, 1, 0, 2, 0x4e, 1]);
        let sets = of_codec_data(&hvcc, VideoCodec::H265).unwrap();
        assert_eq!(sets, [[0x40, 1]], "the SEI stays out");
        assert!(of_codec_data(&avcc[..9], VideoCodec::H264).is_err());
    }

    #[test]
    fn sets_go_between_delimiter_and_picture() {
        let nals: [&[u8]; 4] = [&[9, 1], &[0x67, 7], &[6, 5], &[0x65, 3]];
        let placed = place(&nals, &[&[0x67, 1]], VideoCodec::H264).unwrap();
        let expected = [
            0, 0, 0, 2, 9, 1, 0, 0, 0, 2, 0x67, 1, 0, 0, 0, 2, 6, 5, 0, 0, 0, 2, 0x65, 3,
        ];
        assert_eq!(placed, expected);
        let placed = place(&nals[1..2], &[], VideoCodec::H264).unwrap();
        assert_eq!(placed, [0; 0]);
    }
}
