//! Serves one RTSP camera until it is told to stop.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::{Parser, ValueEnum};
use dayreel_testcam::{
    AudioCodec, Camera, Gop, Login, LoginMethod, Look, ParameterSets, PictureSettings, Recording,
    Settings, Source, Transports, VideoCodec,
    scripted::{Oddity, Script, ScriptedCamera, ScriptedLogin},
};
use gstreamer::glib;

/// An RTSP camera with a generated picture, or one that loops an MP4 file.
///
/// Prints its URL on standard output and serves until SIGINT or SIGTERM.
#[derive(Parser)]
#[command(name = "testcam", version)]
struct Arguments {
    /// Address and port to listen on; port 0: chosen by the system
    #[arg(long, default_value = "127.0.0.1:8554", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Path of the stream
    #[arg(long, default_value = "/cam")]
    path: String,
    /// Name burnt into the picture
    #[arg(long, default_value = "CAMERA")]
    name: String,
    /// Scenery of the picture
    #[arg(long, value_enum, default_value = "street")]
    look: LookArgument,
    /// h264, h265, mjpeg or mpeg4
    #[arg(long, default_value = "h264")]
    codec: VideoCodec,
    /// Pixels, 136x72 to 3840x2160
    #[arg(long, default_value = "1280x720", value_parser = size, value_name = "WIDTHxHEIGHT")]
    size: (u32, u32),
    /// Frames a second, 10 to 60
    #[arg(long, default_value_t = 25)]
    fps: u32,
    /// Distance of keyframes, 0.5 s to 10 s: 2s, 500ms, or a number of frames
    #[arg(long, default_value = "2s")]
    gop: Gop,
    /// B-frames between two others, 0 to 3; H.264 and H.265 only
    #[arg(long, default_value_t = 0)]
    b_frames: u32,
    /// The B-frames shown before a keyframe refer to the GOP before
    #[arg(long, requires = "b_frames")]
    open_gop: bool,
    /// Slices of a picture, 1 to 4; H.264 and H.265 only
    #[arg(long, default_value_t = 1)]
    slices: u32,
    /// Upper bound of the video bit rate: 4000k, 4M, or bits a second
    #[arg(long, default_value = "2000k", value_parser = bitrate_kbps)]
    bitrate: u32,
    /// Sound
    #[arg(long, value_enum, default_value = "none")]
    audio: AudioArgument,
    /// Loop this MP4 file (H.264, H.265 or MPEG-4, AAC) instead of generating a picture
    #[arg(long, conflicts_with_all = ["look", "codec", "size", "fps", "gop", "b_frames", "open_gop", "slices", "bitrate", "audio"])]
    file: Option<PathBuf>,
    /// User name that clients need
    #[arg(long, requires = "password")]
    user: Option<String>,
    /// Password that clients need
    #[arg(
        long,
        requires = "user",
        env = "DAYREEL_TESTCAM_PASSWORD",
        hide_env_values = true
    )]
    password: Option<String>,
    /// How clients prove the password
    #[arg(long, value_enum, default_value = "digest")]
    login: LoginArgument,
    /// Transports it agrees to
    #[arg(long, value_enum, default_value = "both")]
    transport: TransportArgument,
    /// Send parameter sets (SPS, PPS, VPS) in the SDP only, not before every keyframe
    #[arg(long)]
    sdp_only: bool,
    /// Be odd: a small test pattern (h264 or h265; aac, alaw or mulaw) from a camera that does not
    /// do as it should. May be repeated
    #[arg(long, value_enum, value_name = "ODDITY", conflicts_with_all = ["file", "name", "look", "size", "fps", "gop", "b_frames", "open_gop", "slices", "bitrate", "transport", "sdp_only", "record"])]
    odd: Vec<Oddity>,
    /// Write a line of JSON for every access unit sent
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum LookArgument {
    Street,
    Garden,
}

#[derive(Clone, Copy, ValueEnum)]
enum AudioArgument {
    None,
    Aac,
    AacLatm,
    Alaw,
    Mulaw,
    G726,
    L16,
    Opus,
}

#[derive(Clone, Copy, ValueEnum)]
enum LoginArgument {
    Digest,
    Basic,
}

#[derive(Clone, Copy, ValueEnum)]
enum TransportArgument {
    Both,
    Tcp,
    Udp,
}

fn main() -> ExitCode {
    match serve(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testcam: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: Arguments) -> Result<()> {
    if !arguments.odd.is_empty() {
        let camera = ScriptedCamera::start(script(&arguments)?)?;
        say_and_wait(&camera.url());
        return Ok(());
    }
    let mut camera = Camera::start(arguments.into())?;
    say_and_wait(&camera.url());
    camera.stop()?;
    camera.record().map_or(Ok(()), |record| record.flush())
}

/// Says the URL. Returns at SIGINT or SIGTERM, also if they come at once.
fn say_and_wait(url: &str) {
    let main_loop = glib::MainLoop::new(None, false);
    for signal in [2, 15] {
        let main_loop = main_loop.clone();
        glib::unix_signal_add_local(signal, move || {
            main_loop.quit();
            glib::ControlFlow::Continue
        });
    }
    println!("{url}");
    main_loop.run();
}

/// The script of an odd camera.
fn script(arguments: &Arguments) -> Result<Script> {
    let mut script = Script::new(arguments.codec, arguments.audio.codec())?;
    script.listen = arguments.listen;
    script.path.clone_from(&arguments.path);
    let login = arguments.user.clone().zip(arguments.password.clone());
    script.login = login.map(|(user, password)| ScriptedLogin {
        user,
        password,
        challenges: vec![match arguments.login {
            LoginArgument::Digest => r#"Digest realm="camera", nonce="{nonce}""#.into(),
            LoginArgument::Basic => r#"Basic realm="camera""#.into(),
        }],
        nonce_uses: None,
    });
    for oddity in &arguments.odd {
        script.make(*oddity);
    }
    Ok(script)
}

impl AudioArgument {
    const fn codec(self) -> Option<AudioCodec> {
        match self {
            Self::None => None,
            Self::Aac => Some(AudioCodec::Aac),
            Self::AacLatm => Some(AudioCodec::AacLatm),
            Self::Alaw => Some(AudioCodec::Alaw),
            Self::Mulaw => Some(AudioCodec::Mulaw),
            Self::G726 => Some(AudioCodec::G726),
            Self::L16 => Some(AudioCodec::L16),
            Self::Opus => Some(AudioCodec::Opus),
        }
    }
}

impl From<Arguments> for Settings {
    fn from(arguments: Arguments) -> Self {
        let method = match arguments.login {
            LoginArgument::Digest => LoginMethod::Digest,
            LoginArgument::Basic => LoginMethod::Basic,
        };
        let login = arguments.user.zip(arguments.password);
        let picture = PictureSettings {
            look: match arguments.look {
                LookArgument::Street => Look::Street,
                LookArgument::Garden => Look::Garden,
            },
            codec: arguments.codec,
            width: arguments.size.0,
            height: arguments.size.1,
            fps: arguments.fps,
            gop: arguments.gop,
            bitrate_kbps: arguments.bitrate,
            b_frames: arguments.b_frames,
            open_gop: arguments.open_gop,
            slices: arguments.slices,
            audio: arguments.audio.codec(),
        };
        Self {
            name: arguments.name,
            source: arguments
                .file
                .map_or(Source::Picture(picture), Source::File),
            address: arguments.listen.ip(),
            port: arguments.listen.port(),
            path: arguments.path,
            login: login.map(|(user, password)| Login {
                user,
                password,
                method,
            }),
            identity: None,
            transports: match arguments.transport {
                TransportArgument::Both => Transports::Both,
                TransportArgument::Tcp => Transports::Tcp,
                TransportArgument::Udp => Transports::Udp,
            },
            parameter_sets: if arguments.sdp_only {
                ParameterSets::SdpOnly
            } else {
                ParameterSets::EveryKeyframe
            },
            recording: match arguments.record {
                Some(path) => Recording::File { units: 0, path },
                None => Recording::Off,
            },
        }
    }
}

/// `1280x720`.
fn size(text: &str) -> Result<(u32, u32)> {
    let (width, height) = text.split_once('x').context("a size is WIDTHxHEIGHT")?;
    Ok((width.parse()?, height.parse()?))
}

/// `4000k`, `4M` or `4000000`, in kbit/s.
fn bitrate_kbps(text: &str) -> Result<u32> {
    let number = |digits: &str| digits.parse::<u32>().context("a bit rate is 4000k or 4M");
    if let Some(kilo) = text.strip_suffix(['k', 'K']) {
        number(kilo)
    } else if let Some(mega) = text.strip_suffix('M') {
        match number(mega)?.checked_mul(1000) {
            Some(kbps) => Ok(kbps),
            None => bail!("{text} is too much"),
        }
    } else {
        Ok(number(text)? / 1000)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn units_are_understood() {
        assert_eq!(bitrate_kbps("4000k").unwrap(), 4000);
        assert_eq!(bitrate_kbps("4M").unwrap(), 4000);
        assert_eq!(bitrate_kbps("4000000").unwrap(), 4000);
        assert!(bitrate_kbps("fast").is_err());
        assert_eq!(size("640x480").unwrap(), (640, 480));
        assert!(size("640").is_err());
    }
}
