//! What is to be seen and heard in a clip, as ffmpeg decodes it.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use dayreel_testcam::{PatternReading, pattern};

use crate::{foreign::probe, process::run_within};

/// For one run of ffmpeg.
const DEADLINE: Duration = Duration::from_secs(60);
/// Of the decoded sound.
const RATE_HZ: u32 = 48_000;
/// The test camera's pip is louder than this, its chord is not.
const PIP_LEVEL: i16 = 4_000;
/// A pip that begins this soon after another is the same.
const PIP_APART_S: f64 = 0.5;

/// Whether a player does what edit lists say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edits {
    /// As almost all do.
    Obeyed,
    /// It plays all that is in the file.
    Ignored,
}

/// What the pictures of a clip say, in the order they are shown.
///
/// # Errors
/// ffmpeg is missing or fails, or a picture carries no pattern that can be read.
pub fn pictures(file: &Path) -> Result<Vec<PatternReading>> {
    pictures_with(file, Edits::Obeyed)
}

/// [`pictures`], for a player of either kind.
///
/// # Errors
/// As [`pictures`].
pub fn pictures_with(file: &Path, edits: Edits) -> Result<Vec<PatternReading>> {
    let streams = probe(&file.display().to_string(), DEADLINE)?;
    let streams = streams["streams"].as_array().context("no streams")?;
    let video = streams
        .iter()
        .find(|stream| stream["codec_type"] == "video");
    let side = |name: &str| -> Result<u32> {
        let pixels = video.and_then(|video| video[name].as_u64());
        Ok(u32::try_from(pixels.context("no size")?)?)
    };
    let (width, height) = (side("width")?, side("height")?);
    let raw = ffmpeg(
        file,
        edits,
        "0:v:0",
        &["-fps_mode", "passthrough", "-pix_fmt", "gray"],
    )?;
    let stride = usize::try_from(width)?;
    let pictures = raw.chunks(stride * usize::try_from(height)?).zip(0..);
    pictures
        .map(|(luma, number)| {
            pattern::read(luma, width, height, stride)
                .with_context(|| format!("picture {number} of {} is unclear", file.display()))
        })
        .collect()
}

/// When pips begin, in seconds from the beginning of the clip. One that sounds at the beginning
/// began before.
///
/// # Errors
/// ffmpeg is missing or fails.
pub fn pips(file: &Path) -> Result<Vec<f64>> {
    pips_with(file, Edits::Obeyed)
}

/// [`pips`], for a player of either kind.
///
/// # Errors
/// As [`pips`].
pub fn pips_with(file: &Path, edits: Edits) -> Result<Vec<f64>> {
    let rate = RATE_HZ.to_string();
    let raw = ffmpeg(file, edits, "0:a:0", &["-ac", "1", "-ar", &rate])?;
    let samples = raw
        .chunks_exact(2)
        .map(|two| i16::from_le_bytes([two[0], two[1]]));
    let mut begin: Vec<f64> = Vec::new();
    let mut last = f64::MIN;
    for (sample, number) in samples.zip(0_u32..) {
        if sample.saturating_abs() > PIP_LEVEL {
            let at = f64::from(number) / f64::from(RATE_HZ);
            if at - last > PIP_APART_S && at > PIP_APART_S / 10.0 {
                begin.push(at);
            }
            last = at;
        }
    }
    Ok(begin)
}

/// One stream of `file`, decoded to raw bytes.
fn ffmpeg(file: &Path, edits: Edits, stream: &str, how: &[&str]) -> Result<Vec<u8>> {
    let format = if stream.contains('v') {
        "rawvideo"
    } else {
        "s16le"
    };
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg
        .args(["-nostdin", "-loglevel", "error"])
        .args([
            "-ignore_editlist",
            if edits == Edits::Ignored { "1" } else { "0" },
        ])
        .arg("-i")
        .arg(file)
        .args(["-map", stream])
        .args(how)
        .args(["-f", format, "-"]);
    let output = run_within(ffmpeg, DEADLINE, "apt-get install ffmpeg")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && said.is_empty(),
        "ffmpeg on {}: {said}",
        file.display()
    );
    Ok(output.stdout)
}
