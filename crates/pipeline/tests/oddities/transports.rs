//! The ways that RTP travels. Where it can be, from a server that is not ours: GStreamer's.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use dayreel_config::{Fingerprint, Transport, Trust};
use dayreel_core::TrackKind;
use dayreel_pipeline::{CameraSettings, CameraState, Error};
use dayreel_testcam::{
    Camera, Gop, Identity, Login, LoginMethod, PictureSettings, Settings, Source, Track,
    Transports, scripted::Script,
};
use sha2::{Digest as _, Sha256};

use crate::{
    check::{ENOUGH, Odd, assert_consecutive, assert_timeline, film, h264, h264_with_aac},
    common::{Given, Recorded, deadline, settings},
};

/// A second between keyframes at 25 pictures a second, and one picture.
const MOST_90K: u64 = 2 * 90_000;

fn camera(change: impl FnOnce(&mut Settings)) -> Camera {
    let mut settings = Settings {
        source: Source::Picture(PictureSettings {
            width: 160,
            height: 90,
            gop: Gop::Seconds(0.5),
            ..PictureSettings::default()
        }),
        ..Settings::default()
    };
    change(&mut settings);
    Camera::start(settings).unwrap()
}

fn start(camera: &Camera, change: impl FnOnce(&mut CameraSettings)) -> Recorded {
    let mut settings = settings(&camera.url());
    change(&mut settings);
    Recorded::start(settings)
}

/// Every picture that was sent, in order, from the first recorded on.
fn is_recorded_as_sent(camera: &Camera, recorded: &Recorded) {
    let mut seen = 0;
    let given = recorded.until(|given| {
        let status = recorded.camera.status();
        assert_eq!(status.reconnects, 0, "{status:?}");
        if let Given::Chunk(TrackKind::Video, chunk) = given {
            seen += chunk.info.access_units;
        }
        seen >= ENOUGH
    });
    let film = film(&given, TrackKind::Video);
    let sent = camera.sent(Track::Video).unwrap();
    let first = sent
        .iter()
        .position(|sent| sent.sha256 == film.units[0].sha256);
    let sent = &sent[first.unwrap()..];
    for (unit, sent) in film.units.iter().zip(sent) {
        assert_eq!(unit.sha256, sent.sha256, "picture {}", sent.number);
    }
    assert_timeline(&film.units, MOST_90K);
}

/// A certificate of the camera's own, as it leaves the factory, and its fingerprint.
fn own_certificate() -> (Identity, Fingerprint) {
    let names = ["127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let fingerprint = Fingerprint(Sha256::digest(made.cert.der()).into());
    let pem = made.cert.pem() + &made.signing_key.serialize_pem();
    (Identity(pem), fingerprint)
}

fn refused(recorded: &Recorded, fingerprint: Fingerprint) {
    let failed = |status: &dayreel_pipeline::CameraStatus| status.state == CameraState::Failed;
    let status = recorded.camera.wait_until(deadline(), failed);
    let status = status.unwrap_or_else(|| panic!("{:?}", recorded.camera.status()));
    let error = status.last_error.unwrap();
    assert_eq!(error.code(), "camera_tls");
    assert!(matches!(error, Error::Tls(Some(refused)) if refused == fingerprint));
    assert!(
        error.to_string().contains(&fingerprint.to_string()),
        "{error}"
    );
}

/// RFC 5280 §6: nobody the system trusts has signed it. The state says what to write to trust it.
#[test]
fn a_certificate_of_the_cameras_own_is_refused_with_its_fingerprint() {
    let (identity, fingerprint) = own_certificate();
    let camera = camera(|settings| settings.identity = Some(identity));
    refused(&start(&camera, |_| {}), fingerprint);
    let played = camera.sent(Track::Video).unwrap();
    assert!(played.is_empty(), "it was asked to play all the same");
}

/// As above; that it is this one is what the user said.
#[test]
fn a_certificate_with_the_pinned_fingerprint_is_trusted() {
    let (identity, fingerprint) = own_certificate();
    let camera = camera(|settings| settings.identity = Some(identity));
    let recorded = start(&camera, |settings| {
        settings.trust = Trust::Fingerprint(fingerprint);
    });
    is_recorded_as_sent(&camera, &recorded);
}

/// Another certificate than the pinned one: another camera, or somebody between.
#[test]
fn a_certificate_with_another_fingerprint_is_refused() {
    let (identity, fingerprint) = own_certificate();
    let camera = camera(|settings| settings.identity = Some(identity));
    let recorded = start(&camera, |settings| {
        settings.trust = Trust::Fingerprint(Fingerprint([7; 32]));
    });
    refused(&recorded, fingerprint);
}

/// `tls_verify = false`, with a login, as cameras have it.
#[test]
fn any_certificate_will_do_where_the_user_says_so() {
    let (identity, _) = own_certificate();
    let camera = camera(|settings| {
        settings.identity = Some(identity);
        settings.login = Some(Login {
            user: "admin".into(),
            password: "geheim".into(),
            method: LoginMethod::Basic,
        });
    });
    let recorded = start(&camera, |settings| settings.trust = Trust::Anybody);
    is_recorded_as_sent(&camera, &recorded);
}

/// A camera that speaks no TLS on the port of an `rtsps` URL.
#[test]
fn rtsp_in_the_clear_is_no_tls() {
    let camera = camera(|_| {});
    let url = camera.url().replacen("rtsp:", "rtsps:", 1);
    let recorded = Recorded::start(settings(&url));
    let failed = |status: &dayreel_pipeline::CameraStatus| {
        let error = status.last_error.as_ref();
        error.is_some_and(|error| error.code() == "camera_tls")
    };
    let status = recorded.camera.wait_until(deadline(), failed);
    let status = status.unwrap_or_else(|| panic!("{:?}", recorded.camera.status()));
    assert!(matches!(status.last_error, Some(Error::Tls(None))));
    assert_eq!(status.state, CameraState::Reconnecting);
}

/// RTSP within two HTTP connections, requests in Base64.
#[test]
fn rtsp_within_http_is_recorded_as_sent() {
    let camera = camera(|settings| settings.transports = Transports::Tcp);
    let recorded = start(&camera, |settings| settings.transport = Transport::Http);
    is_recorded_as_sent(&camera, &recorded);
}

/// Both at once: RTSP within HTTPS.
#[test]
fn rtsp_within_https_is_recorded_as_sent() {
    let (identity, fingerprint) = own_certificate();
    let camera = camera(|settings| settings.identity = Some(identity));
    let recorded = start(&camera, |settings| {
        settings.transport = Transport::Http;
        settings.trust = Trust::Fingerprint(fingerprint);
    });
    is_recorded_as_sent(&camera, &recorded);
}

/// RFC 2326 §12.39: the camera names the group.
#[test]
fn a_multicast_group_is_recorded_as_sent() {
    let odd = Odd::start_with(h264_with_aac(), |settings| {
        settings.transport = Transport::Multicast;
    });
    odd.is_recorded_as_sent();
}

/// RFC 2326 §11.3.12: 461 to TCP; `auto` goes on with UDP.
#[test]
fn auto_takes_datagrams_where_the_camera_sends_nothing_else() {
    let camera = camera(|settings| settings.transports = Transports::Udp);
    let recorded = start(&camera, |settings| settings.transport = Transport::Auto);
    is_recorded_as_sent(&camera, &recorded);
}

/// `auto` begins with TCP, and stays with it.
#[test]
fn auto_stays_with_tcp_where_the_camera_sends_it() {
    let odd = Odd::start_with(h264(), |settings| settings.transport = Transport::Auto);
    odd.is_recorded_as_sent();
    let heard = odd.camera.heard();
    let wish = |request: &dayreel_testcam::scripted::Request| {
        let wish = request.header("Transport")?;
        Some(wish.contains("interleaved"))
    };
    let wishes: Vec<bool> = heard.iter().filter_map(wish).collect();
    assert_eq!(wishes, [true]);
}

/// A camera that agrees to TCP and sends nothing that way.
fn silent_over_tcp() -> Script {
    let mut script = h264();
    let over_udp = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&over_udp);
    script.rewrite("SETUP", move |request, _| {
        let wish = request.header("Transport").unwrap_or_default();
        asked.store(wish.contains("client_port"), Ordering::Relaxed);
    });
    script.edit_units(move |unit| match over_udp.load(Ordering::Relaxed) {
        true => vec![unit],
        false => vec![],
    });
    script
}

/// Agreed to, and nothing comes: `auto` goes on with UDP after 5 s, in the same session of ours.
#[test]
fn auto_takes_datagrams_where_nothing_comes_by_tcp() {
    let odd = Odd::start_with(silent_over_tcp(), |settings| {
        settings.transport = Transport::Auto;
    });
    let given = odd.record(ENOUGH);
    assert_consecutive(&odd.pairs(&given, TrackKind::Video));
    assert_eq!(
        odd.recorded.camera.status().reconnects,
        0,
        "{}",
        odd.story()
    );
}

/// RFC 2326 §11.3.12: 461; relays that know UDP only call TCP a bad request.
#[test]
fn auto_takes_datagrams_where_tcp_is_refused_in_other_words() {
    let mut script = h264();
    script.rewrite("SETUP", |request, reply| {
        let wish = request.header("Transport").unwrap_or_default();
        if wish.contains("interleaved") {
            reply.refuse("400 Bad Request");
        }
    });
    let odd = Odd::start_with(script, |settings| settings.transport = Transport::Auto);
    odd.is_recorded_as_sent();
    assert_eq!(
        odd.recorded.camera.status().reconnects,
        0,
        "{}",
        odd.story()
    );
}

/// RFC 2326 §11.3.4: who has no room for another viewer has none another way, either.
#[test]
fn auto_tries_no_other_way_where_the_camera_has_too_many_viewers() {
    let mut script = h264();
    script.rewrite("SETUP", |_, reply| {
        reply.refuse("453 Not Enough Bandwidth");
    });
    let odd = Odd::start_with(script, |settings| settings.transport = Transport::Auto);
    odd.fails_with("camera_denied");
    let heard = odd.camera.heard();
    let wishes = heard
        .iter()
        .filter_map(|request| request.header("Transport"));
    let wishes: Vec<_> = wishes.collect();
    assert!(
        wishes.iter().all(|wish| wish.contains("interleaved")),
        "{wishes:?}"
    );
    assert!(!wishes.is_empty());
}

/// Neither way: the state says so, and it is tried again.
#[test]
fn auto_says_so_where_the_camera_sends_no_way() {
    let mut script = h264();
    script.rewrite("SETUP", |_, reply| {
        reply.refuse("461 Unsupported Transport")
    });
    let odd = Odd::start_with(script, |settings| settings.transport = Transport::Auto);
    let status = odd.fails_with("camera_transport");
    assert_eq!(status.state, CameraState::Reconnecting);
    let setups = odd.camera.heard();
    let setups = setups.iter().filter(|request| request.method == "SETUP");
    assert!(setups.count() >= 2, "{}", odd.story());
}

/// RFC 2326 §10.5 lets media begin with the answer to PLAY; cameras do not wait for it.
#[test]
fn packets_before_the_answer_to_play_are_recorded() {
    let mut script = h264_with_aac();
    script.plays_early = true;
    script.rewrite("PLAY", |_, reply| {
        reply.after = std::time::Duration::from_millis(700);
    });
    let odd = Odd::start(script);
    let given = odd.is_recorded_as_sent();
    let pairs = odd.pairs(&given, TrackKind::Video);
    assert_eq!(pairs[0].0.number, 0, "the first picture is missing");
    odd.assert_in_sync(&given);
}
