//! A camera, as the rest of the program holds it.

use std::{
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use dayreel_archive::CameraArchive;
use dayreel_core::Clock;
use parking_lot::Mutex;

use crate::{
    CameraCounts, CameraEvent, CameraSettings, CameraStatus, Error, LiveView, PieceSink, Ring,
    events::Events,
    log::span_of,
    panics::caught,
    shared::Shared,
    source::Observed,
    supervisor::{Input, Supervisor},
    writer::Writer,
};

/// A running camera: connects, records, and connects again until it is shut down.
///
/// Its methods may be called by any thread and do not wait for the camera. Dropping it ends it
/// without waiting; see [`Camera::shutdown`].
pub struct Camera {
    shared: Arc<Shared>,
    live: LiveView,
    inputs: Sender<Input>,
    /// Disconnected when the supervisor has ended. In a lock because a receiver cannot be shared;
    /// only [`Camera::shutdown`] uses it.
    ended: Mutex<Receiver<()>>,
}

impl Camera {
    /// Starts the camera; `archive` takes what it records. Returns at once.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(
        settings: CameraSettings,
        archive: &Arc<CameraArchive>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        Self::start_with(settings, archive.recorder(), clock)
    }

    /// Starts the camera; `sink` takes what it records, on a thread of its own.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start_with(
        settings: CameraSettings,
        sink: impl PieceSink,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let thread_error = |error: std::io::Error| Error::Thread(error.kind());
        let recorded_until = sink.recorded_until();
        let events = Arc::new(Events::new(Arc::clone(&clock)));
        let writer =
            Writer::start(&settings.id, sink, Arc::clone(&events)).map_err(thread_error)?;
        let name = format!("camera {}", settings.id);
        let shared = Arc::new(Shared::new(settings, clock, writer, events, recorded_until));
        let (inputs, received) = channel();
        let (alive, ended) = channel();
        let owned = Arc::clone(&shared);
        let supervisor = Supervisor::new(Arc::clone(&shared), received, inputs.clone());
        thread::Builder::new()
            .name(name)
            .spawn(move || {
                let _camera = span_of(&owned.settings.id).entered();
                if caught(|| supervisor.run()).is_err() {
                    owned.has_panicked.store(true, Ordering::Release);
                }
                drop(alive);
            })
            .map_err(thread_error)?;
        let live = LiveView::new(
            &shared.settings,
            Arc::clone(&shared.ring),
            Arc::clone(&shared.sound_ring),
        );
        Ok(Self {
            shared,
            live,
            inputs,
            ended: Mutex::new(ended),
        })
    }

    /// How the camera is.
    pub fn status(&self) -> CameraStatus {
        self.shared.status()
    }

    /// What is counted since the camera was started.
    pub fn counts(&self) -> CameraCounts {
        self.shared.counts()
    }

    /// What happened to the camera: its last hundred events, oldest first.
    pub fn events(&self) -> Vec<CameraEvent> {
        self.shared.events.all()
    }

    /// Takes over what happened to it before it was started again.
    pub fn remember(&self, before: &[CameraEvent]) {
        self.shared.events.remember(before);
    }

    /// What is seen of its clocks.
    pub(crate) fn observed(&self) -> &Observed {
        &self.shared.packets.observed
    }

    /// Whether a thread has panicked without which nothing is recorded. It does not come back: end the
    /// camera and start another.
    pub fn has_panicked(&self) -> bool {
        self.shared.has_panicked.load(Ordering::Acquire) || self.shared.writer.has_panicked()
    }

    /// Waits until the camera is as `wanted`, at most until `deadline`. Asks whenever the state may
    /// have changed, not for every access unit. Blocks its thread.
    pub fn wait_until(
        &self,
        deadline: Instant,
        wanted: impl FnMut(&CameraStatus) -> bool,
    ) -> Option<CameraStatus> {
        self.shared.wait_until(deadline, wanted)
    }

    /// The last access units of the picture. The same ring as long as the camera lives.
    pub fn ring(&self) -> &Arc<Ring> {
        &self.shared.ring
    }

    /// The last access units of the sound. The same ring as long as the camera lives.
    pub fn sound_ring(&self) -> &Arc<Ring> {
        &self.shared.sound_ring
    }

    /// What it shows now in MPEG-TS, made while somebody asks for it.
    pub const fn live(&self) -> &LiveView {
        &self.live
    }

    /// Ends the camera: completes the recordings, stops the pipeline and the threads. Returns when
    /// that is done, or at `deadline`; says whether all was done. To end many cameras at once, call
    /// [`Camera::begin_shutdown`] for each before.
    pub fn shutdown(&self, deadline: Instant) -> bool {
        self.begin_shutdown();
        let rest = deadline.saturating_duration_since(Instant::now());
        let ended = self.ended.lock().recv_timeout(rest) != Err(RecvTimeoutError::Timeout);
        let left = deadline.max(Instant::now() + Duration::from_millis(100));
        self.shared.writer.stop(left) && ended
    }

    /// Lets the camera end without waiting for it.
    pub fn begin_shutdown(&self) {
        self.shared.events.close();
        self.live.close();
        // It fails only when the supervisor has ended already.
        let _ = self.inputs.send(Input::Stop);
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.begin_shutdown();
    }
}
