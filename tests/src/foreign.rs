//! Reading media with ffmpeg: what another program gets out of the server's playlists, manifests
//! and files, packet by packet.

mod make;
mod playbin;

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use dayreel_testcam::{Fingerprint, Format, fingerprint};

pub use make::{MEDIA_GOP_S, MEDIA_S, make_dash, make_hls};
pub use playbin::{Played, play};

use crate::process::run_within;

/// Where ffmpeg reads from.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// URL or path of an HLS playlist; a live one is read from its first segment.
    Hls(&'a str),
    /// URL or path of an MPD.
    Dash(&'a str),
    /// A file.
    File(&'a Path),
}

/// Which stream of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The first video stream.
    Video,
    /// The first audio stream.
    Audio,
}

/// Where to stop.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// After so many packets; `None`: at the end, which a live playlist does not have.
    pub packets: Option<usize>,
    /// ffmpeg is killed and the read fails after this long.
    pub deadline: Duration,
}

/// One packet as ffmpeg's demuxer hands it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// 1/90000 s, as the container says it.
    pub pts_90k: i64,
    /// 1/90000 s.
    pub dts_90k: i64,
    /// 1/90000 s.
    pub duration_90k: i64,
    /// As in the container: NAL units behind 4-byte lengths in MP4, raw AAC.
    pub data: Vec<u8>,
}

impl Packet {
    /// The fingerprint of the access unit, comparable with what a test camera recorded.
    ///
    /// # Errors
    /// The bytes do not follow `format`.
    pub fn fingerprint(&self, format: Format) -> Result<Fingerprint> {
        fingerprint(&self.data, format)
    }
}

/// What ffmpeg read, and what it said while it did.
#[derive(Clone, Debug)]
pub struct Reading {
    /// In the order of the container.
    pub packets: Vec<Packet>,
    /// Its warnings and errors; a faithful source gives none.
    pub complaints: String,
}

/// Reads every packet of a stream, copied and with the timestamps of the container.
///
/// # Errors
/// ffmpeg is missing, fails, is not done by the deadline, or the stream is not there.
pub fn packets(input: Input<'_>, stream: Stream, limit: Limit) -> Result<Reading> {
    let folder = tempfile::tempdir()?;
    let (data, hashes) = (folder.path().join("data"), folder.path().join("hashes"));
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-loglevel", "warning", "-copyts"]);
    match input {
        // Files of an index end in .mp4, which its demuxer does not open by itself.
        Input::Hls(url) => {
            ffmpeg.args(["-live_start_index", "0", "-allowed_extensions", "ALL"]);
            ffmpeg.args(["-f", "hls", "-i", url])
        }
        Input::Dash(url) => ffmpeg.args(["-f", "dash", "-i", url]),
        Input::File(path) => ffmpeg.arg("-i").arg(path),
    };
    let (select, count) = match stream {
        Stream::Video => ("0:v:0", "-frames:v"),
        Stream::Audio => ("0:a:0", "-frames:a"),
    };
    // Two outputs of one reading: the bytes, one packet after the other, and their sizes and times.
    for (format, path) in [("data", &data), ("framehash", &hashes)] {
        ffmpeg.args(["-map", select, "-c", "copy"]);
        if let Some(packets) = limit.packets {
            ffmpeg.arg(count).arg(packets.to_string());
        }
        ffmpeg.args(["-f", format]).arg(path);
    }
    let output = run_within(ffmpeg, limit.deadline, "apt-get install ffmpeg")?;
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        bail!("ffmpeg on {input:?}: {}\n{complaints}", output.status);
    }
    let packets = split(&fs::read(data)?, &fs::read_to_string(hashes)?)?;
    Ok(Reading {
        packets,
        complaints,
    })
}

/// Cuts `data` by the lines of a framehash: `stream, dts, pts, duration, size, hash`.
fn split(data: &[u8], hashes: &str) -> Result<Vec<Packet>> {
    let mut tick = None;
    let mut rest = data;
    let mut packets = Vec::new();
    for line in hashes.lines() {
        if let Some(base) = line.strip_prefix("#tb 0: ") {
            let (above, below) = base.split_once('/').context("no time base")?;
            tick = Some((above.parse::<i64>()?, below.parse::<i64>()?));
        }
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        let (above, below) = tick.context("no time base before the first packet")?;
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [_, dts, pts, duration, size, ..] = fields[..] else {
            bail!("{line:?} is no line of a framehash");
        };
        let ticks_90k = |text: &str| -> Result<i64> {
            let ticks = i128::from(text.parse::<i64>()?) * 90_000 * i128::from(above);
            Ok(i64::try_from(ticks / i128::from(below))?)
        };
        let size = size.parse()?;
        ensure!(
            size <= rest.len(),
            "a packet of {size} bytes, {} are left",
            rest.len()
        );
        let (bytes, after) = rest.split_at(size);
        rest = after;
        packets.push(Packet {
            pts_90k: ticks_90k(pts)?,
            dts_90k: ticks_90k(dts)?,
            duration_90k: ticks_90k(duration)?,
            data: bytes.to_vec(),
        });
    }
    ensure!(rest.is_empty(), "{} bytes belong to no packet", rest.len());
    Ok(packets)
}

/// What `ffprobe` tells about a file or URL: `-show_streams -show_format` as JSON.
///
/// # Errors
/// ffprobe is missing, cannot open it, or is not done by the deadline.
pub fn probe(input: &str, deadline: Duration) -> Result<serde_json::Value> {
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args([
        "-loglevel",
        "error",
        "-of",
        "json",
        "-show_streams",
        "-show_format",
        input,
    ]);
    let output = run_within(ffprobe, deadline, "apt-get install ffmpeg")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "ffprobe {input}: {}\n{said}",
        output.status
    );
    serde_json::from_slice(&output.stdout).context("ffprobe's answer")
}

#[cfg(test)]
mod tests {
    use dayreel_testcam::VideoCodec;

    use super::*;

    const LIMIT: Limit = Limit {
        packets: None,
        deadline: Duration::from_secs(60),
    };

    fn path(folder: &tempfile::TempDir, name: &str) -> String {
        folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn fingerprints(reading: &Reading, format: Format) -> Vec<Fingerprint> {
        reading
            .packets
            .iter()
            .map(|packet| packet.fingerprint(format).unwrap())
            .collect()
    }

    /// The same media read through HLS, DASH and as a file is the same, for both codecs.
    #[test]
    fn what_is_read_does_not_depend_on_the_way() {
        for codec in [VideoCodec::H264, VideoCodec::H265] {
            let (hls, dash) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            make_hls(hls.path(), codec).unwrap();
            make_dash(dash.path(), codec).unwrap();
            let (playlist, manifest) = (path(&hls, "video.m3u8"), path(&dash, "manifest.mpd"));
            let format = Format::LengthPrefixed(codec);
            let by_hls = packets(Input::Hls(&playlist), Stream::Video, LIMIT).unwrap();
            let by_dash = packets(Input::Dash(&manifest), Stream::Video, LIMIT).unwrap();
            assert_eq!(
                by_hls.packets.len(),
                usize::try_from(MEDIA_S * 25).unwrap(),
                "{codec:?}"
            );
            assert!(
                by_hls
                    .packets
                    .iter()
                    .all(|packet| packet.duration_90k == 3600)
            );
            assert_eq!(
                fingerprints(&by_hls, format),
                fingerprints(&by_dash, format),
                "{codec:?}"
            );
            let dts = |reading: &Reading| -> Vec<i64> {
                reading
                    .packets
                    .iter()
                    .map(|packet| packet.dts_90k)
                    .collect()
            };
            assert_eq!(dts(&by_hls), dts(&by_dash));
            assert_eq!(by_hls.complaints, "");
        }
    }

    #[test]
    fn annex_b_and_mp4_have_the_same_fingerprints() {
        let folder = tempfile::tempdir().unwrap();
        make_hls(folder.path(), VideoCodec::H264).unwrap();
        let playlist = path(&folder, "video.m3u8");
        let stream = folder.path().join("video.ts");
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg
            .args([
                "-nostdin",
                "-loglevel",
                "error",
                "-i",
                &playlist,
                "-c",
                "copy",
            ])
            .arg(&stream);
        assert!(
            run_within(ffmpeg, LIMIT.deadline, "ffmpeg")
                .unwrap()
                .status
                .success()
        );
        let mp4 = packets(Input::Hls(&playlist), Stream::Video, LIMIT).unwrap();
        let ts = packets(Input::File(&stream), Stream::Video, LIMIT).unwrap();
        assert_ne!(mp4.packets[0].data, ts.packets[0].data);
        assert_eq!(
            fingerprints(&mp4, Format::LengthPrefixed(VideoCodec::H264)),
            fingerprints(&ts, Format::AnnexB(VideoCodec::H264)),
        );
    }

    #[test]
    fn a_read_ends_after_the_packets_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        make_hls(folder.path(), VideoCodec::H264).unwrap();
        let limit = Limit {
            packets: Some(7),
            ..LIMIT
        };
        let playlist = path(&folder, "video.m3u8");
        let reading = packets(Input::Hls(&playlist), Stream::Video, limit).unwrap();
        assert_eq!(reading.packets.len(), 7);
        assert!(packets(Input::Hls(&playlist), Stream::Audio, limit).is_err());
        let streams = probe(&playlist, LIMIT.deadline).unwrap();
        assert_eq!(streams["streams"][0]["codec_name"], "h264");
    }
}
