//! A clip: some access units of a camera as one progressive MP4 that begins and ends at any picture,
//! although nothing is encoded anew.
//!
//! ```text
//! ftyp  moov(udta, video, sound: each with an edit list)  mdat(a second of video, a second of sound, …)
//! ```
//!
//! The tracks begin at the keyframe before the first picture that is to be seen; an edit list hides
//! what comes before it and after the last (ISO/IEC 14496-12 §8.6.6). The sound begins as early as
//! the picture, so that a player that ignores edit lists shows a longer clip, but in sync.

use std::io::{self, Write};

use bytes::Bytes;
use dayreel_core::MediaTime;

mod mux;
mod tables;

/// What goes into an MP4.
#[derive(Clone, Debug)]
pub struct Clip {
    /// The first instant that is shown: the presentation time of a picture.
    pub start: MediaTime,
    /// The end of the last picture that is shown. After `start`.
    pub end: MediaTime,
    /// The picture.
    pub video: VideoClip,
    /// The sound, if there is any.
    pub audio: Option<AudioClip>,
}

/// The picture of a clip.
#[derive(Clone, Debug)]
pub struct VideoClip {
    /// How it is encoded.
    pub codec: VideoCodec,
    /// `AVCDecoderConfigurationRecord` or `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15).
    pub config: Bytes,
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
    /// Width and height of a pixel, as a ratio.
    pub pixel_aspect: (u32, u32),
    /// Its colours, if they are known.
    pub colour: Option<Colour>,
    /// In decode order, a keyframe first, never empty.
    pub samples: Vec<Sample>,
}

/// How a picture is encoded, in length-prefixed NAL units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoCodec {
    /// H.264, parameter sets in the configuration.
    Avc,
    /// H.265, parameter sets in the configuration.
    Hevc,
}

/// Code points of ISO/IEC 23091-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// `ColourPrimaries`.
    pub primaries: u16,
    /// `TransferCharacteristics`.
    pub transfer: u16,
    /// `MatrixCoefficients`.
    pub matrix: u16,
    /// Whether black is 0 and white the largest value.
    pub full_range: bool,
}

/// AAC.
#[derive(Clone, Debug)]
pub struct AudioClip {
    /// `AudioSpecificConfig` (ISO/IEC 14496-3 §1.6.2.1).
    pub config: Bytes,
    /// Of the samples as they are timed, in Hz.
    pub sample_rate_hz: u32,
    /// 1, 2, …
    pub channels: u16,
    /// Sound samples of an access unit: 1024 as a rule.
    pub block: u32,
    /// In order. Their decode time is their presentation time.
    pub samples: Vec<Sample>,
}

/// An access unit.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its bytes, shared.
    pub bytes: Bytes,
    /// Presentation time.
    pub pts: MediaTime,
    /// Decode time.
    pub dts: MediaTime,
    /// Whether a decoder can begin here.
    pub is_keyframe: bool,
}

/// What the file says about itself, for people and for players.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// `©nam`.
    pub title: Option<String>,
    /// `©day`: RFC 3339 with the offset of local time.
    pub date: String,
    /// `desc`.
    pub description: String,
}

impl Clip {
    /// Writes the MP4, front to back.
    ///
    /// # Errors
    /// Those of `out`; [`io::ErrorKind::InvalidData`] if the codec configuration cannot be read, or
    /// there is more than 4 GiB.
    pub fn write_mp4(&self, tags: &Tags, out: &mut impl Write) -> io::Result<()> {
        let mux = mux::Mux::new(self, tags).map_err(invalid)?;
        out.write_all(&mux.head().map_err(invalid)?)?;
        for sample in mux.samples() {
            out.write_all(&sample.bytes)?;
        }
        out.flush()
    }
}

fn invalid(error: mp4_atom::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests;
