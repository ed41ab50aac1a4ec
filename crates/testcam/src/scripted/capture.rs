//! Replies of real cameras, replayed byte for byte.
//!
//! What is not as it was, because the client, its connection or the media behind it are others:
//! - `CSeq` is the client's;
//! - `rtsp://` hosts are where this camera listens;
//! - `interleaved` and, after the first track, `ssrc` in `Transport` are those of the track set up:
//!   one SETUP was captured, not one for each track;
//! - `Content-Length` where these change it.
//!
//! The tracks begin with the SSRC, sequence numbers and times that the replies say. The parameter
//! sets in the description are the real camera's, so they are not those of the pictures sent: those in
//! band count.

use std::time::Duration;

use super::{
    message::{Reply, Request, header},
    script::{Script, Start},
};

/// What was captured of one camera; empty where nothing was.
#[derive(Clone, Copy, Debug)]
pub struct Capture {
    /// Path and query of its stream.
    pub path: &'static str,
    /// Replies to these requests.
    pub options: &'static str,
    #[allow(missing_docs, reason = "as the first")]
    pub describe: &'static str,
    #[allow(missing_docs, reason = "as the first")]
    pub setup: &'static str,
    #[allow(missing_docs, reason = "as the first")]
    pub play: &'static str,
    #[allow(missing_docs, reason = "as the first")]
    pub teardown: &'static str,
}

const NOTHING: Capture = Capture {
    path: "/stream",
    options: "",
    describe: "",
    setup: "",
    play: "",
    teardown: "",
};

/// Wowza, a film instead of a camera: sound first, relative and absolute URLs in one RTP-Info, a
/// session before SETUP.
pub const BUNNY: Capture = Capture {
    path: "/vod/mp4:BigBuckBunny_115k.mov",
    describe: include_str!("../../captures/bunny_describe.txt"),
    setup: include_str!("../../captures/bunny_setup.txt"),
    play: include_str!("../../captures/bunny_play.txt"),
    ..NOTHING
};
/// Dahua: a query with a slash behind it as Content-Base, another session in each reply, an RTP-Info
/// with tracks that nobody set up.
pub const DAHUA: Capture = Capture {
    path: "/cam/realmonitor?channel=1&subtype=1&unicast=true&proto=Onvif",
    options: include_str!("../../captures/dahua_options.txt"),
    describe: include_str!("../../captures/dahua_describe_h264_aac_onvif.txt"),
    setup: include_str!("../../captures/dahua_setup.txt"),
    play: include_str!("../../captures/dahua_play.txt"),
    ..NOTHING
};
/// Foscam: G.711 without `rtpmap`.
pub const FOSCAM: Capture = Capture {
    path: "/videoMain",
    describe: include_str!("../../captures/foscam_describe.txt"),
    ..NOTHING
};
/// Hikvision: absolute controls with a query, spaces before the session.
pub const HIKVISION: Capture = Capture {
    path: "/Streaming/Channels/101/?transportmode=unicast&profile=Profile_1",
    describe: include_str!("../../captures/hikvision_describe.txt"),
    setup: include_str!("../../captures/hikvision_setup.txt"),
    play: include_str!("../../captures/hikvision_play.txt"),
    ..NOTHING
};
/// A server with the libavformat muxer: no Content-Type, no Content-Base.
pub const WITHOUT_CONTENT_TYPE: Capture = Capture {
    describe: include_str!("../../captures/missing_content_type_describe.txt"),
    ..NOTHING
};
/// Reolink: relative URLs and SSRCs in RTP-Info.
pub const REOLINK: Capture = Capture {
    path: "/h264Preview_01_main",
    describe: include_str!("../../captures/reolink_describe.txt"),
    setup: include_str!("../../captures/reolink_setup.txt"),
    play: include_str!("../../captures/reolink_play.txt"),
    teardown: include_str!("../../captures/reolink_teardown.txt"),
    ..NOTHING
};
/// Reolink, with `a=control` as the first attribute.
pub const REOLINK_CONTROL_FIRST: Capture = Capture {
    describe: include_str!("../../captures/reolink_describe_control_first.txt"),
    ..REOLINK
};
/// A Longse camera's refusal, for [`ScriptedLogin::challenges`](super::ScriptedLogin): an old digest, and
/// a space after `CSeq`.
pub const LONGSE_UNAUTHORIZED: &str = include_str!("../../captures/longse_unauthorized.txt");
/// TP-Link's description: H.265, and a third track that is no valid SDP.
pub const TPLINK_SDP: &str = include_str!("../../captures/tplink_sdp.txt");

impl Script {
    /// A camera that answers so.
    pub fn replaying(capture: Capture) -> Self {
        let (_, sdp) = capture.describe.split_once("\r\n\r\n").unwrap_or_default();
        let mut script = Self::describing(at_our_address(sdp));
        script.path = capture.path.into();
        script.timeout = Duration::from_secs(60);
        script.feed.starts = starts(capture.setup, capture.play);
        for (method, captured) in [
            ("OPTIONS", capture.options),
            ("DESCRIBE", capture.describe),
            ("SETUP", capture.setup),
            ("PLAY", capture.play),
            ("TEARDOWN", capture.teardown),
        ] {
            if !captured.is_empty() {
                script.rewrite(method, move |request, reply| {
                    replay(captured, request, reply)
                });
            }
        }
        script
    }
}

/// Puts what was captured in the place of a usual answer, unless that is a refusal.
pub fn replay(captured: &'static str, request: &Request, reply: &mut Reply) {
    let refuses = |text: &str| {
        text.split(' ')
            .nth(1)
            .is_some_and(|status| !status.starts_with('2'))
    };
    if refuses(&reply.head) != refuses(captured) {
        return;
    }
    let usual = header(&reply.head, "Transport").map(str::to_owned);
    let (head, body) = captured.split_once("\r\n\r\n").unwrap_or((captured, ""));
    reply.head = at_our_address(head) + "\r\n";
    reply.body = at_our_address(body);
    if let Some(sequence) = request.header("CSeq") {
        reply.set("CSeq", sequence);
    }
    if let (Some(usual), Some(captured)) = (usual, header(&reply.head, "Transport")) {
        let ours = |name: &str| {
            let parameters = usual
                .split(';')
                .find(|parameter| parameter.starts_with(name));
            parameters.unwrap_or_default().to_owned()
        };
        let adapted = captured.split(';').map(|parameter| match parameter {
            channels if channels.starts_with("interleaved=") => ours("interleaved="),
            ssrc if ssrc.starts_with("ssrc=") && request.nth > 0 => ours("ssrc="),
            other => other.to_owned(),
        });
        let adapted = adapted.collect::<Vec<_>>().join(";");
        reply.set("Transport", &adapted);
    }
}

/// The same text with this camera as the host of its URLs.
fn at_our_address(text: &str) -> String {
    let mut parts = text.split("rtsp://");
    let mut adapted = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.find('/').and_then(|at| part.get(at..)).unwrap_or(part);
        adapted += "rtsp://{address}";
        adapted += rest;
    }
    adapted
}

/// Where the tracks begin, as the replies say; the entries stand in the order of the tracks.
fn starts(setup: &str, play: &str) -> Vec<Start> {
    let info = header(play, "RTP-Info").unwrap_or_default();
    let entries = info.split("url=").skip(1).enumerate();
    let ssrc = number_behind(setup, "ssrc=", 16);
    let start = |(index, entry): (usize, &str)| {
        let usual = Start::of(index);
        let said = number_behind(entry, "ssrc=", 16).or(ssrc.filter(|_| index == 0));
        let sequence = number_behind(entry, "seq=", 10).and_then(|number| number.try_into().ok());
        Start {
            ssrc: said.unwrap_or(usual.ssrc),
            sequence: sequence.unwrap_or(usual.sequence),
            time: number_behind(entry, "rtptime=", 10).unwrap_or(usual.time),
        }
    };
    entries.map(start).collect()
}

fn number_behind(text: &str, name: &str, radix: u32) -> Option<u32> {
    let (_, value) = text.split_once(name)?;
    let digits = value.split(|c: char| !c.is_digit(radix)).next()?;
    u32::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replayed(captured: &'static str, usual: &[String]) -> String {
        let request = Request {
            text: "X * RTSP/1.0\r\nCSeq: 5\r\n".into(),
            ..Request::default()
        };
        let mut reply = Reply::new("200 OK", usual);
        replay(captured, &request, &mut reply);
        reply.text()
    }

    #[test]
    fn nothing_is_changed_but_what_must_be() {
        assert_eq!(
            replayed(REOLINK.teardown, &[]),
            REOLINK.teardown.replace("CSeq: 7", "CSeq: 5")
        );
        let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=2-3;ssrc=1".to_owned();
        let expected = HIKVISION
            .setup
            .replace("CSeq: 2", "CSeq: 5")
            .replace("interleaved=0-1", "interleaved=2-3");
        assert_eq!(replayed(HIKVISION.setup, &[transport]), expected);
        let described = replayed(FOSCAM.describe, &[]);
        assert!(described.contains("Content-Base: rtsp://{address}/videoMain/\r\n"));
        assert!(described.contains("Content-Length: 518\r\n"));
    }

    #[test]
    fn tracks_begin_where_the_replies_say() {
        let starts = starts(DAHUA.setup, DAHUA.play);
        assert_eq!(
            starts[0],
            Start {
                ssrc: 0x30a9_8ee7,
                sequence: 47_121,
                time: 3_475_222_385
            }
        );
        assert_eq!(
            (starts[1].sequence, starts[1].time),
            (45_186, 2_234_446_919)
        );
    }
}
