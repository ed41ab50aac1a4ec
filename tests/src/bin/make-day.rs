//! `make-day`: fills a data directory with days of recordings, for tests, benches and trials.
//!
//! ```text
//! make-day --data data --camera front-door --ending-now --hours 24
//! make-day --data data --camera a --camera b --date 2026-11-22 --days 7 --timezone Europe/Berlin
//! ```

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use chrono::{NaiveDate, Utc};
use chrono_tz::Tz;
use clap::Parser;
use dayreel_core::CameraId;
use dayreel_tests::make_day::{LOOP_S, Media, Period, make};

/// Fills a data directory with days of recordings, made of a loop of pictures with shifted times.
#[derive(Debug, Parser)]
#[command(name = "make-day", version)]
struct Arguments {
    /// Data directory; the server must not be using it.
    #[arg(long)]
    data: PathBuf,
    /// Camera id; may be given several times.
    #[arg(long = "camera", required = true)]
    cameras: Vec<CameraId>,
    /// The local day to fill.
    #[arg(
        long,
        required_unless_present = "ending_now",
        conflicts_with = "ending_now"
    )]
    date: Option<NaiveDate>,
    /// End now.
    #[arg(long)]
    ending_now: bool,
    /// How much of the last day. Default: the whole day, or the 24 hours before now.
    #[arg(long)]
    hours: Option<f64>,
    /// So many days; all but the last are whole.
    #[arg(long, default_value_t = 1)]
    days: u32,
    /// Time zone of the cameras.
    #[arg(long, default_value = "UTC")]
    timezone: Tz,
    /// Length of a segment in s; divides 48.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=i64::from(LOOP_S)))]
    segment: u32,
    /// Length of a chunk in ms; 0: a segment is one chunk.
    #[arg(long, default_value_t = 500)]
    chunk_ms: u64,
    /// Size of the picture.
    #[arg(long, default_value = "160x90", value_parser = size)]
    size: (u32, u32),
    /// Pictures a second.
    #[arg(long, default_value_t = 5)]
    fps: u32,
    /// Video bit rate in kbit/s, filled up. Default: as small as the pattern can be read.
    #[arg(long)]
    bitrate: Option<u32>,
    /// With sound.
    #[arg(long)]
    audio: bool,
    /// Segments differ in length by some ms.
    #[arg(long)]
    irregular: bool,
}

fn size(text: &str) -> Result<(u32, u32)> {
    let (width, height) = text.split_once('x').context("WIDTHxHEIGHT")?;
    Ok((width.parse()?, height.parse()?))
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let zone = arguments.timezone;
    let period = match arguments.date {
        Some(date) => Period::of_date(date, zone, arguments.hours, arguments.days),
        None => Period::ending(Utc::now(), arguments.hours.unwrap_or(24.0), arguments.days),
    };
    let media = Media {
        width: arguments.size.0,
        height: arguments.size.1,
        fps: arguments.fps,
        segment_s: arguments.segment,
        bitrate_kbps: arguments.bitrate,
        chunk: (arguments.chunk_ms > 0).then(|| Duration::from_millis(arguments.chunk_ms)),
        audio: arguments.audio,
        irregular: arguments.irregular,
    };
    let made = make(&arguments.data, &arguments.cameras, zone, period, &media)?;
    println!(
        "{} to {}: {} segments, {:.1} MB in {:.1} s of which {:.1} s encoding",
        period.from.with_timezone(&zone).format("%F %T"),
        period.to.with_timezone(&zone).format("%F %T"),
        made.segments,
        made.bytes as f64 / 1e6,
        made.took.iter().sum::<Duration>().as_secs_f64(),
        made.took[0].as_secs_f64(),
    );
    Ok(())
}
