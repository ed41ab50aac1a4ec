//! Cameras outside of the process: `testcam` with a looped clip.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use dayreel_tests::process::{binary, run_within, stop_within};
use rustix::process::Signal;

/// Pictures a second of the clip.
pub(crate) const FPS: u32 = 25;
/// Pictures from keyframe to keyframe of the clip.
pub(crate) const GOP: u32 = 2 * FPS;

/// Encodes the clip: noise as of a sensor, so that the bit rate is reached in every picture.
///
/// # Errors
/// ffmpeg is missing or fails.
pub(crate) fn make_clip(folder: &Path) -> Result<PathBuf> {
    // One slice a picture, as cameras do.
    let options = ["libx264", "-x264-params", "threads=1:sliced-threads=0"];
    encode(folder.join("clip.mp4"), &options)
}

/// The same in H.265.
///
/// # Errors
/// As [`make_clip`].
pub(crate) fn make_h265_clip(folder: &Path) -> Result<PathBuf> {
    let options = ["libx265", "-tag:v", "hvc1", "-x265-params"];
    let more = format!("keyint={GOP}:min-keyint={GOP}:scenecut=0:open-gop=0:log-level=none");
    let options: Vec<_> = options.into_iter().chain([more.as_str()]).collect();
    encode(folder.join("clip-h265.mp4"), &options)
}

fn encode(clip: PathBuf, encoder: &[&str]) -> Result<PathBuf> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i"])
        .arg(format!(
            "testsrc2=size=1920x1080:rate={FPS},noise=alls=12:allf=t"
        ))
        .args(["-t", "10", "-pix_fmt", "yuv420p", "-c:v"])
        .args(encoder)
        .args(["-preset", "ultrafast", "-tune", "zerolatency"])
        .args(["-b:v", "4M", "-maxrate", "4M", "-bufsize", "2M"])
        .args(["-g", &GOP.to_string(), "-sc_threshold", "0"])
        .arg(&clip);
    let made = run_within(ffmpeg, Duration::from_secs(240), "apt-get install ffmpeg")?;
    ensure!(
        made.status.success(),
        "ffmpeg: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    Ok(clip)
}

/// A running `testcam`. Dropping it kills it.
pub(crate) struct Testcam {
    child: Child,
    pub(crate) url: String,
}

impl Testcam {
    /// Starts one on a port that the system chooses; `record` is where it notes what it sends.
    ///
    /// # Errors
    /// It is not built, or does not start.
    pub(crate) fn start(clip: &Path, record: Option<&Path>) -> Result<Self> {
        let mut arguments = vec![OsStr::new("--file"), clip.as_os_str()];
        if let Some(record) = record {
            arguments.extend([OsStr::new("--record"), record.as_os_str()]);
        }
        Self::start_with(arguments)
    }

    /// Starts one with these arguments.
    ///
    /// # Errors
    /// It is not built, or does not start.
    pub(crate) fn start_with(
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Self> {
        let program = binary().with_file_name("testcam");
        let mut command = Command::new(&program);
        command
            .args(["--listen", "127.0.0.1:0", "--transport", "tcp"])
            .args(arguments);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{}", program.display()))?;
        let mut url = String::new();
        let stdout = child.stdout.take().context("no output")?;
        let read = BufReader::new(stdout).read_line(&mut url);
        let camera = Self {
            child,
            url: url.trim().to_owned(),
        };
        read?;
        ensure!(camera.url.starts_with("rtsp://"), "testcam does not start");
        Ok(camera)
    }

    /// SIGTERM: the record is complete afterwards.
    ///
    /// # Errors
    /// It does not end.
    pub(crate) fn stop(mut self) -> Result<()> {
        stop_within(&mut self.child, Signal::TERM, Duration::from_secs(20)).map(drop)
    }
}

impl Drop for Testcam {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody left to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes of the access units that a camera has noted.
///
/// # Errors
/// The record cannot be read.
pub(crate) fn sent_bytes(record: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(record)?;
    let units = text.lines().map(|line| {
        let unit: serde_json::Value = serde_json::from_str(line)?;
        let bytes = unit["normal_form_bytes"].as_u64();
        bytes.context("a line without normal_form_bytes")
    });
    units.sum()
}
