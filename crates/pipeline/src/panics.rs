//! Panics in what belongs to a camera: they end its session, or the camera, and nothing else.
//!
//! | where | what becomes of it |
//! | --- | --- |
//! | the source, probes on pads | the session fails with [`Error::Panicked`], another begins |
//! | callbacks of an appsink, the cutter before a muxer | an error is posted on the bus: the same |
//! | the supervisor, the writer | the camera [has panicked](crate::Camera::has_panicked): whoever owns it starts another |
//!
//! What it was and where, the program's panic hook has logged.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Weak,
};

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::{
    Error,
    session::{Event, Parts},
};

/// Does `work`, and catches what panics in it. Its locks are not poisoned, and what it was about belongs
/// to a session or a camera that ends of it.
///
/// # Errors
/// [`Error::Panicked`].
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Error::Panicked)
}

/// Puts `step` on a pad. A panic in it fails the session: unwinding into GStreamer would end the process.
pub(crate) fn add_probe(
    pad: &gst::Pad,
    kinds: gst::PadProbeType,
    parts: Weak<Parts>,
    step: impl Fn(&gst::Pad, &mut gst::PadProbeInfo<'_>) -> gst::PadProbeReturn + Send + Sync + 'static,
) {
    pad.add_probe(kinds, move |pad, info| {
        caught(|| step(pad, info)).unwrap_or_else(|error| {
            if let Some(parts) = parts.upgrade() {
                parts.reporter.report(Event::Failed(error));
            }
            gst::PadProbeReturn::Ok
        })
    });
}
