//! One connection to a camera: the pipeline from `rtspsrc` to the branches, from its start to its
//! end.
//!
//! ```text
//! rtspsrc ┬ track(video) ─ tee ┬ record
//!         │                    └ ring
//!         └ track(audio) ─ tee ┬ record
//!                              └ ring
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use dayreel_config::Transport;
use dayreel_core::TrackKind;
use gstreamer as gst;
use gstreamer::{glib, prelude::*};
use parking_lot::Mutex;
use tracing::{debug, warn};

use crate::{
    Error,
    branches::{Branch, record, ring},
    classify::classify,
    offer::{Offer, Verdict},
    rtp_clock::{FirstPacket, RtpClock},
    shared::Shared,
    straight, track,
};

/// What a session tells its supervisor.
#[derive(Debug)]
pub(crate) enum Event {
    /// The access unit that was waited for has arrived.
    Unit,
    /// The session is of no further use.
    Failed(Error),
    /// All of the session's elements are gone.
    Gone,
}

/// Tells the supervisor which session an event is from.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    pub(crate) session: u64,
    pub(crate) events: Sender<crate::supervisor::Input>,
}

impl Reporter {
    pub(crate) fn report(&self, event: Event) {
        let input = crate::supervisor::Input::Session(self.session, event);
        // The supervisor has ended: the camera is being shut down.
        let _ = self.events.send(input);
    }
}

/// A running pipeline.
pub(crate) struct Session {
    pipeline: gst::Pipeline,
    parts: Arc<Parts>,
}

/// What the callbacks of a session share. Holds no element that holds a callback.
pub(crate) struct Parts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) reporter: Reporter,
    offer: Mutex<Offer>,
    first_packet: FirstPacket,
    /// The session is being ended: what still arrives belongs to no timeline.
    is_over: AtomicBool,
    /// The record branches, by track. Renewed by the streaming thread of their track.
    records: [Mutex<Option<Recording>>; 2],
}

/// A record branch and the news that it has delivered everything.
pub(crate) struct Recording {
    branch: Branch,
    ended: Receiver<()>,
    /// The branch before, on another timeline. It ends by itself.
    before: Option<Branch>,
}

impl Session {
    /// Builds the pipeline and lets it connect. Does not wait for the camera.
    ///
    /// # Errors
    /// Elements do not fit or do not start.
    pub(crate) fn start(shared: Arc<Shared>, reporter: Reporter) -> Result<Self, Error> {
        let pipeline = gst::Pipeline::new();
        let source = source(&shared)?;
        pipeline.add(&source)?;
        let parts = Arc::new(Parts {
            offer: Mutex::new(Offer::new(shared.settings.audio)),
            first_packet: FirstPacket::default(),
            is_over: AtomicBool::new(false),
            shared,
            reporter,
            records: [Mutex::default(), Mutex::default()],
        });
        watch_bus(&pipeline, &parts);
        watch_source(&source, &pipeline, &parts);
        if pipeline.set_state(gst::State::Playing).is_err() {
            // The reason is on the bus, unless there is none.
            parts
                .reporter
                .report(Event::Failed(Error::Build(glib::bool_error!(
                    "the pipeline does not start"
                ))));
        }
        Ok(Self { pipeline, parts })
    }

    /// Ends the session in a thread of its own, because state changes may hang: completes the
    /// recordings, stops the elements, reports [`Event::Gone`]. What has not delivered its last
    /// chunk after `patience` is given up.
    pub(crate) fn end(self, patience: Duration) {
        self.parts.is_over.store(true, Ordering::Release);
        let name = format!("end {}", self.parts.shared.settings.id);
        let ended = thread::Builder::new().name(name).spawn(move || {
            let deadline = Instant::now() + patience;
            let records = self.parts.records.each_ref().map(|record| record.lock().take());
            for record in records.iter().flatten() {
                record.branch.finish();
            }
            for record in records.iter().flatten() {
                let rest = deadline.saturating_duration_since(Instant::now());
                if record.ended.recv_timeout(rest).is_err() {
                    warn!(camera = %self.parts.shared.settings.id, "the muxer did not complete its last chunk");
                }
            }
            self.parts.shared.writer.finish();
            if self.pipeline.set_state(gst::State::Null).is_err() {
                debug!(camera = %self.parts.shared.settings.id, "the pipeline did not stop cleanly");
            }
            drop(records);
            let reporter = self.parts.reporter.clone();
            drop(self);
            reporter.report(Event::Gone);
        });
        if let Err(error) = ended {
            // The session has been dropped with the closure: its elements warn, nothing leaks.
            warn!(%error, "no thread to end a session in");
        }
    }
}

impl Parts {
    /// Hangs the branches of a track on its tee.
    pub(crate) fn attach(&self, kind: TrackKind, tee: &gst::Element) -> Result<(), Error> {
        let pipeline = tee
            .parent()
            .and_downcast::<gst::Pipeline>()
            .ok_or_else(|| glib::bool_error!("the tee is in no pipeline"))?;
        let ring = match kind {
            TrackKind::Video => &self.shared.ring,
            TrackKind::Audio => &self.shared.sound_ring,
        };
        ring::attach(&pipeline, tee, ring)?;
        self.renew(kind, tee)
    }

    /// Completes the recording of a track and begins another on a new timeline.
    pub(crate) fn renew(&self, kind: TrackKind, tee: &gst::Element) -> Result<(), Error> {
        let mut record = self.records[kind as usize].lock();
        let before = record.take().map(|Recording { branch, before, .. }| {
            branch.finish();
            if let Some(before) = before {
                before.remove();
            }
            branch
        });
        let (ended_sender, ended) = channel();
        let settings = record::RecordSettings {
            segment: self.shared.settings.segment,
        };
        let sink = record::RecordSink {
            feed: self.shared.writer.feed(kind),
            ended: ended_sender,
        };
        *record = Some(Recording {
            branch: record::attach(tee, &settings, sink)?,
            ended,
            before,
        });
        Ok(())
    }

    /// Whether what arrives still counts.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// The better reason, if the camera's offer has one, for why there is nothing.
    fn reason(&self, otherwise: Error) -> Error {
        self.offer.lock().refusal().unwrap_or(otherwise)
    }
}

fn source(shared: &Shared) -> Result<gst::Element, Error> {
    let settings = &shared.settings;
    // User and password travel as properties, so that no log line of an element has them.
    let (user, password) = settings.url.credentials().map_or((None, None), |login| {
        (Some(&login.user), Some(&login.password))
    });
    let (protocols, latency_ms) = match settings.transport {
        // Nothing is late, lost or out of order within a connection: nothing has to wait.
        Transport::Tcp => ("tcp", 0_u32),
        Transport::Udp => ("udp", 500),
    };
    let connect_us = u64::try_from(settings.timing.connect.as_micros()).unwrap_or(u64::MAX);
    let source = gst::ElementFactory::make("rtspsrc")
        .property("location", settings.url.without_credentials().expose())
        .property("user-id", user)
        .property("user-pw", password)
        .property_from_str("protocols", protocols)
        .property("latency", latency_ms)
        // The camera's own RTP durations; the wall clock is followed by the media clock.
        .property_from_str("buffer-mode", "none")
        .property("do-retransmission", false)
        .property("tcp-timeout", connect_us)
        .property("user-agent", concat!("dayreel/", env!("CARGO_PKG_VERSION")))
        .build()?;
    if settings.transport == Transport::Tcp {
        straight::replace_jitter_buffers(&source);
    }
    Ok(source)
}

fn watch_bus(pipeline: &gst::Pipeline, parts: &Arc<Parts>) {
    let Some(bus) = pipeline.bus() else {
        return;
    };
    let parts = Arc::downgrade(parts);
    bus.set_sync_handler(move |_, message| {
        let Some(parts) = parts.upgrade() else {
            return gst::BusSyncReply::Drop;
        };
        match message.view() {
            gst::MessageView::Error(error) => {
                let classified = classify(error, &parts.shared.settings);
                debug!(camera = %parts.shared.settings.id, %classified, "the pipeline reports an error");
                parts.reporter.report(Event::Failed(parts.reason(classified)));
            }
            gst::MessageView::Eos(_) => {
                parts.reporter.report(Event::Failed(Error::Closed));
            }
            _ => {}
        }
        gst::BusSyncReply::Drop
    });
}

fn watch_source(source: &gst::Element, pipeline: &gst::Pipeline, parts: &Arc<Parts>) {
    let weak = Arc::downgrade(parts);
    source.connect("select-stream", false, move |values| {
        let caps = values
            .get(2)
            .and_then(|value| value.get::<gst::Caps>().ok());
        let chosen = weak.upgrade().zip(caps).is_some_and(|(parts, caps)| {
            match parts.offer.lock().judge(&caps) {
                Verdict::Take => true,
                Verdict::Ignore(track) => {
                    debug!(
                        camera = %parts.shared.settings.id,
                        media = track.media,
                        encoding = track.encoding,
                        "a track is not recorded: {}",
                        track.reason.text()
                    );
                    parts.shared.note_ignored(track);
                    false
                }
            }
        });
        Some(chosen.to_value())
    });
    let weak = Arc::downgrade(parts);
    let weak_pipeline = pipeline.downgrade();
    source.connect_pad_added(move |_, pad| {
        let Some((parts, pipeline)) = weak.upgrade().zip(weak_pipeline.upgrade()) else {
            return;
        };
        if parts.shared.settings.transport == Transport::Tcp
            && let Some(clock) = pad.current_caps().and_then(|caps| RtpClock::of(&caps))
        {
            clock.attach(pad, Arc::clone(&parts.first_packet));
        }
        if let Err(error) = track::build(&pipeline, pad, &parts) {
            parts.reporter.report(Event::Failed(error));
        }
    });
    let weak = Arc::downgrade(parts);
    source.connect_no_more_pads(move |_| {
        if let Some(parts) = weak.upgrade()
            && let Some(error) = parts.offer.lock().refusal()
        {
            parts.reporter.report(Event::Failed(error));
        }
    });
}
