//! One connection to a camera: the pipeline from its source to the branches, from its start to its
//! end.
//!
//! ```text
//! source ─┬ track(video) ─ tee ┬ record
//!         │                    └ ring
//!         └ track(audio) ─ tee ┬ record
//!                              └ ring
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use dayreel_core::TrackKind;
use gstreamer as gst;
use gstreamer::{glib, prelude::*};
use parking_lot::Mutex;
use tracing::{debug, warn};

use crate::{
    Error,
    branches::{Branch, record, ring},
    log::span_of,
    offer::{Offer, Verdict},
    shared::Shared,
    source::{Source, TrackEntry, Tracks, jitter_buffer},
    track,
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
    source: Source,
    parts: Arc<Parts>,
}

/// What the callbacks of a session share. Its tracks are video and audio: that a stream is the
/// preview of another is known to its recorder alone. Holds no element that holds a callback.
pub(crate) struct Parts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) reporter: Reporter,
    /// The session is being ended: what still arrives belongs to no timeline.
    is_over: AtomicBool,
    /// The record branches, by track. Renewed by the streaming thread of their track.
    records: [Mutex<Option<Recording>>; 2],
    /// What their muxers have made, over all of them.
    made: [Arc<AtomicU64>; 2],
}

/// A record branch and the news that it has delivered everything.
pub(crate) struct Recording {
    branch: Branch,
    ended: Receiver<()>,
    /// The branch before, on another timeline. It ends by itself.
    before: Option<Branch>,
}

impl Session {
    /// Starts a pipeline and the source that fills it. Does not wait for the camera.
    ///
    /// # Errors
    /// The pipeline does not start, or the system has no thread.
    pub(crate) fn start(shared: Arc<Shared>, reporter: Reporter) -> Result<Self, Error> {
        let (pipeline, parts) = prepare(shared, reporter)?;
        let reporter = parts.reporter.clone();
        let source = Source::start(
            parts.shared.settings.clone(),
            Entries::of(&pipeline, &parts),
            Arc::clone(&parts.shared.packets),
            move |error| reporter.report(Event::Failed(error)),
        )?;
        Ok(Self {
            pipeline,
            source,
            parts,
        })
    }

    /// Ends the session in a thread of its own, because state changes may hang: completes the
    /// recordings, stops the elements, reports [`Event::Gone`]. What has not delivered its last
    /// chunk after `patience` is given up.
    pub(crate) fn end(self, patience: Duration) {
        self.parts.is_over.store(true, Ordering::Release);
        let name = format!("end {}", self.parts.shared.settings.id);
        let ended = thread::Builder::new().name(name).spawn(move || {
            let _camera = span_of(&self.parts.shared.settings.id).entered();
            let deadline = Instant::now() + patience;
            self.source.end(patience / 2);
            track::drain(&self.pipeline);
            let records = self.parts.complete(deadline);
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

/// For a session that nobody ends: its supervisor has panicked. Of one that has ended, nothing is left to do.
impl Drop for Session {
    fn drop(&mut self) {
        self.parts.is_over.store(true, Ordering::Release);
        self.source.begin_end();
        if self.pipeline.current_state() == gst::State::Null {
            return;
        }
        let pipeline = self.pipeline.clone();
        let stopped = thread::Builder::new().spawn(move || pipeline.set_state(gst::State::Null));
        if let Err(error) = stopped {
            // Its elements warn, and go with the process.
            warn!(%error, "no thread to stop a pipeline in");
        }
    }
}

/// An empty pipeline that plays, for a source to hang its tracks into.
///
/// # Errors
/// It does not start.
pub(crate) fn prepare(
    shared: Arc<Shared>,
    reporter: Reporter,
) -> Result<(gst::Pipeline, Arc<Parts>), Error> {
    let pipeline = gst::Pipeline::new();
    let parts = Arc::new(Parts {
        is_over: AtomicBool::new(false),
        shared,
        reporter,
        records: [Mutex::default(), Mutex::default()],
        made: [Arc::default(), Arc::default()],
    });
    watch_bus(&pipeline, &parts);
    pipeline
        .set_state(gst::State::Playing)
        .map_err(|_| glib::bool_error!("the pipeline does not start"))?;
    Ok((pipeline, parts))
}

impl Parts {
    /// Lets the recordings deliver what they hold, until `deadline`. They may be dropped when their
    /// pipeline has stopped.
    pub(crate) fn complete(&self, deadline: Instant) -> [Option<Recording>; 2] {
        let records = self.records.each_ref().map(|record| record.lock().take());
        for record in records.iter().flatten() {
            record.branch.finish();
        }
        for record in records.iter().flatten() {
            let rest = deadline.saturating_duration_since(Instant::now());
            if record.ended.recv_timeout(rest).is_err() {
                warn!(camera = %self.shared.settings.id, "the muxer did not complete its last chunk");
            }
        }
        self.shared.writer.finish();
        records
    }

    /// Hangs the branches of a track on its tee.
    pub(crate) fn attach(&self, kind: TrackKind, tee: &gst::Element) -> Result<(), Error> {
        let pipeline = tee
            .parent()
            .and_downcast::<gst::Pipeline>()
            .ok_or_else(|| glib::bool_error!("the tee is in no pipeline"))?;
        let ring = match kind {
            TrackKind::Video | TrackKind::Preview => &self.shared.ring,
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
            rhythm: self.shared.rhythms[kind as usize].clone(),
        };
        let sink = record::RecordSink {
            feed: self.shared.writer.feed(kind),
            made: Arc::clone(&self.made[kind as usize]),
            ended: ended_sender,
        };
        *record = Some(Recording {
            branch: record::attach(tee, settings, sink)?,
            ended,
            before,
        });
        Ok(())
    }

    /// How much the muxers of a track have made in this session.
    pub(crate) fn made(&self, kind: TrackKind) -> u64 {
        self.made[kind as usize].load(Ordering::Relaxed)
    }

    /// Whether what arrives still counts.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }
}

/// Where the source hangs its tracks.
pub(crate) struct Entries {
    pipeline: glib::WeakRef<gst::Pipeline>,
    parts: Arc<Parts>,
}

impl Entries {
    pub(crate) fn of(pipeline: &gst::Pipeline, parts: &Arc<Parts>) -> Self {
        Self {
            pipeline: pipeline.downgrade(),
            parts: Arc::clone(parts),
        }
    }
}

impl Tracks for Entries {
    fn choose(&self, offered: &[gst::Caps]) -> Result<Vec<bool>, Error> {
        let shared = &self.parts.shared;
        let mut offer = Offer::new(shared.settings.audio);
        let judge = |caps: &gst::Caps| match offer.judge(caps) {
            Verdict::Take => true,
            Verdict::Ignore(track) => {
                debug!(
                    camera = %shared.settings.id,
                    media = track.media,
                    encoding = track.encoding,
                    "a track is not recorded: {}",
                    track.reason.text()
                );
                shared.note_ignored(track);
                false
            }
        };
        let chosen = offered.iter().map(judge).collect();
        match offer.refusal() {
            Some(error) => Err(error),
            None => Ok(chosen),
        }
    }

    fn lost(&self, packets: u64) {
        self.parts.shared.events.lost(packets);
    }

    fn add(&self, caps: &gst::Caps, is_jittery: bool) -> Result<TrackEntry, Error> {
        let pipeline = self.pipeline.upgrade().ok_or(Error::Closed)?;
        let track = track::build(&pipeline, caps, &self.parts)?;
        let entry = match is_jittery {
            true => jitter_buffer::build(&pipeline, &track, Arc::downgrade(&self.parts))?,
            false => track,
        };
        let pad = gst::Pad::builder(gst::PadDirection::Src).build();
        pad.link(&entry)
            .map_err(|_| glib::bool_error!("the track does not fit the source"))?;
        pad.set_active(true)?;
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        pad.push_event(gst::event::StreamStart::new("rtp"));
        pad.push_event(gst::event::Caps::new(caps));
        pad.push_event(gst::event::Segment::new(&segment));
        Ok(TrackEntry {
            pad,
            pipeline: self.pipeline.clone(),
        })
    }
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
                let element = error.src().map(|element| element.name().to_string());
                let error = Error::Element {
                    element: element.unwrap_or_default(),
                    message: error.error().message().to_owned(),
                };
                debug!(camera = %parts.shared.settings.id, %error, "the pipeline reports an error");
                parts.reporter.report(Event::Failed(error));
            }
            gst::MessageView::Eos(_) => {
                parts.reporter.report(Event::Failed(Error::Closed));
            }
            _ => {}
        }
        gst::BusSyncReply::Drop
    });
}
