//! One server process, its folders, its port and its end.

use std::{
    env, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{Log, wait_until};
use crate::client::Client;

/// Until the address is printed.
const START: Duration = Duration::from_secs(20);
/// Until it has ended after a signal; the contract says 5 s.
const STOP: Duration = Duration::from_secs(20);

/// The `dayreel` binary of this build, `target/<profile>/dayreel`.
///
/// # Panics
/// If it has not been built.
pub fn binary() -> PathBuf {
    let test = env::current_exe().unwrap_or_default();
    // target/<profile>/deps/<test>-<hash>
    let binary = test
        .ancestors()
        .nth(2)
        .map(|profile| profile.join(format!("dayreel{}", env::consts::EXE_SUFFIX)))
        .unwrap_or_default();
    assert!(
        binary.is_file(),
        "{} is missing: cargo build --release --workspace",
        binary.display()
    );
    binary
}

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// `[[camera]]` tables and whatever else follows `[server]`.
    pub cameras: String,
    /// Further lines of `[server]`, such as `timezone = "Europe/Berlin"`.
    pub server: String,
    /// Where it records; by default in a folder of its own.
    pub data_dir: Option<PathBuf>,
    /// Further environment, such as `TZ` or `LD_PRELOAD`.
    pub environment: Vec<(String, String)>,
    /// The program; by default the one that was built with the tests.
    pub program: Option<PathBuf>,
    /// The most files it may have open; as many as this process where nothing is said.
    pub open_files: Option<u32>,
}

impl Setup {
    /// A server with cameras of these ids and URLs, in a time zone where it is now neither near
    /// midnight nor near the full hour: days and hour files do not change while a test runs.
    pub fn with_cameras<'a>(cameras: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let table = |(id, rtsp)| format!("[[camera]]\nid = \"{id}\"\nrtsp = \"{rtsp}\"\n");
        Self {
            cameras: cameras.into_iter().map(table).collect(),
            server: format!("timezone = \"{}\"\n", quiet_zone(minute_of_day())),
            ..Self::default()
        }
    }

    /// A server in UTC with a camera of this id that nobody answers for.
    pub fn without_camera(id: &str) -> Self {
        Self {
            server: "timezone = \"UTC\"\n".to_owned(),
            ..Self::with_cameras([(id, REFUSING)])
        }
    }
}

/// Nothing listens here, and nothing that is started by accident will: the port is reserved.
pub const REFUSING: &str = "rtsp://127.0.0.1:1/cam";

/// Zones without summer time and their minutes ahead of UTC.
const ZONES: &[(&str, i64)] = &[
    ("UTC", 0),
    ("Asia/Kolkata", 330),
    ("Asia/Tokyo", 540),
    ("Australia/Darwin", 570),
];

/// The first zone in which it is 01:10 to 22:50 and ten minutes away from the full hour, when it
/// is `minute` minutes past midnight in UTC.
fn quiet_zone(minute: i64) -> &'static str {
    let quiet = |offset: &i64| {
        let local = (minute + offset).rem_euclid(24 * 60);
        (60..23 * 60).contains(&local) && (10..50).contains(&(local % 60))
    };
    let found = ZONES.iter().find(|(_, offset)| quiet(offset));
    found.map_or("UTC", |(zone, _)| zone)
}

fn minute_of_day() -> i64 {
    chrono::Utc::now().timestamp().rem_euclid(24 * 3600) / 60
}

/// A running (or stopped, or killed) server with a folder of its own. Dropping it kills it and
/// deletes the folder.
#[derive(Debug)]
pub struct Server {
    setup: Setup,
    folder: TempDir,
    child: Option<Child>,
    /// Chosen by the system at the first start, kept by later ones.
    address: SocketAddr,
    log: Log,
}

impl Server {
    /// Starts `dayreel run` on a loopback port that the system chooses, and waits until it says
    /// where it listens.
    ///
    /// # Errors
    /// It ended, or did not say so in time; its last lines are in the error.
    pub fn start(setup: Setup) -> Result<Self> {
        let mut server = Self {
            setup,
            folder: tempfile::Builder::new().prefix("dayreel-test-").tempdir()?,
            child: None,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            log: Log::default(),
        };
        server.launch()?;
        Ok(server)
    }

    /// Starts it again on the same data and the same port, after [`stop`](Self::stop) or
    /// [`kill`](Self::kill).
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn restart(&mut self) -> Result<()> {
        self.launch()
    }

    /// The same once `gap` has passed: what is missed in less than 0.1 s is no gap.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn restart_after(&mut self, gap: Duration) -> Result<()> {
        let earliest = Instant::now() + gap;
        let passed = || (Instant::now() >= earliest).then_some(());
        wait_until(gap + START, passed).context("the clock stands still")?;
        self.restart()
    }

    fn launch(&mut self) -> Result<()> {
        let config = self.config_path();
        let data = self.data_dir();
        let Setup {
            server, cameras, ..
        } = &self.setup;
        let text = format!(
            "[server]\nlisten = \"{}\"\ndata_dir = {:?}\n{server}\n{cameras}",
            self.address,
            data.display().to_string()
        );
        fs::write(&config, text)?;
        let program = self.setup.program.clone().unwrap_or_else(binary);
        let mut command = match self.setup.open_files {
            // Becomes the server: its process id is the same.
            Some(files) => {
                let mut limited = Command::new("prlimit");
                limited
                    .arg(format!("--nofile={files}:{files}"))
                    .arg(program);
                limited
            }
            None => Command::new(program),
        };
        let mut child = command
            .args(["run", "--config"])
            .arg(&config)
            .envs(
                self.setup
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        // A log of its own for each start: lines of the one before are no answer.
        self.log = Log::default();
        child
            .stdout
            .take()
            .into_iter()
            .for_each(|stream| self.log.follow(stream));
        child
            .stderr
            .take()
            .into_iter()
            .for_each(|stream| self.log.follow(stream));
        self.child = Some(child);
        match self.log.wait_for(START, listening) {
            Some(address) => self.address = address,
            None => bail!(
                "the server did not say where it listens:\n{}",
                self.log.tail(40)
            ),
        }
        Ok(())
    }

    /// Its configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("dayreel.toml")
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        let own = || self.folder.path().join("data");
        self.setup.data_dir.clone().unwrap_or_else(own)
    }

    /// The folder of a camera's recorded days.
    pub fn days_dir(&self, camera: &str) -> PathBuf {
        self.data_dir().join(camera).join("days")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://address` and `path`, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// An HTTP client for it.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// What it has printed since its latest start.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Its process id.
    ///
    /// # Errors
    /// It does not run.
    pub fn pid(&self) -> Result<u32> {
        Ok(self
            .child
            .as_ref()
            .context("the server is not running")?
            .id())
    }

    /// Whether the process is still there.
    pub fn is_running(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// SIGTERM, and the exit status.
    ///
    /// # Errors
    /// It is not running, or does not end in time.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.end(Signal::TERM)
    }

    /// SIGKILL: nothing more is written.
    ///
    /// # Errors
    /// It is not running.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.end(Signal::KILL)
    }

    fn end(&mut self, signal: Signal) -> Result<ExitStatus> {
        let child = self.child.as_mut().context("the server is not running")?;
        let status = stop_within(child, signal, STOP);
        let status = status.with_context(|| self.log.tail(40))?;
        self.child = None;
        Ok(status)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server's last lines:\n{}", self.log.tail(40));
        }
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; there is nobody left to tell.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sends `signal` and waits for the end.
///
/// # Errors
/// It cannot be sent, or the process is still there after `deadline`.
pub fn stop_within(child: &mut Child, signal: Signal, deadline: Duration) -> Result<ExitStatus> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.context("no process id")?, signal).map_err(io::Error::from)?;
    let ended = wait_until(deadline, || child.try_wait().transpose());
    Ok(ended.with_context(|| format!("still there {deadline:?} after {signal:?}"))??)
}

/// The address in a line such as `… http://127.0.0.1:40123/` or `listening on 127.0.0.1:40123`.
/// Colour codes end it; port 0 is not an answer.
fn listening(line: &str) -> Option<SocketAddr> {
    let at = line.find("127.0.0.1:")?;
    let end = line[at..].find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ':')));
    let address = &line[at..end.map_or(line.len(), |end| at + end)];
    let address: SocketAddr = address.parse().ok()?;
    let said = line.contains("http://") || line.to_ascii_lowercase().contains("listen");
    (address.port() != 0 && said).then_some(address)
}

/// The folder of the latest day below `days`, if any is there.
pub fn latest_day(days: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(days).ok()?.filter_map(Result::ok);
    entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_a_quiet_zone() {
        assert_eq!(quiet_zone(12 * 60 + 30), "UTC");
        for minute in 0..24 * 60 {
            let (_, offset) = ZONES
                .iter()
                .find(|(zone, _)| *zone == quiet_zone(minute))
                .unwrap();
            let local = (minute + offset) % (24 * 60);
            assert!((60..23 * 60).contains(&local), "{minute}");
            assert!((10..50).contains(&(local % 60)), "{minute}");
        }
    }

    #[test]
    fn the_address_is_found_in_plain_coloured_and_json_lines() {
        let expected = Some(SocketAddr::from(([127, 0, 0, 1], 40123)));
        for line in [
            "2026-11-22T20:00:00Z  INFO dayreel: listening on 127.0.0.1:40123",
            "http://127.0.0.1:40123/",
            "INFO listening \u{1b}[3maddress\u{1b}[0m=127.0.0.1:40123\u{1b}[0m",
            r#"{"fields":{"message":"listening","address":"127.0.0.1:40123"}}"#,
        ] {
            assert_eq!(listening(line), expected, "{line}");
        }
        for line in [
            "listening on 127.0.0.1:0",
            "camera rtsp://127.0.0.1:8554/",
            "ready",
        ] {
            assert_eq!(listening(line), None, "{line}");
        }
    }
}
