//! The normal form of an access unit: what is left when everything that may differ between a
//! camera and a faithful copy is taken away. Two access units are the same exactly if their
//! normal forms are.
//!
//! - **H.264, H.265:** for each NAL unit, in order, its length in bytes (32 bits, big endian) and
//!   its bytes, without start code, length prefix and trailing zero bytes. Left out are NAL units
//!   that may be moved, repeated or dropped without changing a picture: parameter sets, access
//!   unit delimiters, SEI, end of sequence, end of stream and filler data.
//!   - H.264 (ITU-T H.264 table 7-1): types 6 to 13 and 15 are left out.
//!   - H.265 (ITU-T H.265 table 7-1): types 32 to 40 are left out.
//! - **JPEG, MPEG-4:** the bytes as they are, before RTP takes JPEG's headers off (RFC 2435 §3.1).
//! - **AAC:** the raw data block: an ADTS header is taken off (ISO/IEC 13818-7 §6.2).
//! - **G.711, G.726, L16, Opus:** the bytes of one RTP packet.
//!
//! A foreign reader gets there from ffmpeg's output: `-c copy -f h264` gives [`Format::AnnexB`]
//! (split into access units), packets of an MP4 are [`Format::LengthPrefixed`].

use std::fmt;

use anyhow::{Context as _, Result, ensure};
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::VideoCodec;

/// How the bytes of an access unit are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// NAL units behind start codes (`00 00 01`), as in MPEG-TS and raw `.h264` files.
    AnnexB(VideoCodec),
    /// NAL units behind 4-byte lengths, as in MP4 (`avc1`, `hvc1`).
    LengthPrefixed(VideoCodec),
    /// One AAC frame behind an ADTS header, as in MPEG-TS and `.aac` files.
    Adts,
    /// Bytes that already are the access unit: AAC from MP4 or RTP, G.711, Opus, JPEG, …
    Raw,
}

impl Format {
    /// As access units of `codec` are inside a camera.
    pub(crate) const fn of_video(codec: VideoCodec) -> Self {
        match codec {
            VideoCodec::H264 | VideoCodec::H265 => Self::LengthPrefixed(codec),
            VideoCodec::Mjpeg | VideoCodec::Mpeg4 => Self::Raw,
        }
    }
}

/// SHA-256 of an access unit's normal form. Shown and written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The fingerprint of bytes that are in normal form.
    pub fn of_normal_form(normal_form: &[u8]) -> Self {
        Self(Sha256::digest(normal_form).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The fingerprint of one access unit as somebody received it.
///
/// # Errors
/// If `data` does not follow `format`.
pub fn fingerprint(data: &[u8], format: Format) -> Result<Fingerprint> {
    Ok(Fingerprint::of_normal_form(&normalise(data, format)?))
}

/// The normal form of one access unit. Empty if it has parameter sets and the like only.
///
/// # Errors
/// If `data` does not follow `format`: a length past the end, no ADTS header.
pub fn normalise(data: &[u8], format: Format) -> Result<Vec<u8>> {
    let (nals, codec) = match format {
        Format::AnnexB(codec) => (split_annex_b(data), codec),
        Format::LengthPrefixed(codec) => (split_length_prefixed(data)?, codec),
        Format::Adts => return Ok(strip_adts(data)?.to_vec()),
        Format::Raw => return Ok(data.to_vec()),
    };
    let mut normal_form = Vec::with_capacity(data.len());
    for nal in nals {
        let nal = trim_zeros(nal);
        if !nal.is_empty() && carries_picture(nal, codec) {
            let length = u32::try_from(nal.len()).context("NAL unit over 4 GiB")?;
            normal_form.extend_from_slice(&length.to_be_bytes());
            normal_form.extend_from_slice(nal);
        }
    }
    Ok(normal_form)
}

/// The NAL units behind 4-byte lengths.
///
/// # Errors
/// If a length points past the end.
pub(crate) fn split_length_prefixed(mut data: &[u8]) -> Result<Vec<&[u8]>> {
    let mut nals = Vec::new();
    while let Some((length, rest)) = data.split_first_chunk() {
        let length = usize::try_from(u32::from_be_bytes(*length))?;
        ensure!(
            length <= rest.len(),
            "NAL unit of {length} bytes in {}",
            rest.len()
        );
        let (nal, rest) = rest.split_at(length);
        nals.push(nal);
        data = rest;
    }
    ensure!(
        data.is_empty(),
        "{} bytes after the last NAL unit",
        data.len()
    );
    Ok(nals)
}

/// Whether a NAL unit is a parameter set, which a camera may send in band or in its SDP only.
pub(crate) fn is_parameter_set(nal: &[u8], codec: VideoCodec) -> bool {
    match (codec, nal.first()) {
        (VideoCodec::H264, Some(header)) => matches!(header & 0x1f, 7 | 8 | 13 | 15),
        (VideoCodec::H265, Some(header)) => matches!(header >> 1 & 0x3f, 32..=34),
        (VideoCodec::Mjpeg | VideoCodec::Mpeg4, _) | (_, None) => false,
    }
}

pub(crate) fn carries_picture(nal: &[u8], codec: VideoCodec) -> bool {
    match codec {
        VideoCodec::H264 => !matches!(nal[0] & 0x1f, 6..=13 | 15),
        VideoCodec::H265 => !matches!(nal[0] >> 1 & 0x3f, 32..=40),
        // They have no NAL units.
        VideoCodec::Mjpeg | VideoCodec::Mpeg4 => true,
    }
}

/// The NAL units behind start codes; what lies before the first start code is none.
fn split_annex_b(data: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> = data
        .windows(3)
        .enumerate()
        .filter_map(|(at, window)| (window == [0, 0, 1]).then_some(at))
        .collect();
    let ends = starts.iter().skip(1).copied().chain([data.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| &data[start + 3..end])
        .collect()
}

/// Zero bytes after a NAL unit belong to the byte stream (ITU-T H.264 §B.1.1), never to the unit.
fn trim_zeros(nal: &[u8]) -> &[u8] {
    let length = nal
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1);
    &nal[..length]
}

fn strip_adts(data: &[u8]) -> Result<&[u8]> {
    let header = data.first_chunk::<7>().context("no ADTS header")?;
    ensure!(
        header[0] == 0xff && header[1] & 0xf6 == 0xf0,
        "no ADTS sync word"
    );
    // protection_absent: without it a CRC follows the header.
    let length = if header[1] & 1 == 1 { 7 } else { 9 };
    data.get(length..).context("ADTS header only")
}

#[cfg(test)]
mod tests {
    use super::*;

    const H264: VideoCodec = VideoCodec::H264;
    const H265: VideoCodec = VideoCodec::H265;

    #[test]
    fn both_framings_have_one_normal_form() {
        let annex_b = [
            0, 0, 0, 1, 0x09, 0xf0, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 1, 0x06, 5, 1,
            0, 0, 0, 1, 0x65, 8, 0, 0, 3, 9, 0, 0, 0, 1, 0x65, 7, 0, 0,
        ];
        let mp4 = [0, 0, 0, 6, 0x65, 8, 0, 0, 3, 9, 0, 0, 0, 2, 0x65, 7];
        let expected = mp4.to_vec();
        assert_eq!(normalise(&annex_b, Format::AnnexB(H264)).unwrap(), expected);
        assert_eq!(
            normalise(&mp4, Format::LengthPrefixed(H264)).unwrap(),
            expected
        );
    }

    #[test]
    fn h265_types_are_in_the_upper_bits() {
        let annex_b = [
            0,
            0,
            1,
            32 << 1,
            1,
            9,
            0,
            0,
            1,
            19 << 1,
            1,
            7,
            0,
            0,
            1,
            39 << 1,
            1,
            5,
        ];
        let expected = [0, 0, 0, 3, 19 << 1, 1, 7];
        assert_eq!(normalise(&annex_b, Format::AnnexB(H265)).unwrap(), expected);
    }

    #[test]
    fn adts_headers_come_off_with_and_without_crc() {
        let plain = [0xff, 0xf1, 0x4c, 0x80, 0x01, 0x3f, 0xfc, 1, 2];
        assert_eq!(normalise(&plain, Format::Adts).unwrap(), [1, 2]);
        let with_crc = [0xff, 0xf0, 0x4c, 0x80, 0x01, 0x7f, 0xfc, 0xaa, 0xbb, 1, 2];
        assert_eq!(normalise(&with_crc, Format::Adts).unwrap(), [1, 2]);
    }

    #[test]
    fn broken_framing_is_an_error() {
        for data in [&[0, 0, 0, 9, 1][..], &[0, 0, 0, 1, 0x65, 0, 0]] {
            assert!(normalise(data, Format::LengthPrefixed(H264)).is_err());
        }
        assert!(normalise(&[1, 2, 3], Format::Adts).is_err());
        assert!(normalise(&[0; 16], Format::Adts).is_err());
        assert_eq!(normalise(&[], Format::AnnexB(H264)).unwrap(), [0; 0]);
    }

    #[test]
    fn fingerprints_are_sha_256_in_hex() {
        assert_eq!(
            fingerprint(b"abc", Format::Raw).unwrap().to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
