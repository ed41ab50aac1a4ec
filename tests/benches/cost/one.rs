//! One camera: CPU beside ffmpeg, memory, frames, bytes.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use dayreel_tests::process::{Server, Setup, Usage, Used, wait_until};

use crate::{
    camera::{Testcam, sent_bytes},
    ffmpeg::Ffmpeg,
    frames::{self, Frames},
    table,
};

const CAMERA: &str = "cam";
/// Start-up that is not measured.
const WARM_UP: Duration = Duration::from_secs(8);
/// The CPU is measured in windows, each with a ratio of its own.
const WINDOWS: u32 = 6;
const WINDOW: Duration = Duration::from_secs(10);

/// What one camera cost.
pub(crate) struct One {
    /// ns of CPU per s, by window: ours, ffmpeg's.
    windows: Vec<(f64, f64)>,
    used: Used,
    used_s: f64,
    rival_switches: u64,
    /// After the windows: more than a minute since the start.
    pub(crate) dayreel: Usage,
    rival: Usage,
    frames: Frames,
    /// Over the whole life of the camera.
    sent_bytes: u64,
    written_bytes: u64,
    disk_bytes: u64,
}

/// Measures one camera.
///
/// # Errors
/// Something does not start, or does not do its work.
pub(crate) fn measure(folder: &Path, clip: &Path) -> Result<One> {
    let record = folder.join("sent.jsonl");
    let camera = Testcam::start(clip, Some(&record))?;
    let server = Server::start(Setup::with_cameras([(CAMERA, camera.url.as_str())]))?;
    let client = server.client();
    let state = || -> Option<String> {
        let status = client.get_json(&format!("/api/cameras/{CAMERA}")).ok()?;
        Some(status["state"].as_str()?.to_owned())
    };
    let is = |wanted: bool| move |state: &String| (state == "live") == wanted;
    wait_until(Duration::from_secs(30), || state().filter(is(true))).context("not live")?;
    let rival = Ffmpeg::copy(&camera.url, folder)?;
    thread::sleep(WARM_UP);

    let pid = server.pid()?;
    let look = || -> Result<(Instant, Usage, Usage)> {
        Ok((Instant::now(), Usage::of(pid)?, Usage::of(rival.pid())?))
    };
    let first = look()?;
    let mut last = first.clone();
    let mut windows = Vec::new();
    for _ in 0..WINDOWS {
        thread::sleep(WINDOW);
        let next = look()?;
        let per_s = |used: Used| used.cpu_ns as f64 / (next.0 - last.0).as_secs_f64();
        windows.push((per_s(next.1.since(&last.1)), per_s(next.2.since(&last.2))));
        last = next;
    }
    let status = client.get_json(&format!("/api/cameras/{CAMERA}"))?;
    ensure!(
        status["state"] == "live" && status["dropped_frames"] == 0,
        "{status}"
    );
    let used_s = (last.0 - first.0).as_secs_f64();
    let rival_switches = last.2.since(&first.2).switches;
    drop(rival);

    let frames = frames::measure(&client, CAMERA, folder)?;

    // Nothing more comes, and what has come is written.
    camera.stop()?;
    wait_until(Duration::from_secs(30), || state().filter(is(false))).context("still live")?;
    let mut before = Usage::of(pid)?;
    let end = wait_until(Duration::from_secs(30), || {
        thread::sleep(Duration::from_secs(1));
        let now = Usage::of(pid).ok()?;
        let quiet = now.written_bytes - before.written_bytes < 4096;
        before = now.clone();
        quiet.then_some(now)
    });
    let end = end.context("it does not stop writing")?;
    Ok(One {
        windows,
        used: last.1.since(&first.1),
        used_s,
        rival_switches,
        dayreel: last.1,
        rival: last.2,
        frames,
        sent_bytes: sent_bytes(&record)?,
        written_bytes: end.written_bytes,
        disk_bytes: end.disk_bytes,
    })
}

impl One {
    /// Prints the table.
    pub(crate) fn print(&self) {
        table::head("one camera, 1080p25, H.264 4 Mbit/s over TCP");
        let mut windows = self.windows.clone();
        windows.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
        let ratios: Vec<f64> = windows.iter().map(|(ours, theirs)| ours / theirs).collect();
        let mean = |of: fn(&(f64, f64)) -> f64| {
            self.windows.iter().map(of).sum::<f64>() / self.windows.len() as f64 / 1e6
        };
        table::rival(
            "CPU, ms per camera-second",
            mean(|w| w.0),
            mean(|w| w.1),
            "<= 1.0",
        );
        println!(
            "  ratios of the windows: {:.2} to {:.2}, median {:.2}; rival: ffmpeg -c copy to HLS and DASH",
            ratios[0],
            ratios[ratios.len() - 1],
            ratios[ratios.len() / 2],
        );
        for (name, ns) in self.used.by_thread.iter().filter(|(_, ns)| *ns > 0).take(6) {
            println!("  of that {name}: {:.2}", *ns as f64 / 1e6 / self.used_s);
        }
        table::rival(
            "context switches per camera-second",
            self.used.switches as f64 / self.used_s,
            self.rival_switches as f64 / self.used_s,
            "",
        );
        println!("  threads: {}", self.used.threads);
        table::rival(
            "resident memory of the process, MB",
            self.dayreel.rss_bytes as f64 / 1e6,
            self.rival.rss_bytes as f64 / 1e6,
            "",
        );
        table::rival(
            "GET /frame/, cold, median ms",
            self.frames.dayreel_ms,
            self.frames.ffmpeg_ms,
            "<= 150 ms",
        );
        println!("  rival: ffmpeg decodes the same pictures of the latest segment");
        let per_sent = |bytes: u64| bytes as f64 / self.sent_bytes as f64;
        table::figure(
            "bytes written per byte of media",
            per_sent(self.written_bytes),
            "<= 1.02",
        );
        table::figure(
            "bytes to disk per byte of media (pages)",
            per_sent(self.disk_bytes),
            "",
        );
    }
}
