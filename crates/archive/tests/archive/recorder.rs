//! What is recorded is listed, survives restarts, and turns at midnight.

use std::{fs, ops::Range, os::unix::fs::FileExt as _, sync::Arc};

use crate::common::{
    CHUNK_90K, Camera, bytes_of, chunk, init, init_created, media, open, record, sound_init, wall,
};
use chrono_tz::{Europe::Berlin, Tz};
use dayreel_archive::{CameraArchive, Error, Piece, verify};
use dayreel_core::{
    GapCause, MediaTime, TICKS_PER_SECOND, TrackKind,
    TrackKind::{Audio, Preview, Video},
};
use dayreel_manifest::{Encoding, Extent, media_playlist};

const NOON: &str = "2026-11-22T12:00:00Z";

fn playlist(camera: &Camera, date: &str) -> String {
    let folder = camera.archive.day(date.parse().unwrap()).unwrap().unwrap();
    let finished = camera.archive.is_finished(&folder);
    let document = media_playlist(
        &folder.timeline(),
        Video,
        finished,
        Extent::Whole,
        Encoding::Identity,
    );
    String::from_utf8(document.unwrap().to_vec()).unwrap()
}

fn index(root: &std::path::Path, date: &str) -> String {
    fs::read_to_string(root.join("cam/days").join(date).join("video.m3u8")).unwrap()
}

#[test]
fn a_segment_is_listed_with_its_exact_bytes() {
    let root = tempfile::tempdir().unwrap();
    let camera = open(root.path(), Tz::UTC, NOON);
    let mut recorder = camera.archive.recorder();
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    let start = media(NOON);
    record(&mut recorder, start, 3);
    recorder.finish().unwrap();

    let today = camera.archive.today().unwrap();
    assert_eq!(today.timeline().track(Video).segments().len(), 3);
    let second = MediaTime::from_ticks(start + 4 * CHUNK_90K);
    let slice = camera.archive.segment(Video, second).unwrap().unwrap();
    let mut bytes = vec![0; usize::try_from(slice.len_bytes).unwrap()];
    fs::File::open(&slice.path)
        .unwrap()
        .read_exact_at(&mut bytes, slice.offset)
        .unwrap();
    let chunks = (4..8).map(|n| chunk(start + n * CHUNK_90K, n == 4));
    assert_eq!(
        bytes,
        chunks
            .flat_map(|piece| bytes_of(&piece))
            .collect::<Vec<_>>()
    );
    assert_eq!(
        camera
            .archive
            .segment(Video, MediaTime::from_ticks(start + 1))
            .unwrap(),
        None
    );
    let hash = today.timeline().track(Video).inits()[0].hash;
    assert_eq!(camera.archive.init(Video, hash).unwrap().unwrap(), init(40));
}

#[test]
fn a_restart_that_lost_nothing_leaves_no_trace() {
    let root = tempfile::tempdir().unwrap();
    let start = media(NOON);
    let mut next = start;
    for _ in 0..3 {
        let camera = open(root.path(), Tz::UTC, NOON);
        let mut recorder = camera.archive.recorder();
        // What the muxer writes of its own start is no new configuration.
        recorder
            .append(Video, Piece::Init(init_created(40, next / CHUNK_90K)))
            .unwrap();
        next = record(&mut recorder, next, 2);
        recorder.finish().unwrap();
    }
    let text = index(root.path(), "2026-11-22");
    assert_eq!(text.matches("#EXT-X-MAP").count(), 1, "{text}");
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 0, "{text}");
    assert_eq!(text.matches("#EXTINF").count(), 6);
    assert_eq!(text.matches("#EXT-X-TARGETDURATION:0004\n").count(), 1);
    let folder = root.path().join("cam/days/2026-11-22");
    assert_eq!(
        fs::read_dir(folder).unwrap().count(),
        3,
        "one index, one hour file, one playlist of both tracks"
    );
}

#[test]
fn a_gap_is_a_discontinuity_with_the_same_map() {
    let root = tempfile::tempdir().unwrap();
    let before = open(root.path(), Tz::UTC, NOON);
    let mut recorder = before.archive.recorder();
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    record(&mut recorder, media(NOON), 2);
    drop(recorder);
    drop(before);

    let camera = open(root.path(), Tz::UTC, "2026-11-22T12:01:00Z");
    let mut recorder = camera.archive.recorder();
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    record(&mut recorder, media("2026-11-22T12:01:00Z"), 1);
    recorder.finish().unwrap();
    let text = playlist(&camera, "2026-11-22");
    assert_eq!(text.matches("#EXT-X-MAP").count(), 1, "{text}");
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{text}");
    assert!(
        text.contains("#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:01:00.000Z\n"),
        "{text}"
    );
    // The segment that was open at the end of the first session was never listed, but is there.
    assert_eq!(text.matches("#EXTINF").count(), 3, "{text}");
    assert_eq!(camera.archive.summaries().unwrap()[0].recorded.len(), 2);
}

#[test]
fn a_new_codec_configuration_gets_its_own_file_and_map() {
    let root = tempfile::tempdir().unwrap();
    let camera = open(root.path(), Tz::UTC, NOON);
    let mut recorder = camera.archive.recorder();
    let mut next = media(NOON);
    for level in [40, 50, 40] {
        recorder.append(Video, Piece::Init(init(level))).unwrap();
        next = record(&mut recorder, next, 1);
    }
    recorder.finish().unwrap();
    let text = index(root.path(), "2026-11-22");
    for file in ["video-12.mp4", "video-12-2.mp4", "video-12-3.mp4"] {
        // Each file has its init segment, so that none needs another.
        let map = format!("#EXT-X-MAP:URI=\"{file}\"");
        assert_eq!(text.matches(&map).count(), 1, "{text}");
    }
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 2, "{text}");
    assert!(text.ends_with("video-12-3.mp4\n"), "{text}");
}

#[test]
fn an_hour_ends_its_file_but_not_its_map() {
    let root = tempfile::tempdir().unwrap();
    let camera = open(root.path(), Tz::UTC, NOON);
    let mut recorder = camera.archive.recorder();
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    record(&mut recorder, media("2026-11-22T12:59:56Z"), 2);
    recorder.finish().unwrap();
    let text = index(root.path(), "2026-11-22");
    assert_eq!(text.matches("#EXT-X-MAP").count(), 1, "{text}");
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 0, "{text}");
    assert!(
        text.contains("\nvideo-12.mp4\n") && text.ends_with("video-13.mp4\n"),
        "{text}"
    );
    let hour = fs::read(root.path().join("cam/days/2026-11-22/video-13.mp4")).unwrap();
    assert!(
        hour.starts_with(&init(40)),
        "every hour file opens on its own"
    );
}

#[test]
fn the_segment_over_midnight_is_in_both_days() {
    let root = tempfile::tempdir().unwrap();
    let camera = open(root.path(), Berlin, "2026-11-22T23:59:50+01:00");
    let mut recorder = camera.archive.recorder();
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    let start = media("2026-11-22T23:59:50+01:00");
    record(&mut recorder, start, 5);
    // 00:00:05: the straddling segment is complete and adopted.
    camera.clock.set(wall("2026-11-23T00:00:10+01:00"));
    recorder.finish().unwrap();

    let straddling = format!("../v-{}.m4s\n", start + 8 * CHUNK_90K);
    let (old, new) = (
        playlist(&camera, "2026-11-22"),
        playlist(&camera, "2026-11-23"),
    );
    assert!(
        old.ends_with(&format!("{straddling}#EXT-X-ENDLIST\n")),
        "{old}"
    );
    let first = new.lines().find(|line| line.starts_with("../v-")).unwrap();
    assert_eq!(format!("{first}\n"), straddling);
    assert!(new.contains("#EXT-X-MEDIA-SEQUENCE:2\n"), "{new}");
    assert!(!new.contains("#EXT-X-ENDLIST"), "{new}");
    assert_eq!(new.matches("#EXT-X-DISCONTINUITY\n").count(), 0, "{new}");
    assert!(index(root.path(), "2026-11-22").ends_with("#EXT-X-ENDLIST\n"));
    assert_eq!(
        camera.archive.today().unwrap().day().to_string(),
        "2026-11-23"
    );
    let sunday = camera.archive.weekday(6).unwrap().unwrap();
    assert_eq!(sunday.day().to_string(), "2026-11-22");
    assert!(
        camera.archive.weekday(0).unwrap().is_none(),
        "Monday is not over"
    );
}

#[test]
fn a_chunk_that_nothing_introduces_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let camera = open(root.path(), Tz::UTC, NOON);
    let mut recorder = camera.archive.recorder();
    let orphan = recorder.append(Video, chunk(media(NOON), true));
    assert!(matches!(orphan, Err(Error::Orphan(Video))));
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    let orphan = recorder.append(Video, chunk(media(NOON), false));
    assert!(matches!(orphan, Err(Error::Orphan(Video))));
    let next = record(&mut recorder, media(NOON), 1);
    let overlap = recorder.append(Video, chunk(next - 10, true));
    assert!(matches!(
        overlap,
        Err(Error::Overlap {
            overlap_90k: 10,
            ..
        })
    ));
    recorder.append(Video, chunk(next, true)).unwrap();
}

#[test]
fn a_data_directory_has_one_owner() {
    let root = tempfile::tempdir().unwrap();
    let first = open(root.path(), Tz::UTC, NOON);
    let second = dayreel_archive::Store::open(root.path());
    assert!(matches!(second, Err(Error::InUse(_))));
    drop(first);
    assert!(dayreel_archive::Store::open(root.path()).is_ok());
}

#[test]
fn days_that_are_too_old_are_deleted_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let camera = open(root.path(), Berlin, "2026-11-22T23:30:00+01:00");
    for date in ["2026-11-15", "2026-11-16", "2026-11-21", "2026-11-22"] {
        fs::create_dir_all(root.path().join("cam/days").join(date)).unwrap();
    }
    fs::create_dir_all(root.path().join("cam/days/2026-11-01.copy")).unwrap();
    let expired = |days| {
        camera
            .archive
            .expire(days)
            .unwrap()
            .iter()
            .map(|d| d.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(expired(6), ["2026-11-15"]);
    assert!(expired(6).is_empty());
    camera.clock.set(wall("2026-11-23T00:10:00+01:00"));
    assert_eq!(expired(6), ["2026-11-16"]);
    assert_eq!(expired(0), ["2026-11-21", "2026-11-22"]);
    assert!(root.path().join("cam/days/2026-11-01.copy").exists());
}

/// Killed before anything of the sound is written, a session has pictures alone; mended by hand or by
/// the next start, the day has three spans in both tracks.
#[test]
fn regression_a_session_of_pictures_alone_made_a_discontinuity_amid_the_next() {
    for mends_by_hand in [false, true] {
        let root = tempfile::tempdir().unwrap();
        for (session, tracks) in [&[Audio, Video][..], &[Video], &[Audio, Video]]
            .into_iter()
            .enumerate()
        {
            let camera = open(root.path(), Tz::UTC, NOON);
            let mut recorder = camera.archive.recorder();
            recorder.append(Video, Piece::Init(init(40))).unwrap();
            recorder.append(Audio, Piece::Init(sound_init())).unwrap();
            let start = media(NOON) + 20 * TICKS_PER_SECOND * session as u64;
            // The last segment is open when the recorder goes away.
            for number in 0..=8 {
                for kind in tracks {
                    let piece = chunk(start + number * CHUNK_90K, number % 4 == 0);
                    recorder.append(*kind, piece).unwrap();
                }
            }
            drop((recorder, camera));
            if mends_by_hand {
                let verified = verify(root.path(), true).unwrap();
                assert!(!verified.problems.is_empty(), "what was open is not listed");
            }
        }
        // What the last session left.
        verify(root.path(), true).unwrap();
        let folder = root.path().join("cam/days/2026-11-22");
        for (kind, counts) in [
            (Video, [0, 0, 0, 1, 0, 0, 1, 0, 0].as_slice()),
            (Audio, &[0, 0, 0, 2, 0, 0]),
        ] {
            let text = fs::read_to_string(folder.join(format!("{kind}.m3u8"))).unwrap();
            let segments = text.split("#EXTINF").collect::<Vec<_>>();
            let found = segments[..segments.len() - 1].iter();
            let found = found.map(|before| before.matches("#EXT-X-DISCONTINUITY\n").count());
            assert_eq!(
                found.collect::<Vec<_>>(),
                counts,
                "{kind}, by hand: {mends_by_hand}: {text}"
            );
        }
    }
}

/// The sub-stream goes and comes back while the main stream is recorded: neither breaks up the other,
/// and both are there after a kill.
#[test]
fn a_sub_stream_is_recorded_beside_the_main_stream_and_ends_for_itself() {
    let root = tempfile::tempdir().unwrap();
    let camera = open(root.path(), Tz::UTC, NOON);
    let [mut main, mut sub] = camera.archive.recorder().split();
    for stream in [&mut main, &mut sub] {
        stream.append(Video, Piece::Init(init(40))).unwrap();
    }
    let start = media(NOON);
    for number in 0..24 {
        let piece = || chunk(start + number * CHUNK_90K, number % 4 == 0);
        main.append(Video, piece()).unwrap();
        match number {
            8 => {
                sub.finish().unwrap();
                sub.interrupted(GapCause::Network);
            }
            9..12 => {}
            _ => sub.append(Video, piece()).unwrap(),
        }
    }
    main.finish().unwrap();
    // Killed: the last segment of the preview is in no index.
    drop((main, sub));
    let check = |archive: &Arc<CameraArchive>| {
        let today = archive.today().unwrap();
        let timeline = today.timeline();
        let segments = |kind| timeline.track(kind).segments().len();
        assert_eq!((segments(Video), segments(Preview)), (6, 5));
        assert_eq!(timeline.recorded().len(), 1);
    };
    drop(camera);
    let camera = open(root.path(), Tz::UTC, NOON);
    check(&camera.archive);
    let of = |name: &str| {
        fs::read_to_string(root.path().join("cam/days/2026-11-22").join(name)).unwrap()
    };
    let (video, preview) = (of("video.m3u8"), of("preview.m3u8"));
    assert!(!video.contains("DISCONTINUITY\n"), "{video}");
    assert!(preview.contains("#DAYREEL-GAP:cause=network"), "{preview}");
    assert!(of("playlist.m3u8").contains("\npreview.m3u8\n"));
}

/// Records chunks of those numbers, of which the first is at `start` and four are a segment.
fn picture_and_sound(camera: &Camera, start: u64) -> impl FnMut(TrackKind, Range<u64>) + use<> {
    let mut recorder = camera.archive.recorder();
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    recorder.append(Audio, Piece::Init(sound_init())).unwrap();
    move |kind, numbers| {
        for number in numbers {
            let piece = chunk(start + number * CHUNK_90K, number % 4 == 0);
            recorder.append(kind, piece).unwrap();
        }
    }
}

/// Who follows the sound over midnight would be told that there is none.
#[test]
fn regression_today_was_the_new_day_before_its_sound_had_begun() {
    let root = tempfile::tempdir().unwrap();
    let camera = open(root.path(), Tz::UTC, "2026-11-22T23:59:50Z");
    let start = media("2026-11-22T23:59:48Z");
    let mut append = picture_and_sound(&camera, start);
    // The rest of the old day, and what completes the first segment of the new.
    append(Video, 0..12);
    append(Audio, 0..12);
    append(Video, 12..17);
    let today = || camera.archive.today().unwrap().day().to_string();
    camera.clock.set(wall("2026-11-23T00:00:05Z"));
    assert_eq!(
        today(),
        "2026-11-22",
        "the sound of the new day is not complete"
    );
    append(Audio, 12..17);
    assert_eq!(today(), "2026-11-23");
}

/// hls.js went on part by part only where the parts before were listed, and only if no track was waited for.
#[test]
fn regression_who_plays_with_low_latency_stood_still_at_midnight() {
    let root = tempfile::tempdir().unwrap();
    let camera = open(root.path(), Tz::UTC, "2026-11-22T23:59:50Z");
    let start = media("2026-11-22T23:59:45Z");
    let mut append = picture_and_sound(&camera, start);
    let parts = |date| playlist(&camera, date).matches("#EXT-X-PART:").count();
    append(Audio, 0..17);
    append(Video, 0..16);
    let bytes = |number| {
        let at = MediaTime::from_ticks(start + number * CHUNK_90K);
        let part = camera.archive.part(Video, at);
        let part = part.unwrap().unwrap();
        let mut bytes = vec![0; usize::try_from(part.len_bytes).unwrap()];
        let file = fs::File::open(&part.path).unwrap();
        file.read_exact_at(&mut bytes, part.offset).unwrap();
        bytes
    };
    let before: Vec<_> = (12..16).map(bytes).collect();
    append(Video, 16..17);
    camera.clock.set(wall("2026-11-23T00:00:03Z"));
    let of = |kind| camera.archive.today_of(kind).unwrap().day().to_string();
    assert_eq!(
        (of(Video), of(Audio)),
        ("2026-11-23".into(), "2026-11-23".into())
    );
    assert_eq!(
        parts("2026-11-23"),
        4 + 1,
        "{}",
        playlist(&camera, "2026-11-23")
    );
    let after: Vec<_> = (12..16).map(bytes).collect();
    assert!(before == after, "the parts of the copy are others");
}

/// The new day of a track does not wait for that of the others.
#[test]
fn each_track_turns_at_its_own_first_segment() {
    let root = tempfile::tempdir().unwrap();
    let camera = open(root.path(), Tz::UTC, "2026-11-22T23:59:50Z");
    let start = media("2026-11-22T23:59:45Z");
    let mut append = picture_and_sound(&camera, start);
    append(Video, 0..13);
    append(Audio, 0..17);
    camera.clock.set(wall("2026-11-23T00:00:02Z"));
    let of = |kind| camera.archive.today_of(kind).unwrap().day().to_string();
    assert_eq!(
        (of(Video), of(Audio)),
        ("2026-11-22".into(), "2026-11-23".into())
    );
    assert_eq!(
        camera.archive.today().unwrap().day().to_string(),
        "2026-11-22"
    );
    append(Video, 13..17);
    assert_eq!(
        (of(Video), of(Audio)),
        ("2026-11-23".into(), "2026-11-23".into())
    );
}
