//! Wires configuration, archive, cameras and HTTP together, and takes them apart in order.

use std::{
    future::Future,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use dayreel_archive::{Retention, Store};
use dayreel_config::{ConfigError, Loaded, Settings};
use dayreel_core::CameraId;
use dayreel_http::{Certificate, NotReloaded, ReloadAnswer, Reloaded, Reloads};
use dayreel_pipeline::CameraState;
use rustix::process::{getgid, getuid};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Mutex, mpsc::Receiver},
};

use crate::{cli::ConfigArgs, fleet::Fleet, open_files, watch::watch};

/// How often a camera that is waited for is asked.
const LIVE_POLL: Duration = Duration::from_millis(20);

/// How often it is looked for cameras that have panicked.
const MEND_INTERVAL: Duration = Duration::from_secs(1);

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
    /// Of HTTPS.
    certificate: Option<Certificate>,
    fleet: Fleet,
    /// Of HTTP, at once.
    most_connections: usize,
    /// Where the configuration is read again, and who asks for that.
    reloads: Option<(ConfigArgs, Receiver<ReloadAnswer>, Reloads)>,
}

impl Server {
    /// Opens the data directory, takes the address, and starts the cameras. `config` is where
    /// `settings` are from, if they can be read again.
    ///
    /// Everything that can be refused is tried before the first camera starts. Called on the
    /// runtime that moments are to be made on.
    pub(crate) fn start(settings: &Settings, config: Option<&ConfigArgs>) -> Result<Self> {
        let most_connections = open_files::connections(open_files::raise());
        dayreel_pipeline::init()?;
        let server = &settings.server;
        let store = match server.require_marker {
            true => Store::open_marked(&server.data_dir),
            false => Store::open(&server.data_dir),
        };
        let store = store.with_context(|| {
            format!(
                "cannot record into {}: make it writable for this user (chown {}:{}), or choose \
                 another with `data_dir` or DAYREEL_DATA_DIR",
                server.data_dir.display(),
                getuid().as_raw(),
                getgid().as_raw()
            )
        })?;
        let listener = dayreel_http::bind(server.listen).with_context(|| {
            format!(
                "cannot listen on {}: stop what uses it, or choose another with `listen` or \
                 DAYREEL_LISTEN",
                server.listen
            )
        })?;
        let tls = server.tls.as_ref();
        let certificate = tls
            .map(|tls| Certificate::read(&tls.certificate, &tls.key))
            .transpose()?;
        let reloads = config.map(|config| {
            let (reloads, asked) = Reloads::channel();
            (config.clone(), asked, reloads)
        });
        let asks = reloads.as_ref().map(|(.., reloads)| reloads.clone());
        Ok(Self {
            listener,
            certificate,
            fleet: Fleet::start(store, settings, asks)?,
            most_connections,
            reloads,
        })
    }

    /// Where it listens; with the real port if 0 was asked for.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        self.listener
            .local_addr()
            .context("cannot read the address")
    }

    /// `https`, or `http`.
    pub(crate) const fn scheme(&self) -> &'static str {
        match self.certificate {
            Some(_) => "https",
            None => "http",
        }
    }

    /// Ready when every camera delivers.
    pub(crate) fn all_live(&self) -> impl Future<Output = ()> + use<> {
        let cameras = self.fleet.cameras();
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
    pub(crate) async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let (app, moments) = (self.fleet.app(), self.fleet.moments());
        let expiring = tokio::spawn(look_after_the_disk(self.fleet.retention()));
        let (retention, listeners) = (self.fleet.retention(), self.fleet.listeners());
        let fleet = Arc::new(Mutex::new(self.fleet));
        let watching = watch(
            Arc::clone(&fleet),
            retention,
            Arc::clone(&app),
            listeners.clone(),
        );
        let mending = tokio::spawn(mend_cameras(Arc::clone(&fleet)));
        let mut others = vec![expiring, tokio::spawn(watching), mending];
        if let Some((config, asked, reloads)) = self.reloads {
            let reloading = reload_when_asked(Arc::clone(&fleet), config, asked);
            others.extend([
                tokio::spawn(reloading),
                tokio::spawn(ask_at_hangup(reloads)?),
            ]);
        }
        let shutdown = async {
            shutdown.await;
            moments.begin_close();
        };
        let served = dayreel_http::serve(
            app,
            self.listener,
            self.certificate,
            self.most_connections,
            shutdown,
        )
        .await;
        for task in others {
            task.abort();
            // So that what it held is let go.
            let _ = task.await;
        }
        tracing::info!("closing the recordings");
        let close = async {
            // A reload that is going on is waited for.
            let mut fleet = Arc::clone(&fleet).lock_owned().await;
            let deadline = Instant::now() + CLOSE_TIMEOUT;
            tokio::task::spawn_blocking(move || fleet.shutdown(deadline)).await
        };
        let (close, unmade, ()) =
            tokio::join!(close, moments.close(MOMENT_TIMEOUT), listeners.end());
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

/// Starts cameras anew of which a thread has panicked.
async fn mend_cameras(fleet: Arc<Mutex<Fleet>>) {
    let mut tick = tokio::time::interval(MEND_INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let mut fleet = Arc::clone(&fleet).lock_owned().await;
        if !fleet.is_broken() {
            continue;
        }
        if let Err(error) = tokio::task::spawn_blocking(move || fleet.mend()).await {
            tracing::error!(%error, "a camera could not be started anew");
        }
    }
}

/// Reads the configuration again whenever somebody asks, one after the other.
async fn reload_when_asked(
    fleet: Arc<Mutex<Fleet>>,
    config: ConfigArgs,
    mut asked: Receiver<ReloadAnswer>,
) {
    while let Some(answer) = asked.recv().await {
        let mut fleet = Arc::clone(&fleet).lock_owned().await;
        let config = config.clone();
        let reload = tokio::task::spawn_blocking(move || reload(&mut fleet, &config));
        let reloaded = reload.await.unwrap_or_else(|error| {
            tracing::error!(%error, "reading the configuration again failed");
            Err(NotReloaded::CameraNotStarted("internal error".to_owned()))
        });
        match &reloaded {
            Ok(done) => say(done),
            Err(error) => tracing::error!("the configuration has not been taken over: {error}"),
        }
        // Whoever asked may be gone.
        let _ = answer.send(reloaded);
    }
}

fn say(done: &Reloaded) {
    for warning in &done.warnings {
        tracing::warn!("{warning}");
    }
    let list = |ids: &[CameraId]| {
        let ids: Vec<_> = ids.iter().map(CameraId::as_str).collect();
        ids.join(" ")
    };
    tracing::info!(
        added = list(&done.added),
        removed = list(&done.removed),
        restarted = list(&done.restarted),
        changed = list(&done.changed),
        unchanged = list(&done.unchanged),
        "the configuration has been read again"
    );
}

fn reload(fleet: &mut Fleet, config: &ConfigArgs) -> Result<Reloaded, NotReloaded> {
    let refused = |error: ConfigError| NotReloaded::BadConfiguration(error.to_string());
    let Loaded {
        settings, warnings, ..
    } = config.load().map_err(refused)?;
    let reloaded = fleet.reload(&settings)?;
    Ok(Reloaded {
        warnings: warnings.iter().map(ToString::to_string).collect(),
        ..reloaded
    })
}

/// SIGHUP asks for the configuration to be read again.
fn ask_at_hangup(reloads: Reloads) -> Result<impl Future<Output = ()>> {
    let mut hangup = signal(SignalKind::hangup()).context("cannot handle SIGHUP")?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            // What became of it is in the log.
            let _ = reloads.ask().await;
        }
    })
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
