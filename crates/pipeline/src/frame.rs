//! JPEGs, decoded on request: of now from the open GOP, of the past from the recordings. One decode
//! for all who want the same picture.
//!
//! ```text
//! ring ──── open GOP ───────────┐
//!                               ├ decoder ─ picture ─┬ scale, convert ─ jpegenc ─ width a
//! archive ─ keyframe … picture ─┘                    └ scale, convert ─ jpegenc ─ width b
//! ```

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use dayreel_core::{Kind, MediaTime, WallTime};
use gstreamer as gst;
use gstreamer::glib;

mod colour;
mod decode;
mod driven;
mod jpeg;
mod keyframes;
mod maker;
mod memory;
mod past;
#[cfg(test)]
pub(crate) mod recorded;
mod slots;
#[cfg(test)]
pub(crate) mod streams;

pub(crate) use colour::Recolour;
pub(crate) use decode::{Picture, decoder_for};
pub(crate) use driven::Driven;
pub(crate) use jpeg::{frame_size, new_picture, recolour};
pub(crate) use keyframes::KeyframeDecoder;
pub use maker::FrameMaker;
pub(crate) use memory::{give_back_large_blocks, trim as trim_memory};
pub use past::{PastFrames, PastPicture};
pub(crate) use slots::THREADS;

/// A picture of the camera, compressed.
#[derive(Clone, Debug)]
pub struct Frame {
    /// A JFIF file.
    pub jpeg: Bytes,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// When the camera took it.
    pub taken: WallTime,
    /// How long ago it came in, if that is longer than what can be called now.
    pub stale: Option<Duration>,
}

/// How a frame is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Look {
    /// At most so many pixels wide, and never enlarged. `None`: as the camera has it.
    pub width: Option<u32>,
    /// Quality of the JPEG, 1 to 100.
    pub quality: u8,
}

impl Default for Look {
    /// As the camera has it, quality 85: no blocks to be seen, at twice the size of 75 at most.
    fn default() -> Self {
        Self {
            width: None,
            quality: 85,
        }
    }
}

/// Why there is no frame.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FrameError {
    /// No keyframe has arrived.
    #[error("the camera has delivered no picture yet")]
    NothingYet,
    /// The newest picture is older than anything that could be called now.
    #[error("the camera has delivered no picture for {} s", .0.as_secs())]
    Stale(Duration),
    /// Nothing is recorded at that time.
    #[error("nothing is recorded at that time")]
    NotRecorded {
        /// Until when something is recorded before it on that day.
        before: Option<MediaTime>,
        /// From when on something is recorded after it on that day.
        after: Option<MediaTime>,
    },
    /// So many bytes would have to be decoded for one picture.
    #[error(
        "the picture is {} MB after its keyframe, too far to decode; ask for the nearest keyframe",
        .0 / 1_000_000
    )]
    TooFarFromKeyframe(u64),
    /// The recording cannot be read.
    #[error("the recording cannot be read")]
    Archive(#[source] Arc<dayreel_archive::Error>),
    /// Too many others are being decoded.
    #[error("too many frames are wanted at once")]
    Busy,
    /// The camera's data holds not one good picture since the last keyframe.
    #[error("no picture since the last keyframe can be decoded")]
    Undecodable,
    /// The program is about to end.
    #[error("decoding was interrupted")]
    Interrupted,
    /// No decoder takes this.
    #[error("no decoder for {0}")]
    Codec(gst::Caps),
    /// A decoder or encoder is missing or does not start.
    #[error("an element for the frame does not work")]
    Element(#[source] glib::BoolError),
    /// The encoder gave up.
    #[error("the picture cannot be compressed")]
    Flow(#[source] gst::FlowError),
}

impl FrameError {
    /// What kind of error it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NothingYet | Self::Stale(_) | Self::Undecodable | Self::Interrupted => {
                Kind::Unavailable
            }
            Self::NotRecorded { .. } => Kind::NotFound,
            Self::TooFarFromKeyframe(_) => Kind::InvalidArgument,
            Self::Archive(error) => error.kind(),
            Self::Busy => Kind::Busy,
            Self::Codec(_) | Self::Element(_) | Self::Flow(_) => Kind::Internal,
        }
    }
}

/// Limits of a [`FrameMaker`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameSettings {
    /// A newest picture that arrived longer ago than this is not called now any more.
    pub stale_after: Duration,
    /// And one that arrived longer ago than this is not shown.
    pub max_age: Duration,
    /// How long an answer may take: waiting for others first, then decoding.
    pub deadline: Duration,
    /// How long a decoded picture is remembered after the last request for it.
    pub idle: Duration,
}

impl Default for FrameSettings {
    fn default() -> Self {
        Self {
            stale_after: Duration::from_secs(10),
            max_age: Duration::from_secs(dayreel_config::DEFAULT_FRAME_MAX_AGE_S.into()),
            deadline: Duration::from_secs(10),
            idle: Duration::from_secs(5),
        }
    }
}
