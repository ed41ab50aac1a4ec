//! The state of a camera as others see it.

use std::time::Duration;

use dayreel_core::{AudioFormat, CameraId, VideoFormat, WallTime};

use crate::Error;

/// Where a camera is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CameraState {
    /// The first session is being set up.
    Connecting,
    /// Access units arrive.
    Live,
    /// Connected, but none has arrived for a while.
    Stalled,
    /// It was lost or could not be reached, and is being tried again.
    Reconnecting,
    /// A person has to change something: password, path, codec. Tried again slowly.
    Failed,
}

impl CameraState {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Connecting,
        Self::Live,
        Self::Stalled,
        Self::Reconnecting,
        Self::Failed,
    ];

    /// The word of the HTTP API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Stalled => "stalled",
            Self::Reconnecting => "reconnecting",
            Self::Failed => "failed",
        }
    }
}

/// A snapshot of a camera.
#[derive(Clone, Debug)]
pub struct CameraStatus {
    /// Its name.
    pub id: CameraId,
    /// Where it is in its life.
    pub state: CameraState,
    /// Since when.
    pub since: WallTime,
    /// Why the last session ended; `None` once a camera delivers again.
    pub last_error: Option<Error>,
    /// Sessions that were begun after the first.
    pub reconnects: u64,
    /// The picture, once its format is known.
    pub video: Option<VideoStatus>,
    /// The sound, once its format is known.
    pub audio: Option<AudioStatus>,
    /// Tracks that the camera offers and that are not recorded.
    pub ignored_tracks: Vec<IgnoredTrack>,
    /// Since the last access unit of the picture.
    pub last_frame_age: Option<Duration>,
    /// Access units that could not be recorded: disk too slow or full, or this machine too slow to
    /// encode them, or damaged and unwanted.
    pub dropped_frames: u64,
    /// RTP packets that did not arrive, by their sequence numbers.
    pub lost_packets: u64,
    /// Packets that came twice or were no RTP of a track.
    pub unusable_packets: u64,
    /// Why nothing is recorded although the camera delivers.
    pub recording_error: Option<RecordingError>,
    /// How far media time is behind the wall clock, in seconds, as measured last.
    pub clock_error_s: f64,
}

/// What is known of the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoStatus {
    /// Codec and size.
    pub format: VideoFormat,
    /// What the camera sends, where it is made H.264; `None` where it is recorded as it is.
    pub converted_from: Option<&'static str>,
    /// Access units a second by their RTP times; 0 while not yet measured.
    pub fps: f64,
    /// Bits a second; 0 while not yet measured.
    pub bitrate_bps: f64,
    /// Seconds from keyframe to keyframe; 0 while not yet measured.
    pub gop_s: f64,
}

/// What is known of the sound.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioStatus {
    /// Codec, rate and channels.
    pub format: AudioFormat,
    /// What the camera sends, where it is made AAC; `None` where its AAC is recorded as it is.
    pub converted_from: Option<&'static str>,
    /// Bits a second; 0 while not yet measured.
    pub bitrate_bps: f64,
}

/// A track that the camera offers and that is not recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoredTrack {
    /// `video`, `audio`, `application`, … as the camera says.
    pub media: String,
    /// Its encoding name, as the camera says: `PCMU`, `OPUS`.
    pub encoding: String,
    /// Why.
    pub reason: IgnoredReason,
}

/// Why a track is not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IgnoredReason {
    /// This codec cannot be recorded.
    Codec,
    /// There is another of its kind before it.
    Further,
    /// The settings say so.
    Unwanted,
    /// Neither picture nor sound.
    Kind,
}

impl IgnoredReason {
    /// As a phrase.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Codec => "this codec is not recorded",
            Self::Further => "only the first track of a kind is recorded",
            Self::Unwanted => "audio is switched off for this camera",
            Self::Kind => "neither picture nor sound",
        }
    }
}

/// Why nothing is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingError {
    /// What kind of error it is.
    pub kind: dayreel_core::Kind,
    /// In one stable word: `disk_full`, `disk_slow`, …
    pub code: &'static str,
    /// What happened.
    pub message: String,
}
