//! Cameras whose pictures are made H.264, beside one that sends H.264.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use dayreel_tests::process::{Server, Setup, Usage, Used, wait_until};

use crate::{camera::Testcam, ffmpeg::Ffmpeg, table};

/// Start-up that is not measured.
const WARM_UP: Duration = Duration::from_secs(8);
const WINDOW: Duration = Duration::from_secs(20);

/// Measures each by itself, beside ffmpeg that encodes the same, and prints a row. The camera makes
/// its pictures in a process of its own.
///
/// # Errors
/// Something does not start, or a picture is dropped.
pub(crate) fn measure(folder: &Path) -> Result<()> {
    table::head("one camera, 1080p15, encoded again");
    for codec in ["h264", "mjpeg", "mpeg4"] {
        let arguments = ["--codec", codec, "--size", "1920x1080", "--fps", "15"];
        let camera = Testcam::start_with(arguments.into_iter().chain(["--bitrate", "8M"]))?;
        let server = Server::start(Setup::with_cameras([("cam", camera.url.as_str())]))?;
        let client = server.client();
        let status = || client.get_json("/api/cameras/cam");
        let is_live = || status().ok().filter(|status| status["state"] == "live");
        wait_until(Duration::from_secs(30), is_live).context("not live")?;
        let rival = match codec {
            "h264" => None,
            _ => Some(Ffmpeg::encode(&camera.url, folder)?),
        };
        thread::sleep(WARM_UP);
        let pid = server.pid()?;
        let rival = rival.as_ref();
        let theirs = || rival.map(|rival| Usage::of(rival.pid())).transpose();
        let (begin, before, their_before) = (Instant::now(), Usage::of(pid)?, theirs()?);
        thread::sleep(WINDOW);
        let used = Usage::of(pid)?.since(&before);
        let their_use = theirs()?.zip(their_before);
        let their_use = their_use.map(|(after, before)| after.since(&before));
        let used_s = begin.elapsed().as_secs_f64();
        let status = status()?;
        ensure!(
            status["state"] == "live" && status["dropped_frames"] == 0,
            "{status}"
        );
        let name = format!("{codec}: CPU, ms per camera-second");
        let ms_per_s = |used: &Used| used.cpu_ns as f64 / 1e6 / used_s;
        match &their_use {
            Some(theirs) => table::rival(&name, ms_per_s(&used), ms_per_s(theirs), ""),
            None => table::figure(&name, ms_per_s(&used), ""),
        }
        for (thread, ns) in used.by_thread.iter().filter(|(_, ns)| *ns > 0).take(4) {
            println!("  of that {thread}: {:.2}", *ns as f64 / 1e6 / used_s);
        }
        println!("  {} bit/s recorded", status["video"]["bitrate_bps"]);
    }
    Ok(())
}
