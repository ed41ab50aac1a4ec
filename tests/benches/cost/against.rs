//! Four cameras that nobody watches, recorded by this build and by another one of the program at the same time.

use std::{path::Path, thread, time::Duration};

use anyhow::{Context as _, Result};
use dayreel_tests::process::{Server, Setup, Usage, Used, binary, wait_until};

use crate::{camera::Testcam, many::are_live, table};

const CAMERAS: u32 = 4;
/// Start-up that is not measured.
const WARM_UP: Duration = Duration::from_secs(20);
/// Each with a ratio of its own.
const WINDOWS: usize = 11;
const WINDOW: Duration = Duration::from_secs(10);

/// Measures and prints both; `rival` is the other program.
///
/// # Errors
/// Something does not start, a camera is not live at the end, or a frame was dropped.
pub(crate) fn measure(clip: &Path, rival: &Path) -> Result<()> {
    let cameras: Vec<(String, Testcam)> = (1..=CAMERAS)
        .map(|number| Ok((format!("cam-{number}"), Testcam::start(clip, None)?)))
        .collect::<Result<_>>()?;
    let urls = || {
        let urls = cameras.iter();
        urls.map(|(id, camera)| (id.as_str(), camera.url.as_str()))
    };
    let start = |program: &Path| {
        let mut setup = Setup::with_cameras(urls());
        setup.program = Some(program.to_owned());
        Server::start(setup)
    };
    let servers = [start(&binary())?, start(rival)?];
    for server in &servers {
        let are_live = || are_live(server).ok();
        wait_until(Duration::from_secs(60), are_live).context("not all cameras are live")?;
    }
    thread::sleep(WARM_UP);
    let look = || -> Result<[Usage; 2]> {
        let [ours, theirs] = &servers;
        Ok([Usage::of(ours.pid()?)?, Usage::of(theirs.pid()?)?])
    };
    let first = look()?;
    let mut last = first.clone();
    let mut ratios = Vec::new();
    for _ in 0..WINDOWS {
        thread::sleep(WINDOW);
        let next = look()?;
        let [ours, theirs] = [0, 1].map(|one| next[one].since(&last[one]).cpu_ns as f64);
        ratios.push(ours / theirs);
        last = next;
    }
    servers.iter().try_for_each(are_live)?;
    table::head(&format!(
        "{CAMERAS} cameras, 1080p25, H.264 4 Mbit/s over TCP; rival: {}",
        rival.display()
    ));
    let seconds = WINDOW.as_secs_f64() * WINDOWS as f64 * f64::from(CAMERAS);
    let used = [0, 1].map(|one| last[one].since(&first[one]));
    let row = |name: &str, of: fn(&Used) -> f64| {
        table::rival(name, of(&used[0]) / seconds, of(&used[1]) / seconds, "");
    };
    row("CPU, ms per camera-second", |used| used.cpu_ns as f64 / 1e6);
    row("context switches per camera-second", |used| {
        used.switches as f64
    });
    ratios.sort_by(f64::total_cmp);
    println!(
        "  ratios of the windows: {:.2} to {:.2}, median {:.2}",
        ratios[0],
        ratios[WINDOWS - 1],
        ratios[WINDOWS / 2]
    );
    let row = |name: &str, of: fn(&Usage) -> u64| {
        table::rival(
            name,
            of(&last[0]) as f64 / 1e6,
            of(&last[1]) as f64 / 1e6,
            "",
        );
    };
    row("resident memory, MB", |usage| usage.rss_bytes);
    row("written since the start, MB", |usage| usage.written_bytes);
    Ok(())
}
