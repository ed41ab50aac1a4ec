//! Records one camera into a directory and says what that costs:
//! `cargo run --release -p dayreel-pipeline --example record -- rtsp://… /tmp/data 30`.
//!
//! The costs are those of the process after the first 5 s: CPU time and context switches for each
//! second of the camera, resident memory at the end.

use std::{
    fs,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use dayreel_archive::Store;
use dayreel_config::{OnLoss, Transport, Trust};
use dayreel_core::SystemClock;
use dayreel_pipeline::{Camera, CameraSettings, CameraState, Timing};

/// CPU time in ns and context switches of all threads.
fn costs() -> Result<(u64, u64)> {
    let (mut cpu_ns, mut switches) = (0, 0);
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        let schedstat = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        cpu_ns += schedstat
            .split(' ')
            .next()
            .and_then(|ns| ns.parse().ok())
            .unwrap_or(0);
        let status = fs::read_to_string(task.join("status")).unwrap_or_default();
        switches += status
            .lines()
            .filter(|line| line.contains("ctxt_switches"))
            .filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok())
            .sum::<u64>();
    }
    Ok((cpu_ns, switches))
}

fn resident_kb() -> Result<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    Ok(line.context("no VmRSS")?.to_owned())
}

fn main() -> Result<()> {
    let args: Vec<_> = std::env::args().collect();
    ensure!(args.len() == 4, "usage: record URL DIRECTORY SECONDS");
    let seconds: u32 = args[3].parse()?;
    dayreel_pipeline::init()?;
    let clock = Arc::new(SystemClock);
    let store = Store::open(Path::new(&args[2]))?;
    let archive = store.camera("camera".parse()?, chrono_tz::UTC, clock.clone())?;
    let settings = CameraSettings {
        id: "camera".parse()?,
        url: args[1].parse()?,
        transport: Transport::Tcp,
        trust: Trust::Roots,
        on_loss: OnLoss::Keep,
        audio: true,
        segment: Duration::from_secs(4),
        timing: Timing::default(),
    };
    let camera = Camera::start(settings, &archive, clock)?;
    camera
        .wait_until(Instant::now() + Duration::from_secs(30), |status| {
            status.state == CameraState::Live
        })
        .context("the camera does not deliver")?;
    thread::sleep(Duration::from_secs(5));
    let before = costs()?;
    thread::sleep(Duration::from_secs(seconds.into()));
    let after = costs()?;
    let cpu_ms = Duration::from_nanos(after.0 - before.0).as_secs_f64() * 1_000.0;
    println!("{:#?}", camera.status());
    println!("CPU: {:.2} ms/s", cpu_ms / f64::from(seconds));
    println!(
        "context switches: {}/s",
        (after.1 - before.1) / u64::from(seconds)
    );
    println!(
        "threads: {}, {}",
        fs::read_dir("/proc/self/task")?.count(),
        resident_kb()?
    );
    ensure!(
        camera.shutdown(Instant::now() + Duration::from_secs(5)),
        "it does not end"
    );
    Ok(())
}
