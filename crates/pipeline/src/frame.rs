//! JPEG of now: decoded on request from the open GOP, shared by all who ask meanwhile.
//!
//! ```text
//! ring ─ open GOP ─ decoder ─ newest picture ─┬ scale, convert ─ jpegenc ─ width a
//!                                             └ scale, convert ─ jpegenc ─ width b
//! ```

use std::time::Duration;

use bytes::Bytes;
use dayreel_core::{Kind, WallTime};
use gstreamer as gst;
use gstreamer::glib;

mod colour;
mod decode;
mod driven;
mod jpeg;
mod maker;
mod memory;
#[cfg(test)]
mod streams;

pub use maker::FrameMaker;

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
            Self::Busy => Kind::Busy,
            Self::Codec(_) | Self::Element(_) | Self::Flow(_) => Kind::Internal,
        }
    }
}

/// Limits of a [`FrameMaker`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameSettings {
    /// A newest picture that arrived longer ago than this is no answer to "now".
    pub stale_after: Duration,
    /// How long an answer may take: waiting for others first, then decoding.
    pub deadline: Duration,
    /// How long a decoded picture is remembered after the last request for it.
    pub idle: Duration,
}

impl Default for FrameSettings {
    fn default() -> Self {
        Self {
            stale_after: Duration::from_secs(10),
            deadline: Duration::from_secs(10),
            idle: Duration::from_secs(5),
        }
    }
}
