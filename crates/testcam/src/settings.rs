//! What a camera shows, how it encodes it and who may watch.

use std::{fmt, net::IpAddr, net::Ipv4Addr, path::PathBuf, str::FromStr};

use anyhow::{Context as _, Error, Result, bail, ensure};

use crate::{Look, pattern};

/// Everything there is to choose about a camera. [`Settings::default`] is a 1280×720 picture at
/// 25 frames a second, H.264, 2 s GOP, 2 Mbit/s, no sound, no password, on a loopback port of the
/// system's choice.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Burnt into the picture, and the session name of the SDP.
    pub name: String,
    /// What it shows.
    pub source: Source,
    /// Where it listens. Loopback unless somebody says otherwise.
    pub address: IpAddr,
    /// TCP port; 0: the system chooses one at the first start, later starts use the same.
    pub port: u16,
    /// Path of the stream, with its leading slash.
    pub path: String,
    /// User and password, if it asks for any.
    pub login: Option<Login>,
    /// What it shows of itself over TLS; `None`: it speaks RTSP in the clear.
    pub identity: Option<Identity>,
    /// The transports it agrees to.
    pub transports: Transports,
    /// How parameter sets (SPS, PPS, VPS) reach the client.
    pub parameter_sets: ParameterSets,
    /// What becomes of the record of the access units sent.
    pub recording: Recording,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "CAMERA".into(),
            source: Source::Picture(PictureSettings::default()),
            address: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            path: "/cam".into(),
            login: None,
            identity: None,
            transports: Transports::Both,
            parameter_sets: ParameterSets::EveryKeyframe,
            recording: Recording::default(),
        }
    }
}

impl Settings {
    /// Says what is wrong with a value before anything is started.
    ///
    /// # Errors
    /// If a value is out of its range.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(
            self.path.len() > 1
                && self.path.starts_with('/')
                && self
                    .path
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"/-_.~".contains(&b)),
            "path {:?}: a slash, then letters, digits or any of - _ . ~ /",
            self.path
        );
        if let Some(login) = &self.login {
            ensure!(
                !login.user.is_empty() && !login.user.contains(':'),
                "the user name may not be empty or hold a colon"
            );
        }
        match &self.source {
            Source::Picture(picture) => picture.check(),
            Source::File(_) => Ok(()),
        }
    }
}

/// What a camera shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A generated moving picture with clock, frame counter and [pattern].
    Picture(PictureSettings),
    /// An MP4 file, looped for ever without re-encoding: H.264, H.265 or MPEG-4, and AAC if it has
    /// any.
    File(PathBuf),
}

/// The generated picture and its sound.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureSettings {
    /// The scenery.
    pub look: Look,
    /// How the picture is encoded.
    pub codec: VideoCodec,
    /// Pixels, even, 136 to 3840.
    pub width: u32,
    /// Pixels, even, 72 to 2160.
    pub height: u32,
    /// Frames a second, 10 to 60.
    pub fps: u32,
    /// Distance of keyframes; 0.5 s to 10 s.
    pub gop: Gop,
    /// Upper bound of the video bit rate, kbit/s, 50 to 100 000. Kept as long as the pattern can
    /// be.
    pub bitrate_kbps: u32,
    /// B-frames between two others, 0 to 3; H.264 and H.265 only. More than none adds their duration
    /// as delay.
    pub b_frames: u32,
    /// Whether the first B-frames after a keyframe, which are shown before it, refer to pictures of the GOP before; with
    /// B-frames only.
    pub open_gop: bool,
    /// Slices of a picture, 1 to 4; H.264 and H.265 only.
    pub slices: u32,
    /// How the sound is encoded, if there is any.
    pub audio: Option<AudioCodec>,
}

impl Default for PictureSettings {
    fn default() -> Self {
        Self {
            look: Look::Street,
            codec: VideoCodec::H264,
            width: 1280,
            height: 720,
            fps: 25,
            gop: Gop::Seconds(2.0),
            bitrate_kbps: 2000,
            b_frames: 0,
            open_gop: false,
            slices: 1,
            audio: None,
        }
    }
}

impl PictureSettings {
    /// What costs least, for who only wants a camera: 160×90, a keyframe every 0.5 s, 200 kbit/s.
    pub fn small() -> Self {
        Self {
            width: 160,
            height: 90,
            gop: Gop::Seconds(0.5),
            bitrate_kbps: 200,
            ..Self::default()
        }
    }

    fn check(&self) -> Result<()> {
        let (least_width, least_height) = pattern::MIN_SIZE;
        ensure!(
            (least_width..=3840).contains(&self.width)
                && (least_height..=2160).contains(&self.height)
                && self.width.is_multiple_of(2)
                && self.height.is_multiple_of(2),
            "size {}x{}: even numbers from {least_width}x{least_height} to 3840x2160",
            self.width,
            self.height
        );
        // RFC 2435 §3.1.5: blocks of 8 pixels, at most 255.
        let fits_jpeg = |pixels: u32| pixels.is_multiple_of(8) && pixels <= 2040;
        ensure!(
            self.codec != VideoCodec::Mjpeg || fits_jpeg(self.width) && fits_jpeg(self.height),
            "size {}x{}: multiples of 8 up to 2040 for MJPEG",
            self.width,
            self.height
        );
        ensure!((10..=60).contains(&self.fps), "{} fps: 10 to 60", self.fps);
        ensure!(
            (50..=100_000).contains(&self.bitrate_kbps),
            "bit rate {} kbit/s: 50 to 100000",
            self.bitrate_kbps
        );
        let most_b_frames = match self.codec {
            VideoCodec::H264 | VideoCodec::H265 => 3,
            // See Counting::PicturesInOrder.
            VideoCodec::Mjpeg | VideoCodec::Mpeg4 => 0,
        };
        ensure!(
            self.b_frames <= most_b_frames,
            "{} B-frames: 0 to {most_b_frames}",
            self.b_frames
        );
        ensure!(
            !self.open_gop || self.b_frames > 0,
            "an open GOP: with B-frames only"
        );
        let most_slices = if most_b_frames > 0 { 4 } else { 1 };
        ensure!(
            (1..=most_slices).contains(&self.slices),
            "{} slices: 1 to {most_slices}",
            self.slices
        );
        let gop_s = f64::from(self.gop_frames()) / f64::from(self.fps);
        ensure!(
            (0.5..=10.0).contains(&gop_s),
            "GOP of {gop_s} s: 0.5 s to 10 s"
        );
        Ok(())
    }

    /// Frames from one keyframe to the next.
    pub fn gop_frames(&self) -> u32 {
        match self.gop {
            Gop::Frames(frames) => frames,
            // At most 10 s of 60 frames pass the check; anything else ends up outside its range.
            Gop::Seconds(seconds) => (0..=1000)
                .find(|frames| f64::from(*frames) + 0.5 > seconds * f64::from(self.fps))
                .unwrap_or(u32::MAX),
        }
    }
}

/// How pictures are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoCodec {
    /// H.264 (AVC).
    H264,
    /// H.265 (HEVC).
    H265,
    /// JPEG, each picture by itself (RFC 2435); the GOP and the bit rate say nothing.
    Mjpeg,
    /// MPEG-4 part 2 (RFC 6416).
    Mpeg4,
}

/// How sound is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioCodec {
    /// AAC-LC, 48 kHz, mono, 64 kbit/s.
    Aac,
    /// The same in another payload format: LATM (RFC 6416) instead of MPEG4-GENERIC (RFC 3640).
    AacLatm,
    /// G.711 A-law, 8 kHz, mono.
    Alaw,
    /// G.711 µ-law, 8 kHz, mono.
    Mulaw,
    /// G.726, 32 kbit/s, 8 kHz, mono.
    G726,
    /// Linear, 16 bits, 16 kHz, mono.
    L16,
    /// Opus, 48 kHz, mono.
    Opus,
}

/// Distance of keyframes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gop {
    /// In seconds, rounded to frames.
    Seconds(f64),
    /// In frames.
    Frames(u32),
}

/// The transports a camera agrees to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transports {
    /// RTP over UDP, or interleaved in the RTSP connection. For UDP, GStreamer's server opens its
    /// sockets on all addresses, whatever address it listens on.
    Both,
    /// Interleaved in the RTSP connection only.
    Tcp,
    /// UDP only.
    Udp,
}

/// A certificate and its private key, in PEM. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity(pub String);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

/// How parameter sets reach the client. They always are in the SDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterSets {
    /// Also before every keyframe.
    EveryKeyframe,
    /// Nowhere else, as some cameras do.
    SdpOnly,
}

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// User name, without a colon.
    pub user: String,
    /// Password. Never shown by `Debug`.
    pub password: String,
    /// How the client has to prove it.
    pub method: LoginMethod,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// How a client proves its password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginMethod {
    /// Digest with MD5 (RFC 2617), what most cameras want.
    Digest,
    /// The password in the clear.
    Basic,
}

/// What becomes of the record of access units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recording {
    /// Nothing is hashed or kept: for a camera that runs for days.
    Off,
    /// The latest so many access units are kept in memory, for tests.
    Memory {
        /// How many.
        units: usize,
    },
    /// As `Memory`, and each access unit is appended to a file as a line of JSON when it is sent.
    File {
        /// How many are kept in memory as well.
        units: usize,
        /// The file, created or emptied at the first start.
        path: PathBuf,
    },
}

impl Default for Recording {
    /// An hour of 25 frames a second and AAC.
    fn default() -> Self {
        Self::Memory { units: 300_000 }
    }
}

impl FromStr for VideoCodec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "h264" => Ok(Self::H264),
            "h265" => Ok(Self::H265),
            "mjpeg" => Ok(Self::Mjpeg),
            "mpeg4" => Ok(Self::Mpeg4),
            _ => bail!("{text:?}: h264, h265, mjpeg or mpeg4"),
        }
    }
}

impl FromStr for Gop {
    type Err = Error;

    /// `2s`, `0.5s`, `500ms`, or a number of frames.
    fn from_str(text: &str) -> Result<Self> {
        let number = |digits: &str| {
            digits
                .parse::<f64>()
                .with_context(|| format!("{text:?}: a GOP is 2s, 500ms or a number of frames"))
        };
        if let Some(ms) = text.strip_suffix("ms") {
            Ok(Self::Seconds(number(ms)? / 1000.0))
        } else if let Some(seconds) = text.strip_suffix('s') {
            Ok(Self::Seconds(number(seconds)?))
        } else {
            text.parse()
                .map(Self::Frames)
                .with_context(|| format!("{text:?}: a GOP is 2s, 500ms or a number of frames"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(change: impl FnOnce(&mut PictureSettings)) -> Result<()> {
        let mut picture = PictureSettings::default();
        change(&mut picture);
        picture.check()
    }

    #[test]
    fn gops_are_said_in_seconds_or_frames() {
        let frames = |text: &str, fps| {
            let gop = text.parse().unwrap();
            PictureSettings {
                gop,
                fps,
                ..Default::default()
            }
            .gop_frames()
        };
        assert_eq!(frames("2s", 25), 50);
        assert_eq!(frames("500ms", 30), 15);
        assert_eq!(frames("0.5s", 15), 8);
        assert_eq!(frames("12", 15), 12);
        assert!("2m".parse::<Gop>().is_err());
    }

    #[test]
    fn ranges_are_checked() {
        assert!(picture(|_| {}).is_ok());
        assert!(picture(|p| p.fps = 9).is_err());
        assert!(picture(|p| p.width = 1281).is_err());
        assert!(picture(|p| p.height = 70).is_err());
        let mjpeg = |height| {
            picture(|p| {
                p.codec = VideoCodec::Mjpeg;
                p.height = height;
            })
        };
        assert!(mjpeg(1080).is_ok());
        assert!(mjpeg(180).is_err());
        assert!(picture(|p| p.gop = Gop::Seconds(0.2)).is_err());
        assert!(picture(|p| p.gop = Gop::Seconds(-1.0)).is_err());
        assert!(picture(|p| p.gop = Gop::Frames(251)).is_err());
        assert!(picture(|p| p.b_frames = 4).is_err());
        assert!(picture(|p| p.open_gop = true).is_err());
        assert!(picture(|p| p.slices = 5).is_err());
    }

    #[test]
    fn passwords_are_not_shown() {
        let login = Login {
            user: "viewer".into(),
            password: "geheim".into(),
            method: LoginMethod::Digest,
        };
        let settings = Settings {
            login: Some(login),
            ..Default::default()
        };
        assert!(!format!("{settings:?}").contains("geheim"));
    }
}
