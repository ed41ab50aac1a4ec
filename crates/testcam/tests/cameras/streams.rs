//! What a camera sends is what a client gets, and the record says so.

use crate::client::{Client, assert_same, small, small_with};
use dayreel_testcam::{
    AudioCodec::{self, Aac, AacLatm, Alaw, G726, L16, Mulaw, Opus},
    Camera, ParameterSets, Settings, Track, Transports,
    VideoCodec::{self, H264, H265},
};

/// Connects to a camera and compares both streams; the number of audio samples in a unit is known.
fn check(settings: Settings, protocol: &str, audio: Option<AudioCodec>) {
    let camera = Camera::start(settings).unwrap();
    let client = Client::connect(&camera.url(), protocol);
    let video = client.wait_for(Track::Video, 60).unwrap();
    let sent = assert_same(&camera.sent(Track::Video).unwrap(), &video);
    for pair in sent.windows(2) {
        assert_eq!(pair[1].number, pair[0].number + 1);
        assert_eq!(
            pair[1].rtp_timestamp.wrapping_sub(pair[0].rtp_timestamp),
            3600
        );
    }
    let keyframes: Vec<_> = sent.iter().filter(|unit| unit.is_keyframe).collect();
    assert!(keyframes.len() >= 2);
    for pair in keyframes.windows(2) {
        assert_eq!(pair[1].number, pair[0].number + 25, "GOP of a second");
    }
    if let Some(codec) = audio {
        let sound = client.wait_for(Track::Audio, 50).unwrap();
        let sent = assert_same(&camera.sent(Track::Audio).unwrap(), &sound);
        let samples = match codec {
            Aac | AacLatm => 1024,
            Opus => 960,
            L16 => 320,
            Alaw | Mulaw => 160,
            // The encoder collects so much.
            G726 => 2048,
        };
        for pair in sent.windows(2) {
            let ticks = pair[1].rtp_timestamp.wrapping_sub(pair[0].rtp_timestamp);
            assert_eq!(ticks, samples);
        }
    } else {
        assert!(camera.sent(Track::Audio).unwrap().is_empty());
    }
}

fn check_codecs(video: VideoCodec, audio: Option<AudioCodec>) {
    check(small_with(video, audio), "tcp", audio);
}

#[test]
fn h264_without_sound() {
    check_codecs(H264, None);
}

#[test]
fn h264_with_aac() {
    check_codecs(H264, Some(Aac));
}

#[test]
fn h264_with_a_law() {
    check_codecs(H264, Some(Alaw));
}

#[test]
fn h264_with_mu_law() {
    check_codecs(H264, Some(Mulaw));
}

#[test]
fn h264_with_opus() {
    check_codecs(H264, Some(Opus));
}

#[test]
fn h264_with_g726() {
    check_codecs(H264, Some(G726));
}

#[test]
fn h264_with_linear_sound() {
    check_codecs(H264, Some(L16));
}

#[test]
fn h265_without_sound() {
    check_codecs(H265, None);
}

#[test]
fn h265_with_aac() {
    check_codecs(H265, Some(Aac));
}

#[test]
fn h265_with_a_law() {
    check_codecs(H265, Some(Alaw));
}

#[test]
fn h265_with_opus() {
    check_codecs(H265, Some(Opus));
}

#[test]
fn over_udp() {
    let mut settings = small_with(H264, Some(Aac));
    settings.transports = Transports::Udp;
    check(settings, "udp", Some(Aac));
}

#[test]
fn parameter_sets_in_the_sdp_only() {
    for codec in [H264, H265] {
        let mut settings = small_with(codec, None);
        settings.parameter_sets = ParameterSets::SdpOnly;
        check(settings, "tcp", None);
    }
}

#[test]
fn b_frames_are_shown_in_another_order_than_sent() {
    for codec in [H264, H265] {
        let settings = small(|picture| {
            picture.codec = codec;
            picture.b_frames = 2;
        });
        let camera = Camera::start(settings).unwrap();
        let client = Client::connect(&camera.url(), "tcp");
        let received = client.wait_for(Track::Video, 60).unwrap();
        let sent = assert_same(&camera.sent(Track::Video).unwrap(), &received);
        assert!(
            sent.windows(2).any(|pair| pair[1].number < pair[0].number),
            "{codec:?}"
        );
        for pair in sent.windows(2) {
            let ticks = pair[1].rtp_timestamp.wrapping_sub(pair[0].rtp_timestamp);
            let numbers = pair[1].number.wrapping_sub(pair[0].number);
            assert_eq!(ticks, numbers.wrapping_mul(3600));
        }
    }
}

#[test]
fn odd_frame_rates_have_exact_timestamps_too() {
    let camera = Camera::start(small(|picture| picture.fps = 30)).unwrap();
    let client = Client::connect(&camera.url(), "tcp");
    client.wait_for(Track::Video, 60).unwrap();
    for pair in camera.sent(Track::Video).unwrap().windows(2) {
        assert_eq!(
            pair[1].rtp_timestamp.wrapping_sub(pair[0].rtp_timestamp),
            3000
        );
    }
}
