//! `GET /{cam}/frame/`, cold, beside ffmpeg with a recorded GOP.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, Utc};
use dayreel_tests::{client::Client, rules::hls::reader};

use crate::{
    camera::{FPS, GOP},
    ffmpeg,
};

/// Requests.
const TURNS: u32 = 24;
/// From one to the next: long after the picture remembered is old, and at another point of the GOP
/// each time.
const PAUSE: Duration = Duration::from_millis(730);

/// Medians of the same pictures' times.
pub(crate) struct Frames {
    pub(crate) dayreel_ms: f64,
    pub(crate) ffmpeg_ms: f64,
}

/// Asks for frames, and has ffmpeg decode the same part of the latest GOP recorded each time.
///
/// # Errors
/// A frame or a segment is not there.
pub(crate) fn measure(client: &Client, camera: &str, folder: &Path) -> Result<Frames> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        thread::sleep(PAUSE);
        let start = Instant::now();
        let frame = client.get(&format!("/{camera}/frame/"))?.expect(200)?;
        ours.push(start.elapsed());
        let taken: DateTime<Utc> = frame
            .header("x-frame-time")
            .context("no X-Frame-Time")?
            .parse()?;
        let file = folder.join("gop.mp4");
        let begins = fetch_latest(client, camera, &file)?;
        let since_ms = (taken - begins).num_milliseconds();
        let pictures = u32::try_from((since_ms * i64::from(FPS) + 500) / 1000)?;
        theirs.push(ffmpeg::frame(&file, pictures % GOP)?);
    }
    Ok(Frames {
        dayreel_ms: median_ms(ours),
        ffmpeg_ms: median_ms(theirs),
    })
}

/// Writes the latest complete segment, behind its init segment, to `file`. When it begins.
fn fetch_latest(client: &Client, camera: &str, file: &Path) -> Result<DateTime<Utc>> {
    let folder = format!("/{camera}/stream/today");
    let (list, _) = reader::read(&client.get_text(&format!("{folder}/video.m3u8"))?);
    let latest = list.segments.last().context("no segment")?;
    let map = latest.map.as_ref().context("no init segment")?;
    let mut bytes = Vec::new();
    for uri in [&map.uri, &latest.uri] {
        ensure!(uri.starts_with("../"), "{uri}");
        bytes.extend(
            client
                .get(&format!("{folder}/{uri}").replace("/today/..", ""))?
                .expect(200)?
                .body,
        );
    }
    fs::write(file, bytes)?;
    let dated = list
        .segments
        .iter()
        .rposition(|segment| segment.program_date_time.is_some());
    let dated = dated.context("no date")?;
    let before_ns: u64 = list.segments[dated..]
        .iter()
        .map(|s| s.duration_ns)
        .sum::<u64>()
        - latest.duration_ns;
    let date = list.segments[dated].program_date_time.context("no date")?;
    Ok(date + Duration::from_nanos(before_ns))
}

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}
