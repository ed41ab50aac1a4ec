//! ffmpeg as a camera: it pushes to a relay, Perl's RTSP::Server, which shares no code with any other
//! camera here.

use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    path::Path,
    process::{self, Child, Command, Stdio},
};

use anyhow::{Context as _, Result};
use dayreel_tests::{
    independent::{Clip, DEADLINE},
    process::wait_until,
};

/// Where the relay is pushed to, and where it is asked.
const PUSH_PORT: u16 = 8555;
const ASK_PORT: u16 = 8554;
/// The relay's own program comes with a service that listens on all interfaces.
const RELAY: &str = "RTSP::Server->new(
        client_listen_address => $ARGV[0], client_listen_port => $ARGV[1],
        source_listen_address => $ARGV[0], source_listen_port => $ARGV[2],
    )->listen;
    AnyEvent->condvar->recv";

/// A program that is killed when it is dropped.
struct Running(Child);

impl Running {
    fn spawn(command: &mut Command, cure: &'static str) -> Result<Self> {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Self(quiet.stderr(Stdio::null()).spawn().context(cure)?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody left to tell.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address of this machine that nobody else listens at: the relay wants fixed ports, of datagrams too.
fn own_address() -> Ipv4Addr {
    let [.., high, low] = process::id().to_be_bytes();
    Ipv4Addr::new(127, 85, high, low)
}

fn start_relay(address: Ipv4Addr) -> Result<Running> {
    let mut perl = Command::new("perl");
    perl.args(["-MAnyEvent", "-MRTSP::Server", "-e", RELAY])
        .arg(address.to_string())
        .args([ASK_PORT, PUSH_PORT].map(|port| port.to_string()));
    let cure = "apt-get install librtsp-server-perl";
    let relay = Running::spawn(&mut perl, cure)?;
    let listens = || TcpStream::connect((address, PUSH_PORT)).ok();
    wait_until(DEADLINE, listens).with_context(|| format!("the relay does not listen: {cure}"))?;
    Ok(relay)
}

/// Pushes a clip, from its beginning, as fast as it is played. Returns when packets are on their way:
/// before, the relay answers 404.
fn start_to_push(clip: &Path, address: Ipv4Addr) -> Result<Running> {
    let progress = clip.with_extension("progress");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg
        .args(["-v", "error", "-nostdin", "-progress"])
        .arg(&progress)
        .args(["-re", "-i"])
        .arg(clip)
        .args(["-c", "copy", "-f", "rtsp"])
        .arg(format!("rtsp://{address}:{PUSH_PORT}/clip"));
    let ffmpeg = Running::spawn(&mut ffmpeg, "apt-get install ffmpeg")?;
    let is_sending = || {
        let said = fs::read_to_string(&progress).ok()?;
        said.contains("progress=continue").then_some(())
    };
    wait_until(DEADLINE, is_sending).context("ffmpeg sends nothing")?;
    Ok(ffmpeg)
}

/// The relay calls TCP a bad request, so that `auto` takes UDP.
#[test]
fn what_ffmpeg_pushes_to_a_relay_is_recorded_as_it_sends() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clip = Clip::make(folder.path())?;
    let address = own_address();
    let _relay = start_relay(address)?;
    let _ffmpeg = start_to_push(&clip.path, address)?;
    clip.check_recorded(&format!("rtsp://{address}:{ASK_PORT}/clip"))
}
