//! How long a cold frame takes, of now and of the past, and how long ffmpeg takes for the same
//! picture from a file.
//!
//! `cargo bench -p dayreel-pipeline --bench frame`
//!
//! The GOPs are 50 pictures long (2 s at 25 a second). Requests come at any point of a GOP, so the
//! half GOP is the median case and the whole GOP the worst. Both sides decode the same access units
//! and write a JPEG of the same size; ffmpeg's time includes the start of its process, ours the way
//! through the ring. They take turns, so that both meet the same load.

mod common;

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use common::{Recording, record};
use criterion::{BenchmarkId, Criterion};
use dayreel_archive::{CameraArchive, Pick};
use dayreel_core::{MediaTime, WallTime};
use dayreel_pipeline::{
    Ring, RingSettings,
    frame::{FrameMaker, FrameSettings, Look, PastFrames},
};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

const GOP: usize = 50;
const TURNS: usize = 11;

struct Case {
    name: &'static str,
    size: (u32, u32),
    bitrate_kbps: u32,
    units: usize,
}

const CASES: [Case; 4] = [
    Case {
        name: "1080p, half a GOP",
        size: (1920, 1080),
        bitrate_kbps: 4000,
        units: GOP / 2,
    },
    Case {
        name: "1080p, a whole GOP",
        size: (1920, 1080),
        bitrate_kbps: 4000,
        units: GOP,
    },
    Case {
        name: "2160p, half a GOP",
        size: (3840, 2160),
        bitrate_kbps: 12_000,
        units: GOP / 2,
    },
    Case {
        name: "2160p, a whole GOP",
        size: (3840, 2160),
        bitrate_kbps: 12_000,
        units: GOP,
    },
];

fn main() -> Result<()> {
    gst::init()?;
    let mut criterion = Criterion::default()
        .configure_from_args()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    let runtime = tokio::runtime::Runtime::new()?;
    let folder = tempfile::tempdir()?;
    let mut lines = Vec::new();
    for case in &CASES {
        let file = folder.path().join("gop.mp4");
        let ring = encode(case, &file)?;
        criterion.bench_with_input(
            BenchmarkId::new("cold frame", case.name),
            &ring,
            |b, ring| {
                b.iter(|| runtime.block_on(cold_frame(ring)));
            },
        );
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            ours.push(timed(|| runtime.block_on(cold_frame(&ring)).map(drop))?);
            theirs.push(timed(|| ffmpeg_frame(&file, case.units))?);
        }
        let (ours, theirs) = (median_ms(ours), median_ms(theirs));
        lines.push(format!(
            "{:20} dayreel {ours:6.1} ms, ffmpeg {theirs:6.1} ms, ratio {:.2}",
            case.name,
            ours / theirs
        ));
    }
    for case in CASES.iter().filter(|case| case.units == GOP) {
        lines.extend(of_the_past(case, &runtime)?);
    }
    for line in lines {
        println!("{line}");
    }
    criterion.final_summary();
    Ok(())
}

/// Frames of a recording of 12 s: a picture in the middle of a GOP of 2 s, and the keyframe next to
/// it as a page shows it under the pointer. ffmpeg seeks in the hour file.
fn of_the_past(case: &Case, runtime: &tokio::runtime::Runtime) -> Result<Vec<String>> {
    let recording = Recording {
        size: case.size,
        bitrate_kbps: case.bitrate_kbps,
        seconds: 12,
    };
    let folder = tempfile::tempdir()?;
    let start: WallTime = "2026-11-22T12:00:00Z".parse()?;
    let now = start + chrono::TimeDelta::hours(1);
    let archive = record(recording, folder.path(), start, now)?;
    let file = folder.path().join("cam/days/2026-11-22/video-12.mp4");
    let name = case.name.split(',').next().unwrap_or_default();
    let mut lines = Vec::new();
    for (what, pick, width) in [
        ("a recorded picture", Pick::Exact, None),
        ("a keyframe, 240 wide", Pick::NearestKeyframe, Some(240)),
    ] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for turn in 0..TURNS {
            let ms = 5000 + 40 * i64::try_from(turn % 3)?;
            let at = MediaTime::wall_to_media(start + chrono::TimeDelta::milliseconds(ms));
            let look = Look {
                width,
                ..Look::default()
            };
            ours.push(timed(|| {
                runtime
                    .block_on(cold_past_frame(&archive, at, pick, look))
                    .map(drop)
            })?);
            theirs.push(timed(|| ffmpeg_seek(&file, ms, pick, width))?);
        }
        let (ours, theirs) = (median_ms(ours), median_ms(theirs));
        lines.push(format!(
            "{name}, {what:20} dayreel {ours:6.1} ms, ffmpeg {theirs:6.1} ms, ratio {:.2}",
            ours / theirs
        ));
    }
    Ok(lines)
}

async fn cold_past_frame(
    archive: &Arc<CameraArchive>,
    at: MediaTime,
    pick: Pick,
    look: Look,
) -> Result<usize> {
    let ring = Arc::new(Ring::new(RingSettings::default()));
    let frames = PastFrames::new(Arc::clone(archive), ring, FrameSettings::default());
    let picture = frames.find(at, pick).await?;
    Ok(frames.frame(picture, look).await?.jpeg.len())
}

fn ffmpeg_seek(file: &Path, ms: i64, pick: Pick, width: Option<u32>) -> Result<()> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error"]);
    if pick == Pick::NearestKeyframe {
        ffmpeg.args(["-noaccurate_seek", "-skip_frame", "nokey"]);
    }
    ffmpeg.args(["-ss", &format!("{}.{:03}", ms / 1000, ms % 1000), "-i"]);
    ffmpeg.arg(file);
    if let Some(width) = width {
        ffmpeg.args(["-vf", &format!("scale={width}:-2")]);
    }
    let status = ffmpeg
        .args([
            "-frames:v",
            "1",
            "-q:v",
            "3",
            "-f",
            "image2pipe",
            "-c:v",
            "mjpeg",
            "-",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("ffmpeg does not start")?;
    ensure!(status.success(), "ffmpeg failed: {status}");
    Ok(())
}

/// Nothing is remembered: a maker of its own.
async fn cold_frame(ring: &Arc<Ring>) -> Result<usize> {
    let settings = FrameSettings {
        stale_after: Duration::MAX,
        ..FrameSettings::default()
    };
    let maker = FrameMaker::with_settings(ring.clone(), settings);
    Ok(maker.frame(Look::default()).await?.jpeg.len())
}

fn ffmpeg_frame(file: &Path, units: usize) -> Result<()> {
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(file)
        .args(["-vf", &format!("select=eq(n\\,{})", units - 1)])
        .args(["-fps_mode", "passthrough", "-frames:v", "1", "-q:v", "3"])
        .args(["-f", "image2pipe", "-c:v", "mjpeg", "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("ffmpeg does not start")?;
    ensure!(status.success(), "ffmpeg failed: {status}");
    Ok(())
}

/// A moving picture with the noise of a sensor, encoded into a ring and into an MP4 at `file`.
fn encode(case: &Case, file: &Path) -> Result<Arc<Ring>> {
    let Case {
        size: (width, height),
        bitrate_kbps,
        units,
        ..
    } = case;
    let raw = format!("video/x-raw,width={width},height={height},framerate=25/1");
    let pipeline = gst::parse::launch(&format!(
        "compositor name=mix sink_1::alpha=0.06 \
         ! video/x-raw,format=I420,width={width},height={height},framerate=25/1 \
         ! x264enc key-int-max={GOP} bitrate={bitrate_kbps} speed-preset=veryfast tune=zerolatency \
           option-string=scenecut=0 \
         ! h264parse ! video/x-h264,stream-format=avc,alignment=au ! tee name=tee \
         tee. ! queue ! mp4mux ! filesink location={file} \
         tee. ! queue max-size-buffers=0 max-size-bytes=0 max-size-time=0 \
         ! appsink name=sink sync=false \
         videotestsrc num-buffers={units} pattern=smpte horizontal-speed=3 ! {raw} ! mix. \
         videotestsrc num-buffers={units} pattern=snow ! {raw} ! mix.",
        file = file.display()
    ))?;
    let pipeline = pipeline
        .downcast::<gst::Pipeline>()
        .ok()
        .context("no pipeline")?;
    let sink = pipeline.by_name("sink").context("no sink")?;
    let sink = sink
        .downcast::<gst_app::AppSink>()
        .ok()
        .context("no appsink")?;
    let ring = Arc::new(Ring::new(RingSettings::default()));
    pipeline.set_state(gst::State::Playing)?;
    while let Ok(sample) = sink.pull_sample() {
        let caps = sample.caps_owned().context("no caps")?;
        ring.push(&caps, sample.buffer_owned().context("no buffer")?);
    }
    let bus = pipeline.bus().context("no bus")?;
    let end = bus.timed_pop_filtered(
        gst::ClockTime::from_seconds(60),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    ensure!(
        end.is_some_and(|end| end.type_() == gst::MessageType::Eos),
        "the encoder failed"
    );
    pipeline.set_state(gst::State::Null)?;
    ensure!(
        ring.stats().access_units == *units,
        "not one GOP of {units}"
    );
    Ok(ring)
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}
