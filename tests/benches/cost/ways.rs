//! The same camera by each transport, and in H.265.

use std::{path::Path, thread, time::Duration, time::Instant};

use anyhow::{Context as _, Result, ensure};
use dayreel_testcam::{Camera, Recording, Settings, Source};
use dayreel_tests::{
    process::{Server, Setup, Usage, wait_until},
    stage::camera_identity,
};

use crate::{camera::make_h265_clip, table};

/// Start-up that is not measured.
const WARM_UP: Duration = Duration::from_secs(8);
/// Two turns of each, so that what changes on the machine meanwhile shows.
const TURNS: u32 = 2;
const WINDOW: Duration = Duration::from_secs(15);

/// Measures each by itself and prints a row. The camera is in this process, whose CPU is not counted.
///
/// # Errors
/// Something does not start, or a picture is dropped.
pub(crate) fn measure(folder: &Path, h264: &Path) -> Result<()> {
    table::head("one camera, 1080p25, 4 Mbit/s, by codec and transport");
    let h265 = make_h265_clip(folder)?;
    let tls = "tls_verify = false\n";
    for turn in 1..=TURNS {
        for (name, clip, settings) in [
            ("H.264, TCP", h264, ""),
            ("H.264, UDP", h264, "transport = \"udp\"\n"),
            ("H.264, HTTP tunnel", h264, "transport = \"http\"\n"),
            ("H.264, TLS", h264, tls),
            ("H.265, TCP", h265.as_path(), ""),
        ] {
            let ms_per_s = one(clip, settings).context(name)?;
            table::figure(&format!("{name} ({turn}): CPU, ms per s"), ms_per_s, "");
        }
    }
    Ok(())
}

/// CPU of a second of such a camera, ms.
fn one(clip: &Path, settings: &str) -> Result<f64> {
    let identity = camera_identity(settings)?;
    let camera = Camera::start(Settings {
        source: Source::File(clip.to_owned()),
        identity,
        recording: Recording::Off,
        ..Settings::default()
    })?;
    let mut setup = Setup::with_cameras([("cam", camera.url().as_str())]);
    setup.cameras.push_str(settings);
    let server = Server::start(setup)?;
    let client = server.client();
    let status = || client.get_json("/api/cameras/cam");
    let is_live = || status().ok().filter(|status| status["state"] == "live");
    wait_until(Duration::from_secs(30), is_live).context("not live")?;
    thread::sleep(WARM_UP);
    let pid = server.pid()?;
    let (begin, before) = (Instant::now(), Usage::of(pid)?);
    thread::sleep(WINDOW);
    let used = Usage::of(pid)?.since(&before);
    let used_s = begin.elapsed().as_secs_f64();
    let status = status()?;
    ensure!(
        status["state"] == "live" && status["dropped_frames"] == 0 && status["lost_packets"] == 0,
        "{status}"
    );
    Ok(used.cpu_ns as f64 / 1e6 / used_s)
}
