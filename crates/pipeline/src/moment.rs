//! Moments: what has just happened, as an MP4 of the camera's own bytes and as a GIF.
//!
//! ```text
//! ring of picture ─┬ cut ─┬ MP4 (archive): from the keyframe before, the rest hidden
//! ring of sound  ──┘      └ decoder ─ stills, 12 a second, small ─ palette ─ GIF
//! ```
//!
//! The pictures are decoded once, and for the GIF alone. While an MP4 is written nothing is copied
//! but what the file system copies.

use std::sync::Arc;

use dayreel_archive::{Moment, MomentName};
use dayreel_config::DEFAULT_GIF_MAX_BYTES;
use dayreel_core::Kind;
use gstreamer as gst;
use gstreamer::glib;

mod clip;
mod desk;
mod gif;
mod maker;
mod shrink;
mod stills;
#[cfg(test)]
mod tests;

pub use desk::MomentDesk;
pub use maker::MomentMaker;

/// What somebody wants to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MomentRequest {
    /// How long it is to be, s.
    pub length_s: u32,
    /// How long before the request it is to end, s.
    pub delay_s: u32,
    /// What to call it.
    pub label: Option<String>,
}

/// A moment that is kept.
#[derive(Clone, Debug)]
pub struct MomentMade {
    /// The MP4.
    pub moment: Moment,
    /// Why it has no GIF.
    pub gif_error: Option<GifError>,
}

/// Why there is no moment.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MomentError {
    /// The camera has delivered no picture at all.
    #[error("the camera has delivered no picture yet")]
    NothingYet,
    /// None of that time.
    #[error("the camera has delivered no picture in those {0} s")]
    NoPicture(u32),
    /// Too many others are being made.
    #[error("too many moments are wanted at once")]
    Busy,
    /// The program is about to end.
    #[error("the program is about to end")]
    Closing,
    /// The camera's codec, or its configuration, cannot be put into an MP4.
    #[error("what the camera sends cannot be put into an MP4: {0}")]
    Format(gst::Caps),
    /// An access unit cannot be read.
    #[error("an access unit cannot be read")]
    Memory(#[source] glib::BoolError),
    /// It cannot be written.
    #[error("the moment cannot be kept")]
    Archive(#[source] Arc<dayreel_archive::Error>),
}

impl MomentError {
    /// What kind of error it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NothingYet | Self::NoPicture(_) | Self::Closing => Kind::Unavailable,
            Self::Busy => Kind::Busy,
            Self::Format(_) | Self::Memory(_) => Kind::Internal,
            Self::Archive(error) => error.kind(),
        }
    }
}

/// Why a moment has no GIF.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GifError {
    /// The program is about to end: there was no time for it.
    #[error("the program is about to end")]
    Closing,
    /// Not one good picture.
    #[error("no picture can be decoded")]
    Undecodable,
    /// A decoder or converter is missing or does not start.
    #[error("an element for the GIF does not work: {0}")]
    Element(glib::BoolError),
    /// No decoder takes this.
    #[error("no decoder for {0}")]
    Codec(gst::Caps),
    /// It cannot be written.
    #[error("the GIF cannot be kept: {0}")]
    Archive(Arc<dayreel_archive::Error>),
    /// It cannot be put together.
    #[error("the GIF cannot be encoded")]
    Encoding,
}

/// How large a moment may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MomentSettings {
    /// Most bytes of a GIF; at least what the configuration allows.
    pub gif_max_bytes: usize,
}

impl Default for MomentSettings {
    fn default() -> Self {
        Self {
            gif_max_bytes: usize::try_from(DEFAULT_GIF_MAX_BYTES).unwrap_or(usize::MAX),
        }
    }
}

/// The comment that tells which moment a GIF is of.
fn comment(name: MomentName) -> String {
    dayreel_archive::Moments::gif_comment(name)
}
