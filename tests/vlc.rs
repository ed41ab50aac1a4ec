//! VLC as a camera: an RTSP server that shares no code with ours, with GStreamer's or with ffmpeg's.

use std::{
    fs::{self, Permissions},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use dayreel_testcam::{Format, VideoCodec};
use dayreel_tests::{
    foreign::{Input, Limit, Packet, Stream, packets},
    process::{Server, Setup, run_within, wait_until},
    stage::Day,
};

const DEADLINE: Duration = Duration::from_secs(60);
const CAMERA: &str = "vlc";
/// Pictures a second of the clip, and ticks of one.
const FPS: u32 = 20;
const PICTURE_90K: u64 = 90_000 / FPS as u64;
/// What following VLC's clock may move a picture at once.
const OFF_BY_90K: u64 = 180;

/// A VLC that serves. Dropping it kills it.
struct Vlc(Child);

impl Vlc {
    /// Starts to serve a clip at this port, from its beginning.
    fn start(clip: &Path, port: u16) -> Result<Self> {
        let mut command = match rustix::process::getuid().is_root() {
            // VLC refuses to be root.
            true => {
                let mut nobody = Command::new("setpriv");
                nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups", "cvlc"]);
                nobody
            }
            false => Command::new("cvlc"),
        };
        let child = command
            .args(["-I", "dummy", "--no-sout-all", "--sout"])
            .arg(format!("#rtp{{sdp=rtsp://127.0.0.1:{port}/clip}}"))
            .arg(clip)
            .env("HOME", "/nonexistent")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("apt-get install util-linux vlc-bin vlc-plugin-base")?;
        let vlc = Self(child);
        let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
        wait_until(DEADLINE, listens).context("VLC does not listen")?;
        Ok(vlc)
    }
}

impl Drop for Vlc {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody left to tell.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two minutes of pictures and sound that anybody may read.
fn make_clip(folder: &Path) -> Result<PathBuf> {
    let clip = folder.join("clip.mp4");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i"])
        .arg(format!("testsrc2=size=160x120:rate={FPS}"))
        .args(["-f", "lavfi", "-i", "sine=440:sample_rate=48000"])
        .args(["-t", "120", "-pix_fmt", "yuv420p", "-c:v", "libx264"])
        .args(["-preset", "ultrafast", "-b:v", "200k", "-bf", "0"])
        .args(["-g", &FPS.to_string(), "-sc_threshold", "0"])
        .args(["-c:a", "aac", "-b:a", "64k"])
        .arg(&clip);
    let made = run_within(ffmpeg, DEADLINE, "apt-get install ffmpeg")?;
    ensure!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    fs::set_permissions(&clip, Permissions::from_mode(0o644))?;
    Ok(clip)
}

/// Each access unit received is one of the clip, in order, none missing.
fn is_as_in_clip(clip: &[Packet], received: &[Packet], format: Format) -> Result<()> {
    let prints = |packets: &[Packet]| -> Result<Vec<_>> {
        packets
            .iter()
            .map(|packet| packet.fingerprint(format))
            .collect()
    };
    let (clip, received) = (prints(clip)?, prints(received)?);
    let first = received.first().context("nothing was recorded")?;
    let begin = clip.iter().position(|print| print == first);
    let begin = begin.context("what was recorded first is not of the clip")?;
    let due = clip[begin..].iter().take(received.len());
    ensure!(due.eq(&received), "it is not recorded as it is in the clip");
    Ok(())
}

/// It refuses TCP, so that `auto` takes UDP.
#[test]
fn vlc_is_recorded_as_it_sends() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clip = make_clip(folder.path())?;
    let limit = Limit {
        packets: None,
        deadline: DEADLINE,
    };
    let of_clip = packets(Input::File(&clip), Stream::Video, limit)?.packets;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port();
    let _vlc = Vlc::start(&clip, port)?;
    let url = format!("rtsp://127.0.0.1:{port}/clip");
    let mut setup = Setup::with_cameras([(CAMERA, url.as_str())]);
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
    let recorded = day.video.packets();
    is_as_in_clip(
        &of_clip,
        &recorded,
        Format::LengthPrefixed(VideoCodec::H264),
    )?;
    for pair in recorded.windows(2) {
        let step_90k = pair[1].pts_90k.abs_diff(pair[0].pts_90k);
        ensure!(step_90k.abs_diff(PICTURE_90K) <= OFF_BY_90K, "{step_90k}");
    }
    let state = client.get_json(&format!("/api/cameras/{CAMERA}"))?;
    ensure!(
        state["state"] == "live" && state["reconnects"] == 0,
        "{state}"
    );
    Ok(())
}
