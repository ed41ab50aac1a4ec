//! `dayreel probe` as a user runs it.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::process::{Command, Output};

use dayreel_testcam::{
    AudioCodec, VideoCodec,
    scripted::{Script, ScriptedCamera, ScriptedLogin},
};

fn probe(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dayreel"))
        .args(["--log-level", "debug", "probe", "--seconds", "5"])
        .args(arguments)
        .output()
        .expect("the program starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

fn camera(change: impl FnOnce(&mut Script)) -> ScriptedCamera {
    let mut script = Script::new(VideoCodec::H264, Some(AudioCodec::Alaw)).unwrap();
    change(&mut script);
    ScriptedCamera::start(script).unwrap()
}

fn locked() -> ScriptedCamera {
    camera(|script| {
        script.login = Some(ScriptedLogin {
            user: "admin".into(),
            password: "hunter2".into(),
            challenges: vec![r#"Basic realm="cam""#.into()],
            nonce_uses: None,
        });
    })
}

#[test]
fn a_camera_is_described_for_programs() {
    let camera = camera(|script| {
        script.sdp += "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n\
            a=control:trackID=9\r\n";
    });
    let output = probe(&["--json", "--transport", "udp", &camera.url()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["transport"], "udp");
    assert_eq!(report["error"], serde_json::Value::Null);
    let tracks = report["tracks"].as_array().unwrap();
    let words = |name: &str| -> Vec<_> {
        let word = |track: &serde_json::Value| track[name].as_str().unwrap().to_owned();
        tracks.iter().map(word).collect()
    };
    assert_eq!(words("media"), ["video", "audio", "application"]);
    assert_eq!(words("action"), ["recorded", "converted", "ignored"]);
    let video = &tracks[0];
    assert!(video["codec"].as_str().unwrap().starts_with("avc1."));
    assert!(
        (video["fps"].as_f64().unwrap() - 20.0).abs() < 0.1,
        "{video}"
    );
    for name in ["width", "height", "gop_s", "bitrate_bps"] {
        assert!(video[name].as_f64().unwrap() > 0.0, "{name}: {video}");
    }
    let clock = &video["rtp_clock"];
    assert_eq!(clock["rate_hz"], 90_000);
    assert_eq!(
        (&clock["jumps"], &clock["repeated"]),
        (&0.into(), &0.into())
    );
    assert!(clock["ahead_ms"].as_i64().unwrap().abs() < 500, "{clock}");
    assert!(clock["measured_s"].as_f64().unwrap() > 0.5, "{clock}");
    assert!(video["sender_reports"]["count"].as_u64().unwrap() > 0);
    assert!(video["sender_reports"]["ahead_ms"].as_i64().unwrap().abs() < 2_000);
    assert_eq!(tracks[1]["from"], "G.711 A-law");
    assert_eq!(tracks[1]["rtp_clock"]["rate_hz"], 8_000);
    assert_eq!(tracks[2]["reason"], "neither picture nor sound");
}

#[test]
fn a_camera_is_described_for_people_without_its_password() {
    let camera = locked();
    let output = probe(&[&camera.url_as("admin", "hunter2")]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let (said, logged) = (text(&output.stdout), text(&output.stderr));
    assert!(said.contains("recorded as it is"), "{said}");
    assert!(said.contains("converted from G.711 A-law"), "{said}");
    assert!(said.contains("rtsp://***:***@"), "{said}");
    assert!(
        !said.contains("hunter2") && !logged.contains("hunter2"),
        "{said}{logged}"
    );
}

#[test]
fn why_it_cannot_be_recorded_is_an_exit_code() {
    let camera = locked();
    let wrong = probe(&["--json", &camera.url_as("admin", "geheim77")]);
    assert_eq!(wrong.status.code(), Some(4), "{wrong:?}");
    let report: serde_json::Value = serde_json::from_slice(&wrong.stdout).unwrap();
    assert_eq!(report["error"]["code"], "camera_auth");
    assert!(!format!("{wrong:?}").contains("geheim77"));

    let elsewhere = camera.url_as("admin", "hunter2") + "-elsewhere";
    let elsewhere = probe(&[&elsewhere]);
    assert_eq!(elsewhere.status.code(), Some(5), "{elsewhere:?}");
    assert!(text(&elsewhere.stdout).contains("camera_path_not_found"));

    let url = camera.url();
    drop(camera);
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = gone.local_addr().unwrap().port();
    drop(gone);
    let gone = probe(&[&format!("rtsp://127.0.0.1:{port}/x")]);
    assert_eq!(gone.status.code(), Some(1), "{gone:?}");
    assert!(text(&gone.stdout).contains("camera_refused"));

    let no_url = probe(&[&url.replacen("rtsp://", "http://admin:geheim77@", 1)]);
    assert_eq!(no_url.status.code(), Some(2), "{no_url:?}");
    assert!(!format!("{no_url:?}").contains("geheim77"));
}
