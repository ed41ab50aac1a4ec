//! Files looped without a seam.

use std::path::{Path, PathBuf};

use dayreel_testcam::{Camera, Recording, Settings, Source, Track};
use gstreamer::{self as gst, prelude::*};

use crate::client::{Client, assert_same};

/// Pictures of a test file: one second.
const PICTURES: usize = 25;

/// Writes a film of a second; the sound is a little longer, as it always is.
fn film(dir: &Path, name: &str, encoder: &str, sound: bool) -> PathBuf {
    gst::init().unwrap();
    let path = dir.join(name);
    let sound = if sound {
        "audiotestsrc num-buffers=48 samplesperbuffer=1024 ! audio/x-raw,rate=48000,channels=1 \
         ! voaacenc ! aacparse ! mux."
    } else {
        ""
    };
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc num-buffers={PICTURES} pattern=ball \
         ! video/x-raw,width=320,height=180,framerate=25/1 ! {encoder} \
         ! mp4mux name=mux ! filesink location={} {sound}",
        path.display()
    ))
    .unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds);
    assert_eq!(
        end.map(|message| message.type_()),
        Some(gst::MessageType::Eos)
    );
    pipeline.set_state(gst::State::Null).unwrap();
    path
}

fn camera(path: PathBuf) -> Camera {
    Camera::start(Settings {
        source: Source::File(path),
        ..Settings::default()
    })
    .unwrap()
}

#[test]
fn four_loops_of_h264_with_aac_have_no_seam() {
    let dir = tempfile::tempdir().unwrap();
    let encoder = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10";
    let camera = camera(film(dir.path(), "film.mp4", encoder, true));
    let client = Client::connect(&camera.url(), "tcp");
    let video = client.wait_for(Track::Video, 4 * PICTURES).unwrap();
    let sent = assert_same(&camera.sent(Track::Video).unwrap(), &video);
    for pair in sent.windows(2) {
        assert_eq!(pair[1].number, pair[0].number + 1);
        assert_eq!(
            pair[1].rtp_timestamp.wrapping_sub(pair[0].rtp_timestamp),
            3600
        );
    }
    for (unit, a_loop_later) in sent.iter().zip(&sent[PICTURES..]) {
        assert_eq!(unit.sha256, a_loop_later.sha256);
        assert_eq!(unit.is_keyframe, a_loop_later.is_keyframe);
    }
    let sound = client.wait_for(Track::Audio, 150).unwrap();
    for pair in assert_same(&camera.sent(Track::Audio).unwrap(), &sound).windows(2) {
        assert_eq!(
            pair[1].rtp_timestamp.wrapping_sub(pair[0].rtp_timestamp),
            1024
        );
    }
}

#[test]
fn loops_of_h265_have_no_seam() {
    let dir = tempfile::tempdir().unwrap();
    let encoder = "x265enc speed-preset=ultrafast tune=zerolatency key-int-max=25 ! h265parse";
    let camera = camera(film(dir.path(), "film.mp4", encoder, false));
    let client = Client::connect(&camera.url(), "tcp");
    let video = client.wait_for(Track::Video, 4 * PICTURES).unwrap();
    for pair in assert_same(&camera.sent(Track::Video).unwrap(), &video).windows(2) {
        assert_eq!(
            pair[1].rtp_timestamp.wrapping_sub(pair[0].rtp_timestamp),
            3600
        );
    }
}

#[test]
fn b_frames_stay_in_decoding_order_over_loops() {
    let dir = tempfile::tempdir().unwrap();
    let encoder = "x264enc speed-preset=ultrafast bframes=2 b-adapt=false key-int-max=25 \
                   ! video/x-h264,profile=main";
    let camera = camera(film(dir.path(), "film.mp4", encoder, false));
    let client = Client::connect(&camera.url(), "tcp");
    let video = client.wait_for(Track::Video, 4 * PICTURES).unwrap();
    let sent = assert_same(&camera.sent(Track::Video).unwrap(), &video);
    let first = sent[0].rtp_timestamp;
    let shown: Vec<_> = sent
        .iter()
        .map(|unit| unit.rtp_timestamp.wrapping_sub(first) / 3600)
        .collect();
    assert!(
        shown.windows(2).any(|pair| pair[1] < pair[0]),
        "there are B-frames"
    );
    let mut in_order = shown[..3 * PICTURES].to_vec();
    in_order.sort_unstable();
    let expected: Vec<_> = (0..).take(3 * PICTURES).collect();
    assert_eq!(in_order, expected);
}

#[test]
fn every_unit_is_a_line_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let encoder = "x264enc tune=zerolatency speed-preset=ultrafast";
    let lines = dir.path().join("record.jsonl");
    let mut camera = Camera::start(Settings {
        source: Source::File(film(dir.path(), "film.mp4", encoder, true)),
        recording: Recording::File {
            units: 10_000,
            path: lines.clone(),
        },
        ..Settings::default()
    })
    .unwrap();
    let client = Client::connect(&camera.url(), "tcp");
    client.wait_for(Track::Video, 10).unwrap();
    drop(client);
    camera.stop().unwrap();
    camera.record().unwrap().flush().unwrap();
    let lines = std::fs::read_to_string(lines).unwrap();
    let sent = camera.sent(Track::Video).unwrap().len() + camera.sent(Track::Audio).unwrap().len();
    assert_eq!(lines.lines().count(), sent);
}
