//! Which of the tracks that a camera offers are taken.

use dayreel_core::TrackKind;
use gstreamer as gst;

use crate::{Error, IgnoredReason, IgnoredTrack};

/// What has been offered so far in a session.
#[derive(Debug)]
pub(crate) struct Offer {
    wants_audio: bool,
    is_empty: bool,
    has_video: bool,
    has_audio: bool,
    unsupported_video: Option<String>,
}

/// What to do with a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Take,
    Ignore(IgnoredTrack),
}

/// How a track comes, by its media type and encoding name in the camera's description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    H264,
    H265,
    /// RFC 3640.
    AacGeneric,
    /// RFC 3016.
    AacLatm,
    /// Pictures that are made H.264, because browsers play little else.
    OtherVideo(OtherVideo),
    /// Sound that is made AAC, because players of HLS and DASH know little else.
    Sound(Sound),
}

/// Pictures that have to be decoded and encoded again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OtherVideo {
    /// RFC 2435.
    Jpeg,
    /// MPEG-4 part 2, RFC 6416 §5.
    Mpeg4,
}

/// Sound that has to be decoded and encoded again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sound {
    /// G.711 µ-law, RFC 3551 §4.5.14.
    Mulaw,
    /// G.711 A-law, RFC 3551 §4.5.14.
    Alaw,
    /// RFC 3551 §4.5.4.
    G726,
    /// 16 bits, big-endian, RFC 3551 §4.5.11.
    L16,
    /// RFC 7587.
    Opus,
}

impl Payload {
    /// What the caps of an RTP track say, if it can be recorded.
    pub(crate) fn of(caps: &gst::CapsRef) -> Option<Self> {
        let encoding = encoding(caps);
        match (caps.structure(0)?.get("media").ok()?, encoding.as_str()) {
            ("video", "H264") => Some(Self::H264),
            ("video", "H265") => Some(Self::H265),
            ("video", "JPEG") => Some(Self::OtherVideo(OtherVideo::Jpeg)),
            ("video", "MP4V-ES") => Some(Self::OtherVideo(OtherVideo::Mpeg4)),
            ("audio", "MPEG4-GENERIC") => Some(Self::AacGeneric),
            ("audio", "MP4A-LATM") => Some(Self::AacLatm),
            ("audio", encoding) => Sound::of(encoding).map(Self::Sound),
            _ => None,
        }
    }

    /// Picture or sound.
    pub(crate) const fn kind(self) -> TrackKind {
        match self {
            Self::H264 | Self::H265 | Self::OtherVideo(_) => TrackKind::Video,
            Self::AacGeneric | Self::AacLatm | Self::Sound(_) => TrackKind::Audio,
        }
    }

    /// What the camera sends, as the API calls it, where that is encoded again.
    pub(crate) const fn converted_from(self) -> Option<&'static str> {
        match self {
            Self::OtherVideo(video) => Some(video.name()),
            Self::Sound(sound) => Some(sound.name()),
            _ => None,
        }
    }
}

impl OtherVideo {
    const fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "MJPEG",
            Self::Mpeg4 => "MPEG-4",
        }
    }
}

impl Sound {
    /// By its encoding name in the camera's description.
    fn of(encoding: &str) -> Option<Self> {
        match encoding {
            "PCMU" => Some(Self::Mulaw),
            "PCMA" => Some(Self::Alaw),
            "G726-16" | "G726-24" | "G726-32" | "G726-40" => Some(Self::G726),
            "L16" => Some(Self::L16),
            "OPUS" => Some(Self::Opus),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Mulaw => "G.711 µ-law",
            Self::Alaw => "G.711 A-law",
            Self::G726 => "G.726",
            Self::L16 => "L16",
            Self::Opus => "Opus",
        }
    }
}

impl Offer {
    /// Nothing has been offered yet.
    pub(crate) const fn new(wants_audio: bool) -> Self {
        Self {
            wants_audio,
            is_empty: true,
            has_video: false,
            has_audio: false,
            unsupported_video: None,
        }
    }

    /// Judges the next track.
    pub(crate) fn judge(&mut self, caps: &gst::CapsRef) -> Verdict {
        self.is_empty = false;
        let (media, encoding) = (word(caps, "media"), encoding(caps));
        let taken = match media.as_str() {
            "video" => &mut self.has_video,
            "audio" => &mut self.has_audio,
            _ => return ignore(media, encoding, IgnoredReason::Kind),
        };
        if media == "audio" && !self.wants_audio {
            return ignore(media, encoding, IgnoredReason::Unwanted);
        }
        if *taken {
            return ignore(media, encoding, IgnoredReason::Further);
        }
        if Payload::of(caps).is_none() {
            if media == "video" {
                self.unsupported_video
                    .get_or_insert_with(|| encoding.clone());
            }
            return ignore(media, encoding, IgnoredReason::Codec);
        }
        *taken = true;
        Verdict::Take
    }

    /// Why nothing of what was offered can be recorded. `None`: something can, or nothing has been
    /// offered.
    pub(crate) fn refusal(&self) -> Option<Error> {
        if self.is_empty || self.has_video {
            return None;
        }
        Some(match &self.unsupported_video {
            Some(encoding) => Error::UnsupportedVideo(encoding.clone()),
            None => Error::NoVideo,
        })
    }
}

fn word(caps: &gst::CapsRef, name: &str) -> String {
    let value = caps.structure(0).and_then(|s| s.get::<&str>(name).ok());
    value.unwrap_or_default().to_owned()
}

/// What a track is called in the camera's description, or by its payload type.
fn encoding(caps: &gst::CapsRef) -> String {
    let named = word(caps, "encoding-name");
    match named.is_empty() {
        true => static_name(caps.structure(0).and_then(|s| s.get("payload").ok())),
        false => named,
    }
}

/// The name of a payload type that needs no `a=rtpmap` (RFC 3551 tables 4 and 5).
fn static_name(payload: Option<i32>) -> String {
    match payload {
        Some(0) => "PCMU".to_owned(),
        Some(3) => "GSM".to_owned(),
        Some(8) => "PCMA".to_owned(),
        Some(9) => "G722".to_owned(),
        Some(14) => "MPA".to_owned(),
        Some(26) => "JPEG".to_owned(),
        Some(31) => "H261".to_owned(),
        Some(32) => "MPV".to_owned(),
        Some(33) => "MP2T".to_owned(),
        Some(34) => "H263".to_owned(),
        Some(other) => format!("payload type {other}"),
        None => "unknown".to_owned(),
    }
}

fn ignore(media: String, encoding: String, reason: IgnoredReason) -> Verdict {
    Verdict::Ignore(IgnoredTrack {
        media,
        encoding,
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rtp(media: &str, encoding: &str) -> gst::Caps {
        gst::init().unwrap();
        gst::Caps::builder("application/x-rtp")
            .field("media", media)
            .field("encoding-name", encoding)
            .build()
    }

    fn reason(verdict: Verdict) -> Option<IgnoredReason> {
        match verdict {
            Verdict::Take => None,
            Verdict::Ignore(track) => Some(track.reason),
        }
    }

    #[test]
    fn takes_the_first_picture_and_the_first_sound_that_can_be_recorded() {
        let mut offer = Offer::new(true);
        let mut judge = |media, encoding| reason(offer.judge(&rtp(media, encoding)));
        assert_eq!(judge("video", "VP8"), Some(IgnoredReason::Codec));
        assert_eq!(judge("video", "H265"), None);
        assert_eq!(judge("video", "H264"), Some(IgnoredReason::Further));
        assert_eq!(judge("audio", "G723"), Some(IgnoredReason::Codec));
        assert_eq!(judge("audio", "PCMU"), None);
        assert_eq!(
            judge("audio", "MPEG4-GENERIC"),
            Some(IgnoredReason::Further)
        );
        assert_eq!(
            judge("application", "VND.ONVIF.METADATA"),
            Some(IgnoredReason::Kind)
        );
        assert!(offer.refusal().is_none());
    }

    #[test]
    fn says_why_there_is_nothing_to_record() {
        let mut offer = Offer::new(false);
        assert!(offer.refusal().is_none());
        assert_eq!(
            reason(offer.judge(&rtp("audio", "MPEG4-GENERIC"))),
            Some(IgnoredReason::Unwanted)
        );
        assert!(matches!(offer.refusal(), Some(Error::NoVideo)));
        offer.judge(&rtp("video", "VP8"));
        assert!(matches!(offer.refusal(), Some(Error::UnsupportedVideo(codec)) if codec == "VP8"));
    }
}
