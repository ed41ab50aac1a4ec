//! Documents of small days, word by word, as files that can be looked at and fed to other tools.

use std::{fs, path::Path};

use dayreel_core::{MediaTime, TrackKind};
use dayreel_manifest::{
    DayTimeline, Encoding, Extent, Presentation, folder_playlist, keyframe_playlist, manifest,
    media_playlist, multivariant_playlist,
};

use crate::{
    camera::{MIDNIGHT_90K, Recorded, SECOND, append, by_end, day_of, empty_day, init, run},
    dash_reader,
    hls_reader::Media,
    rules::{check_dash, check_hls, finished_dash, hls, of_kind},
};

const VIDEO: TrackKind = TrackKind::Video;
const AUDIO: TrackKind = TrackKind::Audio;
const PREVIEW: TrackKind = TrackKind::Preview;

/// Compares with the file `name`. What differs is written beside the test's other output, so that
/// it can be looked at and, if it is meant, copied.
pub(crate) fn assert_golden(name: &str, actual: &[u8]) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/documents/golden")
        .join(name);
    let expected = fs::read(&golden).unwrap_or_default();
    if actual != expected {
        let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&new, actual).unwrap();
        panic!("{} differs: compare {}", golden.display(), new.display());
    }
}

pub(crate) fn playlist(
    day: &DayTimeline,
    kind: TrackKind,
    finished: bool,
    extent: Extent,
) -> Vec<u8> {
    media_playlist(day, kind, finished, extent, Encoding::Identity)
        .unwrap()
        .to_vec()
}

fn live_manifest(day: &DayTimeline, now_90k: u64) -> Vec<u8> {
    let now = MediaTime::from_ticks(now_90k).media_to_wall();
    manifest(
        day,
        Presentation::Live {
            now,
            window_s: None,
            low_latency: false,
        },
        Encoding::Identity,
    )
    .unwrap()
    .to_vec()
}

/// A minute of pictures and sound, a gap of a minute, 20 s, then another codec at once.
fn eventful() -> Vec<Recorded> {
    let (four, sound) = (360_000, 361_600);
    let again = MIDNIGHT_90K + 120 * SECOND;
    let other = again + 20 * SECOND;
    let mut recorded: Vec<_> = run(VIDEO, MIDNIGHT_90K, four, 15, 0).collect();
    recorded.extend(run(AUDIO, MIDNIGHT_90K + 1800, sound, 15, 0));
    recorded.extend(run(VIDEO, again, four, 5, 0));
    recorded.extend(run(VIDEO, other, four, 5, 1));
    recorded.extend(run(AUDIO, again - 1800, sound, 10, 0));
    by_end(recorded)
}

#[test]
fn a_day_with_sound_a_gap_and_a_new_codec() {
    let recorded = eventful();
    let day = day_of(&recorded);
    check_hls(
        &hls(&day, VIDEO, Extent::Whole).unwrap(),
        &of_kind(&recorded, VIDEO),
    );
    check_dash(&finished_dash(&day), &recorded, false);
    let multivariant = multivariant_playlist(&day, None).unwrap();
    let variants = m3u8_rs::parse_master_playlist_res(multivariant.as_bytes()).unwrap();
    assert_eq!(variants.variants[0].audio.as_deref(), Some("audio"));
    assert_golden("eventful.m3u8", multivariant.as_bytes());
    assert_golden(
        "eventful-video.m3u8",
        &playlist(&day, VIDEO, false, Extent::Whole),
    );
    assert_golden(
        "eventful-video-delta.m3u8",
        &playlist(&day, VIDEO, false, Extent::Delta),
    );
    assert_golden(
        "eventful-video-finished.m3u8",
        &playlist(&day, VIDEO, true, Extent::Delta),
    );
    for (name, finished, extent) in [
        ("eventful-keyframes.m3u8", false, Extent::Whole),
        ("eventful-keyframes-delta.m3u8", false, Extent::Delta),
        ("eventful-keyframes-finished.m3u8", true, Extent::Whole),
    ] {
        let text = keyframe_playlist(&day, finished, extent, Encoding::Identity).unwrap();
        assert!(
            m3u8_rs::parse_media_playlist_res(&text.to_vec())
                .unwrap()
                .i_frames_only
        );
        assert_golden(name, &text.to_vec());
    }
    // A static file server can cut no keyframes out.
    let folder = folder_playlist(&day).unwrap();
    let (variants, _) = multivariant
        .split_once("#EXT-X-I-FRAME-STREAM-INF")
        .unwrap();
    assert_eq!(folder, variants);
    assert_golden(
        "eventful-audio.m3u8",
        &playlist(&day, AUDIO, false, Extent::Whole),
    );
    assert_golden(
        "eventful.mpd",
        &live_manifest(&day, MIDNIGHT_90K + 161 * SECOND),
    );
    let finished = manifest(&day, Presentation::Finished, Encoding::Identity).unwrap();
    assert_golden("eventful-finished.mpd", &finished.to_vec());
}

/// The picture has a gap of a minute; the preview one of its own before that, and other keyframes.
fn with_preview() -> Vec<Recorded> {
    let mut recorded = eventful();
    recorded.retain(|segment| segment.codec == 0);
    let three = 270_000;
    recorded.extend(run(PREVIEW, MIDNIGHT_90K + 900, three, 5, 0));
    recorded.extend(run(PREVIEW, MIDNIGHT_90K + 30 * SECOND, three, 10, 0));
    recorded.extend(run(PREVIEW, MIDNIGHT_90K + 121 * SECOND, three, 6, 0));
    by_end(recorded)
}

#[test]
fn a_day_with_a_preview_is_a_second_variant_and_a_second_adaptation_set() {
    let recorded = with_preview();
    let day = day_of(&recorded);
    check_dash(&finished_dash(&day), &recorded, false);
    let multivariant = multivariant_playlist(&day, None).unwrap();
    let variants = m3u8_rs::parse_master_playlist_res(multivariant.as_bytes()).unwrap();
    let uris: Vec<_> = variants.variants.iter().map(|one| &one.uri).collect();
    assert_eq!(uris, ["video.m3u8", "preview.m3u8", "keyframes.m3u8"]);
    assert_golden("preview.m3u8", multivariant.as_bytes());
    assert_golden(
        "preview-preview.m3u8",
        &playlist(&day, PREVIEW, false, Extent::Whole),
    );
    assert_golden(
        "preview.mpd",
        &live_manifest(&day, MIDNIGHT_90K + 141 * SECOND),
    );
}

/// RFC 8216 §6.2.4: what is shown at one time has one discontinuity number in all variants.
#[test]
fn a_preview_counts_the_spans_of_the_picture_and_begins_none() {
    let recorded = with_preview();
    let without: Vec<_> = recorded
        .iter()
        .filter(|one| one.kind != PREVIEW)
        .copied()
        .collect();
    let (day, alone) = (day_of(&recorded), day_of(&without));
    for kind in [VIDEO, AUDIO] {
        // Finished: a live one says how far the preview goes.
        let text = |day| playlist(day, kind, true, Extent::Whole);
        assert_eq!(text(&day), text(&alone), "{kind}");
    }
    // Before and after the gap of the picture; the preview's own is no break.
    let numbers = |kind| hls(&day, kind, Extent::Whole).unwrap().spans();
    assert_eq!(numbers(VIDEO), [[7; 15].as_slice(), &[8; 5]].concat());
    assert_eq!(numbers(PREVIEW), [[7; 15].as_slice(), &[8; 6]].concat());
}

/// RFC 8216bis §4.4.4.7 and §6.2.4: what the preview lacks is listed as segments that are not there, so that
/// dates are durations all the way, and numbers stay what they are whoever asks when.
#[test]
fn a_hole_of_a_preview_is_listed_as_segments_that_are_not_there() {
    let recorded = with_preview();
    let day = day_of(&recorded);
    let whole = hls(&day, PREVIEW, Extent::Whole).unwrap();
    let gaps = whole.lines.iter().filter(|line| line.is_gap);
    let missing_s: f64 = gaps.clone().map(|line| line.duration_s).sum();
    // From the end of the fifth at 15.01 s to 30 s.
    assert_eq!(gaps.count(), 5);
    assert!((missing_s - 14.99).abs() < 1e-6, "{missing_s}");
    let there: Vec<_> = whole.lines.iter().filter(|line| !line.is_gap).collect();
    let names: Vec<_> = there.iter().map(|line| line.name.clone()).collect();
    let own = of_kind(&recorded, PREVIEW);
    assert_eq!(names, own.iter().map(Recorded::name).collect::<Vec<_>>());
    let mut end_ms: Option<f64> = None;
    for line in &whole.lines {
        let told_ms = line.date.map(|date| date.timestamp_millis());
        if line.discontinuities == 0
            && let (Some(told_ms), Some(end_ms)) = (told_ms, end_ms)
        {
            let apart_ms = told_ms as f64 - end_ms;
            assert!(apart_ms.abs() < 1.5, "{line:?}: {apart_ms}");
        }
        let start_ms = told_ms.map(|ms| ms as f64).or(end_ms);
        end_ms = start_ms.map(|ms| ms + line.duration_s * 1_000.0);
    }
    // A client that updates has the same.
    let delta = hls(&day, PREVIEW, Extent::Delta).unwrap();
    assert!(delta.skipped > 10);
    let names = |media: &Media| -> Vec<_> {
        let lines = media.lines.iter();
        lines.map(|line| line.name.clone()).collect()
    };
    assert_eq!(names(&whole.updated_by(&delta)), names(&whole));
    // So has one that comes when the beginning is gone, or asks for the end only.
    let number = |media: &Media, name: &str| {
        let index = media.lines.iter().position(|line| line.name == name);
        media.media_sequence + index.unwrap() as u64
    };
    let last = own[own.len() - 1].name();
    let shorter = hls(&day.without_first([0, 0, 7]), PREVIEW, Extent::Whole).unwrap();
    let window = hls(&day, PREVIEW, Extent::Window { seconds: 20 }).unwrap();
    for media in [&shorter, &window] {
        assert!(!media.lines[0].is_gap);
        assert_eq!(number(media, &last), number(&whole, &last));
    }
    let next = day.next_sequence(PREVIEW).media;
    assert_eq!(next, number(&whole, &last) + 1);
    assert_eq!(day.edge(PREVIEW).unwrap().complete, next - 1);
}

/// RFC 8216bis §6.2.4: each variant and rendition has the same target duration.
#[test]
fn the_longest_segment_of_any_track_is_the_target_of_all() {
    let mut recorded = with_preview();
    recorded.extend(run(PREVIEW, MIDNIGHT_90K + 141 * SECOND, 900_000, 1, 0));
    let day = day_of(&by_end(recorded));
    let targets = TrackKind::ALL.map(|kind| hls(&day, kind, Extent::Whole).unwrap());
    assert_eq!(targets.map(|media| media.target_duration_s), [10; 3]);
}

/// Players that read the multivariant playlist now would wait for a preview that ended long ago.
#[test]
fn a_preview_that_has_ended_is_no_variant() {
    let mut recorded = with_preview();
    recorded.retain(|one| one.kind != PREVIEW || one.end_90k() < MIDNIGHT_90K + 61 * SECOND);
    let text = multivariant_playlist(&day_of(&recorded), None).unwrap();
    assert_eq!(text.matches("#EXT-X-STREAM-INF").count(), 1, "{text}");
}

#[test]
fn a_regular_day_is_a_short_manifest_and_a_short_delta() {
    let mut day = empty_day();
    run(VIDEO, MIDNIGHT_90K, 360_000, 21_600, 0).for_each(|segment| {
        append(&mut day, &segment);
    });
    assert_golden(
        "regular.m3u8",
        multivariant_playlist(&day, None).unwrap().as_bytes(),
    );
    assert_golden(
        "regular-video-delta.m3u8",
        &playlist(&day, VIDEO, false, Extent::Delta),
    );
    assert_golden(
        "regular.mpd",
        &live_manifest(&day, MIDNIGHT_90K + 86_400 * SECOND),
    );
}

/// A first segment that is too short to measure anything still gives valid numbers.
#[test]
fn a_day_of_one_short_segment() {
    let day = day_of(&run(VIDEO, MIDNIGHT_90K, 27_000, 1, 0).collect::<Vec<_>>());
    assert_golden(
        "short.m3u8",
        multivariant_playlist(&day, None).unwrap().as_bytes(),
    );
    assert_golden(
        "short-video.m3u8",
        &playlist(&day, VIDEO, false, Extent::Whole),
    );
    assert_golden("short.mpd", &live_manifest(&day, MIDNIGHT_90K + SECOND));
}

#[test]
fn an_empty_day_has_no_documents() {
    let mut day = empty_day();
    day.add_init(VIDEO, init(VIDEO, 0));
    assert!(multivariant_playlist(&day, None).is_none());
    assert!(media_playlist(&day, VIDEO, true, Extent::Whole, Encoding::Gzip).is_none());
    assert!(keyframe_playlist(&day, true, Extent::Whole, Encoding::Gzip).is_none());
    assert!(manifest(&day, Presentation::Finished, Encoding::Gzip).is_none());
}

/// The target duration that is expected stays, whatever the first segments are like.
#[test]
fn an_expected_duration_is_the_target_from_the_beginning() {
    let mut day = empty_day();
    day.expect_duration_90k(360_000);
    for segment in run(VIDEO, MIDNIGHT_90K, 90_000, 9, 0) {
        append(&mut day, &segment);
        assert_eq!(
            hls(&day, VIDEO, Extent::Whole).unwrap().target_duration_s,
            4
        );
    }
}

/// The sound of a camera is complete a moment after the first pictures: players that come between
/// would never look for it again.
#[test]
fn the_first_documents_wait_for_sound_that_has_begun_but_not_for_ever() {
    let mut day = empty_day();
    day.add_init(AUDIO, init(AUDIO, 0));
    let is_shown = |day: &DayTimeline| {
        let now = MediaTime::from_ticks(MIDNIGHT_90K).media_to_wall();
        let mpd = manifest(
            day,
            Presentation::Live {
                now,
                window_s: None,
                low_latency: false,
            },
            Encoding::Identity,
        );
        assert_eq!(mpd.is_some(), multivariant_playlist(day, None).is_some());
        mpd.map(|mpd| dash_reader::read(&mpd.to_vec()).1[0].sets.len())
    };
    let mut pictures = run(VIDEO, MIDNIGHT_90K, 360_000, 3, 0);
    for expected in [None, None, Some(1)] {
        append(&mut day, &pictures.next().unwrap());
        assert_eq!(is_shown(&day), expected);
    }
    for segment in run(AUDIO, MIDNIGHT_90K, 360_000, 1, 0) {
        append(&mut day, &segment);
    }
    assert_eq!(is_shown(&day), Some(2));
}

/// RFC 8216 §4.1: the peak is over any stretch of 0.5 to 1.5 target durations, also of several
/// segments.
#[test]
fn the_peak_bandwidth_is_that_of_the_busiest_stretch() {
    let mut day = empty_day();
    let init = day.add_init(VIDEO, init(VIDEO, 0));
    let mut start = MediaTime::from_ticks(MIDNIGHT_90K);
    for (duration_90k, len_bytes) in [
        (540_000, 60_000),
        (90_000, 1),
        (180_000, 50_000),
        (90_000, 40_000),
    ] {
        let bytes = dayreel_manifest::Slice {
            file: 0,
            offset: 0,
            len_bytes,
        };
        let segment = dayreel_manifest::Segment {
            start,
            duration_90k,
            access_units: 1,
            init,
            bytes,
        };
        day.append(VIDEO, segment);
        start = segment.end();
    }
    let text = multivariant_playlist(&day, None).unwrap();
    let playlist = m3u8_rs::parse_master_playlist_res(text.as_bytes()).unwrap();
    // 90 000 bytes in the last 3 s: half of the target of 6 s.
    assert_eq!(playlist.variants[0].bandwidth, 240_000);
}
