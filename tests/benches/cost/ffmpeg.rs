//! The rival: ffmpeg, which copies one camera into HLS and DASH, encodes it, or decodes a GOP.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use dayreel_tests::process::wait_until;

/// `ffmpeg -c copy` of a camera. Dropping it kills it.
pub(crate) struct Ffmpeg(Child);

impl Ffmpeg {
    /// Starts writing HLS and DASH (fragmented MP4, segments of 4 s) into `folder`.
    ///
    /// # Errors
    /// It does not start, or has no first segment after half a minute.
    pub(crate) fn copy(url: &str, folder: &Path) -> Result<Self> {
        let hls = folder.join("rival.m3u8");
        let dash = folder.join("rival.mpd");
        let child = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-rtsp_transport", "tcp"])
            .args(["-i", url])
            .args(["-map", "0:v", "-c", "copy", "-f", "hls", "-hls_time", "4"])
            .args(["-hls_segment_type", "fmp4", "-hls_list_size", "0"])
            .arg(&hls)
            .args(["-map", "0:v", "-c", "copy", "-f", "dash"])
            .args(["-seg_duration", "4"])
            .arg(&dash)
            .stdin(Stdio::null())
            .spawn()
            .context("ffmpeg: apt-get install ffmpeg")?;
        let rival = Self(child);
        let both = wait_until(Duration::from_secs(30), || {
            (hls.is_file() && dash.is_file()).then_some(())
        });
        both.context("ffmpeg writes nothing")?;
        Ok(rival)
    }

    /// Starts making H.264 of a camera as we do: x264 `veryfast` without delay, constant quality up to
    /// 8 Mbit/s, a keyframe every 2 s of 15 fps, BT.709 in limited range.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) fn encode(url: &str, folder: &Path) -> Result<Self> {
        let child = Command::new("ffmpeg")
            .args(["-v", "quiet", "-nostdin", "-rtsp_transport", "tcp"])
            .args(["-i", url, "-c:v", "libx264", "-preset", "veryfast"])
            .args(["-tune", "zerolatency", "-threads", "2", "-crf", "23"])
            .args(["-maxrate", "8M", "-bufsize", "8M", "-sc_threshold", "0"])
            .args(["-g", "30", "-pix_fmt", "yuv420p", "-vf"])
            .arg("scale=out_range=tv:out_color_matrix=bt709")
            .args(["-f", "mp4", "-movflags", "frag_keyframe+empty_moov", "-y"])
            .arg(folder.join("rival.mp4"))
            .stdin(Stdio::null())
            .spawn()
            .context("ffmpeg: apt-get install ffmpeg")?;
        Ok(Self(child))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Ffmpeg {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody left to tell.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How long ffmpeg takes, its start included, to make a JPEG of picture `index` of a file.
///
/// # Errors
/// It fails.
pub(crate) fn frame(file: &Path, index: u32) -> Result<Duration> {
    let start = Instant::now();
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(file)
        .args(["-vf", &format!("select=eq(n\\,{index})")])
        .args(["-fps_mode", "passthrough", "-frames:v", "1", "-q:v", "3"])
        .args(["-f", "image2pipe", "-c:v", "mjpeg", "-"])
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "ffmpeg: {status}");
    Ok(start.elapsed())
}
