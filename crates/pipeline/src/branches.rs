//! What hangs on a camera's tee: one file a branch.

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::Error;

pub(crate) mod record;
pub(crate) mod ring;

/// A branch that can be taken off its tee while the pipeline runs.
#[derive(Debug)]
pub(crate) struct Branch {
    /// First to last.
    elements: Vec<gst::Element>,
    /// Owned by the tee; asked for with [`Branch::link`].
    tee_pad: gst::Pad,
    entry: gst::Pad,
}

impl Branch {
    /// Adds `elements`, which are linked to each other, to the pipeline of `tee` and lets it feed
    /// `entry`.
    fn link(
        tee: &gst::Element,
        elements: Vec<gst::Element>,
        entry: gst::Pad,
    ) -> Result<Self, Error> {
        for element in elements.iter().rev() {
            element.sync_state_with_parent()?;
        }
        let tee_pad = tee
            .request_pad_simple("src_%u")
            .ok_or_else(|| gstreamer::glib::bool_error!("the tee has no pad left"))?;
        let branch = Self {
            elements,
            tee_pad,
            entry,
        };
        if branch.tee_pad.link(&branch.entry).is_err() {
            return Err(gstreamer::glib::bool_error!("the branch does not fit its tee").into());
        }
        Ok(branch)
    }

    /// Takes the branch off its tee and lets it deliver what it holds. Does not wait, so a streaming
    /// thread may call it.
    pub(crate) fn finish(&self) {
        if let Some(tee) = self.tee_pad.parent_element() {
            // Already unlinked is as good.
            let _ = self.tee_pad.unlink(&self.entry);
            tee.release_request_pad(&self.tee_pad);
        }
        self.entry.send_event(gst::event::Eos::new());
    }

    /// Stops the elements and takes them out of the pipeline. May wait for their threads.
    pub(crate) fn remove(&self) {
        for element in &self.elements {
            element.set_locked_state(true);
            // An element that does not stop is dropped with its pipeline.
            let _ = element.set_state(gst::State::Null);
            if let Some(bin) = element.parent().and_downcast::<gst::Bin>() {
                let _ = bin.remove(element);
            }
        }
    }
}
