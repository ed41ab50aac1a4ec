//! A clip that somebody else's server sends like a camera, and whether it is recorded as it is sent.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use dayreel_testcam::{Format, VideoCodec};

use crate::{
    foreign::{Input, Limit, Packet, Stream, packets},
    process::{Server, Setup, run_within, wait_until},
    stage::Day,
};

/// For whatever is waited for.
pub const DEADLINE: Duration = Duration::from_secs(60);
const CAMERA: &str = "independent";
/// Pictures a second of the clip, and ticks of one.
const FPS: u32 = 20;
const PICTURE_90K: u64 = 90_000 / FPS as u64;
/// What following the server's clock may move a picture at once.
const OFF_BY_90K: u64 = 180;

/// Two minutes of pictures and sound, H.264 and AAC in MP4.
#[derive(Debug)]
pub struct Clip {
    /// Anybody may read it.
    pub path: PathBuf,
    pictures: Vec<Packet>,
}

impl Clip {
    /// Has ffmpeg make it in that folder.
    ///
    /// # Errors
    /// ffmpeg is missing or fails.
    pub fn make(folder: &Path) -> Result<Self> {
        let path = folder.join("clip.mp4");
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg
            .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i"])
            .arg(format!("testsrc2=size=160x120:rate={FPS}"))
            .args(["-f", "lavfi", "-i", "sine=440:sample_rate=48000"])
            .args(["-t", "120", "-pix_fmt", "yuv420p", "-c:v", "libx264"])
            .args(["-preset", "ultrafast", "-b:v", "200k", "-bf", "0"])
            .args(["-g", &FPS.to_string(), "-sc_threshold", "0"])
            .args(["-c:a", "aac", "-b:a", "64k"])
            .arg(&path);
        let made = run_within(ffmpeg, DEADLINE, "apt-get install ffmpeg")?;
        ensure!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        fs::set_permissions(&path, Permissions::from_mode(0o644))?;
        let limit = Limit {
            packets: None,
            deadline: DEADLINE,
        };
        let pictures = packets(Input::File(&path), Stream::Video, limit)?.packets;
        Ok(Self { path, pictures })
    }

    /// Records some seconds of what is sent at `url`, by whatever transport the server knows: each
    /// access unit recorded is one of the clip, in order and in step, none missing; sound comes with it, and
    /// every rule of HLS and DASH is obeyed.
    ///
    /// # Errors
    /// Says what is not so.
    pub fn check_recorded(&self, url: &str) -> Result<()> {
        let mut setup = Setup::with_cameras([(CAMERA, url)]);
        setup
            .cameras
            .push_str("transport = \"auto\"\nsegment_s = 2\n");
        let server = Server::start(setup)?;
        let client = server.client();
        let enough = || {
            let day = Day::fetch(&client, CAMERA, "today").ok()?;
            let sounds = day.audio.as_ref()?.segments.len();
            (day.video.segments.len() >= 4 && sounds >= 4).then_some(day)
        };
        let day = wait_until(DEADLINE, enough).with_context(|| server.log().tail(20))?;
        day.check(true)?.assert_none("today");
        self.check_pictures(&day.video.packets())?;
        let state = client.get_json(&format!("/api/cameras/{CAMERA}"))?;
        ensure!(
            state["state"] == "live" && state["reconnects"] == 0,
            "{state}"
        );
        Ok(())
    }

    fn check_pictures(&self, recorded: &[Packet]) -> Result<()> {
        let prints = |packets: &[Packet]| -> Result<Vec<_>> {
            let format = Format::LengthPrefixed(VideoCodec::H264);
            let prints = packets.iter().map(|packet| packet.fingerprint(format));
            prints.collect()
        };
        let (clip, received) = (prints(&self.pictures)?, prints(recorded)?);
        let first = received.first().context("nothing was recorded")?;
        let begin = clip.iter().position(|print| print == first);
        let begin = begin.context("what was recorded first is not of the clip")?;
        let due = clip[begin..].iter().take(received.len());
        ensure!(due.eq(&received), "it is not recorded as it is in the clip");
        for pair in recorded.windows(2) {
            let step_90k = pair[1].pts_90k.abs_diff(pair[0].pts_90k);
            ensure!(step_90k.abs_diff(PICTURE_90K) <= OFF_BY_90K, "{step_90k}");
        }
        Ok(())
    }
}
