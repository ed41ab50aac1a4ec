//! The pipelines, as text, and the plugins they need.
//!
//! ```text
//! pictures (appsrc) ─ x264enc                ─ rtph264pay pay0
//!                   ├ x265enc ─ h265parse    ─ rtph265pay pay0
//!                   ├ jpegenc                ─ rtpjpegpay pay0
//!                   └ avenc_mpeg4            ─ rtpmp4vpay pay0
//! sound (appsrc)    ─ voaacenc, alawenc, …   ─ rtpmp4gpay, … pay1
//! ```
//! Video reaches the payloader in its MP4 form, parameter sets beside the stream, from where the
//! payloader puts them into the SDP. Those in the stream are the [tap](crate::tap)'s affair: with
//! `config-interval=-1`, payloaders of GStreamer 1.22 repeat them in the middle of a keyframe that
//! has several slices.

use anyhow::{Result, ensure};
use gstreamer as gst;

use crate::{AudioCodec, PictureSettings, VideoCodec, sound};

/// Name of the `appsrc` of the pictures.
pub(crate) const PICTURES: &str = "pictures";
/// Name of the `appsrc` of the sound.
pub(crate) const SOUND: &str = "sound";

/// Live: the answer to DESCRIBE waits for a first packet only.
const APPSRC: &str = "is-live=true format=time max-buffers=1";

/// Coarsest quantiser: beyond it the pattern of a small picture is lost, so a bit rate that would
/// need more is not kept.
const MAX_QP: u32 = 42;

/// The pipeline of a generated picture.
pub(crate) fn picture(settings: &PictureSettings) -> String {
    let sound = settings.audio.map_or_else(String::new, |codec| {
        let caps = sound::Sound::new(codec).caps();
        format!(
            " appsrc name={SOUND} {APPSRC} caps={caps} ! {} ! {}",
            audio_encoder(codec),
            audio_payloader(codec)
        )
    });
    format!(
        "( appsrc name={PICTURES} {APPSRC} ! {} ! {}{sound} )",
        video_encoder(settings),
        video_payloader(settings.codec)
    )
}

/// The pipeline of a file, whose access units come ready from the `appsrc`s.
pub(crate) fn file(video: VideoCodec, has_aac: bool) -> String {
    let sound = if has_aac {
        format!(
            " appsrc name={SOUND} {APPSRC} ! {}",
            audio_payloader(AudioCodec::Aac)
        )
    } else {
        String::new()
    };
    format!(
        "( appsrc name={PICTURES} {APPSRC} ! {}{sound} )",
        video_payloader(video)
    )
}

pub(crate) fn video_encoder(settings: &PictureSettings) -> String {
    let gop = settings.gop_frames();
    let bitrate = settings.bitrate_kbps;
    let b_frames = settings.b_frames;
    let tune = if b_frames == 0 {
        "tune=zerolatency"
    } else {
        ""
    };
    let slices = settings.slices;
    let open_gop = u8::from(settings.open_gop);
    let options = format!(
        "keyint={gop}:scenecut=0:open-gop={open_gop}:bframes={b_frames}:b-adapt=0:slices={slices}"
    );
    match settings.codec {
        VideoCodec::H264 => format!(
            "x264enc speed-preset=ultrafast {tune} threads=1 sync-lookahead=0 rc-lookahead=0 \
             bitrate={bitrate} key-int-max={gop} qp-max={MAX_QP} bframes={b_frames} b-adapt=false \
             option-string={options} ! video/x-h264,stream-format=avc,profile=high"
        ),
        VideoCodec::H265 => format!(
            "x265enc speed-preset=ultrafast {tune} bitrate={bitrate} key-int-max={gop} \
             option-string={options}:min-keyint={gop}:b-pyramid=0:qpmax={MAX_QP}:rc-lookahead={lookahead}:\
             pools=1:frame-threads=1:info=0 \
             ! h265parse ! video/x-h265,stream-format=hvc1,alignment=au",
            lookahead = b_frames + 1,
        ),
        VideoCodec::Mjpeg => "jpegenc".to_owned(),
        VideoCodec::Mpeg4 => format!("avenc_mpeg4 bitrate={} gop-size={gop}", 1000 * bitrate),
    }
}

fn video_payloader(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H264 => "rtph264pay name=pay0 pt=96",
        VideoCodec::H265 => "rtph265pay name=pay0 pt=96",
        // The static payload type (RFC 3551 table 5), as cameras have it.
        VideoCodec::Mjpeg => "rtpjpegpay name=pay0 pt=26",
        VideoCodec::Mpeg4 => "rtpmp4vpay name=pay0 pt=96",
    }
}

pub(crate) fn audio_encoder(codec: AudioCodec) -> &'static str {
    match codec {
        AudioCodec::Aac | AudioCodec::AacLatm => {
            "voaacenc bitrate=64000 ! audio/mpeg,stream-format=raw"
        }
        AudioCodec::Alaw => "alawenc",
        AudioCodec::Mulaw => "mulawenc",
        AudioCodec::G726 => "avenc_g726 bitrate=32000",
        AudioCodec::L16 => "audioconvert ! audio/x-raw,format=S16BE",
        AudioCodec::Opus => "opusenc",
    }
}

fn audio_payloader(codec: AudioCodec) -> &'static str {
    match codec {
        AudioCodec::Aac => "rtpmp4gpay name=pay1 pt=97",
        AudioCodec::AacLatm => "rtpmp4apay name=pay1 pt=97",
        // Static payload types (RFC 3551 §6), as cameras have them.
        AudioCodec::Alaw => "rtppcmapay name=pay1 pt=8",
        AudioCodec::Mulaw => "rtppcmupay name=pay1 pt=0",
        AudioCodec::G726 => "rtpg726pay name=pay1 pt=97",
        AudioCodec::L16 => "rtpL16pay name=pay1 pt=97",
        AudioCodec::Opus => "rtpopuspay name=pay1 pt=97",
    }
}

/// Says which Debian package is missing, before a pipeline fails with something less clear.
///
/// # Errors
/// One line that names the element and its package.
pub(crate) fn check_plugins(launch: &str) -> Result<()> {
    for (element, package) in elements(launch) {
        ensure!(
            gst::ElementFactory::find(element).is_some(),
            "GStreamer has no element {element}: apt install {package}"
        );
    }
    Ok(())
}

/// The elements of `launch` and those that gst-rtsp-server adds by itself, each with its package.
pub(crate) fn elements(launch: &str) -> Vec<(&'static str, &'static str)> {
    let added = ["appsink", "appsrc", "rtpbin", "udpsink"];
    let words = launch.split_whitespace().chain(added);
    words.filter_map(known).collect()
}

/// The element that `word` names, and its package; `None` if it names none of ours.
fn known(word: &str) -> Option<(&'static str, &'static str)> {
    PACKAGES.iter().find_map(|(package, elements)| {
        let element = elements.iter().find(|element| **element == word)?;
        Some((*element, *package))
    })
}

/// Debian packages, and what we need of each.
const PACKAGES: &[(&str, &[&str])] = &[
    (
        "gstreamer1.0-plugins-base",
        &["appsrc", "appsink", "audioconvert", "opusenc"],
    ),
    (
        "gstreamer1.0-plugins-good",
        &[
            "alawenc",
            "mulawenc",
            "jpegenc",
            "rtph264pay",
            "rtph265pay",
            "rtpjpegpay",
            "rtpmp4vpay",
            "rtpmp4apay",
            "rtpmp4gpay",
            "rtppcmapay",
            "rtppcmupay",
            "rtpg726pay",
            "rtpL16pay",
            "rtpopuspay",
            "rtpbin",
            "udpsink",
            "qtdemux",
            "aacparse",
        ],
    ),
    (
        "gstreamer1.0-plugins-bad",
        &[
            "x265enc",
            "h264parse",
            "h265parse",
            "mpeg4videoparse",
            "voaacenc",
        ],
    ),
    ("gstreamer1.0-plugins-ugly", &["x264enc"]),
    ("gstreamer1.0-libav", &["avenc_g726", "avenc_mpeg4"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_has_a_package_and_is_installed() {
        gst::init().unwrap();
        for codec in [
            VideoCodec::H264,
            VideoCodec::H265,
            VideoCodec::Mjpeg,
            VideoCodec::Mpeg4,
        ] {
            for audio in [
                None,
                Some(AudioCodec::Aac),
                Some(AudioCodec::AacLatm),
                Some(AudioCodec::Alaw),
                Some(AudioCodec::Mulaw),
                Some(AudioCodec::G726),
                Some(AudioCodec::L16),
                Some(AudioCodec::Opus),
            ] {
                let settings = PictureSettings {
                    codec,
                    audio,
                    ..Default::default()
                };
                let launch = picture(&settings);
                check_plugins(&launch).unwrap();
                let elements = launch.split(['!', '(', ')']).map(str::trim);
                for chain in elements.filter(|chain| !chain.is_empty()) {
                    let element = chain.split_whitespace().next().unwrap();
                    let is_caps = element.contains('/');
                    assert!(is_caps || known(element).is_some(), "{element}");
                }
            }
        }
    }
}
