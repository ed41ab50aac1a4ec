//! Scripted cameras whose script is that of a good one, as another client sees them.

use dayreel_testcam::{
    AudioCodec, Track, VideoCodec,
    scripted::{Command, Request, Script, ScriptedCamera, ScriptedLogin},
};

use crate::client::{Client, DEADLINE, assert_same};

fn start(video: VideoCodec, audio: AudioCodec) -> ScriptedCamera {
    ScriptedCamera::start(Script::new(video, Some(audio)).unwrap()).unwrap()
}

fn assert_sent(camera: &ScriptedCamera, client: &Client, track: Track) {
    let received = client.wait_for(track, 50).unwrap();
    let sent = assert_same(&camera.record().units(track), &received);
    assert!(sent.iter().all(|unit| unit.run == 0));
}

#[test]
fn h264_and_aac_arrive_as_they_were_made() {
    let camera = start(VideoCodec::H264, AudioCodec::Aac);
    let client = Client::connect(&camera.url(), "tcp");
    assert_sent(&camera, &client, Track::Video);
    assert_sent(&camera, &client, Track::Audio);
}

#[test]
fn h265_and_g711_arrive_as_they_were_made() {
    let camera = start(VideoCodec::H265, AudioCodec::Mulaw);
    let client = Client::connect(&camera.url(), "tcp");
    assert_sent(&camera, &client, Track::Video);
    assert_sent(&camera, &client, Track::Audio);
}

#[test]
fn datagrams_of_a_script_arrive() {
    let camera = start(VideoCodec::H264, AudioCodec::Aac);
    let client = Client::connect(&camera.url(), "udp");
    assert_sent(&camera, &client, Track::Video);
}

#[test]
fn a_scripted_login_admits_who_knows_the_password() {
    let mut script = Script::new(VideoCodec::H264, None).unwrap();
    script.login = Some(ScriptedLogin {
        user: "admin".into(),
        password: "right".into(),
        challenges: vec![r#"Digest realm="cam", nonce="{nonce}""#.into()],
        nonce_uses: None,
    });
    let camera = ScriptedCamera::start(script).unwrap();
    let wrong = Client::connect_as(&camera.url(), "admin", "wrong");
    assert!(wrong.wait_for(Track::Video, 1).is_err());
    let right = Client::connect_as(&camera.url(), "admin", "right");
    right.wait_for(Track::Video, 1).unwrap();
}

#[test]
fn a_scripted_camera_obeys_and_tells_what_it_heard() {
    let camera = start(VideoCodec::H264, AudioCodec::Aac);
    let client = Client::connect(&camera.url(), "tcp");
    client.wait_for(Track::Video, 5).unwrap();
    let plays = |heard: &[Request]| heard.iter().any(|request| request.method == "PLAY");
    assert!(plays(&camera.heard()));
    camera.command(Command::Write(
        b"OPTIONS * RTSP/1.0\r\nCSeq: 77\r\n\r\n".into(),
    ));
    let answers = |heard: &[Request]| {
        let answer = |request: &Request| request.header("CSeq") == Some("77");
        heard.iter().any(answer)
    };
    assert!(camera.wait_until_heard(DEADLINE, answers));
    camera.command(Command::Close);
    assert!(client.wait_for_end());
}
