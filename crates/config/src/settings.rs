//! Checked settings: every value here is allowed, and every default is applied.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    path::PathBuf,
    time::Duration,
};

use chrono_tz::Tz;
use dayreel_core::CameraId;
use ipnet::IpNet;

use crate::{BasePath, Mqtt, SecretUrl, Trust, User, Webhook};

/// `server.listen` where nothing else is said.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 6478));
/// `server.data_dir` where nothing else is said; relative to the working directory.
pub const DEFAULT_DATA_DIR: &str = "./data";
/// `days_to_keep` where nothing else is said, and its maximum: the six days before today are
/// what the weekday numbers 0 to 6 can name besides today.
pub const MAX_DAYS_TO_KEEP: u8 = 6;
/// Most days that moments or timelapses can be told to be kept: ten years.
pub const MAX_DATED_DAYS_TO_KEEP: u16 = 3660;
/// Range of `gif_max_bytes`: any GIF of a moment can be made small enough for the least.
pub const GIF_MAX_BYTES_RANGE: (u64, u64) = (256 << 10, 64 << 20);
/// `gif_max_bytes` where nothing else is said.
pub const DEFAULT_GIF_MAX_BYTES: u64 = 4 << 20;
/// Range of `max_bytes`.
pub const MAX_BYTES_RANGE: (u64, u64) = (1_000_000, 1 << 60);
/// `server.min_free_bytes` where nothing else is said.
pub const DEFAULT_MIN_FREE_BYTES: u64 = 1_000_000_000;
/// `segment_s` where nothing else is said, seconds.
pub const DEFAULT_SEGMENT_S: u8 = 4;
/// Largest `segment_s`, seconds.
pub const MAX_SEGMENT_S: u8 = 10;
/// `frame_max_age_s` where nothing else is said, seconds.
pub const DEFAULT_FRAME_MAX_AGE_S: u32 = 300;
/// Largest `frame_max_age_s`, seconds: a day.
pub const MAX_FRAME_MAX_AGE_S: u32 = 86_400;
/// `timelapse_interval_s` where nothing else is said, seconds: 1800 pictures a day.
pub const DEFAULT_TIMELAPSE_INTERVAL_S: u32 = 48;
/// Largest `timelapse_interval_s`, seconds.
pub const MAX_TIMELAPSE_INTERVAL_S: u32 = 3600;
/// `timelapse_width` where nothing else is said, pixels.
pub const DEFAULT_TIMELAPSE_WIDTH: u32 = 1280;
/// Smallest and largest `timelapse_width`, pixels.
pub const TIMELAPSE_WIDTHS: (u32, u32) = (160, 3840);
/// `timelapse_fps` where nothing else is said, pictures a second.
pub const DEFAULT_TIMELAPSE_FPS: u32 = 30;
/// Largest `timelapse_fps`, pictures a second.
pub const MAX_TIMELAPSE_FPS: u32 = 60;

/// Everything the program needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `[server]`.
    pub server: Server,
    /// `[[camera]]`, in the order of the file. Never empty, no id twice.
    pub cameras: Vec<Camera>,
    /// `[[users]]`, in the order of the file. No name twice; where there are none, nobody logs in.
    pub users: Vec<User>,
    /// `[[webhooks]]`, in the order of the file.
    pub webhooks: Vec<Webhook>,
    /// `[mqtt]`, if there is one.
    pub mqtt: Option<Mqtt>,
}

/// What concerns all cameras.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// Folder of all recordings. Relative paths start at the working directory.
    pub data_dir: PathBuf,
    /// Whether a data directory without its marker file is refused instead of begun.
    pub require_marker: bool,
    /// The oldest hours are deleted where less is free on the disk, bytes. 0: never for that.
    pub min_free_bytes: u64,
    /// The zone of cameras that do not say their own.
    pub timezone: Tz,
    /// Who may use the server where there are no users.
    pub auth: Auth,
    /// Whose word is taken for where a request comes from, and how.
    pub trusted_proxies: Vec<IpNet>,
    /// Below which path a reverse proxy shows the server.
    pub base_path: BasePath,
    /// HTTPS instead of HTTP.
    pub tls: Option<Tls>,
}

/// Where the server's certificate is. Both files may be replaced while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM, with the certificates of the authorities after the server's own.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// Who may use the server where there are no users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Everybody at home, because nothing was said: addresses of this machine and of private networks.
    #[default]
    Unsaid,
    /// Everybody, on purpose: `auth = "none"`.
    None,
}

/// One camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Camera {
    /// Path segment of its URLs and name of its folder.
    pub id: CameraId,
    /// Where its stream comes from.
    pub rtsp: SecretUrl,
    /// Where the same view comes from in a smaller size, if it is recorded, too.
    pub rtsp_preview: Option<SecretUrl>,
    /// How many full days before today are kept, 0 to [`MAX_DAYS_TO_KEEP`].
    pub days_to_keep: u8,
    /// Most bytes that its days may take; `None`: what the disk has.
    pub max_bytes: Option<u64>,
    /// How many full days before today moments are kept; `None`: for ever.
    pub moments_days_to_keep: Option<u16>,
    /// The same for timelapses.
    pub timelapse_days_to_keep: Option<u16>,
    /// Decides when its days end.
    pub timezone: Tz,
    /// How RTP travels.
    pub transport: Transport,
    /// Whose certificate is accepted where the URL begins with `rtsps`.
    pub trust: Trust,
    /// What becomes of pictures that packets are missing for.
    pub on_loss: OnLoss,
    /// Whether its sound is recorded.
    pub audio: bool,
    /// Target length of a segment; the next keyframe after it ends the segment. Whole seconds,
    /// 1 to [`MAX_SEGMENT_S`].
    pub segment: Duration,
    /// How long after the camera went away its last picture is still shown, marked as stale. Whole
    /// seconds, up to [`MAX_FRAME_MAX_AGE_S`].
    pub frame_max_age: Duration,
    /// Most bytes of the GIF of a moment.
    pub gif_max_bytes: u64,
    /// The film of each of its days.
    pub timelapse: Timelapse,
}

/// The film of a camera's day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timelapse {
    /// Whether it is made.
    pub enabled: bool,
    /// One picture of so many seconds, 1 to [`MAX_TIMELAPSE_INTERVAL_S`].
    pub interval_s: u32,
    /// At most so many pixels wide, within [`TIMELAPSE_WIDTHS`].
    pub width: u32,
    /// Pictures a second when it is played, 1 to [`MAX_TIMELAPSE_FPS`].
    pub fps: u32,
}

impl Default for Timelapse {
    /// A day of 24 hours in 60 s.
    fn default() -> Self {
        Self {
            enabled: true,
            interval_s: DEFAULT_TIMELAPSE_INTERVAL_S,
            width: DEFAULT_TIMELAPSE_WIDTH,
            fps: DEFAULT_TIMELAPSE_FPS,
        }
    }
}

/// How RTP travels from the camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Interleaved in the RTSP connection: nothing is lost on the way.
    #[default]
    Tcp,
    /// Datagrams: what is lost stays lost and smears the picture.
    Udp,
    /// Datagrams to a group that others may join.
    Multicast,
    /// Interleaved within two HTTP connections, for cameras behind a proxy.
    Http,
    /// [`Transport::Tcp`], and [`Transport::Udp`] where that is refused or nothing comes.
    Auto,
}

impl Transport {
    /// All values of `transport`.
    pub(crate) const NAMES: &[&str] = &["tcp", "udp", "multicast", "http", "auto"];

    const ALL: [Self; 5] = [
        Self::Tcp,
        Self::Udp,
        Self::Multicast,
        Self::Http,
        Self::Auto,
    ];

    /// As the configuration says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Multicast => "multicast",
            Self::Http => "http",
            Self::Auto => "auto",
        }
    }

    /// The one of that name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.name() == name)
    }
}

/// What becomes of pictures that packets are missing for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLoss {
    /// They are recorded, smeared up to the next keyframe.
    #[default]
    Keep,
    /// They are left out up to the next keyframe.
    Drop,
}

impl OnLoss {
    /// All values of `on_loss`.
    pub(crate) const NAMES: &[&str] = &["keep", "drop"];

    /// As the configuration says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Drop => "drop",
        }
    }

    /// The one of that name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let all = [Self::Keep, Self::Drop];
        all.into_iter().find(|choice| choice.name() == name)
    }
}

impl Auth {
    /// All values of `auth`.
    pub(crate) const NAMES: &[&str] = &["none"];

    /// The value of `auth`, if one was given.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Unsaid => None,
            Self::None => Some("none"),
        }
    }
}
