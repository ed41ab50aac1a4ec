//! HLS and DASH as ffmpeg writes them: media that the server had no part in, to try the readers
//! and the rules on.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Result, bail, ensure};
use dayreel_testcam::VideoCodec;

use crate::process::run_within;

/// How long the media lasts, s.
pub const MEDIA_S: u64 = 10;
/// Distance of keyframes and length of segments, s.
pub const MEDIA_GOP_S: u64 = 2;

/// Writes `video.m3u8`, `init.mp4` and `v{number}.m4s` into `folder`: 25 pictures a second, CMAF,
/// timescale 90000, dates in RFC 3339.
///
/// # Errors
/// ffmpeg is missing or fails.
pub fn make_hls(folder: &Path, codec: VideoCodec) -> Result<()> {
    let playlist = folder.join("video.m3u8");
    let mut ffmpeg = encoder(codec)?;
    ffmpeg.args(["-an", "-f", "hls", "-hls_time", &MEDIA_GOP_S.to_string()]);
    ffmpeg.args(["-hls_segment_type", "fmp4", "-hls_playlist_type", "vod"]);
    ffmpeg.args(["-hls_flags", "program_date_time+independent_segments"]);
    ffmpeg.args([
        "-hls_fmp4_init_filename",
        "init.mp4",
        "-hls_segment_options",
    ]);
    ffmpeg.arg("movflags=+cmaf+skip_sidx:video_track_timescale=90000");
    ffmpeg
        .arg("-hls_segment_filename")
        .arg(folder.join("v%d.m4s"))
        .arg(&playlist);
    finish(ffmpeg)?;
    // It writes the zone without a colon, which is ISO 8601 but not RFC 3339.
    let text = fs::read_to_string(&playlist)?.replace("+0000\n", "Z\n");
    Ok(fs::write(playlist, text)?)
}

/// Writes `manifest.mpd`, `init-{0,1}.mp4` and `s{0,1}-{time}.m4s` into `folder`: as
/// [`make_hls`], with sound as number 1.
///
/// # Errors
/// ffmpeg is missing or fails.
pub fn make_dash(folder: &Path, codec: VideoCodec) -> Result<()> {
    let manifest = folder.join("manifest.mpd");
    let mut ffmpeg = encoder(codec)?;
    ffmpeg.args([
        "-c:a",
        "aac",
        "-f",
        "dash",
        "-seg_duration",
        &MEDIA_GOP_S.to_string(),
    ]);
    ffmpeg.args(["-use_timeline", "1", "-use_template", "1"]);
    ffmpeg.args(["-init_seg_name", "init-$RepresentationID$.mp4"]);
    ffmpeg.args([
        "-media_seg_name",
        "s$RepresentationID$-$Time$.m4s",
        "-format_options",
    ]);
    ffmpeg.arg("movflags=+cmaf+skip_sidx:video_track_timescale=90000");
    ffmpeg
        .args(["-adaptation_sets", "id=0,streams=v id=1,streams=a"])
        .arg(&manifest);
    finish(ffmpeg)?;
    // Its own demuxer (5.1) takes startNumber for the index of the first S, and skips that many.
    let text = fs::read_to_string(&manifest)?.replace(" startNumber=\"1\"", "");
    Ok(fs::write(manifest, text)?)
}

fn encoder(codec: VideoCodec) -> Result<Command> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-loglevel", "error"]);
    ffmpeg.args(["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"]);
    ffmpeg.args([
        "-f",
        "lavfi",
        "-i",
        "sine=sample_rate=48000",
        "-t",
        &MEDIA_S.to_string(),
    ]);
    let gop = (25 * MEDIA_GOP_S).to_string();
    match codec {
        VideoCodec::H264 => ffmpeg.args(["-c:v", "libx264", "-sc_threshold", "0"]),
        VideoCodec::H265 => {
            let parameters = format!("log-level=error:scenecut=0:open-gop=0:min-keyint={gop}");
            ffmpeg.args([
                "-c:v",
                "libx265",
                "-tag:v",
                "hvc1",
                "-x265-params",
                &parameters,
            ])
        }
        VideoCodec::Mjpeg | VideoCodec::Mpeg4 => bail!("players of HLS know no {codec:?}"),
    };
    ffmpeg.args([
        "-preset",
        "ultrafast",
        "-bf",
        "0",
        "-g",
        &gop,
        "-keyint_min",
        &gop,
    ]);
    Ok(ffmpeg)
}

fn finish(ffmpeg: Command) -> Result<()> {
    let output = run_within(ffmpeg, Duration::from_secs(60), "apt-get install ffmpeg")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ffmpeg: {}\n{said}", output.status);
    Ok(())
}
