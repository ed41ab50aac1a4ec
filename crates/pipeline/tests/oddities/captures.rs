//! What real cameras answer, byte for byte.

use dayreel_core::TrackKind;
use dayreel_testcam::{
    Format, VideoCodec,
    scripted::{
        BUNNY, Capture, DAHUA, FOSCAM, HIKVISION, LONGSE_UNAUTHORIZED, REOLINK,
        REOLINK_CONTROL_FIRST, Script, ScriptedCamera, ScriptedLogin, TPLINK_SDP,
        WITHOUT_CONTENT_TYPE, replay,
    },
};

use crate::{
    check::{ENOUGH, Odd, assert_consecutive, film, film_of, h264, is_recorded},
    common::{Recorded, settings},
};

/// Both tracks are recorded as sent, the picture and AAC to the byte.
fn is_recorded_with_aac(capture: Capture) {
    let odd = Odd::start(Script::replaying(capture));
    let given = odd.is_recorded_as_sent();
    let sound = odd.pairs(&given, TrackKind::Audio);
    assert!(sound.len() > 10, "{}", odd.story());
    assert_consecutive(&sound);
}

/// What SETUP named, without the host.
fn set_up(odd: &Odd) -> Vec<String> {
    let heard = odd.camera.heard();
    let setups = heard.iter().filter(|request| request.method == "SETUP");
    let path = |uri: &str| uri.splitn(4, '/').last().unwrap_or_default().to_owned();
    setups.map(|request| path(&request.uri)).collect()
}

/// Bunny of Wowza: the sound is the first track, the session is named before SETUP, RTP-Info has a
/// relative and an absolute URL.
#[test]
fn wowza_is_recorded() {
    is_recorded_with_aac(BUNNY);
}

/// RFC 2326 §C.1.1 joins control attributes as RFC 3986 does, which would lose the query. Dahua wants
/// them behind its Content-Base, which ends with a slash behind the query.
#[test]
fn dahua_is_recorded() {
    let odd = Odd::start(Script::replaying(DAHUA));
    let given = odd.is_recorded_as_sent();
    assert_consecutive(&odd.pairs(&given, TrackKind::Audio));
    let base = "cam/realmonitor?channel=1&subtype=1&unicast=true&proto=Onvif";
    assert_eq!(
        set_up(&odd),
        [format!("{base}/trackID=0"), format!("{base}/trackID=1")]
    );
}

/// G.711 has a static payload type (RFC 3551 §6) and so no `rtpmap`.
#[test]
fn foscam_is_recorded() {
    let odd = Odd::start(Script::replaying(FOSCAM));
    let given = odd.is_recorded_as_sent();
    assert!(
        !film(&given, TrackKind::Audio).units.is_empty(),
        "{}",
        odd.story()
    );
    let audio = odd.recorded.camera.status().audio.unwrap();
    assert_eq!(audio.converted_from, Some("G.711 µ-law"));
}

/// Absolute control attributes with a query are used as they are; metadata is left alone.
#[test]
fn hikvision_is_recorded() {
    let odd = is_recorded(Script::replaying(HIKVISION));
    let expected = "Streaming/Channels/101/trackID=1?transportmode=unicast&profile=Profile_1";
    assert_eq!(set_up(&odd), [expected]);
    let ignored = odd.recorded.camera.status().ignored_tracks;
    assert_eq!(ignored.len(), 1, "{ignored:?}");
    assert_eq!(ignored[0].media, "application");
}

/// RFC 2326 §12.16 wants the type of a body said, §C.1.1 has the request's URL as base where there is
/// no Content-Base.
#[test]
fn a_description_without_type_and_base_is_read() {
    is_recorded_with_aac(WITHOUT_CONTENT_TYPE);
}

/// Relative URLs with an SSRC in RTP-Info, `mode` and addresses in Transport.
#[test]
fn reolink_is_recorded() {
    is_recorded_with_aac(REOLINK);
}

/// RFC 4566 §5 has no order of attributes.
#[test]
fn control_before_other_attributes_is_read() {
    is_recorded_with_aac(REOLINK_CONTROL_FIRST);
}

/// An old digest (RFC 2069: no `qop`, no `algorithm`) and a space behind `CSeq`.
#[test]
fn longse_is_logged_in_to() {
    let mut script = h264();
    let challenge = r#"Digest realm="Surveillance Server", nonce="98481030""#;
    script.login = Some(ScriptedLogin {
        user: "admin".into(),
        password: "right".into(),
        challenges: vec![challenge.into()],
        nonce_uses: None,
    });
    script.rewrite("DESCRIBE", |request, reply| {
        replay(LONGSE_UNAUTHORIZED, request, reply)
    });
    let camera = ScriptedCamera::start(script).unwrap();
    let recorded = Recorded::start(settings(&camera.url_as("admin", "right")));
    Odd { camera, recorded }.is_recorded_as_sent();
}

/// H.265 with G.711, and a third track whose payload types are words.
#[test]
fn tplink_is_recorded() {
    let odd = Odd::start(Script::describing(TPLINK_SDP.into()));
    let given = odd.record(ENOUGH);
    let h265 = Format::LengthPrefixed(VideoCodec::H265);
    let film = film_of(&given, TrackKind::Video, h265);
    let sent = odd.camera.record().units(dayreel_testcam::Track::Video);
    let first = sent
        .iter()
        .position(|unit| unit.sha256 == film.units[0].sha256)
        .unwrap();
    for (unit, sent) in film.units.iter().zip(&sent[first..]) {
        assert_eq!(unit.sha256, sent.sha256, "{}", sent.number);
    }
}
