//! The description of a scripted camera: written for it, or read, where it is another camera's, to
//! learn what to send.

use anyhow::{Result, bail};
use gstreamer::glib;

use super::reel::{Content, Reel};
use crate::{AudioCodec, VideoCodec};

/// One media description (RFC 4566 §5.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Media {
    /// Payload type of its packets.
    pub(crate) payload_type: u8,
    /// Its `a=control`; empty where it has none.
    pub(crate) control: String,
    /// What to send; `None`: nothing.
    pub(crate) content: Option<Content>,
}

/// The tracks of a description. What cannot be read is a track that nothing is sent for.
pub(crate) fn read(sdp: &str) -> Vec<Media> {
    let blocks = sdp.split("\nm=").skip(1);
    let mut has_video = false;
    let media = blocks.map(|block| {
        let mut media = media(block);
        if let Some(Content::Video { is_large, .. }) = &mut media.content {
            // A second picture is another one.
            *is_large = std::mem::replace(&mut has_video, true);
        }
        media
    });
    media.collect()
}

fn media(block: &str) -> Media {
    let mut lines = block.lines();
    // `video 0 RTP/AVP 96`
    let words: Vec<&str> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let payload_type: u8 = words.get(3).and_then(|word| word.parse().ok()).unwrap_or(0);
    let attribute = |name: &str| {
        let of_line = |line: &str| line.strip_prefix(name).map(|value| value.trim().to_owned());
        block.lines().find_map(of_line)
    };
    // `96 H264/90000`; RFC 3551 §6 for those that need none.
    let map = attribute("a=rtpmap:").unwrap_or_default();
    let map = map.split_once(' ').map_or("", |(_, map)| map);
    let mut map = map.split('/');
    let encoding = map.next().unwrap_or_default().to_ascii_uppercase();
    let mut number = |otherwise| map.next().and_then(|n| n.parse().ok()).unwrap_or(otherwise);
    let content = match (encoding.as_str(), payload_type) {
        ("H264", _) => Some(VideoCodec::H264),
        ("H265", _) => Some(VideoCodec::H265),
        _ => None,
    };
    let content = content.map(|codec| Content::Video {
        codec,
        is_large: false,
    });
    let sound = match (encoding.as_str(), payload_type) {
        ("MPEG4-GENERIC", _) => Some(Content::Aac {
            rate_hz: number(48_000),
            channels: number(1),
        }),
        ("PCMU", _) | ("", 0) if words.first() == Some(&"audio") => {
            Some(AudioCodec::Mulaw).map(|codec| Content::G711 { codec })
        }
        ("PCMA", _) | ("", 8) => Some(AudioCodec::Alaw).map(|codec| Content::G711 { codec }),
        _ => None,
    };
    Media {
        payload_type,
        control: attribute("a=control:").unwrap_or_default(),
        content: content.or(sound),
    }
}

/// A description of these tracks as most cameras have it.
///
/// # Errors
/// GStreamer has no encoder for one.
pub(crate) fn write(tracks: &[Content]) -> Result<String> {
    let mut sdp = String::from(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=Media Presentation\r\nt=0 0\r\na=control:*\r\n",
    );
    for (index, content) in tracks.iter().enumerate() {
        let media = match content {
            Content::Video { codec, .. } => {
                let sets: Vec<_> = Reel::of(*content)?
                    .sets
                    .iter()
                    .map(|set| base64(set))
                    .collect();
                format!("m=video 0 RTP/AVP 96\r\n{}", video(*codec, &sets)?)
            }
            Content::Aac { rate_hz, channels } => format!(
                "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/{rate_hz}/{channels}\r\n\
                 a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;\
                 indexlength=3;indexdeltalength=3;config={:04x}\r\n",
                audio_specific_config(*rate_hz, *channels)
            ),
            Content::G711 {
                codec: AudioCodec::Alaw,
            } => "m=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n".into(),
            Content::G711 { .. } => "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n".into(),
        };
        sdp += &format!("{media}a=control:trackID={index}\r\n");
    }
    Ok(sdp)
}

/// RFC 6184 §8.1 and RFC 7798 §7.1.
fn video(codec: VideoCodec, sets: &[String]) -> Result<String> {
    Ok(match (codec, sets) {
        (VideoCodec::H265, [vps, sps, pps]) => format!(
            "a=rtpmap:96 H265/90000\r\n\
             a=fmtp:96 sprop-vps={vps};sprop-sps={sps};sprop-pps={pps}\r\n"
        ),
        (VideoCodec::H265, _) => "a=rtpmap:96 H265/90000\r\n".into(),
        (VideoCodec::H264, _) => format!(
            "a=rtpmap:96 H264/90000\r\n\
             a=fmtp:96 packetization-mode=1;sprop-parameter-sets={}\r\n",
            sets.join(",")
        ),
        (codec, _) => bail!("no script describes {codec:?}"),
    })
}

fn base64(bytes: &[u8]) -> String {
    glib::base64_encode(bytes).into()
}

/// AAC-LC (ISO/IEC 14496-3 §1.6.2.1): object type 2, index of the rate, channels.
fn audio_specific_config(rate_hz: u32, channels: u32) -> u32 {
    const RATES_HZ: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
        8_000, 7_350,
    ];
    let index = RATES_HZ.iter().zip(0..).find(|(rate, _)| **rate == rate_hz);
    2 << 11 | index.map_or(3, |(_, index)| index) << 7 | channels << 3
}

#[cfg(test)]
mod tests {
    use super::*;

    const H264: Content = Content::Video {
        codec: VideoCodec::H264,
        is_large: false,
    };

    #[test]
    fn what_is_written_is_read() {
        let aac = Content::Aac {
            rate_hz: 16_000,
            channels: 1,
        };
        let alaw = Content::G711 {
            codec: AudioCodec::Alaw,
        };
        let sdp = write(&[H264, aac, alaw]).unwrap();
        assert!(sdp.contains("config=1408"), "{sdp}");
        let media = read(&sdp);
        let content: Vec<_> = media.iter().map(|media| media.content).collect();
        assert_eq!(content, [Some(H264), Some(aac), Some(alaw)]);
        assert_eq!(media[1].control, "trackID=1");
        assert_eq!(media[2].payload_type, 8);
    }

    #[test]
    fn foreign_descriptions_are_read() {
        let media = read(include_str!("../../captures/tplink_sdp.txt"));
        let content: Vec<_> = media.iter().map(|media| media.content).collect();
        let h265 = Content::Video {
            codec: VideoCodec::H265,
            is_large: false,
        };
        let alaw = Content::G711 {
            codec: AudioCodec::Alaw,
        };
        assert_eq!(content, [Some(h265), Some(alaw), None]);
        let media = read(include_str!("../../captures/foscam_describe.txt"));
        assert_eq!(media[0].content, Some(H264));
        assert_eq!(
            media[1].content,
            Some(Content::G711 {
                codec: AudioCodec::Mulaw
            })
        );
    }
}
