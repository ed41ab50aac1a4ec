//! What a track carries.

use std::fmt;

use serde::Serialize;

/// Which track of a camera. It has one video track, at most one audio track and, from a stream of its
/// own, at most one preview: the same view, smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TrackKind {
    /// The pictures.
    Video,
    /// The sound.
    Audio,
    /// The pictures of the sub-stream.
    Preview,
}

impl TrackKind {
    /// All of them, in the order in which they are counted: `kind as usize` is an index.
    pub const ALL: [Self; 3] = [Self::Video, Self::Audio, Self::Preview];
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Whether it has pictures, otherwise it has sound.
    pub const fn is_picture(self) -> bool {
        matches!(self, Self::Video | Self::Preview)
    }

    /// `video`, `audio` or `preview`: the stem of index, hour file and playlist names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Preview => "preview",
        }
    }

    /// `v`, `a` or `p`: the first letter of segment names.
    pub const fn letter(self) -> char {
        match self {
            Self::Video => 'v',
            Self::Audio => 'a',
            Self::Preview => 'p',
        }
    }
}

impl fmt::Display for TrackKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A fraction, such as a frame rate of 30000/1001 pictures a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rational {
    /// Above the line.
    pub numerator: u32,
    /// Below the line, never 0.
    pub denominator: u32,
}

impl Rational {
    /// As a floating point number.
    pub fn as_f64(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }
}

/// How to play a video track, as its init segment says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VideoFormat {
    /// RFC 6381 codec string: `avc1.640028`, `hvc1.1.6.L120.B0`.
    pub codec: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// How to play an audio track, as its init segment says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AudioFormat {
    /// RFC 6381 codec string: `mp4a.40.2`.
    pub codec: String,
    /// Samples a second.
    pub sample_rate_hz: u32,
    /// Channels.
    pub channels: u32,
}

/// How to play a track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TrackFormat {
    /// Pictures.
    Video(VideoFormat),
    /// Sound.
    Audio(AudioFormat),
}

impl TrackFormat {
    /// RFC 6381 codec string.
    pub fn codec(&self) -> &str {
        match self {
            Self::Video(video) => &video.codec,
            Self::Audio(audio) => &audio.codec,
        }
    }

    /// Which track of one stream this format is of.
    pub const fn kind(&self) -> TrackKind {
        match self {
            Self::Video(_) => TrackKind::Video,
            Self::Audio(_) => TrackKind::Audio,
        }
    }

    /// Whether a track of that kind can have it.
    pub const fn fits(&self, kind: TrackKind) -> bool {
        matches!(self, Self::Video(_)) == kind.is_picture()
    }
}
