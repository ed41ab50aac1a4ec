//! What a camera offers: its answer to DESCRIBE, read by GStreamer's SDP library.

use gstreamer as gst;
use gstreamer_sdp::{SDPMediaRef, SDPMessage};

use crate::{Error, offer::Payload};

/// A description (RFC 4566, with RFC 2326 appendix C).
#[derive(Clone, Debug)]
pub(crate) struct Description {
    /// The control attribute of the whole session.
    pub(crate) control: Option<String>,
    pub(crate) tracks: Vec<OfferedTrack>,
}

/// One medium of the description.
#[derive(Clone, Debug)]
pub(crate) struct OfferedTrack {
    /// `application/x-rtp`, as depayloaders want it.
    pub(crate) caps: gst::Caps,
    pub(crate) control: Option<String>,
}

impl Description {
    /// # Errors
    /// It is no SDP.
    pub(crate) fn parse(sdp: &[u8]) -> Result<Self, Error> {
        // The library takes no empty one.
        if sdp.is_empty() {
            return Err(Error::NotRtsp);
        }
        let message = SDPMessage::parse_buffer(sdp).map_err(|_| Error::NotRtsp)?;
        let media = (0..message.medias_len()).filter_map(|index| message.media(index));
        Ok(Self {
            control: message.attribute_val("control").map(str::to_owned),
            tracks: media.map(|media| track(&message, media)).collect(),
        })
    }
}

fn track(message: &SDPMessage, media: &SDPMediaRef) -> OfferedTrack {
    let formats = (0..media.formats_len()).filter_map(|index| media.format(index));
    let caps: Vec<gst::Caps> = formats
        .filter_map(|format| format.parse::<u8>().ok())
        .filter_map(|payload_type| caps(message, media, payload_type))
        .collect();
    // Of several payload types, the first that can be recorded.
    let known = caps.iter().find(|caps| Payload::of(caps).is_some());
    let unknown = || {
        gst::Caps::builder("application/x-rtp")
            .field("media", media.media().unwrap_or_default())
            .field("encoding-name", named(media).unwrap_or_default())
            .build()
    };
    OfferedTrack {
        caps: known.or(caps.first()).cloned().unwrap_or_else(unknown),
        control: media.attribute_val("control").map(str::to_owned),
    }
}

fn caps(message: &SDPMessage, media: &SDPMediaRef, payload_type: u8) -> Option<gst::Caps> {
    let mut caps = media.caps_from_media(payload_type.into())?;
    let fields = caps.make_mut();
    fields.structure_mut(0)?.set_name("application/x-rtp");
    // They are hints; caps without them will do.
    let _ = message.attributes_to_caps(fields);
    let _ = media.attributes_to_caps(fields);
    Some(caps)
}

/// The name in `a=rtpmap` of a medium whose payload type is no number.
fn named(media: &SDPMediaRef) -> Option<String> {
    let (_, encoding) = media.attribute_val("rtpmap")?.split_once(' ')?;
    Some(encoding.split('/').next()?.trim().to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=x\r\nt=0 0\r\na=control:*\r\n\
        m=video 0 RTP/AVP 96\r\na=control:trackID=0\r\na=rtpmap:96 H264/90000\r\n\
        a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z2QAHqwsaoLA9puCgIKgAAADACAAAAMD0IAA,aO4xshsA\r\n\
        m=audio 0 RTP/AVP 8\r\na=control:trackID=1\r\n\
        m=application/X 0 RTP/AVP smart/1/90000\r\na=rtpmap:95 X-Y/90000\r\n";

    #[test]
    fn reads_tracks_with_what_their_depayloaders_want() {
        gst::init().unwrap();
        let description = Description::parse(SDP.as_bytes()).unwrap();
        assert_eq!(description.control.as_deref(), Some("*"));
        let [video, audio, other] = &description.tracks[..] else {
            panic!("{description:?}");
        };
        assert_eq!(video.control.as_deref(), Some("trackID=0"));
        let fields = video.caps.structure(0).unwrap();
        assert_eq!(fields.name(), "application/x-rtp");
        assert_eq!(fields.get::<i32>("clock-rate"), Ok(90_000));
        assert_eq!(fields.get::<&str>("encoding-name"), Ok("H264"));
        assert!(
            fields
                .get::<&str>("sprop-parameter-sets")
                .unwrap()
                .starts_with("Z2QA")
        );
        // A static payload type needs no rtpmap, RFC 3551 §6.
        assert_eq!(
            audio.caps.structure(0).unwrap().get::<i32>("clock-rate"),
            Ok(8_000)
        );
        assert_eq!(
            other
                .caps
                .structure(0)
                .unwrap()
                .get::<&str>("encoding-name"),
            Ok("X-Y")
        );
    }
}
