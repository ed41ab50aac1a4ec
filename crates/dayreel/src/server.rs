//! Wires configuration, archive, cameras and HTTP together, and takes them apart in order.

use std::{
    future::Future,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use dayreel_archive::{Limits, Retention, Store, SystemDisk};
use dayreel_config::{Camera as CameraConfig, Settings};
use dayreel_core::{Clock, SystemClock, TICKS_PER_SECOND};
use dayreel_http::{App, CameraEntry};
use dayreel_pipeline::{
    Camera, CameraSettings, CameraState, Timing,
    frame::FrameSettings,
    moment::{MomentDesk, MomentMaker, MomentSettings},
};
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
};

use crate::timelapse::TimelapseThread;

/// How often a camera that is waited for is asked.
const LIVE_POLL: Duration = Duration::from_millis(20);

/// How often it is looked for what is to be deleted, and for the room on the disk: at 16 cameras
/// with 8 Mbit/s, 160 MB are written meanwhile.
const RETENTION_INTERVAL: Duration = Duration::from_secs(10);

/// The cameras have so long to complete their recordings; with the end of the HTTP server before it
/// less than the five seconds promised.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(2500);

/// Moments that are being made have so long for their GIFs, and again for their MP4s, while the
/// cameras close.
const MOMENT_TIMEOUT: Duration = Duration::from_millis(1200);

/// A server that listens and whose cameras run.
pub(crate) struct Server {
    listener: TcpListener,
    app: App,
    cameras: Vec<Arc<Camera>>,
    retention: Arc<Retention>,
    moments: MomentDesk,
    timelapses: TimelapseThread,
    /// The data directory is ours until the last camera has stopped.
    _store: Store,
}

impl Server {
    /// Opens the data directory, takes the address, and starts the cameras.
    ///
    /// Everything that can be refused is tried before the first camera starts. Called on the
    /// runtime that moments are to be made on.
    pub(crate) fn start(settings: &Settings) -> Result<Self> {
        dayreel_pipeline::init()?;
        let server = &settings.server;
        let store = match server.require_marker {
            true => Store::open_marked(&server.data_dir),
            false => Store::open(&server.data_dir),
        };
        let store = store.with_context(|| {
            format!(
                "cannot record into {}: make it writable for this user, or choose another with \
                 `data_dir` or DAYREEL_DATA_DIR",
                server.data_dir.display()
            )
        })?;
        let listener = dayreel_http::bind(server.listen).with_context(|| {
            format!(
                "cannot listen on {}: stop what uses it, or choose another with `listen` or \
                 DAYREEL_LISTEN",
                server.listen
            )
        })?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut cameras = Vec::new();
        let mut entries = Vec::new();
        let mut retention = Vec::new();
        let moments = MomentDesk::new(Handle::current());
        let mut archives = Vec::new();
        for config in &settings.cameras {
            let archive = store
                .camera(config.id.clone(), config.timezone, Arc::clone(&clock))
                .with_context(|| format!("cannot read the recordings of {}", config.id))?;
            archive.expect_segments_of(ticks(config.segment));
            let settings = camera_settings(config);
            let frames = FrameSettings {
                max_age: config.frame_max_age,
                ..FrameSettings::default()
            };
            let camera = Camera::start(settings, &archive, Arc::clone(&clock))?;
            let camera = Arc::new(camera);
            retention.push((Arc::clone(&archive), limits(config)));
            archives.push((config, Arc::clone(&archive)));
            let maker = MomentMaker::new(
                (Arc::clone(camera.ring()), Arc::clone(camera.sound_ring())),
                Arc::clone(&archive),
                Arc::clone(&clock),
                moment_settings(config),
                moments.clone(),
            );
            let entry = CameraEntry::new(archive, Arc::clone(&camera), frames, maker);
            entries.push(entry);
            cameras.push(camera);
        }
        let disk = Box::new(SystemDisk);
        let retention = Arc::new(Retention::new(retention, server.min_free_bytes, disk));
        let timelapses = TimelapseThread::start(&archives, &clock)?;
        Ok(Self {
            listener,
            app: App::new(entries, clock, Arc::clone(&retention)),
            cameras,
            retention,
            moments,
            timelapses,
            _store: store,
        })
    }

    /// Where it listens; with the real port if 0 was asked for.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        self.listener
            .local_addr()
            .context("cannot read the address")
    }

    /// Ready when every camera delivers.
    pub(crate) fn all_live(&self) -> impl Future<Output = ()> + use<> {
        let cameras = self.cameras.clone();
        async move {
            let mut tick = tokio::time::interval(LIVE_POLL);
            while cameras
                .iter()
                .any(|camera| camera.status().state != CameraState::Live)
            {
                tick.tick().await;
            }
        }
    }

    /// Serves until `shutdown` is ready, then ends in this order: no more requests, then the
    /// cameras, all at once, each of which closes its recordings. Moments that are being made end
    /// meanwhile.
    pub(crate) async fn serve(mut self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let expiring = tokio::spawn(look_after_the_disk(self.retention));
        let moments = self.moments;
        let shutdown = async {
            shutdown.await;
            moments.begin_close();
        };
        let served = dayreel_http::serve(self.app, self.listener, shutdown).await;
        expiring.abort();
        self.timelapses.begin_end();
        tracing::info!("closing the recordings");
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        self.cameras
            .iter()
            .for_each(|camera| camera.begin_shutdown());
        let cameras = self.cameras;
        let close = move || {
            cameras
                .iter()
                .filter(|camera| !camera.shutdown(deadline))
                .count()
        };
        let close = tokio::task::spawn_blocking(close);
        let (close, unmade) = tokio::join!(close, moments.close(MOMENT_TIMEOUT));
        if unmade > 0 {
            tracing::error!(moments = unmade, "not all moments could be made in time");
        }
        match close.context("closing the recordings failed")? {
            0 => tracing::info!("stopped"),
            late => tracing::error!(cameras = late, "not all recordings could be closed in time"),
        }
        served.context("the HTTP server failed")
    }
}

/// Deletes what is to go, now and again and again.
async fn look_after_the_disk(retention: Arc<Retention>) {
    let mut tick = tokio::time::interval(RETENTION_INTERVAL);
    // A disk that hangs is not asked twice at once, nor all that was missed at the end.
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let retention = Arc::clone(&retention);
        let step = tokio::task::spawn_blocking(move || retention.step(Instant::now()));
        if let Err(error) = step.await {
            tracing::error!(%error, "the look at the disk failed");
        }
    }
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
        audio: config.audio,
        segment: config.segment,
        timing: Timing::default(),
    }
}

fn moment_settings(config: &CameraConfig) -> MomentSettings {
    MomentSettings {
        gif_max_bytes: usize::try_from(config.gif_max_bytes).unwrap_or(usize::MAX),
    }
}

/// Ready when the process is asked to end: SIGTERM or SIGINT.
pub(crate) fn asked_to_end() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
