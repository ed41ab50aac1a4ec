//! Sixteen cameras in one server.

use std::{path::Path, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use dayreel_tests::process::{Server, Setup, Usage, wait_until};

use crate::{camera::Testcam, table};

const CAMERAS: u32 = 16;
/// From when all are live to the measurement: with it more than a minute since the start.
const WARM_UP: Duration = Duration::from_secs(40);
const WINDOW: Duration = Duration::from_secs(30);

/// What they cost together.
pub(crate) struct Many {
    cpu_ns_per_s: f64,
    switches_per_s: f64,
    threads: usize,
    rss_bytes: u64,
}

/// Measures them.
///
/// # Errors
/// Something does not start, a camera is not live at the end, or a frame was dropped.
pub(crate) fn measure(clip: &Path) -> Result<Many> {
    let cameras: Vec<(String, Testcam)> = (1..=CAMERAS)
        .map(|number| Ok((format!("cam-{number:02}"), Testcam::start(clip, None)?)))
        .collect::<Result<_>>()?;
    let urls = cameras
        .iter()
        .map(|(id, camera)| (id.as_str(), camera.url.as_str()));
    let server = Server::start(Setup::with_cameras(urls))?;
    let all_live = || are_live(&server).ok();
    wait_until(Duration::from_secs(60), all_live).context("not all cameras are live")?;
    thread::sleep(WARM_UP);
    let pid = server.pid()?;
    let before = Usage::of(pid)?;
    thread::sleep(WINDOW);
    let after = Usage::of(pid)?;
    are_live(&server)?;
    let used = after.since(&before);
    let per_s = |count: u64| count as f64 / WINDOW.as_secs_f64();
    Ok(Many {
        cpu_ns_per_s: per_s(used.cpu_ns),
        switches_per_s: per_s(used.switches),
        threads: used.threads,
        rss_bytes: after.rss_bytes,
    })
}

/// Looks whether all cameras of `server` are live and were all the time.
///
/// # Errors
/// One is not, or a frame was dropped.
pub(crate) fn are_live(server: &Server) -> Result<()> {
    let list = server.client().get_json("/api/cameras")?;
    for camera in list.as_array().context("no list")? {
        ensure!(
            camera["state"] == "live" && camera["dropped_frames"] == 0 && camera["reconnects"] == 0,
            "{camera}"
        );
    }
    Ok(())
}

impl Many {
    /// Prints the table; `one_bytes` is the memory of a server with one camera.
    pub(crate) fn print(&self, one_bytes: u64) {
        let cameras = f64::from(CAMERAS);
        table::head("16 such cameras: all live, no frame dropped, no reconnect");
        table::figure("CPU, % of one core", self.cpu_ns_per_s / 1e7, "");
        table::figure(
            "CPU, ms per camera-second",
            self.cpu_ns_per_s / 1e6 / cameras,
            "",
        );
        table::figure(
            "context switches per camera-second",
            self.switches_per_s / cameras,
            "",
        );
        println!("  threads: {}", self.threads);
        table::figure("resident memory, MB", self.rss_bytes as f64 / 1e6, "");
        let more_bytes = self.rss_bytes.saturating_sub(one_bytes) as f64;
        table::figure(
            "resident memory per further camera, MB",
            more_bytes / (cameras - 1.0) / 1e6,
            "<= 40",
        );
    }
}
