//! What stands in the place of `rtpjitterbuffer` where RTP travels within a TCP connection:
//! nothing is late, lost or out of order there, so packets go straight on.
//!
//! ```text
//! rtpssrcdemux ─ straight ─ rtpptdemux
//! ```
//!
//! That saves a thread, and two wake-ups for every packet. It also spares what a jitter buffer does
//! wrong with some cameras: it drops everything before a sequence number that RTP-Info made up.

use gstreamer as gst;
use gstreamer::{glib, prelude::*, subclass::prelude::*};

mod imp {
    use std::sync::LazyLock;

    use super::*;

    #[derive(Debug)]
    pub(crate) struct Straight {
        pub(super) sink: gst::Pad,
        pub(super) src: gst::Pad,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Straight {
        const NAME: &'static str = "DayreelStraight";
        type Type = super::Straight;
        type ParentType = gst::Element;

        fn with_class(class: &Self::Class) -> Self {
            let pad = |name| {
                class
                    .pad_template(name)
                    .map(|template| gst::Pad::builder_from_template(&template))
                    .unwrap_or_else(|| gst::Pad::builder(gst::PadDirection::Unknown))
            };
            let sink = pad("sink")
                .chain_function(|_, parent, packet| {
                    Self::catch_panic_pad_function(
                        parent,
                        || Err(gst::FlowError::Error),
                        |straight| straight.src.push(packet),
                    )
                })
                .flags(gst::PadFlags::PROXY_CAPS)
                .build();
            let src = pad("src").flags(gst::PadFlags::PROXY_CAPS).build();
            Self { sink, src }
        }
    }

    impl ObjectImpl for Straight {
        /// `rtpbin` sets the latency of every jitter buffer; this one has none.
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<[glib::ParamSpec; 1]> =
                LazyLock::new(|| [glib::ParamSpecUInt::builder("latency").build()]);
            PROPERTIES.as_ref()
        }

        fn set_property(&self, _id: usize, _value: &glib::Value, _property: &glib::ParamSpec) {}

        fn property(&self, _id: usize, _property: &glib::ParamSpec) -> glib::Value {
            0_u32.to_value()
        }

        fn constructed(&self) {
            self.parent_constructed();
            for pad in [&self.sink, &self.src] {
                // A pad of that name cannot be there yet.
                let _ = self.obj().add_pad(pad);
            }
        }
    }

    impl GstObjectImpl for Straight {}

    impl ElementImpl for Straight {
        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let template = |name, direction, presence| {
                    gst::PadTemplate::new(name, direction, presence, &gst::Caps::new_any())
                };
                [
                    template("sink", gst::PadDirection::Sink, gst::PadPresence::Always),
                    template("src", gst::PadDirection::Src, gst::PadPresence::Always),
                    template(
                        "sink_rtcp",
                        gst::PadDirection::Sink,
                        gst::PadPresence::Request,
                    ),
                ]
                .into_iter()
                .flatten()
                .collect()
            });
            TEMPLATES.as_ref()
        }

        /// Sender reports have done their work when they come here.
        fn request_new_pad(
            &self,
            template: &gst::PadTemplate,
            _name: Option<&str>,
            _caps: Option<&gst::Caps>,
        ) -> Option<gst::Pad> {
            let pad = gst::Pad::builder_from_template(template)
                .chain_function(|_, _, _| Ok(gst::FlowSuccess::Ok))
                .event_function(|_, _, _| true)
                .build();
            pad.set_active(true).ok()?;
            self.obj().add_pad(&pad).ok()?;
            Some(pad)
        }

        fn release_pad(&self, pad: &gst::Pad) {
            // It is gone already if this fails.
            let _ = pad.set_active(false);
            let _ = self.obj().remove_pad(pad);
        }
    }
}

glib::wrapper! {
    /// The element. See the module's documentation.
    pub(crate) struct Straight(ObjectSubclass<imp::Straight>)
        @extends gst::Element, gst::Object;
}

/// Lets `source`, an `rtspsrc`, do without jitter buffers. To be called before it starts.
pub(crate) fn replace_jitter_buffers(source: &gst::Element) {
    source.connect("new-manager", false, |values| {
        let manager = values.get(1)?.get::<gst::Element>().ok()?;
        manager.connect("request-jitterbuffer", false, |_| {
            Some(
                glib::Object::new::<Straight>()
                    .upcast::<gst::Element>()
                    .to_value(),
            )
        });
        None
    });
}
