//! From a source of access units or raw media into a pipeline.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use gstreamer as gst;
use gstreamer_app as gst_app;

use crate::timeline::Timeline;

/// Something that makes one buffer after the other, for ever.
pub(crate) trait Source: Send + 'static {
    /// When the next buffer is due, as a position in the run.
    fn due(&self) -> gst::ClockTime;

    /// Makes the next buffer, with its timestamps. Called when it is due, or so `late` on a machine
    /// with too much to do: what it shows is of when it was due.
    fn make(&mut self, late: Duration) -> Result<gst::Buffer>;
}

/// Lets `appsrc` have a buffer from `source` whenever it is due *and* the pipeline has taken the
/// one before. Works on the element's own streaming thread, so it ends with the element.
pub(crate) fn feed(appsrc: &gst_app::AppSrc, timeline: Arc<Timeline>, mut source: impl Source) {
    let need_data = move |appsrc: &gst_app::AppSrc, _: u32| {
        let Some(late) = timeline.wait_for(source.due()) else {
            return;
        };
        match source.make(late) {
            // Refused: the pipeline is being shut down.
            Ok(buffer) => drop(appsrc.push_buffer(buffer)),
            Err(error) => {
                gst::element_error!(appsrc, gst::StreamError::Failed, ("{error:#}"));
                let _ = appsrc.end_of_stream();
            }
        }
    };
    appsrc.set_callbacks(
        gst_app::AppSrcCallbacks::builder()
            .need_data(need_data)
            .build(),
    );
}
