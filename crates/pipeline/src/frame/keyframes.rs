//! Recorded keyframes ─▶ pictures, by one decoder for all that have one format.

use bytes::Bytes;
use dayreel_archive::RecordedPicture;
use gstreamer as gst;

use super::{
    FrameError,
    decode::{self, Picture, decoder_for},
    driven::Driven,
    past::gop_of,
};

/// Decodes keyframes one by one. What costs is a decoder's memory, more than making it: it is kept
/// while the format is the same.
#[derive(Default)]
pub(crate) struct KeyframeDecoder {
    /// The init segment of what it is for.
    current: Option<(Bytes, Driven)>,
}

impl KeyframeDecoder {
    /// The picture of `keyframe`, which is one access unit.
    ///
    /// # Errors
    /// [`FrameError::Undecodable`] if it is damaged; no decoder, or the recording cannot be read.
    pub(crate) fn decode(&mut self, keyframe: &RecordedPicture) -> Result<Picture, FrameError> {
        let gop = gop_of(keyframe)?;
        let driven = match self.current.take() {
            Some((init, driven)) if init == keyframe.init => driven,
            _ => Driven::start(decoder_for(&gop.caps, 1)?, &gop.caps, gst::ClockTime::MAX)
                .map_err(FrameError::Element)?,
        };
        let mut units = gop.access_units.into_iter();
        // A decoder that gives up at this one is not kept for the next.
        if units.try_for_each(|unit| driven.push(unit)).is_err() {
            return Err(FrameError::Undecodable);
        }
        let (caps, buffer) = driven.drain().newest.ok_or(FrameError::Undecodable)?;
        self.current = Some((keyframe.init.clone(), driven));
        decode::picture(&caps, buffer, gop.newest.pts)
    }
}
