//! The cameras that run, and what becomes of them when the configuration is read again.
//!
//! A camera whose settings are the same is not touched. What concerns only what is kept or shown is
//! changed beside it; what its pipeline was told, by ending it and starting another on the same
//! recordings. A camera has one writer at a time: one that does not end is not started again.

use std::{
    iter,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use dayreel_archive::{CameraArchive, Limits, Retention, Store, SystemDisk};
use dayreel_config::{Camera as CameraConfig, Server as ServerConfig, Settings};
use dayreel_core::{CameraId, Clock, SystemClock, TICKS_PER_SECOND};
use dayreel_http::{App, CameraEntry, Gate, NotReloaded, Reloaded, Reloads};
use dayreel_pipeline::{
    Camera, CameraEvent, CameraSettings, Timing,
    frame::FrameSettings,
    moment::{MomentDesk, MomentMaker, MomentSettings},
};
use tokio::runtime::Handle;

use crate::{listeners::Listeners, timelapse::TimelapseThread};

/// Cameras that are removed or changed have so long to complete their recordings.
const END_TIMEOUT: Duration = Duration::from_millis(2500);

/// A camera of which a thread has panicked is started anew no sooner after its start.
const LEAST_RUN: Duration = Duration::from_secs(5);

/// A camera that runs, and what it was told.
struct Running {
    since: Instant,
    config: CameraConfig,
    archive: Arc<CameraArchive>,
    camera: Arc<Camera>,
    /// Its sub-stream.
    preview: Option<Arc<Camera>>,
    entry: Arc<CameraEntry>,
}

/// All cameras, and what they are made with.
pub(crate) struct Fleet {
    /// The data directory is ours until the last camera has stopped.
    store: Store,
    clock: Arc<dyn Clock>,
    moments: MomentDesk,
    /// As it was at the start.
    server: ServerConfig,
    running: Vec<Running>,
    /// Have panicked and ended, and are to be started anew.
    down: Vec<(CameraConfig, Left)>,
    /// Were to end and have not, as far as is known.
    lingering: Vec<(CameraId, Arc<Camera>)>,
    timelapses: TimelapseThread,
    retention: Arc<Retention>,
    app: Arc<App>,
    listeners: Listeners,
}

impl Fleet {
    /// Starts the cameras of `settings` on the recordings in `store`. Called on the runtime that
    /// moments are to be made on.
    ///
    /// # Errors
    /// Recordings cannot be read, or the system has no threads left.
    pub(crate) fn start(
        store: Store,
        settings: &Settings,
        reloads: Option<Reloads>,
    ) -> Result<Self> {
        Self::start_at(store, settings, reloads, Arc::new(SystemClock))
    }

    fn start_at(
        store: Store,
        settings: &Settings,
        reloads: Option<Reloads>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let moments = MomentDesk::new(Handle::current());
        let mut running = Vec::new();
        for config in &settings.cameras {
            let archive = open(&store, config, &clock)?;
            running.push(Running::start(config, archive, &clock, &moments)?);
        }
        let retention = Arc::new(Retention::new(
            kept(&running),
            settings.server.min_free_bytes,
            Box::new(SystemDisk),
        ));
        let server = &settings.server;
        let app = Arc::new(App::new(
            entries(&running),
            Arc::clone(&clock),
            Arc::clone(&retention),
            Gate::new(&server.data_dir, server, &settings.users)?,
            reloads,
        ));
        let listeners = Listeners::new(Arc::clone(&app), Handle::current());
        listeners.change(settings)?;
        Ok(Self {
            listeners,
            timelapses: TimelapseThread::start(films(&running), &clock)?,
            store,
            clock,
            moments,
            server: settings.server.clone(),
            running,
            down: Vec::new(),
            lingering: Vec::new(),
            retention,
            app,
        })
    }

    /// What the HTTP server shows.
    pub(crate) fn app(&self) -> Arc<App> {
        Arc::clone(&self.app)
    }

    /// What deletes recordings.
    pub(crate) fn retention(&self) -> Arc<Retention> {
        Arc::clone(&self.retention)
    }

    /// Who is told what happens.
    pub(crate) fn listeners(&self) -> Listeners {
        self.listeners.clone()
    }

    /// The cameras that run, and what they record into.
    pub(crate) fn recorded(&self) -> impl Iterator<Item = (&Camera, &CameraArchive)> {
        let running = self.running.iter();
        running.map(|one| (&*one.camera, &*one.archive))
    }

    /// Where moments are made.
    pub(crate) fn moments(&self) -> MomentDesk {
        self.moments.clone()
    }

    /// The cameras that run.
    pub(crate) fn cameras(&self) -> Vec<Arc<Camera>> {
        let cameras = self.running.iter().map(|running| &running.camera);
        cameras.cloned().collect()
    }

    /// Ends all cameras at once, each of which closes its recordings, by `deadline`. Returns how many
    /// have not. Blocks its thread.
    pub(crate) fn shutdown(&mut self, deadline: Instant) -> usize {
        self.timelapses.begin_end();
        let streams = || self.running.iter().flat_map(Running::streams);
        streams().for_each(|stream| stream.begin_shutdown());
        streams()
            .filter(|stream| !stream.shutdown(deadline))
            .count()
    }

    /// Whether there is something to [mend](Self::mend).
    pub(crate) fn is_broken(&self) -> bool {
        !self.down.is_empty() || self.running.iter().any(Running::is_broken)
    }

    /// Starts those cameras anew of which a thread has panicked. The others are not touched. Blocks its
    /// thread while those end.
    pub(crate) fn mend(&mut self) {
        let (broken, fine): (Vec<_>, Vec<_>) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(Running::is_broken);
        self.running = fine;
        let configs: Vec<_> = broken.iter().map(|one| one.config.clone()).collect();
        let left = self.end(broken);
        self.down.extend(configs.into_iter().zip(left));
        for (config, left) in std::mem::take(&mut self.down) {
            match self.begin(&config, std::slice::from_ref(&left)) {
                Ok(one) => {
                    tracing::warn!(camera = %config.id, "started anew after a panic");
                    self.running.push(one);
                }
                Err(error) => {
                    tracing::error!(camera = %config.id, "cannot be started anew: {error:#}");
                    self.down.push((config, left));
                }
            }
        }
        self.app.show(entries(&self.running));
        let min_free_bytes = self.retention.storage().min_free_bytes;
        self.retention
            .look_after(kept(&self.running), min_free_bytes);
    }

    /// Makes the cameras as `settings` says. Waits for those that end. Blocks its thread.
    ///
    /// # Errors
    /// See [`NotReloaded`].
    pub(crate) fn reload(&mut self, settings: &Settings) -> Result<Reloaded, NotReloaded> {
        self.check_server(&settings.server)?;
        let mut reloaded = Reloaded::default();
        let mut failures = Vec::new();
        let wanted = |id: &CameraId| settings.cameras.iter().find(|camera| camera.id == *id);
        let (mut keep, end): (Vec<_>, Vec<_>) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|one| wanted(&one.config.id).is_some_and(|new| !one.must_restart(new)));
        let ended: Vec<_> = end.iter().map(|one| one.config.id.clone()).collect();
        let mut left = self.end(end);
        left.extend(self.down.drain(..).map(|(_, left)| left));
        for new in &settings.cameras {
            if let Some(one) = keep.iter_mut().find(|one| one.config.id == new.id) {
                match one.config == *new {
                    true => reloaded.unchanged.push(new.id.clone()),
                    false => {
                        one.change(new, &self.clock, &self.moments);
                        reloaded.changed.push(new.id.clone());
                    }
                }
                continue;
            }
            match self.begin(new, &left) {
                Ok(one) => {
                    keep.push(one);
                    match ended.contains(&new.id) {
                        true => reloaded.restarted.push(new.id.clone()),
                        false => reloaded.added.push(new.id.clone()),
                    }
                }
                Err(error) => failures.push(format!("{}: {error:#}", new.id)),
            }
        }
        let is_gone = |id: &CameraId| wanted(id).is_none();
        reloaded.removed = ended.into_iter().filter(is_gone).collect();
        // In the order of the file.
        let place = |one: &Running| {
            settings
                .cameras
                .iter()
                .position(|new| new.id == one.config.id)
        };
        keep.sort_by_key(place);
        self.running = keep;
        self.app.show(entries(&self.running));
        if let Err(error) = self.app.gate().change(&settings.server, &settings.users) {
            failures.push(format!("users: {error}"));
        }
        if let Err(error) = self.listeners.change(settings) {
            failures.push(format!("webhooks or MQTT: {error:#}"));
        }
        let min_free_bytes = settings.server.min_free_bytes;
        self.retention
            .look_after(kept(&self.running), min_free_bytes);
        // Two would write to the same files.
        self.timelapses.end();
        match TimelapseThread::start(films(&self.running), &self.clock) {
            Ok(timelapses) => self.timelapses = timelapses,
            Err(error) => failures.push(format!("timelapses: {error:#}")),
        }
        match failures.is_empty() {
            true => Ok(reloaded),
            false => Err(NotReloaded::CameraNotStarted(failures.join("; "))),
        }
    }

    /// Refuses what can be changed by a restart only.
    fn check_server(&self, new: &ServerConfig) -> Result<(), NotReloaded> {
        let old = &self.server;
        let mut keys = Vec::new();
        if new.listen != old.listen {
            keys.push(format!("listen ({} now)", old.listen));
        }
        if new.data_dir != old.data_dir {
            keys.push(format!("data_dir ({} now)", old.data_dir.display()));
        }
        if new.tls != old.tls {
            keys.push("tls_certificate, tls_key".to_owned());
        }
        match keys.is_empty() {
            true => Ok(()),
            false => Err(NotReloaded::RestartRequired(format!(
                "server: cannot change while the server runs, restart it: {}",
                keys.join(", ")
            ))),
        }
    }

    /// Ends cameras, all at once. Returns what they leave.
    fn end(&mut self, cameras: Vec<Running>) -> Vec<Left> {
        let deadline = Instant::now() + END_TIMEOUT;
        let streams = || cameras.iter().flat_map(Running::streams);
        streams().for_each(|stream| stream.begin_shutdown());
        for one in &cameras {
            for stream in one.streams() {
                if !stream.shutdown(deadline) {
                    tracing::error!(camera = %one.config.id, "the recordings are not closed yet");
                    let lingering = (one.config.id.clone(), Arc::clone(stream));
                    self.lingering.push(lingering);
                }
            }
        }
        let leave = |one: Running| Left {
            events: one.camera.events(),
            archive: one.archive,
        };
        cameras.into_iter().map(leave).collect()
    }

    /// Starts a camera, with what it has left, if it has run before.
    fn begin(&mut self, config: &CameraConfig, left: &[Left]) -> Result<Running> {
        self.lingering
            .retain(|(_, camera)| !camera.shutdown(Instant::now()));
        let is_lingering = self.lingering.iter().any(|(id, _)| *id == config.id);
        anyhow::ensure!(
            !is_lingering,
            "its recordings could not be closed; reload again when the disk answers"
        );
        let own = left.iter().find(|left| *left.archive.id() == config.id);
        let archive = match own.filter(|own| own.archive.zone() == config.timezone) {
            Some(own) => Arc::clone(&own.archive),
            None => open(&self.store, config, &self.clock)?,
        };
        let running = Running::start(config, archive, &self.clock, &self.moments)?;
        if let Some(own) = own {
            running.camera.remember(&own.events);
        }
        Ok(running)
    }
}

/// What a camera that has ended leaves to the next of its name.
struct Left {
    /// What it recorded into.
    archive: Arc<CameraArchive>,
    /// What happened to it.
    events: Vec<CameraEvent>,
}

impl Running {
    fn start(
        config: &CameraConfig,
        archive: Arc<CameraArchive>,
        clock: &Arc<dyn Clock>,
        moments: &MomentDesk,
    ) -> Result<Self> {
        archive.expect_segments_of(ticks(config.segment));
        let settings = camera_settings(config);
        let (camera, preview) = match preview_settings(config) {
            None => (Camera::start(settings, &archive, Arc::clone(clock))?, None),
            Some(preview) => {
                let [main, sub] = archive.recorder().split();
                let camera = Camera::start_with(settings, main, Arc::clone(clock))?;
                let preview = Camera::start_with(preview, sub, Arc::clone(clock))?;
                (camera, Some(Arc::new(preview)))
            }
        };
        let camera = Arc::new(camera);
        let streams = (&camera, preview.as_ref());
        Ok(Self {
            since: Instant::now(),
            entry: Arc::new(entry(config, &archive, streams, clock, moments)),
            config: config.clone(),
            archive,
            camera,
            preview,
        })
    }

    /// The main stream, and the sub-stream if there is one.
    fn streams(&self) -> impl Iterator<Item = &Arc<Camera>> {
        iter::once(&self.camera).chain(&self.preview)
    }

    /// Whether it is to be started anew.
    fn is_broken(&self) -> bool {
        self.since.elapsed() >= LEAST_RUN && self.streams().any(|stream| stream.has_panicked())
    }

    /// Whether its pipeline has to be told something else.
    fn must_restart(&self, new: &CameraConfig) -> bool {
        let told = |config: &CameraConfig| {
            let CameraConfig {
                rtsp,
                rtsp_preview,
                timezone,
                transport,
                trust,
                on_loss,
                audio,
                segment,
                ..
            } = config.clone();
            let streams = (rtsp, rtsp_preview, timezone);
            (streams, transport, trust, on_loss, audio, segment)
        };
        told(&self.config) != told(new)
    }

    /// Takes up what the pipeline need not know.
    fn change(&mut self, new: &CameraConfig, clock: &Arc<dyn Clock>, moments: &MomentDesk) {
        let streams = (&self.camera, self.preview.as_ref());
        self.entry = Arc::new(entry(new, &self.archive, streams, clock, moments));
        self.config = new.clone();
    }
}

fn open(
    store: &Store,
    config: &CameraConfig,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<CameraArchive>> {
    store
        .camera(config.id.clone(), config.timezone, Arc::clone(clock))
        .with_context(|| format!("cannot read the recordings of {}", config.id))
}

fn entry(
    config: &CameraConfig,
    archive: &Arc<CameraArchive>,
    (camera, preview): (&Arc<Camera>, Option<&Arc<Camera>>),
    clock: &Arc<dyn Clock>,
    moments: &MomentDesk,
) -> CameraEntry {
    let frames = FrameSettings {
        max_age: config.frame_max_age,
        ..FrameSettings::default()
    };
    let maker = MomentMaker::new(
        (Arc::clone(camera.ring()), Arc::clone(camera.sound_ring())),
        Arc::clone(archive),
        Arc::clone(clock),
        moment_settings(config),
        moments.clone(),
    );
    CameraEntry::new(Arc::clone(archive), Arc::clone(camera), frames, maker)
        .with_preview(preview.cloned())
}

fn entries(running: &[Running]) -> impl Iterator<Item = Arc<CameraEntry>> {
    running.iter().map(|one| Arc::clone(&one.entry))
}

fn kept(running: &[Running]) -> impl Iterator<Item = (Arc<CameraArchive>, Limits)> {
    running
        .iter()
        .map(|one| (Arc::clone(&one.archive), limits(&one.config)))
}

fn films(running: &[Running]) -> impl Iterator<Item = (&CameraConfig, &Arc<CameraArchive>)> {
    running.iter().map(|one| (&one.config, &one.archive))
}

fn limits(config: &CameraConfig) -> Limits {
    Limits {
        days_to_keep: config.days_to_keep,
        max_bytes: config.max_bytes,
        moments_days_to_keep: config.moments_days_to_keep,
        timelapse_days_to_keep: config.timelapse_days_to_keep,
    }
}

/// A setting of whole seconds as media time, 1/90000 s.
fn ticks(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs() * TICKS_PER_SECOND).unwrap_or(u32::MAX)
}

fn camera_settings(config: &CameraConfig) -> CameraSettings {
    CameraSettings {
        id: config.id.clone(),
        url: config.rtsp.clone(),
        transport: config.transport,
        trust: config.trust,
        on_loss: config.on_loss,
        audio: config.audio,
        segment: config.segment,
        timing: Timing::default(),
    }
}

/// Of the sub-stream: as the camera, but for its address, and without sound.
fn preview_settings(config: &CameraConfig) -> Option<CameraSettings> {
    let settings = camera_settings(config);
    // In the log. A name that is too long for that is that of the camera.
    let id = format!("{}_preview", config.id).parse();
    Some(CameraSettings {
        id: id.unwrap_or_else(|_| config.id.clone()),
        url: config.rtsp_preview.clone()?,
        audio: false,
        ..settings
    })
}

fn moment_settings(config: &CameraConfig) -> MomentSettings {
    MomentSettings {
        gif_max_bytes: usize::try_from(config.gif_max_bytes).unwrap_or(usize::MAX),
    }
}

#[cfg(test)]
mod tests;
