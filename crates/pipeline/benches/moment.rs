//! How long a moment takes from the end of its time to its files, and ffmpeg for the same from the
//! recording on disk.
//!
//! `cargo bench -p dayreel-pipeline --bench moment`
//!
//! 5 s of 1080p25 at 4 Mbit/s that end now, keyframes every 2 s: on average a second of lead-in is
//! decoded for the GIF, too. ffmpeg's clip begins at the keyframe before (`-c copy` cannot do
//! better), or is exact and encoded anew; its GIF has a palette of its own and ordered dithering,
//! like ours. They take turns, so that both meet the same load.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use chrono::DateTime;
use dayreel_archive::Store;
use dayreel_core::{Clock, ManualClock};
use dayreel_pipeline::{
    Ring, RingSettings,
    moment::{MomentDesk, MomentMaker, MomentRequest, MomentSettings},
};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use tokio::runtime::Handle;

const TURNS: u32 = 9;
const FPS: u32 = 25;
/// What the ring holds before the first turn: more than it keeps.
const HELD: u32 = 45 * FPS;
/// Pictures between two turns: another place in the GOP each time, and another second.
const STEP: u32 = 32;
const LENGTH_S: u32 = 5;
const DEADLINE: Duration = Duration::from_secs(60);

/// The camera and everything a moment needs.
struct Bench {
    runtime: tokio::runtime::Runtime,
    caps: gst::Caps,
    units: Vec<gst::Buffer>,
    ring: Arc<Ring>,
    clock: Arc<ManualClock>,
    folder: tempfile::TempDir,
}

fn main() -> Result<()> {
    dayreel_pipeline::init()?;
    let folder = tempfile::tempdir()?;
    let recording = folder.path().join("recording.mp4");
    let (caps, units) = encode(HELD + TURNS * STEP, &recording)?;
    let bench = Bench {
        runtime: tokio::runtime::Runtime::new()?,
        ring: Arc::new(Ring::new(RingSettings::VIDEO)),
        clock: Arc::new(ManualClock::new(DateTime::default())),
        caps,
        units,
        folder,
    };
    bench.print_ring()?;
    bench.print_moments(&recording)
}

impl Bench {
    /// What the ring pins, against the bytes that any ring of that time has to hold.
    fn print_ring(&self) -> Result<()> {
        for unit in &self.units[..HELD as usize] {
            self.ring.push(&self.caps, unit.clone());
        }
        let stats = self.ring.stats();
        let held = &self.units[HELD as usize - stats.access_units..HELD as usize];
        let least: usize = held.iter().map(|unit| unit.size()).sum();
        ensure!(stats.access_units >= 32 * FPS as usize, "{stats:?}");
        println!(
            "ring: {} access units, {:.1} MB pinned, {:.1} MB of them theirs, ratio {:.3}",
            stats.access_units,
            megabytes(stats.bytes),
            megabytes(least),
            megabytes(stats.bytes) / megabytes(least)
        );
        Ok(())
    }

    fn print_moments(&self, recording: &Path) -> Result<()> {
        let (mut mp4, mut both) = (Vec::new(), Vec::new());
        let (mut copy, mut exact, mut gif) = (Vec::new(), Vec::new(), Vec::new());
        for turn in 0..TURNS {
            let newest = HELD + (turn + 1) * STEP - 1;
            let (until_mp4, until_both) = self.moment(newest)?;
            mp4.push(until_mp4);
            both.push(until_both);
            let from_s = f64::from(newest - LENGTH_S * FPS) / f64::from(FPS);
            let ffmpeg = |arguments: &[&str], name: &str| {
                ffmpeg(recording, from_s, arguments, &self.folder.path().join(name))
            };
            copy.push(ffmpeg(
                &["-c", "copy", "-movflags", "+faststart"],
                "copy.mp4",
            )?);
            exact.push(ffmpeg(
                &["-c:v", "libx264", "-preset", "veryfast"],
                "exact.mp4",
            )?);
            let filter = "fps=12,scale=320:-1:flags=bilinear,split[a][b];\
                          [a]palettegen[p];[b][p]paletteuse=dither=bayer";
            gif.push(ffmpeg(&["-vf", filter], "ffmpeg.gif")?);
        }
        let (mp4, both) = (median_ms(mp4), median_ms(both));
        println!("MP4: dayreel {mp4:.0} ms (goal 100)");
        for (what, theirs) in [("-c copy, not exact", copy), ("exact, encoded anew", exact)] {
            let theirs = median_ms(theirs);
            println!(
                "     ffmpeg {theirs:.0} ms, {what}: ratio {:.2}",
                mp4 / theirs
            );
        }
        let theirs = median_ms(gif);
        println!(
            "MP4 and GIF: dayreel {both:.0} ms (goal 1500), ffmpeg {theirs:.0} ms for the GIF alone: \
             ratio {:.2}",
            both / theirs
        );
        let bytes = |name: &str| std::fs::metadata(self.folder.path().join(name));
        println!(
            "GIF: dayreel {} KB, ffmpeg {} KB",
            bytes("cam/moments/latest.gif")?.len() / 1000,
            bytes("ffmpeg.gif")?.len() / 1000
        );
        Ok(())
    }

    /// Has the picture `newest` come, and makes a moment: until the MP4 and until both are there.
    fn moment(&self, newest: u32) -> Result<(Duration, Duration)> {
        let store = Store::open(self.folder.path())?;
        let clock: Arc<dyn Clock> = self.clock.clone();
        let archive = store.camera("cam".parse()?, chrono_tz::Tz::UTC, clock.clone())?;
        let _in_runtime = self.runtime.enter();
        let maker = MomentMaker::new(
            (self.ring.clone(), Arc::new(Ring::new(RingSettings::AUDIO))),
            archive.clone(),
            clock,
            MomentSettings::default(),
            MomentDesk::new(Handle::current()),
        );
        let begin = self.ring.stats();
        for unit in &self.units[(newest - STEP + 1) as usize..=newest as usize] {
            self.ring.push(&self.caps, unit.clone());
        }
        ensure!(self.ring.stats() != begin, "nothing came");
        let now = self.units[newest as usize].pts().context("no time")?;
        let now = DateTime::from_timestamp_nanos(i64::try_from(now.nseconds())?);
        self.clock.set(now);
        let day = now.format("cam/moments/%Y/%m/%d/%H-%M-%S.mp4").to_string();
        let file = self.folder.path().join(day);
        ensure!(!file.exists(), "{} is there already", file.display());
        let request = MomentRequest {
            length_s: LENGTH_S,
            delay_s: 0,
            label: None,
        };
        let start = Instant::now();
        let watch = thread::spawn(move || {
            while !file.exists() && start.elapsed() < DEADLINE {
                thread::sleep(Duration::from_micros(500));
            }
            start.elapsed()
        });
        let made = self.runtime.block_on(maker.make(request))?;
        let both = start.elapsed();
        ensure!(made.gif_error.is_none(), "{:?}", made.gif_error);
        ensure!(
            made.moment.facts.duration_90k == u64::from(LENGTH_S) * 90_000,
            "{made:?}"
        );
        let mp4 = watch.join().ok().context("the watch panicked")?;
        Ok((mp4, both))
    }
}

fn ffmpeg(recording: &Path, from_s: f64, arguments: &[&str], out: &Path) -> Result<Duration> {
    let start = Instant::now();
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-ss", &from_s.to_string()])
        .args(["-t", &LENGTH_S.to_string(), "-i"])
        .arg(recording)
        .args(arguments)
        .arg(out)
        .stdin(Stdio::null())
        .status()
        .context("ffmpeg does not start")?;
    ensure!(status.success(), "ffmpeg failed: {status}");
    Ok(start.elapsed())
}

/// A moving picture with the noise of a sensor: access units since an instant of 2026, and the same
/// as a fragmented MP4 at `file`.
fn encode(pictures: u32, file: &Path) -> Result<(gst::Caps, Vec<gst::Buffer>)> {
    let raw = "video/x-raw,width=1920,height=1080,framerate=25/1";
    let pipeline = gst::parse::launch(&format!(
        "compositor name=mix sink_1::alpha=0.06 \
         ! video/x-raw,format=I420,width=1920,height=1080,framerate=25/1 \
         ! x264enc key-int-max=50 bitrate=4000 speed-preset=ultrafast tune=zerolatency \
           option-string=scenecut=0 \
         ! h264parse ! video/x-h264,stream-format=avc,alignment=au ! tee name=tee \
         tee. ! queue ! mp4mux fragment-duration=2000 ! filesink location={file} \
         tee. ! queue max-size-buffers=0 max-size-bytes=0 max-size-time=0 \
         ! appsink name=sink sync=false \
         videotestsrc num-buffers={pictures} pattern=smpte horizontal-speed=3 ! {raw} ! mix. \
         videotestsrc num-buffers={pictures} pattern=snow ! {raw} ! mix.",
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
    pipeline.set_state(gst::State::Playing)?;
    let begin = gst::ClockTime::from_seconds(1_795_363_385);
    let (mut caps, mut units) = (None, Vec::new());
    let mut first = None;
    while let Ok(sample) = sink.pull_sample() {
        caps = sample.caps_owned();
        let mut unit = sample.buffer_owned().context("no buffer")?;
        let writable = unit.make_mut();
        let pts = writable.pts().context("no time")?;
        let pts = begin + (pts - *first.get_or_insert(pts));
        writable.set_pts(pts);
        writable.set_dts(pts);
        units.push(unit);
    }
    let bus = pipeline.bus().context("no bus")?;
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &ends);
    ensure!(
        end.is_some_and(|end| end.type_() == gst::MessageType::Eos),
        "the encoder failed"
    );
    pipeline.set_state(gst::State::Null)?;
    ensure!(units.len() == pictures as usize, "{} pictures", units.len());
    Ok((caps.context("no caps")?, units))
}

#[expect(clippy::cast_precision_loss, reason = "megabytes")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}
