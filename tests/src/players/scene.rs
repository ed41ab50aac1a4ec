//! A camera with sound, a server that records it, a folder for what the players saw.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Timelike, Utc};
use chrono_tz::Tz;
use dayreel_core::Day;
use dayreel_testcam::{AudioCodec, Camera, PictureSettings, Settings, Source};
use tempfile::TempDir;
use tokio::sync::{Mutex as Turns, MutexGuard as Held};

use super::{Plan, Player, Run, RunReport, Step, play};
use crate::make_day::{Media, Period, make, zone_late_in_the_day};
use crate::process::{Server, Setup, wait_until};

/// Id of the camera.
pub const CAMERA: &str = "front";
/// Pictures a second of it.
pub const FPS: u32 = 25;
/// Between the past that is made and what is recorded then: longer than a segment, the last of which may end later.
const PAUSE: Duration = Duration::from_secs(20);
/// Keeps what the players saw in a folder of this variable, for people to look at.
const KEEP: &str = "DAYREEL_PLAYERS_OUT";

/// One camera, one server, some players.
#[derive(Debug)]
pub struct Scene {
    /// Goes first when a scene is dropped: a camera that ends would be an error to it.
    pub server: Server,
    /// What it watches.
    pub camera: Camera,
    out: TempDir,
    /// Dropped last.
    turn: Mutex<Turn>,
}

/// One scene plays at a time: several browsers would leave none the time to decode.
static PLAYING: Turns<()> = Turns::const_new(());
/// Meanwhile the next one records what it plays.
static PREPARING: Turns<()> = Turns::const_new(());

/// What a scene may do; a scene that failed leaves nothing behind that the next could trip over.
#[derive(Debug)]
struct Turn {
    playing: Option<Held<'static, ()>>,
    preparing: Option<Held<'static, ()>>,
}

impl Turn {
    fn to_prepare() -> Self {
        Self {
            playing: None,
            preparing: Some(PREPARING.blocking_lock()),
        }
    }

    /// Beside which no other prepares.
    fn alone() -> Self {
        Self {
            preparing: Some(PREPARING.blocking_lock()),
            playing: Some(PLAYING.blocking_lock()),
        }
    }

    fn wait(&mut self) {
        if self.playing.is_none() {
            self.playing = Some(PLAYING.blocking_lock());
            self.preparing = None;
        }
    }
}

impl Scene {
    /// Starts a camera of 720p with AAC and a server that records it as it does by default.
    ///
    /// # Errors
    /// Either does not start.
    pub fn start() -> Result<Self> {
        Self::start_with(|_| {})
    }

    /// The same, with a setup that is changed before.
    ///
    /// # Errors
    /// Either does not start.
    pub fn start_with(change: impl FnOnce(&mut Setup)) -> Result<Self> {
        let turn = Turn::to_prepare();
        let camera = Self::camera()?;
        let mut setup = Self::setup(&camera, &zone_at_noon());
        change(&mut setup);
        let server = Server::start(setup)?;
        Self::of(server, camera, turn)
    }

    /// The same of another camera.
    ///
    /// # Errors
    /// The server does not start.
    pub fn of_camera(camera: Camera) -> Result<Self> {
        let turn = Turn::to_prepare();
        let server = Server::start(Self::setup(&camera, &zone_at_noon()))?;
        Self::of(server, camera, turn)
    }

    /// The same with a sub-stream of so many pixels' width, whose camera is the second.
    ///
    /// # Errors
    /// One of them does not start, or the sub-stream is not listed.
    pub fn start_with_preview(width: u32) -> Result<(Self, Camera)> {
        let turn = Turn::to_prepare();
        let camera = Self::camera()?;
        let preview = Camera::start(Settings {
            source: Source::Picture(PictureSettings {
                width,
                ..PictureSettings::small()
            }),
            ..Settings::default()
        })?;
        let mut setup = Self::setup(&camera, &zone_at_noon());
        let url = preview.url();
        setup
            .cameras
            .push_str(&format!("rtsp_preview = \"{url}\"\n"));
        let scene = Self::of(Server::start(setup)?, camera, turn)?;
        let client = scene.server.client();
        let path = format!("/{CAMERA}/stream/today/playlist.m3u8");
        let listed = || {
            client
                .get_text(&path)
                .ok()?
                .contains("preview")
                .then_some(())
        };
        wait_until(Duration::from_secs(60), listed).context("no preview is listed")?;
        Ok((scene, preview))
    }

    /// The same, with yesterday and today up to 20 s ago recorded already, as `media`.
    ///
    /// # Errors
    /// Either does not start, or the days cannot be made.
    pub fn start_late_in_the_day(media: &Media) -> Result<Self> {
        Self::with_past(media, |zone, to| Period {
            from: Day::containing(to, zone).before(1).start(),
            to,
        })
    }

    /// The same, with the `hours` up to 20 s ago recorded already, as `media`.
    ///
    /// # Errors
    /// Either does not start, or the hours cannot be made.
    pub fn start_with_past(media: &Media, hours: f64) -> Result<Self> {
        Self::with_past(media, |_, to| Period::ending(to, hours, 1))
    }

    fn with_past(media: &Media, period: impl FnOnce(Tz, DateTime<Utc>) -> Period) -> Result<Self> {
        let turn = Turn::to_prepare();
        let mut camera = Self::camera()?;
        // Nothing may be recorded before the days are made.
        camera.stop()?;
        let zone = zone_late_in_the_day(Utc::now());
        let mut server = Server::start(Self::setup(&camera, zone.name()))?;
        server.stop()?;
        let id = CAMERA.parse()?;
        let period = period(zone, Utc::now() - PAUSE);
        make(&server.data_dir(), &[id], zone, period, media)?;
        camera.restart()?;
        server.restart()?;
        Self::of(server, camera, turn)
    }

    /// The same, on a machine whose clock says that it is `left` until midnight (in UTC), by
    /// libfaketime. The camera's clock, and so the time in its pictures, is the real one.
    ///
    /// # Errors
    /// Either does not start, or libfaketime is not installed.
    pub fn start_before_midnight(left: Duration) -> Result<(Self, Midnight)> {
        let turn = Turn::alone();
        // Many players at once have to decode it.
        let camera = Self::camera_with(|picture| (picture.width, picture.height) = (640, 360))?;
        let now = Utc::now();
        let today = Day::containing(now, chrono_tz::UTC);
        let ahead = today.end() - chrono::Duration::from_std(left)? - now;
        let mut setup = Self::setup(&camera, "UTC");
        setup.environment = fake_time(ahead)?;
        let server = Server::start(setup)?;
        let midnight = Midnight {
            day: today,
            ahead_ms: ahead.num_seconds() * 1000,
        };
        Ok((Self::of(server, camera, turn)?, midnight))
    }

    /// A camera like that of the scene.
    ///
    /// # Errors
    /// It does not start.
    pub fn camera() -> Result<Camera> {
        Self::camera_with(|_| {})
    }

    fn camera_with(change: impl FnOnce(&mut PictureSettings)) -> Result<Camera> {
        let mut picture = PictureSettings {
            fps: FPS,
            audio: Some(AudioCodec::Aac),
            ..PictureSettings::default()
        };
        change(&mut picture);
        Camera::start(Settings {
            source: Source::Picture(picture),
            ..Settings::default()
        })
    }

    fn setup(camera: &Camera, zone: &str) -> Setup {
        let mut setup = Setup::with_cameras([(CAMERA, camera.url().as_str())]);
        setup.server = format!("timezone = \"{zone}\"\n");
        setup
    }

    fn of(server: Server, camera: Camera, turn: Turn) -> Result<Self> {
        Ok(Self {
            server,
            camera,
            out: tempfile::Builder::new()
                .prefix("dayreel-players-")
                .tempdir()?,
            turn: Mutex::new(turn),
        })
    }

    /// Waits until so many seconds of today are recorded.
    ///
    /// # Errors
    /// That takes half a minute longer than it should.
    pub fn wait_recorded(&self, seconds: u32) -> Result<()> {
        self.wait_recorded_of(CAMERA, seconds)
    }

    /// The same, of a camera that was added.
    ///
    /// # Errors
    /// That takes half a minute longer than it should.
    pub fn wait_recorded_of(&self, id: &str, seconds: u32) -> Result<()> {
        let client = self.server.client();
        let path = format!("/api/cameras/{id}");
        let enough = || {
            let recorded_s = client.get_json(&path).ok()?["recorded_today_s"].as_f64()?;
            (recorded_s >= f64::from(seconds)).then_some(())
        };
        let deadline = Duration::from_secs(u64::from(seconds) + 30);
        wait_until(deadline, enough).with_context(|| {
            let log = self.server.log().tail(40);
            format!("{seconds} s are not recorded within {deadline:?}:\n{log}")
        })
    }

    /// Waits until the camera is live and its first segments are listed.
    ///
    /// # Errors
    /// They are not within half a minute.
    pub fn wait_live(&self) -> Result<()> {
        let spans = || self.spans().ok().filter(|spans| spans.len() > 1);
        let listed = || spans().filter(|spans| spans[1].1 - spans[1].0 >= 12_000);
        wait_until(Duration::from_secs(60), listed)
            .with_context(|| format!("not live:\n{}", self.server.log().tail(40)))?;
        Ok(())
    }

    /// Recorded spans of today, wall times in ms.
    ///
    /// # Errors
    /// The server does not say them.
    pub fn spans(&self) -> Result<Vec<(i64, i64)>> {
        let client = self.server.client();
        let days = client.get_json(&format!("/api/cameras/{CAMERA}/days"))?;
        // Oldest first.
        let today = days.as_array().and_then(|days| days.last());
        let spans = today.context("no days")?["spans"]
            .as_array()
            .context("no spans")?;
        let at = |span: &serde_json::Value, end: &str| -> Result<i64> {
            let text = span[end].as_str().with_context(|| span.to_string())?;
            Ok(DateTime::parse_from_rfc3339(text)?.timestamp_millis())
        };
        let both = |span| Ok((at(span, "start")?, at(span, "end")?));
        spans.iter().map(both).collect()
    }

    /// A run of `player` on today.
    pub fn run(&self, player: Player, steps: Vec<Step>) -> Run {
        self.run_on("today", player, steps)
    }

    /// A run of `player` on a day as the URLs name it.
    pub fn run_on(&self, day: &str, player: Player, steps: Vec<Step>) -> Run {
        let url = self.server.url(&player.path(CAMERA, day));
        Run::new(player, url, steps)
    }

    /// A run of our page of the camera, which is to use `engine` (`hls`, `dash`).
    pub fn page(&self, engine: &str, steps: Vec<Step>) -> Run {
        let mut run = self.run(Player::Page, steps);
        run.name = format!("page-{engine}");
        run.url = format!("{}?player={engine}", run.url);
        run
    }

    /// Keeps bytes in a file until the scene ends.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn file(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.out.path().join(name);
        fs::write(&path, bytes)?;
        Ok(path)
    }

    /// Waits until it is this scene's turn to play, which it then is until the scene ends.
    pub fn wait_turn(&self) {
        let turn = self.turn.lock();
        turn.unwrap_or_else(PoisonError::into_inner).wait();
    }

    /// Plays all `runs` at the same time, each within `deadline_s`, when it is its turn.
    ///
    /// # Errors
    /// As [`play`].
    pub fn play(&self, deadline_s: u32, runs: Vec<Run>) -> Result<Vec<RunReport>> {
        self.wait_turn();
        // libtest names its threads after the tests.
        let test = std::thread::current()
            .name()
            .unwrap_or("players")
            .to_owned();
        let kept = env::var_os(KEEP).map(|folder| PathBuf::from(folder).join(test));
        let plan = Plan {
            out: kept.unwrap_or_else(|| self.out.path().to_owned()),
            deadline_s,
            runs,
        };
        Ok(play(&plan)?.runs)
    }
}

/// The end of a day that was moved to where a test needs it.
#[derive(Clone, Copy, Debug)]
pub struct Midnight {
    /// The day that it ends.
    pub day: Day,
    /// How far the server's clock is ahead of the real one.
    pub ahead_ms: i64,
}

impl Midnight {
    /// When it is, by the server's clock, in ms since 1970.
    pub fn wall_ms(&self) -> i64 {
        self.day.end().timestamp_millis()
    }
}

/// The environment of a process whose wall clock is ahead.
fn fake_time(ahead: chrono::Duration) -> Result<Vec<(String, String)>> {
    let mut variables = fake_clock()?;
    variables.push(("FAKETIME".to_owned(), format!("{:+}s", ahead.num_seconds())));
    Ok(variables)
}

/// The environment of a process whose wall clock is what libfaketime is told, while its steady clock
/// is the system's.
///
/// # Errors
/// libfaketime is not installed.
pub fn fake_clock() -> Result<Vec<(String, String)>> {
    let library = |folder: &Path| folder.join("faketime/libfaketimeMT.so.1");
    let of_debian = format!("/usr/lib/{}-linux-gnu", env::consts::ARCH);
    let folders = [of_debian.as_str(), "/usr/lib64", "/usr/lib"];
    let found = folders.map(|folder| library(Path::new(folder)));
    let found = found.into_iter().find(|library| library.is_file());
    let library = found.context("no libfaketime: apt-get install libfaketime")?;
    let variables = [
        ("LD_PRELOAD", library.display().to_string()),
        // The steady clock is never set.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("NO_FAKE_STAT", "1".to_owned()),
    ];
    Ok(variables
        .map(|(name, value)| (name.to_owned(), value))
        .into())
}

/// A zone in which it is about noon, so that no test runs into midnight.
fn zone_at_noon() -> String {
    // The sign is POSIX's: Etc/GMT-3 is three hours ahead of UTC.
    let behind = i64::from(Utc::now().hour()) - 12;
    match behind {
        0 => "Etc/UTC".to_owned(),
        _ => format!("Etc/GMT{behind:+}"),
    }
}
