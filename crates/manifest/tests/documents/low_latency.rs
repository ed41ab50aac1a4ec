//! Playlists of a live day whose segments are recorded part by part.

use dayreel_core::{MediaTime, TrackKind};
use dayreel_manifest::{DayTimeline, Encoding, Extent, Part, Presentation, Slice, manifest};

use crate::{
    camera::{MIDNIGHT_90K, Recorded, SECOND, append, empty_day, init, segment},
    golden::{assert_golden, playlist},
    patches::Had,
};

const VIDEO: TrackKind = TrackKind::Video;
const AUDIO: TrackKind = TrackKind::Audio;

/// Of 2 s in four parts.
const SEGMENT_90K: u32 = 180_000;
const PART_90K: u32 = 45_000;

fn part(start_90k: u64, is_independent: bool) -> Part {
    Part {
        start: MediaTime::from_ticks(start_90k),
        duration_90k: PART_90K,
        is_independent,
        bytes: Slice {
            file: 0,
            offset: 0,
            len_bytes: 1000,
        },
    }
}

/// Records the first `parts` of the segment that starts at `start_90k`; four complete it.
fn record(day: &mut DayTimeline, kind: TrackKind, start_90k: u64, codec: u8, parts: u64) {
    (0..parts).for_each(|index| record_part(day, kind, start_90k, codec, index));
    if parts == 4 {
        complete(day, kind, start_90k, codec);
    }
}

/// Records its part number `index`.
fn record_part(day: &mut DayTimeline, kind: TrackKind, start_90k: u64, codec: u8, index: u64) {
    let part_90k = start_90k + index * u64::from(PART_90K);
    if index == 0 {
        let init = day.add_init(kind, init(kind, codec));
        day.begin_segment(kind, init, part(part_90k, true));
    } else {
        day.append_part(kind, part(part_90k, kind == AUDIO));
    }
}

/// Records that it is complete.
fn complete(day: &mut DayTimeline, kind: TrackKind, start_90k: u64, codec: u8) {
    let recorded = Recorded {
        kind,
        start_90k,
        duration_90k: SEGMENT_90K,
        codec,
    };
    append(day, &recorded);
}

/// Six segments of each track, and a part of the next.
fn day() -> DayTimeline {
    let mut day = empty_day();
    for index in 0..6 {
        let start_90k = MIDNIGHT_90K + index * u64::from(SEGMENT_90K);
        record(&mut day, VIDEO, start_90k, 0, 4);
        record(&mut day, AUDIO, start_90k, 0, 4);
    }
    let next_90k = MIDNIGHT_90K + 6 * u64::from(SEGMENT_90K);
    record(&mut day, VIDEO, next_90k, 0, 3);
    record(&mut day, AUDIO, next_90k, 0, 2);
    day
}

fn text(day: &DayTimeline, extent: Extent) -> String {
    String::from_utf8(playlist(day, VIDEO, false, extent)).unwrap()
}

#[test]
fn the_parts_of_the_newest_segments_are_listed_and_the_next_is_hinted() {
    let day = day();
    let whole = text(&day, Extent::Whole);
    assert_golden("low-latency.m3u8", whole.as_bytes());
    let window = text(&day, Extent::Window { seconds: 4 });
    assert_golden("low-latency-window.m3u8", window.as_bytes());
    let edge = day.edge(VIDEO).unwrap();
    assert_eq!(
        (edge.complete, edge.complete_parts, edge.open_parts),
        (1005, 4, 3)
    );
    assert_eq!(edge.part_target_90k, PART_90K);
    let next = edge.end.ticks();
    assert!(whole.contains(&format!("TYPE=PART,URI=\"../v-{next}.part.m4s\"")));
    assert_eq!(day.track(VIDEO).part(edge.end), None, "not there yet");
    let newest = MediaTime::from_ticks(next - u64::from(PART_90K));
    assert_eq!(day.track(VIDEO).part(newest).unwrap().start, newest);
}

/// Durations are rounded up to a nanosecond, so twice one may be less than one twice.
#[test]
fn regression_the_hold_back_was_a_nanosecond_less_than_two_parts() {
    let mut day = day();
    let next = day.edge(VIDEO).unwrap().end;
    day.append_part(
        VIDEO,
        Part {
            duration_90k: PART_90K + 1,
            ..part(next.ticks(), false)
        },
    );
    let text = text(&day, Extent::Whole);
    assert!(text.contains("PART-HOLD-BACK=1.01\n"), "{text}");
    assert!(text.contains("PART-TARGET=0.500011112\n"), "{text}");
}

#[test]
fn a_day_that_is_over_lists_no_parts() {
    let finished = playlist(&day(), VIDEO, true, Extent::Whole);
    let finished = String::from_utf8(finished).unwrap();
    assert_eq!(finished.matches("#EXTINF").count(), 6);
    assert!(!finished.contains("PART") && !finished.contains("RENDITION"));
}

/// Which break it follows is known when it is complete.
#[test]
fn a_segment_after_a_break_is_listed_when_it_is_complete() {
    let after_gap_90k = MIDNIGHT_90K + 60 * SECOND;
    let next_90k = MIDNIGHT_90K + 6 * u64::from(SEGMENT_90K);
    for (start_90k, codec) in [(after_gap_90k, 0), (next_90k, 1)] {
        let mut day = day();
        record(&mut day, VIDEO, start_90k, codec, 3);
        assert_eq!(day.edge(VIDEO).unwrap().open_parts, 0);
        assert!(!text(&day, Extent::Whole).contains("PRELOAD-HINT"));
        record(&mut day, VIDEO, start_90k, codec, 4);
        let edge = day.edge(VIDEO).unwrap();
        assert_eq!((edge.complete, edge.complete_parts), (1006, 4));
    }
}

/// As of a camera that sends a keyframe in minutes.
#[test]
fn a_segment_of_very_many_parts_is_listed_without_them() {
    let mut day = day();
    let next_90k = MIDNIGHT_90K + 6 * u64::from(SEGMENT_90K);
    record(&mut day, VIDEO, next_90k, 0, 384);
    assert_eq!(day.edge(VIDEO).unwrap().open_parts, 384);
    let one_more = next_90k + 384 * u64::from(PART_90K);
    day.append_part(VIDEO, part(one_more, false));
    day.append_part(VIDEO, part(one_more + u64::from(PART_90K), false));
    assert_eq!(day.edge(VIDEO).unwrap().open_parts, 0);
    assert!(!text(&day, Extent::Whole).contains("PRELOAD-HINT"));
}

/// As after a restart: what is read from an index has no parts.
#[test]
fn a_segment_without_parts_is_listed_as_ever() {
    let mut day = empty_day();
    let recorded = Recorded {
        kind: VIDEO,
        start_90k: MIDNIGHT_90K,
        duration_90k: SEGMENT_90K,
        codec: 0,
    };
    let segment = segment(&mut day, &recorded);
    day.append_listed(VIDEO, segment, 0);
    let first = text(&day, Extent::Whole);
    assert!(
        first.contains("CAN-BLOCK-RELOAD=YES") && !first.contains("PART"),
        "{first}"
    );
    // Who asks for any part of it has it.
    assert!(day.edge(VIDEO).unwrap().reaches(1000, Some(3)));
    record(&mut day, VIDEO, MIDNIGHT_90K + u64::from(SEGMENT_90K), 0, 2);
    let second = text(&day, Extent::Whole);
    assert_eq!(second.matches("#EXT-X-PART:").count(), 2, "{second}");
}

/// Of the pictures, two segments are expected: three parts of the first are there.
#[test]
fn an_mpd_of_low_latency_lists_what_is_to_come() {
    let recorded_90k = 6 * u64::from(SEGMENT_90K) + 3 * u64::from(PART_90K);
    let presentation = Presentation::Live {
        now: MediaTime::from_ticks(MIDNIGHT_90K + recorded_90k).media_to_wall(),
        window_s: None,
        low_latency: true,
    };
    let text = manifest(&day(), presentation, Encoding::Identity).unwrap();
    assert_golden("low_latency.mpd", &text.to_vec());
}

#[test]
fn patches_tell_what_is_expected_and_what_has_come() {
    let mut day = empty_day();
    let mut had: Vec<Had> = Vec::new();
    let mut told = 0;
    let parts = (0..12).flat_map(|segment| (0..4).map(move |part| (segment, part)));
    for (after_ms, (segment, part)) in (500..).step_by(500).zip(parts) {
        let start_90k = MIDNIGHT_90K + segment * u64::from(SEGMENT_90K);
        for kind in [VIDEO, AUDIO] {
            record_part(&mut day, kind, start_90k, 0, part);
            if part == 3 {
                complete(&mut day, kind, start_90k, 0);
            }
        }
        let newest = had.iter().rev().take(6);
        told += newest.filter_map(|had| had.patched(&day, after_ms)).count();
        had.extend(Had::of(&day, after_ms, true));
    }
    // What is expected is known after three segments.
    assert!(told > 6 * 4 * 8, "{told}");
}
