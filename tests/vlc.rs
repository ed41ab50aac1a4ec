//! VLC as a camera: an RTSP server that shares no code with ours, with GStreamer's or with ffmpeg's.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};
use dayreel_tests::{
    independent::{Clip, DEADLINE},
    process::wait_until,
};

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

/// It refuses TCP, so that `auto` takes UDP.
#[test]
fn vlc_is_recorded_as_it_sends() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clip = Clip::make(folder.path())?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port();
    let _vlc = Vlc::start(&clip.path, port)?;
    clip.check_recorded(&format!("rtsp://127.0.0.1:{port}/clip"))
}
