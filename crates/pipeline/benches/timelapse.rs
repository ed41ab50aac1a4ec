//! What a timelapse costs, beside decoding the day; and what its file weighs.
//!
//! `cargo bench -p dayreel-pipeline --bench timelapse`
//!
//! A minute of a moving picture with the noise of a sensor is recorded. Of that one keyframe every
//! 2 s becomes a picture of the film, and ffmpeg decodes all of it. CPU time, user and system; a day
//! is 1800 such pictures, and 2 160 000 of the camera.

mod common;

use std::{
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use chrono::TimeDelta;
use common::{Recording, record};
use dayreel_archive::{CameraArchive, Recipe};
use dayreel_core::{Day, ManualClock};
use dayreel_pipeline::timelapse::TimelapseMaker;

const SECONDS: u32 = 60;
const TURNS: usize = 5;
const PICTURES_A_DAY: f64 = 1800.0;
const OF_THE_CAMERA: f64 = 24.0 * 3600.0 * 25.0;

fn main() -> Result<()> {
    for (name, size, bitrate_kbps) in [
        ("1080p, 4 Mbit/s", (1920, 1080), 4000),
        ("2160p, 12 Mbit/s", (3840, 2160), 12_000),
    ] {
        let recording = Recording {
            size,
            bitrate_kbps,
            seconds: SECONDS,
        };
        let folder = tempfile::tempdir()?;
        let start = "2026-11-22T12:00:00Z".parse()?;
        let now = start + TimeDelta::days(2);
        let archive = record(recording, folder.path(), start, now)?;
        let (mut ours, mut theirs, mut len_bytes, mut pictures) = (vec![], vec![], 0, 0.0);
        let mut took = vec![];
        for _ in 0..TURNS {
            let (before, begun) = (cpu_ms(Who::Us), Instant::now());
            let film = film(&archive, now)?;
            took.push(begun.elapsed().as_secs_f64() * 1e3);
            ours.push(cpu_ms(Who::Us) - before);
            (len_bytes, pictures) = (film.media.len_bytes, film.duration_s * 30.0);
            let before = cpu_ms(Who::Children);
            decode(folder.path())?;
            theirs.push(cpu_ms(Who::Children) - before);
        }
        let ours = median(ours) / pictures;
        let theirs = median(theirs) / f64::from(SECONDS * 25);
        let day_s = [ours * PICTURES_A_DAY / 1e3, theirs * OF_THE_CAMERA / 1e3];
        println!(
            "{name}: a picture {ours:.2} ms CPU ({:.2} ms in all), {:.0} kB; a day {:.1} s, {:.0} MB; \
             ffmpeg decodes a picture in {theirs:.2} ms, the day in {:.0} s; ratio {:.3} %",
            median(took) / pictures,
            len_bytes as f64 / pictures / 1e3,
            day_s[0],
            len_bytes as f64 / pictures * PICTURES_A_DAY / 1e6,
            day_s[1],
            day_s[0] / day_s[1] * 100.0,
        );
    }
    Ok(())
}

/// The film of what is recorded, a picture every 2 s.
fn film(
    archive: &Arc<CameraArchive>,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<dayreel_archive::Timelapse> {
    let recipe = Recipe {
        interval_s: 2,
        width: 1280,
        fps: 30,
    };
    let clock = Arc::new(ManualClock::new(now));
    let maker = TimelapseMaker::new(Arc::clone(archive), recipe, clock, Arc::default());
    let date = Day::containing(now, archive.zone()).before(2).date();
    Ok(maker.remake(date)?)
}

/// All pictures, by ffmpeg with one thread: threads cost it CPU time.
fn decode(folder: &std::path::Path) -> Result<()> {
    let file = folder.join("cam/days/2026-11-22/video-12.mp4");
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-threads", "1", "-i"])
        .arg(file)
        .args(["-f", "null", "-"])
        .stdin(Stdio::null())
        .status()
        .context("ffmpeg does not start")?;
    ensure!(status.success(), "ffmpeg failed: {status}");
    Ok(())
}

enum Who {
    Us,
    /// Those that have ended.
    Children,
}

/// CPU time so far, ms: `/proc/self/stat` counts in hundredths of a second.
fn cpu_ms(who: Who) -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name, in parentheses, may have spaces in it.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<f64> = fields
        .split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    // proc_pid_stat(5): the state is no number; utime, stime, cutime, cstime are fields 14 to 17.
    let ticks = match who {
        Who::Us => &fields[10..12],
        Who::Children => &fields[12..14],
    };
    ticks.iter().sum::<f64>() * 10.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
