//! What must hold of a run; each function returns what does not, in words.

use std::fs;

use anyhow::{Context, Result, ensure};
use dayreel_testcam::{PatternReading, pattern};

use super::{Picture, RunReport, Seen};

/// What a picture's own clock and the time a player has for it may differ, in ms: the camera
/// encodes and sends a picture before the server can know of it.
const CLOCK_SLACK_MS: f64 = 1000.0;
/// Shaka may be two segments off in what it says of live HLS after its window has left the playhead
/// behind, as on a machine with too much to do.
const SHAKA_HLS_CLOCK_SLACK_MS: f64 = 9000.0;
/// How far from where it was told to go a player may land, in ms.
const LANDING_SLACK_MS: f64 = 1000.0;
/// As much as Shaka keeps off the beginning of a live HLS playlist, which it takes for a window
/// that moves on: `streaming.safeSeekOffset` and what passes meanwhile.
const SHAKA_HLS_LANDING_SLACK_MS: f64 = 7000.0;
/// What the live edge may lag behind the clock at the end of a watch, in s: it moves by segments.
const EDGE_SLACK_S: f64 = 8.0;

/// Fails with all `problems`, one a line.
///
/// # Errors
/// If there is one.
pub fn none(problems: &[String]) -> Result<()> {
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

/// How old the pictures of a glance, of that width and height, were on the screen, ms, ascending: by their own clock,
/// which is that of this machine.
///
/// # Errors
/// There was no glance, or a tenth of its pictures cannot be read.
pub fn ages_ms(run: &RunReport, (width, height): (u32, u32)) -> Result<Vec<f64>> {
    let seen = run.steps.iter().find_map(|step| match step {
        Seen::Glance { at_ms, gray } => Some((at_ms, gray)),
        _ => None,
    });
    let (at_ms, gray) = seen.context("nothing was looked at")?;
    let luma = fs::read(gray)?;
    let stride = usize::try_from(width)?;
    let pictures = luma.chunks_exact(stride * usize::try_from(height)?);
    ensure!(pictures.len() == at_ms.len(), "{} pictures", pictures.len());
    let mut ages_ms: Vec<f64> = pictures
        .zip(at_ms)
        .filter_map(|(luma, at_ms)| {
            let read = pattern::read(luma, width, height, stride)?;
            Some(at_ms - read.wall_ms as f64)
        })
        .collect();
    ensure!(
        ages_ms.len() * 10 >= at_ms.len() * 9,
        "{}: {} of {} pictures can be read",
        run.name,
        ages_ms.len(),
        at_ms.len()
    );
    ages_ms.sort_by(f64::total_cmp);
    Ok(ages_ms)
}

/// Nobody sees a shorter wait, in ms. Who plays with low latency has half a second, and a part may come late on
/// a busy machine.
const SEEN_WAIT_MS: u64 = 250;

/// What players say and take in their stride: a request that hls.js itself dropped when it was sought; of hls.js, a wait
/// of any length; of Shaka, that a patch cannot tell what is new and it asks for the whole MPD.
const NO_HURDLES: [&str; 3] = ["aborted", "bufferStalledError", "4.4052"];

/// Where the player had nothing to play in a watch, and what it says that it had to get over.
pub fn stalls(run: &RunReport) -> Vec<String> {
    let waits = watches(run)
        .flat_map(|watch| &watch.stalls.waits)
        .filter(|wait| wait.duration_ms >= SEEN_WAIT_MS)
        .map(|wait| format!("{}: stalled: {wait:?}", run.name));
    let hurdles = run
        .player_errors
        .iter()
        .filter(|error| !error.fatal && !NO_HURDLES.contains(&error.code.as_str()))
        .map(|error| {
            format!(
                "{}: the player says: {} {}",
                run.name, error.code, error.message
            )
        });
    waits.chain(hurdles).collect()
}

/// Where the picture or the live edge did not move on in a watch of at least `seconds`.
///
/// The picture may be slower than the clock: a machine with too much to do decodes slowly.
pub fn progress(run: &RunReport, seconds: u32) -> Vec<String> {
    let seconds = f64::from(seconds);
    watches(run)
        .filter(|watch| watch.elapsed_s >= seconds)
        .filter(|watch| {
            // Shaka does not always say where the edge of live HLS is; its picture moved on.
            let unsaid = run.name == "shaka-hls" && watch.edge_progress_s.is_none();
            let edge_s = watch.edge_progress_s.unwrap_or_default();
            watch.progress_s < seconds / 2.0 || (!unsaid && edge_s < seconds - EDGE_SLACK_S)
        })
        .map(|watch| {
            format!(
                "{}: in {} s the picture moved {} s, the live edge {:?} s",
                run.name, watch.elapsed_s, watch.progress_s, watch.edge_progress_s
            )
        })
        .collect()
}

/// Where a seek landed elsewhere.
pub fn landings(run: &RunReport) -> Vec<String> {
    let slack_ms = match run.name.as_str() {
        "shaka-hls" => SHAKA_HLS_LANDING_SLACK_MS,
        _ => LANDING_SLACK_MS,
    };
    run.steps
        .iter()
        .filter_map(|step| match step {
            Seen::Seek { asked, sample, .. } => Some((asked.wall_ms?, sample.wall_ms?)),
            _ => None,
        })
        .filter(|(asked_ms, landed_ms)| (landed_ms - asked_ms).abs() > slack_ms)
        .map(|(asked_ms, landed_ms)| {
            format!(
                "{}: told to go to {asked_ms}, landed at {landed_ms}",
                run.name
            )
        })
        .collect()
}

/// Whether there are `expected` pictures and each shows the instant the player says.
///
/// # Errors
/// A picture without a pattern.
pub fn pictures(run: &RunReport, expected: usize) -> Result<Vec<String>> {
    let slack_ms = match run.name.as_str() {
        "shaka-hls" => SHAKA_HLS_CLOCK_SLACK_MS,
        _ => CLOCK_SLACK_MS,
    };
    let mut problems = Vec::new();
    for picture in run.pictures() {
        let made_ms = read(picture)?.wall_ms as f64;
        let said_ms = picture.wall_ms.context("the player knows no wall time")?;
        if (made_ms - said_ms).abs() > slack_ms {
            problems.push(format!(
                "{}: {} was made at {made_ms}, the player says {said_ms}",
                run.name,
                picture.png.display()
            ));
        }
    }
    let count = run.pictures().count();
    if count != expected {
        problems.push(format!(
            "{}: {count} pictures instead of {expected}",
            run.name
        ));
    }
    Ok(problems)
}

/// Whether there are as many pictures between two that were seen as the time between them holds:
/// none skipped, none twice. For pictures of one span.
///
/// # Errors
/// A picture without a pattern.
pub fn numbering(run: &RunReport, fps: u32) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let pictures: Vec<_> = run.pictures().collect();
    for pair in pictures.windows(2) {
        let number = |picture| read(picture).map(|reading| f64::from(reading.frame_number));
        let media_time_s = |picture: &Picture| picture.media_time_s.context("no picture came");
        let numbers = number(pair[1])? - number(pair[0])?;
        let elapsed_s = media_time_s(pair[1])? - media_time_s(pair[0])?;
        if (elapsed_s * f64::from(fps) - numbers).abs() > 1.0 {
            problems.push(format!("{}: {numbers} pictures in {elapsed_s} s", run.name));
        }
    }
    Ok(problems)
}

/// Whether the page is wider than its window.
pub fn sideways(run: &RunReport) -> Vec<String> {
    run.steps
        .iter()
        .filter_map(|step| match step {
            Seen::Overflow { ratio } if *ratio > 1.0 => Some(ratio),
            _ => None,
        })
        .map(|ratio| format!("{}: {ratio} windows wide", run.name))
        .collect()
}

/// What the picture says about itself.
///
/// # Errors
/// No pattern in it.
pub fn read(picture: &Picture) -> Result<PatternReading> {
    let luma = picture.luma()?;
    let stride = usize::try_from(picture.width)?;
    pattern::read(&luma, picture.width, picture.height, stride)
        .with_context(|| format!("no pattern in {}", picture.png.display()))
}

fn watches(run: &RunReport) -> impl Iterator<Item = &super::report::Watch> {
    run.steps.iter().filter_map(|step| match step {
        Seen::Watch(watch) => Some(watch),
        _ => None,
    })
}
