//! Cameras that go away and come back, and several viewers of one.

use std::net::TcpStream;

use dayreel_testcam::{
    AudioCodec, Camera, PictureSettings, Settings, Source, Track, VideoCodec, demo_cameras,
};

use crate::client::{Client, DEADLINE, assert_same, small, small_with};

#[test]
fn a_stopped_camera_is_gone_and_comes_back_on_its_port() {
    let mut camera = Camera::start(small_with(VideoCodec::H264, Some(AudioCodec::Aac))).unwrap();
    let (url, port) = (camera.url(), camera.port());
    assert_ne!(port, 0);
    for run in 0..3 {
        let client = Client::connect(&url, "tcp");
        client.wait_for(Track::Video, 5).unwrap();
        assert!(camera.is_watched());
        camera.stop().unwrap();
        assert!(!camera.is_listening() && !camera.is_watched());
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        assert!(client.wait_for_end(), "run {run}: the client hears of it");
        camera.restart().unwrap();
        assert_eq!((camera.url(), camera.port()), (url.clone(), port));
    }
    let sent = camera.sent(Track::Video).unwrap();
    assert!(sent.windows(2).all(|pair| pair[1].number > pair[0].number));
    let mut runs: Vec<_> = sent.iter().map(|unit| unit.run).collect();
    runs.dedup();
    assert_eq!(runs, [0, 1, 2]);
}

#[test]
fn the_codec_can_change_between_two_runs() {
    let mut camera = Camera::start(small_with(VideoCodec::H264, None)).unwrap();
    let client = Client::connect(&camera.url(), "tcp");
    client.wait_for(Track::Video, 5).unwrap();
    drop(client);
    camera
        .restart_with(|settings| {
            settings.source = small(|picture| picture.codec = VideoCodec::H265).source;
        })
        .unwrap();
    let client = Client::connect(&camera.url(), "tcp");
    let received = client.wait_for(Track::Video, 30).unwrap();
    assert_same(&camera.sent(Track::Video).unwrap(), &received);
}

#[test]
fn all_viewers_see_one_stream() {
    let camera = Camera::start(small_with(VideoCodec::H264, None)).unwrap();
    let first = Client::connect(&camera.url(), "tcp");
    first.wait_for(Track::Video, 10).unwrap();
    let second = Client::connect(&camera.url(), "udp");
    second.wait_for(Track::Video, 30).unwrap();
    drop(second);
    let count = first.received(Track::Video).len() + 30;
    let received = first.wait_for(Track::Video, count).unwrap();
    let sent = assert_same(&camera.sent(Track::Video).unwrap(), &received);
    assert!(sent.iter().all(|unit| unit.run == 0));
    assert!(
        sent.windows(2)
            .all(|pair| pair[1].number == pair[0].number + 1)
    );
}

#[test]
fn the_encoder_stops_when_the_last_viewer_has_left() {
    let camera = Camera::start(small_with(VideoCodec::H264, None)).unwrap();
    assert!(!camera.is_watched());
    for run in 0..2 {
        let client = Client::connect(&camera.url(), "tcp");
        client.wait_for(Track::Video, 5).unwrap();
        drop(client);
        assert!(camera.wait_until_unwatched(DEADLINE), "run {run}");
    }
    assert_eq!(camera.sent(Track::Video).unwrap().last().unwrap().run, 1);
}

#[test]
fn a_described_stream_that_nobody_plays_is_not_recorded_as_sent() {
    use std::io::{Read as _, Write as _};
    let camera = Camera::start(small_with(VideoCodec::H264, None)).unwrap();
    let mut socket = TcpStream::connect(("127.0.0.1", camera.port())).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(
        socket,
        "DESCRIBE {} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n",
        camera.url()
    )
    .unwrap();
    let mut answer = [0; 4096];
    let length = socket.read(&mut answer).unwrap();
    assert!(answer[..length].starts_with(b"RTSP/1.0 200"));
    assert!(camera.is_watched());
    assert!(camera.sent(Track::Video).unwrap().is_empty());
}

#[test]
fn the_demo_has_two_cameras_and_one_has_sound() {
    let cameras = demo_cameras().unwrap();
    let clients = cameras.each_ref().map(|(_, camera)| {
        assert!(camera.record().is_none());
        Client::connect(&camera.url(), "tcp")
    });
    for client in &clients {
        client.wait_for(Track::Video, 10).unwrap();
    }
    clients[0].wait_for(Track::Audio, 10).unwrap();
    assert!(clients[1].received(Track::Audio).is_empty());
    assert_eq!(
        cameras.each_ref().map(|(id, _)| *id),
        ["front-door", "garden"]
    );
}

#[test]
fn a_taken_port_and_bad_settings_are_errors() {
    let camera = Camera::start(Settings::default()).unwrap();
    let taken = Settings {
        port: camera.port(),
        ..Settings::default()
    };
    let error = Camera::start(taken).unwrap_err();
    assert!(format!("{error:#}").contains(&camera.port().to_string()));
    let slow = PictureSettings {
        fps: 1,
        ..PictureSettings::default()
    };
    let slow = Settings {
        source: Source::Picture(slow),
        ..Settings::default()
    };
    let error = Camera::start(slow).unwrap_err();
    assert!(format!("{error:#}").contains("10 to 60"));
}
