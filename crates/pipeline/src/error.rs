//! What can go wrong with a camera.

use std::time::Duration;

use dayreel_config::Fingerprint;
use dayreel_core::{GapCause, Kind};
use gstreamer::glib;

use crate::elements::MissingElement;

/// Why there are no pictures. Says neither user nor password.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// GStreamer itself does not start.
    #[error("GStreamer does not start")]
    Init(#[source] glib::Error),
    /// A muxer that is part of this program cannot be registered.
    #[error("a muxer of this program cannot be registered")]
    Register(#[source] glib::BoolError),
    /// GStreamer plugins that are not installed.
    #[error("GStreamer elements are missing: {}; install them with: apt install {}",
        list(.0.iter().map(|missing| missing.element)), list(.0.iter().map(|missing| missing.package)))]
    MissingElements(Vec<MissingElement>),
    /// The system has no thread for this camera.
    #[error("a thread of the camera cannot be started: {0}")]
    Thread(std::io::ErrorKind),
    /// The pipeline cannot be put together.
    #[error("the pipeline of the camera cannot be built")]
    Build(#[from] glib::BoolError),

    /// Our own fault: the log says where.
    #[error("a thread of the camera has panicked")]
    Panicked,

    /// 401 or 403.
    #[error("the camera refused user or password")]
    Auth,
    /// 404.
    #[error("the camera knows no such path")]
    NotFound,
    /// Another RTSP status.
    #[error("the camera refused with RTSP status {0}{hint}", hint = hint(*.0))]
    Denied(u16),
    /// 461, or nothing comes this way.
    #[error("the camera does not send this way; try another `transport`")]
    Transport,
    /// Nothing listens there.
    #[error("the camera refused the connection")]
    Refused,
    /// No route, network down.
    #[error("the camera cannot be reached")]
    Unreachable,
    /// The name of the host is not known.
    #[error("the host name of the camera is not known")]
    Unresolved,
    /// No answer, or no picture after the answer.
    #[error("the camera did not deliver within {} s", .0.as_secs())]
    Timeout(Duration),
    /// Something else than RTSP answers.
    #[error("what answers there does not speak RTSP")]
    NotRtsp,
    /// The certificate with this fingerprint is not trusted; without one, TLS fails otherwise.
    #[error("{}", tls(.0.as_ref()))]
    Tls(Option<Fingerprint>),
    /// The description has no video.
    #[error("the camera offers no video")]
    NoVideo,
    /// The description has only video that cannot be recorded.
    #[error("the camera's video is {0}; H.264, H.265, MJPEG and MPEG-4 can be recorded")]
    UnsupportedVideo(String),
    /// The camera ended the stream or the connection.
    #[error("the camera ended the connection")]
    Closed,
    /// Connected, but nothing came.
    #[error("the camera sent no picture for {} s", .0.as_secs())]
    Silent(Duration),
    /// Anything else that an element reports.
    #[error("{element}: {message}")]
    Element {
        /// Which element.
        element: String,
        /// What it says, free of the address.
        message: String,
    },
}

impl Error {
    /// What kind of error this is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Auth => Kind::CameraAuth,
            Self::Init(_)
            | Self::Register(_)
            | Self::MissingElements(_)
            | Self::Thread(_)
            | Self::Build(_)
            | Self::Panicked => Kind::Internal,
            _ => Kind::Unavailable,
        }
    }

    /// A stable word for programs: the `code` of `last_error`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Init(_)
            | Self::Register(_)
            | Self::Thread(_)
            | Self::Build(_)
            | Self::Panicked => "internal",
            Self::MissingElements(_) => "missing_elements",
            Self::Auth => "camera_auth",
            Self::NotFound => "camera_path_not_found",
            Self::Denied(_) => "camera_denied",
            Self::Refused => "camera_refused",
            Self::Unreachable => "camera_unreachable",
            Self::Unresolved => "camera_unresolved",
            Self::Timeout(_) => "camera_timeout",
            Self::NotRtsp => "camera_not_rtsp",
            Self::Transport => "camera_transport",
            Self::Tls(_) => "camera_tls",
            Self::NoVideo => "camera_no_video",
            Self::UnsupportedVideo(_) => "camera_unsupported_video",
            Self::Closed => "camera_closed",
            Self::Silent(_) => "camera_silent",
            Self::Element { .. } => "camera_stream",
        }
    }

    /// Why nothing is recorded while that is so.
    pub const fn gap_cause(&self) -> GapCause {
        match self {
            Self::Refused | Self::Unreachable | Self::Unresolved | Self::Timeout(_) => {
                GapCause::Network
            }
            _ => GapCause::Camera,
        }
    }

    /// Whether the next attempt to connect tells more: silence comes of a hung camera as of a pulled
    /// cable.
    pub const fn is_vague(&self) -> bool {
        matches!(self, Self::Silent(_))
    }

    /// Whether nothing answers where the camera should be.
    pub const fn is_absence(&self) -> bool {
        matches!(self, Self::Refused | Self::Unreachable | Self::Unresolved)
    }

    /// Whether a person has to change something before it works. Such cameras are `failed` and
    /// tried again slowly: accounts lock.
    pub const fn needs_a_person(&self) -> bool {
        matches!(
            self,
            Self::Auth
                | Self::NotFound
                | Self::NoVideo
                | Self::UnsupportedVideo(_)
                | Self::Tls(Some(_))
        )
    }
}

/// What some statuses mean with cameras.
const fn hint(status: u16) -> &'static str {
    match status {
        453 | 503 => ": perhaps it has as many viewers as it allows",
        _ => "",
    }
}

fn tls(refused: Option<&Fingerprint>) -> String {
    match refused {
        None => "TLS with the camera failed".to_owned(),
        Some(fingerprint) => format!(
            "the camera's certificate is not trusted; if it is the camera's own, say \
             tls_fingerprint = \"{fingerprint}\""
        ),
    }
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: std::collections::BTreeSet<_> = words.collect();
    words.into_iter().collect::<Vec<_>>().join(" ")
}
