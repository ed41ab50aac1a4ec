//! The live view in MPEG-TS beside the recording.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod common;

use std::{collections::HashMap, time::Duration};

use common::{Given, Recorded, chunks, deadline, settings, timing};
use dayreel_core::TrackKind;
use dayreel_pipeline::{CameraState, LiveError, Timing};
use dayreel_testcam::{
    AudioCodec, Camera, Format, Gop, PictureSettings, SentUnit, Settings, Source, Track,
    VideoCodec, fingerprint,
};

fn camera() -> Camera {
    Camera::start(Settings {
        source: Source::Picture(PictureSettings {
            width: 160,
            height: 90,
            gop: Gop::Seconds(0.5),
            audio: Some(AudioCodec::Aac),
            ..PictureSettings::default()
        }),
        ..Settings::default()
    })
    .unwrap()
}

/// A camera whose live view ends when it was not asked for during `idle`.
fn recorded(camera: &Camera, idle: Duration) -> Recorded {
    let mut settings = settings(&camera.url());
    settings.timing = Timing {
        live_idle: idle,
        ..timing()
    };
    Recorded::start(settings)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}

/// Until nobody makes it any more.
async fn ended(recorded: &Recorded) {
    let ended = recorded.camera.live().ended();
    tokio::time::timeout(Duration::from_secs(60), ended)
        .await
        .expect("the live view ends");
}

/// Every access unit that was recorded was sent, and of each connection none is missing from the
/// first recorded to the last. Returns how many.
fn check_nothing_lost(given: Vec<Given>, kind: TrackKind, sent: &[SentUnit]) -> usize {
    let format = match kind {
        TrackKind::Video | TrackKind::Preview => Format::LengthPrefixed(VideoCodec::H264),
        TrackKind::Audio => Format::Raw,
    };
    let index: HashMap<_, _> = sent
        .iter()
        .enumerate()
        .map(|(index, unit)| (unit.sha256, index))
        .collect();
    let units: Vec<_> = chunks(given, kind)
        .iter()
        .flat_map(|chunk| chunk.parts[1..].to_vec())
        .map(|unit| index[&fingerprint(&unit, format).unwrap()])
        .collect();
    for pair in units.windows(2) {
        let same_run = sent[pair[0]].run == sent[pair[1]].run;
        assert!(
            !same_run || pair[1] == pair[0] + 1,
            "{kind}: {} was recorded after {}",
            sent[pair[1]].number,
            sent[pair[0]].number
        );
    }
    units.len()
}

#[test]
fn it_comes_and_goes_a_hundred_times_and_the_recording_loses_nothing() {
    let camera = camera();
    let recorded = recorded(&camera, Duration::from_millis(20));
    recorded.until(
        |given| matches!(given, Given::Chunk(TrackKind::Video, chunk) if chunk.begins_segment),
    );
    runtime().block_on(async {
        for round in 0..100 {
            let playlist = recorded.camera.live().playlist().await;
            let playlist = playlist.unwrap_or_else(|error| panic!("round {round}: {error}"));
            assert!(playlist.contains(".ts\n"), "{playlist}");
            ended(&recorded).await;
            assert_eq!(recorded.camera.live().held_bytes(), 0);
        }
    });
    assert_eq!(recorded.camera.live().dropped(), 0);
    assert_eq!(recorded.camera.status().dropped_frames, 0);
    let given = recorded.end();
    let units = check_nothing_lost(given, TrackKind::Video, &camera.sent(Track::Video).unwrap());
    assert!(units > 100, "{units}");
}

/// Where the first segment took longer than nobody had asked for, it was begun again and again.
#[test]
fn regression_who_waited_for_the_first_segment_was_nobody() {
    let camera = camera();
    let recorded = recorded(&camera, Duration::ZERO);
    recorded.until(|given| matches!(given, Given::Chunk(TrackKind::Video, _)));
    runtime().block_on(async {
        let playlist = recorded.camera.live().playlist().await.unwrap();
        assert!(playlist.contains(".ts\n"), "{playlist}");
        ended(&recorded).await;
    });
}

#[test]
fn a_camera_that_connects_again_goes_on_with_a_discontinuity_and_loses_nothing_else() {
    let mut camera = camera();
    let recorded = recorded(&camera, Duration::from_secs(60));
    let live = || recorded.camera.live().playlist();
    recorded.until(|given| matches!(given, Given::Chunk(TrackKind::Video, _)));
    let runtime = runtime();
    let first = runtime.block_on(live()).unwrap();
    assert!(first.starts_with("#EXTM3U\n"), "{first}");
    for reconnects in 1..=3 {
        camera.restart().unwrap();
        let is_back = |status: &dayreel_pipeline::CameraStatus| {
            status.state == CameraState::Live && status.reconnects >= reconnects
        };
        recorded.camera.wait_until(deadline(), is_back).unwrap();
        let next_span = async {
            loop {
                let changed = recorded.camera.live().changed();
                let playlist = live().await.unwrap();
                let lines: Vec<_> = playlist.lines().collect();
                let breaks = lines.iter().filter(|line| **line == "#EXT-X-DISCONTINUITY");
                let gone = lines
                    .iter()
                    .find_map(|line| line.strip_prefix("#EXT-X-DISCONTINUITY-SEQUENCE:"))
                    .map(|number| number.parse::<usize>().unwrap());
                if breaks.count() + gone.unwrap() >= usize::try_from(reconnects).unwrap() {
                    return;
                }
                changed.await;
            }
        };
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(60), next_span)
                .await
                .expect("the playlist goes on");
        });
    }
    assert!(recorded.camera.live().is_made());
    let given = recorded.end();
    check_nothing_lost(given, TrackKind::Video, &camera.sent(Track::Video).unwrap());
}

#[test]
fn of_a_camera_that_is_away_there_is_none() {
    let mut camera = camera();
    camera.stop().unwrap();
    let recorded = recorded(&camera, Duration::from_secs(60));
    let answer = runtime().block_on(recorded.camera.live().playlist());
    assert_eq!(answer, Err(LiveError::Away));
    assert!(!recorded.camera.live().is_made());
    recorded.end();
}

#[test]
fn a_camera_that_is_ended_ends_it() {
    let camera = camera();
    let recorded = recorded(&camera, Duration::from_secs(60));
    recorded.until(|given| matches!(given, Given::Chunk(TrackKind::Video, _)));
    let runtime = runtime();
    runtime.block_on(recorded.camera.live().playlist()).unwrap();
    recorded.camera.begin_shutdown();
    runtime.block_on(ended(&recorded));
    let answer = runtime.block_on(recorded.camera.live().playlist());
    assert_eq!(answer, Err(LiveError::Closed));
    recorded.end();
}
