//! One element driven from the calling thread: no pipeline, no streaming thread, no queue.
//!
//! ```text
//! input ─ element ─ output     (two pads of ours)
//! ```
//!
//! A decode is then an ordinary loop: it can stop at a deadline, and when it returns nothing of it
//! runs on.

use std::sync::Arc;

use gstreamer as gst;
use gstreamer::{glib, prelude::*};
use parking_lot::Mutex;

/// What a [`Driven`] element put out.
#[derive(Default)]
pub(crate) struct Output {
    /// The newest whole output that is not too late, and its caps.
    pub(crate) newest: Option<(gst::Caps, gst::Buffer)>,
    /// Presentation times of all whole outputs, in the order they came.
    pub(crate) times: Vec<gst::ClockTime>,
}

/// An element between two pads of ours. Stopped when dropped.
pub(crate) struct Driven {
    element: gst::Element,
    input: gst::Pad,
    output: gst::Pad,
    /// Filled by the thread that pushes, or by a decoder thread under its stream lock.
    put_out: Arc<Mutex<Output>>,
}

impl Driven {
    /// Starts `element` and tells it what comes in. Only its newest output is kept; those that are
    /// presented after `until` are only counted.
    ///
    /// # Errors
    /// The element does not start or does not take `caps`.
    pub(crate) fn start(
        element: gst::Element,
        caps: &gst::Caps,
        until: gst::ClockTime,
    ) -> Result<Self, glib::BoolError> {
        let put_out = Arc::new(Mutex::new(Output::default()));
        let kept = put_out.clone();
        Self::start_into(element, caps, put_out, move |caps, buffer| {
            let mut kept = kept.lock();
            kept.times.extend(buffer.pts());
            if buffer.pts().is_none_or(|pts| pts <= until) {
                kept.newest = Some((caps, buffer));
            }
        })
    }

    /// The same, but each whole output is given to `take`, and none is kept.
    ///
    /// # Errors
    /// The element does not start or does not take `caps`.
    pub(crate) fn start_with(
        element: gst::Element,
        caps: &gst::Caps,
        take: impl Fn(gst::Caps, gst::Buffer) + Send + Sync + 'static,
    ) -> Result<Self, glib::BoolError> {
        Self::start_into(element, caps, Arc::default(), take)
    }

    fn start_into(
        element: gst::Element,
        caps: &gst::Caps,
        put_out: Arc<Mutex<Output>>,
        take: impl Fn(gst::Caps, gst::Buffer) + Send + Sync + 'static,
    ) -> Result<Self, glib::BoolError> {
        let input = gst::Pad::builder(gst::PadDirection::Src)
            .name("input")
            .build();
        let output = gst::Pad::builder(gst::PadDirection::Sink)
            .name("output")
            .chain_function(move |pad, _, buffer| {
                if let Some(caps) = pad.current_caps()
                    && !buffer.flags().contains(gst::BufferFlags::CORRUPTED)
                {
                    take(caps, buffer);
                }
                Ok(gst::FlowSuccess::Ok)
            })
            .build();
        let driven = Self {
            element,
            input,
            output,
            put_out,
        };
        driven.link_and_start(caps)?;
        Ok(driven)
    }

    fn link_and_start(&self, caps: &gst::Caps) -> Result<(), glib::BoolError> {
        let pad = |name| {
            self.element
                .static_pad(name)
                .ok_or_else(|| glib::bool_error!("{} has no pad {name}", self.element.name()))
        };
        let link = |from: &gst::Pad, to: &gst::Pad| {
            from.link(to)
                .map(drop)
                .map_err(|error| glib::bool_error!("{} does not link: {error}", from.name()))
        };
        link(&self.input, &pad("sink")?)?;
        link(&pad("src")?, &self.output)?;
        self.output.set_active(true)?;
        self.element
            .set_state(gst::State::Paused)
            .map_err(|error| glib::bool_error!("{}: {error}", self.element.name()))?;
        self.input.set_active(true)?;
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        let accepted = self
            .input
            .push_event(gst::event::StreamStart::new("driven"))
            && self.input.push_event(gst::event::Caps::new(caps))
            && self.input.push_event(gst::event::Segment::new(&segment));
        if accepted {
            Ok(())
        } else {
            Err(glib::bool_error!("{} refuses {caps}", self.element.name()))
        }
    }

    /// Gives it a buffer; works until the element wants the next.
    ///
    /// # Errors
    /// What the element returned.
    pub(crate) fn push(&self, buffer: gst::Buffer) -> Result<(), gst::FlowError> {
        self.input.push(buffer).map(drop)
    }

    /// Has it put out all it holds back, and takes what there was. A decoder then forgets what it
    /// decoded, and keeps its memory: the next buffer has to be a keyframe.
    pub(crate) fn drain(&self) -> Output {
        let done = gst::event::SegmentDone::new(gst::ClockTime::NONE);
        self.input.push_event(done);
        std::mem::take(&mut self.put_out.lock())
    }

    /// Has it put out all it holds back, and takes what there was; nothing can follow.
    pub(crate) fn finish(self) -> Output {
        self.input.push_event(gst::event::Eos::new());
        std::mem::take(&mut self.put_out.lock())
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        let _ = self.output.set_active(false);
        let _ = self.element.set_state(gst::State::Null);
        let _ = self.input.set_active(false);
    }
}
