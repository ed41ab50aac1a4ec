//! The ring branch: the last access units, by reference, for frames and moments.
//!
//! ```text
//! tee ─ appsink ─ ring
//! ```
//!
//! No queue stands between tee and ring: the callback takes a reference under a short lock and
//! returns, so there is nothing to wait for and nothing that could block the tee.

use std::sync::Arc;

use gstreamer as gst;
use gstreamer::{glib, prelude::*};
use gstreamer_app as gst_app;

mod cut;
mod follow;
mod shown;
mod store;

pub use cut::{Cut, Missing, Window};
pub(crate) use follow::Fresh;
pub use store::{Gop, Newest, Ring, RingSettings, RingStats, Seam};

/// Adds the branch to `pipeline` behind `tee` and fills `ring` from it.
///
/// The tee carries one parsed access unit a buffer, PTS in nanoseconds since the Unix epoch. What the ring holds from an earlier pipeline of the same camera stays readable until
/// the first keyframe of this one. The branch ends with the pipeline.
///
/// # Errors
/// An element that is missing, or pads that do not fit.
pub(crate) fn attach(
    pipeline: &gst::Pipeline,
    tee: &gst::Element,
    ring: &Arc<Ring>,
) -> Result<(), glib::BoolError> {
    ring.begin_source();
    let sink = gst_app::AppSink::builder()
        .sync(false)
        .async_(false)
        .qos(false)
        .wait_on_eos(false)
        // The sample it would remember is one access unit more than the ring was allowed.
        .enable_last_sample(false)
        .max_buffers(1)
        .drop(true)
        .callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample({
                    let ring = Arc::downgrade(ring);
                    move |sink| {
                        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                        let Some(ring) = ring.upgrade() else {
                            return Ok(gst::FlowSuccess::Ok);
                        };
                        if let (Some(caps), Some(unit)) = (sample.caps(), sample.buffer_owned()) {
                            ring.push(&caps.to_owned(), unit);
                        }
                        Ok(gst::FlowSuccess::Ok)
                    }
                })
                .build(),
        )
        .build();
    pipeline.add(&sink)?;
    tee.link(&sink)?;
    sink.sync_state_with_parent()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tee with the ring branch and a second branch, so that blocking of either would show.
    fn filled_ring(launch: &str) -> (Arc<Ring>, gst::Pipeline) {
        gst::init().unwrap();
        let pipeline = gst::parse::launch(&format!("{launch} ! tee name=tee ! fakesink"))
            .unwrap()
            .downcast::<gst::Pipeline>()
            .unwrap();
        let ring = Arc::new(Ring::new(RingSettings::default()));
        let tee = pipeline.by_name("tee").unwrap();
        attach(&pipeline, &tee, &ring).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        (ring, pipeline)
    }

    fn run_to_end(pipeline: &gst::Pipeline) {
        let message = pipeline.bus().unwrap().timed_pop_filtered(
            gst::ClockTime::from_seconds(30),
            &[gst::MessageType::Eos, gst::MessageType::Error],
        );
        let message = message.expect("the pipeline ends within 30 s");
        assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
        pipeline.set_state(gst::State::Null).unwrap();
    }

    #[test]
    fn holds_the_open_gop_of_a_stream() {
        let (ring, pipeline) = filled_ring(
            "videotestsrc num-buffers=25 ! video/x-raw,width=64,height=48,framerate=25/1 \
             ! x264enc key-int-max=10 bframes=0 tune=zerolatency ! h264parse",
        );
        run_to_end(&pipeline);
        let gop = ring.open_gop().unwrap();
        assert_eq!(gop.access_units.len(), 5, "25 pictures in GOPs of 10");
        assert!(
            !gop.access_units[0]
                .flags()
                .contains(gst::BufferFlags::DELTA_UNIT)
        );
        assert_eq!(gop.caps.structure(0).unwrap().name(), "video/x-h264");
        assert_eq!(ring.stats().gops, 1);
    }

    #[test]
    fn a_disposed_pipeline_leaves_neither_elements_nor_a_full_ring_locked() {
        let (ring, pipeline) = filled_ring(
            "videotestsrc num-buffers=3 ! video/x-raw,width=64,height=48,framerate=25/1 \
             ! x264enc tune=zerolatency ! h264parse",
        );
        run_to_end(&pipeline);
        let sink = pipeline
            .iterate_elements()
            .find(|element| element.is::<gst_app::AppSink>());
        let sink = sink.unwrap().downgrade();
        let pipeline_ref = pipeline.downgrade();
        drop(pipeline);
        assert!(
            pipeline_ref.upgrade().is_none(),
            "the branch holds its pipeline"
        );
        assert!(sink.upgrade().is_none(), "the ring holds its appsink");
        assert_eq!(ring.open_gop().unwrap().access_units.len(), 3);
    }
}
