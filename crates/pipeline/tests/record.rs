//! What comes out of the record branch, box by box, for cameras that behave.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::TimeDelta;
use common::{Chunk, Given, Recorded, chunks, settings};
use dayreel_config::Transport;
use dayreel_core::{Clock, SystemClock, TrackKind, WallTime};
use dayreel_pipeline::{CameraState, IgnoredReason};
use dayreel_testcam::{AudioCodec, Camera, Gop, PictureSettings, Settings, Source, VideoCodec};

fn camera(codec: VideoCodec, audio: Option<AudioCodec>) -> Camera {
    camera_with(|picture| {
        picture.codec = codec;
        picture.audio = audio;
    })
}

fn camera_with(change: impl FnOnce(&mut PictureSettings)) -> Camera {
    let mut picture = PictureSettings {
        width: 320,
        height: 180,
        gop: Gop::Seconds(1.0),
        ..PictureSettings::default()
    };
    change(&mut picture);
    Camera::start(Settings {
        source: Source::Picture(picture),
        ..Settings::default()
    })
    .unwrap()
}

/// `[styp] moof` and the head of `mdat` come first; everything belongs to one of the boxes.
fn check_boxes(chunk: &Chunk) {
    let whole: Vec<u8> = chunk.parts.concat();
    let mut names = vec![];
    let mut at = 0;
    while at < whole.len() {
        let length = u32::from_be_bytes(whole[at..at + 4].try_into().unwrap());
        names.push(String::from_utf8_lossy(&whole[at + 4..at + 8]).into_owned());
        at += usize::try_from(length).unwrap();
    }
    assert_eq!(at, whole.len(), "the last box ends with the chunk");
    // The last chunk of a session says so in a `styp` of its own (ISO/IEC 23009-1 §7.3.1, `lmsg`).
    let is_last = chunk.parts[0].windows(4).any(|word| word == b"lmsg");
    if chunk.begins_segment || is_last {
        assert_eq!(names, ["styp", "moof", "mdat"]);
    } else {
        assert_eq!(names, ["moof", "mdat"]);
    }
    assert_eq!(
        chunk.parts.len(),
        1 + usize::try_from(chunk.info.access_units).unwrap()
    );
}

fn check_ends(chunks: &[Chunk]) {
    for pair in chunks.windows(2) {
        assert_eq!(
            pair[0].end_90k(),
            pair[1].start_90k(),
            "tfdt is the sum of the durations"
        );
    }
}

/// One unbroken timeline, cut at keyframes, of the time since the wall clock showed `begun`: a camera on a busy
/// machine may deliver late.
fn check_track(chunks: &[Chunk], segment_90k: u64, begun: SystemTime) {
    assert!(chunks[0].begins_segment);
    let mut segment_start = chunks[0].start_90k();
    for chunk in chunks {
        check_boxes(chunk);
        if chunk.begins_segment {
            assert!(chunk.info.starts_with_keyframe);
            if chunk.start_90k() > segment_start {
                assert_eq!(chunk.start_90k() - segment_start, segment_90k);
            }
            segment_start = chunk.start_90k();
        }
    }
    check_ends(chunks);
    let time = |ticks_90k| UNIX_EPOCH + Duration::from_nanos(ticks_90k * 100_000 / 9);
    let (first, end) = (
        time(chunks[0].start_90k()),
        time(chunks[chunks.len() - 1].end_90k()),
    );
    let slack = Duration::from_secs(1);
    assert!(
        begun < first + slack && end < SystemTime::now() + slack,
        "media time is Unix time: {first:?} to {end:?}, since {begun:?}"
    );
}

fn segments(wanted: usize, kind: TrackKind) -> impl FnMut(&Given) -> bool {
    let mut seen = 0;
    move |given| {
        if let Given::Chunk(track, chunk) = given {
            seen += usize::from(chunk.begins_segment && *track == kind);
        }
        seen == wanted
    }
}

#[test]
fn h264_with_aac_becomes_two_tracks_of_chunks_on_one_timeline() {
    becomes_two_tracks(AudioCodec::Aac);
}

#[test]
fn aac_in_latm_is_recorded_like_any_aac() {
    becomes_two_tracks(AudioCodec::AacLatm);
}

fn becomes_two_tracks(sound: AudioCodec) {
    let camera = camera(VideoCodec::H264, Some(sound));
    let recorded = Recorded::start(settings(&camera.url()));
    let begun = recorded.begun;
    let mut all = recorded.until(segments(4, TrackKind::Video));
    let status = recorded.camera.status();
    assert_eq!(status.state, CameraState::Live);
    let video = status.video.unwrap();
    assert_eq!((video.format.width, video.format.height), (320, 180));
    assert!(
        video.format.codec.starts_with("avc1."),
        "{}",
        video.format.codec
    );
    assert!((video.fps - 25.0).abs() < 0.01, "{} fps", video.fps);
    assert!((video.gop_s - 1.0).abs() < 0.01, "{} s", video.gop_s);
    assert!(video.bitrate_bps > 0.0);
    let audio = status.audio.unwrap();
    assert_eq!(audio.format.codec, "mp4a.40.2");
    assert_eq!(
        (audio.format.sample_rate_hz, audio.format.channels),
        (48_000, 1)
    );
    assert_eq!(status.dropped_frames, 0);

    all.extend(recorded.end());
    assert!(matches!(all.last(), Some(Given::Finish)));
    let inits = |kind| {
        let is_init = |given: &&Given| matches!(given, Given::Init(track, _) if *track == kind);
        all.iter().filter(is_init).count()
    };
    assert_eq!((inits(TrackKind::Video), inits(TrackKind::Audio)), (1, 1));
    let (mut video, mut audio) = (vec![], vec![]);
    for given in all {
        match given {
            Given::Chunk(TrackKind::Video, chunk) => video.push(chunk),
            Given::Chunk(TrackKind::Audio, chunk) => audio.push(chunk),
            _ => {}
        }
    }
    check_track(&video, 2 * 90_000, begun);
    let apart = video[0].start_90k().abs_diff(audio[0].start_90k());
    assert!(
        apart < 90_000,
        "sound and picture start {apart} ticks apart"
    );
    for pair in audio.windows(2) {
        assert_eq!(pair[0].end_90k(), pair[1].start_90k());
    }
}

#[test]
fn h265_is_recorded_like_h264() {
    let camera = camera(VideoCodec::H265, None);
    let recorded = Recorded::start(settings(&camera.url()));
    let all = recorded.until(segments(3, TrackKind::Video));
    let video = recorded.camera.status().video.unwrap();
    assert!(
        video.format.codec.starts_with("hvc1."),
        "{}",
        video.format.codec
    );
    check_track(&chunks(all, TrackKind::Video), 2 * 90_000, recorded.begun);
    assert!(matches!(recorded.end().last(), Some(Given::Finish)));
}

#[test]
fn sound_that_is_not_wanted_is_said_and_does_not_disturb_the_picture() {
    let camera = camera(VideoCodec::H264, Some(AudioCodec::Mulaw));
    let mut settings = settings(&camera.url());
    settings.audio = false;
    let recorded = Recorded::start(settings);
    let all = recorded.until(segments(1, TrackKind::Video));
    assert!(chunks(all, TrackKind::Audio).is_empty());
    let ignored = recorded.camera.status().ignored_tracks;
    assert_eq!(ignored.len(), 1);
    assert_eq!(ignored[0].encoding, "PCMU");
    assert_eq!(ignored[0].reason, IgnoredReason::Unwanted);
    recorded.end();
}

#[test]
fn datagrams_are_recorded_like_a_connection() {
    let camera = camera(VideoCodec::H264, Some(AudioCodec::Aac));
    let mut settings = settings(&camera.url());
    settings.transport = Transport::Udp;
    let recorded = Recorded::start(settings);
    let all = recorded.until(segments(2, TrackKind::Video));
    check_track(&chunks(all, TrackKind::Video), 2 * 90_000, recorded.begun);
    recorded.end();
}

#[test]
fn pictures_sent_out_of_order_make_one_timeline_too() {
    let camera = camera_with(|picture| picture.b_frames = 2);
    let recorded = Recorded::start(settings(&camera.url()));
    let all = recorded.until(segments(3, TrackKind::Video));
    check_track(&chunks(all, TrackKind::Video), 2 * 90_000, recorded.begun);
    recorded.end();
}

/// What a session holds back until later pictures have come is recorded when it ends.
#[test]
fn regression_pictures_that_were_held_back_at_the_end_were_lost() {
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        let camera = camera_with(|picture| {
            picture.codec = codec;
            picture.b_frames = 2;
        });
        let recorded = Recorded::start(settings(&camera.url()));
        let mut all = recorded.until(segments(3, TrackKind::Video));
        all.extend(recorded.end());
        let chunks = chunks(all, TrackKind::Video);
        check_ends(&chunks);
        let [first, .., last] = &chunks[..] else {
            panic!("{} chunks", chunks.len())
        };
        let units: u64 = chunks
            .iter()
            .map(|chunk| u64::from(chunk.info.access_units))
            .sum();
        let step_90k = 90_000 / u64::from(PictureSettings::default().fps);
        let whole_90k = last.end_90k() - first.start_90k();
        // The last is as long as it is said to be: a little less than it takes to the next. The camera may be left
        // between a picture and those before it that refer to it.
        let missing = whole_90k.div_ceil(step_90k) - units;
        assert!(missing <= 2, "{units} pictures in {whole_90k} ticks");
    }
}

/// A GOP of 6/11 s is one chunk, and eleven of them are a segment: the muxer's worst case.
#[test]
fn chunks_that_end_with_their_gop_do_not_stop_the_recording() {
    let camera = camera_with(|picture| {
        picture.fps = 11;
        picture.gop = Gop::Frames(6);
    });
    let mut settings = settings(&camera.url());
    settings.segment = Duration::from_secs(6);
    let recorded = Recorded::start(settings);
    let all = recorded.until(segments(2, TrackKind::Video));
    check_track(&chunks(all, TrackKind::Video), 6 * 90_000, recorded.begun);
    recorded.end();
}

/// The system's clock, set by the test.
#[derive(Debug, Default)]
struct SetClock {
    by_ms: AtomicI64,
}

impl Clock for SetClock {
    fn now(&self) -> WallTime {
        SystemClock.now() + TimeDelta::milliseconds(self.by_ms.load(Ordering::SeqCst))
    }
}

#[test]
fn a_clock_that_is_set_forward_completes_the_segment_and_begins_a_new_timeline() {
    let camera = camera(VideoCodec::H264, Some(AudioCodec::Aac));
    let clock = Arc::new(SetClock::default());
    let recorded = Recorded::start_at(settings(&camera.url()), clock.clone());
    let before = recorded.until(segments(1, TrackKind::Video));
    clock.by_ms.store(3_600_000, Ordering::SeqCst);
    let start = chunks(before, TrackKind::Video)[0].start_90k();
    let mut missing = vec![TrackKind::Video, TrackKind::Audio];
    let after = recorded.until(|given| {
        if let Given::Chunk(track, chunk) = given
            && chunk.start_90k() > start + 3_500 * 90_000
            && missing.contains(track)
        {
            assert!(chunk.begins_segment, "{track}");
            missing.retain(|kind| kind != track);
        }
        missing.is_empty()
    });
    let lengths = after.iter().filter_map(|given| match given {
        Given::Chunk(_, chunk) => Some(chunk.info.duration_90k),
        _ => None,
    });
    let longest = lengths.max();
    assert!(
        longest < Some(2 * 90_000),
        "no access unit fills the gap: {longest:?}"
    );
    recorded.end();
}

#[test]
fn a_slewing_clock_leaves_no_segment_that_begins_before_the_last_ends() {
    let camera = camera(VideoCodec::H264, Some(AudioCodec::Aac));
    let clock = Arc::new(SetClock::default());
    let recorded = Recorded::start_at(settings(&camera.url()), clock.clone());
    let mut all = recorded.until(segments(1, TrackKind::Video));
    // Far off, but no step: that begins at 1 s.
    clock.by_ms.store(-700, Ordering::SeqCst);
    let mut slewed_from = None;
    let mut last = None;
    // From its first segment that is shorter than the camera's GOPs, three more.
    let mut seen = 0;
    all.extend(recorded.until(|given| {
        if let Given::Chunk(TrackKind::Video, chunk) = given
            && chunk.begins_segment
        {
            let before = last.replace(chunk.start_90k());
            let length_90k = before.map(|before| chunk.start_90k() - before);
            if slewed_from.is_none() && length_90k.is_some_and(|length| length < 2 * 90_000) {
                slewed_from = length_90k;
            }
            seen += usize::from(slewed_from.is_some());
        }
        seen == 4
    }));
    let (video, audio): (Vec<_>, Vec<_>) = all
        .into_iter()
        .filter(|given| matches!(given, Given::Chunk(..)))
        .partition(|given| matches!(given, Given::Chunk(TrackKind::Video, _)));
    for (kind, given) in [(TrackKind::Video, video), (TrackKind::Audio, audio)] {
        for pair in chunks(given, kind).windows(2) {
            assert_eq!(pair[0].end_90k(), pair[1].start_90k(), "{kind}");
        }
    }
    recorded.end();
}
