//! `dayreel timelapse`: makes the timelapse of a day again, from what is kept of it. And, while the
//! server runs: the thread that makes those of all cameras.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result};
use chrono::NaiveDate;
use clap::Args;
use dayreel_archive::{CameraArchive, Recipe, Store};
use dayreel_config::Camera as CameraConfig;
use dayreel_core::{Clock, Kind, SystemClock};
use dayreel_pipeline::timelapse::{TimelapseError, TimelapseMaker};

use crate::cli::{BAD_CONFIG, ConfigArgs};

/// How often a maker is asked whether something is due: what a film is late after midnight.
const INTERVAL: Duration = Duration::from_secs(5);

/// Which day of which camera.
#[derive(Debug, Args)]
pub(crate) struct TimelapseArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Id of the camera
    #[arg(long, value_name = "ID", env = "DAYREEL_CAMERA")]
    camera: String,
    /// A day that is over and still kept: YYYY-MM-DD
    #[arg(long, value_name = "DATE", env = "DAYREEL_DATE")]
    date: NaiveDate,
}

/// Makes the film and prints its path. A server may record meanwhile. Exit codes: 0 done, 2 bad
/// configuration, no such camera or a day that is not over, 1 (as an error) anything else.
pub(crate) fn timelapse(args: &TimelapseArgs) -> Result<ExitCode> {
    let settings = match args.config.load() {
        Ok(loaded) => loaded.settings,
        Err(error) => {
            eprintln!("{error}");
            return Ok(ExitCode::from(BAD_CONFIG));
        }
    };
    let named = |camera: &&CameraConfig| camera.id.as_str() == args.camera;
    let Some(camera) = settings.cameras.iter().find(named) else {
        let ids: Vec<_> = settings.cameras.iter().map(|one| one.id.as_str()).collect();
        eprintln!(
            "there is no camera {:?}; there are: {}",
            args.camera,
            ids.join(", ")
        );
        return Ok(ExitCode::from(BAD_CONFIG));
    };
    dayreel_pipeline::init()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let data_dir = &settings.server.data_dir;
    let archive = Store::reader(
        data_dir,
        camera.id.clone(),
        camera.timezone,
        Arc::clone(&clock),
    )
    .with_context(|| format!("cannot read the recordings of {}", camera.id))?;
    let maker = TimelapseMaker::new(archive, recipe(camera), clock, Arc::default());
    match maker.remake(args.date) {
        Ok(film) => {
            println!("{}", film.media.path.display());
            Ok(ExitCode::SUCCESS)
        }
        Err(error) if error.kind() == Kind::InvalidArgument => {
            eprintln!("{error}");
            Ok(ExitCode::from(BAD_CONFIG))
        }
        Err(error) => Err(error).context("cannot make the timelapse"),
    }
}

fn recipe(camera: &CameraConfig) -> Recipe {
    Recipe {
        interval_s: camera.timelapse.interval_s,
        width: camera.timelapse.width,
        fps: camera.timelapse.fps,
    }
}

/// The thread that makes the timelapses of all cameras, one after the other: it is never in a hurry.
pub(crate) struct TimelapseThread {
    stop: Arc<AtomicBool>,
    /// Disconnected to end the thread.
    wake: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TimelapseThread {
    /// Starts it for those of `cameras` that want timelapses.
    pub(crate) fn start<'a>(
        cameras: impl Iterator<Item = (&'a CameraConfig, &'a Arc<CameraArchive>)>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let maker = |(config, archive): (&CameraConfig, &Arc<CameraArchive>)| {
            let (archive, clock, stop) =
                (Arc::clone(archive), Arc::clone(clock), Arc::clone(&stop));
            TimelapseMaker::new(archive, recipe(config), clock, stop)
        };
        let wanted = cameras.filter(|(config, _)| config.timelapse.enabled);
        let makers: Vec<_> = wanted.map(maker).collect();
        let (wake, woken) = channel();
        let thread = thread::Builder::new()
            .name("timelapse".to_owned())
            .spawn(move || run(makers, &woken))
            .context("no thread for the timelapses")?;
        Ok(Self {
            stop,
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    /// Lets it end, without waiting for the picture that is being made.
    pub(crate) fn begin_end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.wake.take());
    }

    /// Ends it, within the time of one picture.
    pub(crate) fn end(&mut self) {
        self.begin_end();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the timelapses has panicked");
        }
    }
}

impl Drop for TimelapseThread {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(mut makers: Vec<TimelapseMaker>, woken: &Receiver<()>) {
    // The cameras connect first.
    while !makers.is_empty() && woken.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        for maker in &mut makers {
            match maker.step() {
                Ok(_) => (),
                Err(TimelapseError::Stopped) => return,
                Err(error) => {
                    let camera = maker.camera().clone();
                    tracing::error!(%camera, error = %anyhow::Error::new(error), "cannot make the timelapse");
                }
            }
        }
    }
}
