//! Runs the harness: makes sure that its packages are there, hands it the plan, bounds its time.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use super::{Plan, Report};
use crate::process::stop_within;

/// `npm ci` fetches some 30 MB once.
const INSTALL_DEADLINE: Duration = Duration::from_secs(300);
/// What the browser may take to start and to stop, beyond the plan.
const BROWSER_ALLOWANCE: Duration = Duration::from_secs(45);
/// What a program that was told to stop may take before it is made to.
const STOP_ALLOWANCE: Duration = Duration::from_secs(10);

/// Plays `plan` and returns what happened. Blocks for as long as the longest run takes.
///
/// # Errors
/// If a program or package is missing (the message names the cure), or the harness itself fails;
/// a player that does not play is no error but is in the report.
pub fn play(plan: &Plan) -> Result<Report> {
    let folder = folder();
    install(&folder)?;
    let mut harness = Command::new("node");
    harness.arg("play.mjs").current_dir(&folder);
    let deadline = Duration::from_secs(plan.deadline_s.into()) + BROWSER_ALLOWANCE;
    let report = output(harness, &serde_json::to_vec(plan)?, deadline)?;
    serde_json::from_slice(&report).context("the report of players/play.mjs is not as expected")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("players")
}

/// Runs `npm ci` when the packages are not those of the lock file. Safe beside other tests.
fn install(folder: &Path) -> Result<()> {
    let guard = File::open(folder.join("package.json"))?;
    guard.lock()?;
    let wanted = fs::read(folder.join("package-lock.json"))?;
    let stamp = folder.join("node_modules/.installed-lock.json");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.arg("ci").current_dir(folder);
    output(npm, b"", INSTALL_DEADLINE).context("cannot install the players")?;
    fs::write(&stamp, &wanted)?;
    Ok(())
}

/// Runs `command` with `input` and returns what it printed. Its stderr is in the error.
fn output(mut command: Command, input: &[u8], deadline: Duration) -> Result<Vec<u8>> {
    let program = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                anyhow::anyhow!("{program}: not installed: apt-get install nodejs npm chromium")
            }
            _ => anyhow::anyhow!("{program}: {error}"),
        })?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input)?;
    }
    // Its output ends when it does.
    let Ok(printed) = stdout.recv_timeout(deadline) else {
        // Asked first: on SIGTERM the harness closes its browser.
        if stop_within(&mut child, Signal::TERM, STOP_ALLOWANCE).is_err() {
            child.kill()?;
            child.wait()?;
        }
        bail!("{program}: not done within {deadline:?}");
    };
    let status = child.wait()?;
    let said = stderr.recv_timeout(STOP_ALLOWANCE).unwrap_or_default();
    ensure!(
        status.success(),
        "{program}: {status}\n{}",
        String::from_utf8_lossy(&said)
    );
    Ok(printed)
}

/// Reads a pipe to its end on a thread of its own; the bytes come once, when it ends.
fn collect(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A pipe that breaks has said all it could.
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}
