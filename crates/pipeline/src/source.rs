//! The source of a camera: an RTSP client of our own, and the thread that reads from it.
//!
//! ```text
//! tcp: camera ─ stream ─ wire ─ dialogue ┬ packets(video) ─ pad ─▶ track
//!                                        └ packets(audio) ─ pad ─▶ track
//! udp: camera ─ dialogue (keeps the session)
//!             └ datagrams ─ packets ─ pad ─ jitter buffer ─▶ track, one thread for each
//! ```
//!
//! Not `rtspsrc`: what cameras do and it does not forgive is listed, with what is done here, in
//! `ARCHITECTURE.md`; and it reads a packet in three pieces and passes it through a dozen pads.

mod address;
mod au_headers;
mod datagrams;
mod description;
mod dialogue;
mod handshake;
mod headers;
pub(crate) mod jitter_buffer;
mod login;
mod message;
mod packets;
mod receiving;
mod reports;
mod start_codes;
mod stream;
mod tls;
mod watch;
mod wire;

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use dayreel_config::Transport;
use gstreamer as gst;
use tracing::info;

pub(crate) use self::{
    description::Description,
    packets::{Arrival, PacketCounts, Packets, Role},
    watch::Observed,
};
use self::{
    handshake::{Way, describe},
    receiving::Receiving,
    stream::Stop,
};
pub use self::{
    tls::TlsSettings,
    watch::{RtpClockReport, SenderReports},
};
use crate::{CameraSettings, Error, log::span_of, panics::caught};

/// What a source is to do with what it finds.
pub(crate) trait Tracks: Send + 'static {
    /// Which of the tracks that a camera offers are recorded.
    ///
    /// # Errors
    /// Why none can be.
    fn choose(&self, offered: &[gst::Caps]) -> Result<Vec<bool>, Error>;

    /// So many packets of the camera did not arrive, since its start.
    fn lost(&self, packets: u64);

    /// Takes a track into the pipeline: an active pad of ours that is linked and has had its caps.
    /// `is_jittery`: packets may come late and out of order.
    ///
    /// # Errors
    /// It does not fit.
    fn add(&self, caps: &gst::Caps, is_jittery: bool) -> Result<TrackEntry, Error>;
}

/// Where the packets of a track go.
pub(crate) struct TrackEntry {
    pub(crate) pad: gst::Pad,
    /// Running time of the pipeline, where the jitter buffer needs to know when packets came.
    pub(crate) pipeline: gst::glib::WeakRef<gst::Pipeline>,
}

/// A running source. Ends when told to, or by itself with an error.
pub(crate) struct Source {
    stop: Stop,
    ended: mpsc::Receiver<()>,
}

impl Source {
    /// Starts the thread. `failed` hears why it ended, unless it was told to end.
    ///
    /// # Errors
    /// The system has no thread.
    pub(crate) fn start(
        settings: CameraSettings,
        tracks: impl Tracks,
        counts: Arc<PacketCounts>,
        failed: impl FnOnce(Error) + Send + 'static,
    ) -> Result<Self, Error> {
        let stop = Stop::default();
        let (ends, ended) = mpsc::channel();
        let stopper = stop.clone();
        let name = format!("rtsp {}", settings.id);
        let work = move || {
            let source = Reader {
                settings,
                tracks,
                counts,
                stop: stopper,
            };
            let _camera = span_of(&source.settings.id).entered();
            if let Err(error) = caught(|| source.run()).flatten()
                && !source.stop.is_over()
            {
                failed(error);
            }
            drop(source);
            // Nobody may wait for it.
            let _ = ends.send(());
        };
        let thread = thread::Builder::new().name(name).spawn(work);
        thread.map_err(|error| Error::Thread(error.kind()))?;
        Ok(Self { stop, ended })
    }

    /// Lets it end, without waiting for that.
    pub(crate) fn begin_end(&self) {
        self.stop.stop();
    }

    /// Ends it: says goodbye to the camera, and waits until nothing more comes, at most `patience`.
    pub(crate) fn end(&self, patience: Duration) {
        self.stop.stop();
        // Too late: it may still wait for a name server, and holds no element then.
        let _ = self.ended.recv_timeout(patience);
    }
}

/// Whether a refusal is of one viewer too many, RFC 2326 §11.3.4: another way is no help.
const fn is_crowded(status: u16) -> bool {
    matches!(status, 453 | 503)
}

/// What the thread of a source owns.
struct Reader<T> {
    settings: CameraSettings,
    tracks: T,
    counts: Arc<PacketCounts>,
    stop: Stop,
}

impl<T: Tracks> Reader<T> {
    /// Connects and reads until the end.
    fn run(&self) -> Result<(), Error> {
        let tcp = Way::Interleaved { in_http: false };
        let ways: &[Way] = match self.settings.transport {
            Transport::Tcp => &[tcp],
            Transport::Udp => &[Way::Unicast],
            Transport::Multicast => &[Way::Multicast],
            Transport::Http => &[Way::Interleaved { in_http: true }],
            Transport::Auto => &[tcp, Way::Unicast],
        };
        for (index, way) in ways.iter().enumerate() {
            let may_change = index + 1 < ways.len();
            match self.play(*way, may_change) {
                Err(Error::Transport) if may_change => {
                    info!(camera = %self.settings.id, ?way, "nothing comes this way, another is tried");
                }
                other => return other,
            }
        }
        Err(Error::Transport)
    }

    fn play(&self, way: Way, may_change: bool) -> Result<(), Error> {
        let in_http = matches!(way, Way::Interleaved { in_http: true });
        let described = describe(&self.settings, in_http, &self.stop)?;
        let offered = described.description.tracks.iter();
        let offered: Vec<_> = offered.map(|track| track.caps.clone()).collect();
        let chosen = self.tracks.choose(&offered)?;
        let set_up = described.set_up(way, &chosen);
        let (ready, tracks) = set_up.map_err(|error| match error {
            // RFC 2326 §11.3.12 has 461 for it; those that know one way only say other things, too.
            Error::Denied(status) if may_change && !is_crowded(status) => Error::Transport,
            error => error,
        })?;
        self.counts.observed.begin(way);
        let mut receiving = Receiving::begin(self, ready, tracks, may_change)?;
        let ended = receiving.run(self);
        receiving.say_goodbye();
        ended
    }
}
