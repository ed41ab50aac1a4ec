//! What pictures say about themselves, read by ffmpeg: of a JPEG, a GIF, a film.

use std::{io::Write as _, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use dayreel_testcam::pattern::{self, PatternReading};
use tempfile::NamedTempFile;

use crate::process::run_within;

/// All pictures are read at this size: the pattern needs no more.
const SIZE: (u32, u32) = (272, 144);
/// For one file.
const READ: Duration = Duration::from_secs(120);

/// The pattern of every picture in `file`, `None` where there is none that can be read.
///
/// # Errors
/// ffmpeg cannot read the file, or complains about it.
pub fn in_file(file: &Path) -> Result<Vec<Option<PatternReading>>> {
    let (pictures, complaints) = read(file)?;
    ensure!(complaints.is_empty(), "{}: {complaints}", file.display());
    Ok(pictures)
}

/// The pattern of every picture in a file whose end may be missing.
///
/// # Errors
/// ffmpeg cannot read the file, or a picture has no pattern.
pub fn in_torn_file(file: &Path) -> Result<Vec<PatternReading>> {
    let pictures = read(file)?.0.into_iter();
    pictures
        .map(|reading| reading.context("a picture without a pattern"))
        .collect()
}

/// The pattern of every picture in a file that is cut out of another: the first may refer to what was before.
///
/// # Errors
/// ffmpeg cannot read the file.
pub fn in_cut_file(file: &Path) -> Result<Vec<Option<PatternReading>>> {
    Ok(read(file)?.0)
}

/// Whether each of the last `due` pictures has the number after that of the one before.
///
/// # Errors
/// There are fewer, one has no pattern, or another number.
pub fn ensure_in_order(pictures: &[Option<PatternReading>], due: usize) -> Result<()> {
    let first = pictures.len().checked_sub(due);
    let first = first.with_context(|| format!("{} of {due} pictures", pictures.len()))?;
    for pair in pictures[first..].windows(2) {
        let (one, next) = pair[0].zip(pair[1]).context("no pattern")?;
        ensure!(
            next.frame_number == one.frame_number + 1,
            "{one:?}, {next:?}"
        );
    }
    Ok(())
}

/// The pattern of every picture, and what ffmpeg complains about.
fn read(file: &Path) -> Result<(Vec<Option<PatternReading>>, String)> {
    let mut ffmpeg = Command::new("ffmpeg");
    let scale = format!("scale={}:{}:flags=area", SIZE.0, SIZE.1);
    ffmpeg
        .args(["-nostdin", "-loglevel", "error", "-i"])
        .arg(file)
        .args(["-vf", &scale, "-fps_mode", "passthrough"])
        .args(["-pix_fmt", "gray", "-f", "rawvideo", "-"]);
    let output = run_within(ffmpeg, READ, "apt install ffmpeg")?;
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{}: {complaints}", file.display());
    let (width, height) = SIZE;
    let stride = usize::try_from(width)?;
    let pictures = output
        .stdout
        .chunks_exact(stride * usize::try_from(height)?);
    let pictures = pictures.map(|luma| pattern::read(luma, width, height, stride));
    Ok((pictures.collect(), complaints))
}

/// The pattern of the one picture in `bytes`.
///
/// # Errors
/// It is no picture, or has no pattern.
pub fn in_picture(bytes: &[u8]) -> Result<PatternReading> {
    let file = written(bytes)?;
    let read = in_file(file.path())?;
    ensure!(read.len() == 1, "{} pictures", read.len());
    read[0].context("no pattern in the picture")
}

/// The width of the picture in `bytes`, in pixels.
///
/// # Errors
/// ffprobe finds no picture in it.
pub fn width_of_picture(bytes: &[u8]) -> Result<u32> {
    let file = written(bytes)?;
    let mut ffprobe = Command::new("ffprobe");
    ffprobe
        .args(["-loglevel", "error", "-show_entries", "stream=width"])
        .args(["-of", "csv=p=0"])
        .arg(file.path());
    let output = run_within(ffprobe, READ, "apt install ffmpeg")?;
    let width = String::from_utf8(output.stdout)?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    width
        .trim()
        .parse()
        .with_context(|| format!("width {width:?}: {complaints}"))
}

fn written(bytes: &[u8]) -> Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    file.write_all(bytes)?;
    Ok(file)
}
