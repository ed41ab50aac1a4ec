//! Clocks that are set: nothing is overwritten, order is kept, every instant is where it belongs.

use std::{fs, path::Path};

use chrono_tz::Tz;
use dayreel_archive::{Piece, Recorder};
use dayreel_core::{GapCause, MediaTime, TICKS_PER_SECOND, TrackKind::Video};

use crate::common::{CHUNK_90K, Camera, bytes_of, chunk, init, media, open, record, wall};

const NOON: &str = "2026-11-22T12:00:00Z";
const DAY: &str = "cam/days/2026-11-22";

fn recorder(camera: &Camera) -> Recorder {
    let mut recorder = camera.archive.recorder();
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    recorder
}

/// Starts of the segments of a day, in seconds after `from`.
fn starts(camera: &Camera, date: &str, from: &str) -> Vec<i64> {
    let folder = camera.archive.day(date.parse().unwrap()).unwrap().unwrap();
    let timeline = folder.timeline();
    let segments = timeline.track(Video).segments();
    let after = |start: MediaTime| {
        (start.ticks().cast_signed() - media(from).cast_signed()) / TICKS_PER_SECOND.cast_signed()
    };
    segments
        .iter()
        .map(|segment| after(segment.start))
        .collect()
}

/// Every chunk that was recorded from `start_90k` on is in some file of the folder.
fn holds(folder: &Path, start_90k: u64, chunks: u64) -> bool {
    let files = fs::read_dir(folder).unwrap();
    let media: Vec<_> = files
        .flat_map(|file| fs::read(file.unwrap().path()).unwrap())
        .collect();
    (0..chunks).all(|n| {
        let chunk = bytes_of(&chunk(start_90k + n * CHUNK_90K, n % 4 == 0));
        media.windows(chunk.len()).any(|bytes| bytes == chunk)
    })
}

#[test]
fn what_a_clock_that_was_ahead_recorded_is_set_aside() {
    let root = tempfile::tempdir().unwrap();
    let (ahead, back) = (media("2026-11-22T14:00:00Z"), media("2026-11-22T12:00:30Z"));
    {
        let camera = open(root.path(), Tz::UTC, NOON);
        let mut recorder = recorder(&camera);
        record(&mut recorder, media(NOON), 2);
        record(&mut recorder, ahead, 5);
        recorder.finish().unwrap();
        let numbers = camera
            .archive
            .today()
            .unwrap()
            .timeline()
            .next_sequence(Video);
        recorder.interrupted(GapCause::Clock);
        record(&mut recorder, back, 3);
        recorder.finish().unwrap();
        assert_eq!(starts(&camera, "2026-11-22", NOON), [0, 4, 30, 34, 38]);
        let today = camera.archive.today().unwrap();
        let after = today.timeline().next_sequence(Video);
        assert_eq!(
            after.media,
            numbers.media + 3,
            "no number means two segments"
        );
        let gaps = &camera.archive.summaries().unwrap()[0].gaps;
        assert_eq!(gaps[0].cause, Some(GapCause::Clock));
        assert_eq!(
            camera
                .archive
                .segment(Video, MediaTime::from_ticks(ahead))
                .unwrap(),
            None
        );
    }
    let folder = root.path().join(DAY);
    assert!(
        holds(&folder, media(NOON), 8) && holds(&folder, ahead, 20) && holds(&folder, back, 12)
    );
    let aside = fs::read_to_string(folder.join("video.aside-1.m3u8")).unwrap();
    assert_eq!(aside.matches("#EXTINF").count(), 5, "{aside}");
    assert!(
        aside.contains("#EXT-X-MAP") && aside.ends_with("#EXT-X-ENDLIST\n"),
        "{aside}"
    );
    assert!(!aside.contains("#EXT-X-DISCONTINUITY\n"), "{aside}");
    // Recovery does not find it again, also without the index.
    for _ in 0..2 {
        let camera = open(root.path(), Tz::UTC, NOON);
        assert_eq!(starts(&camera, "2026-11-22", NOON), [0, 4, 30, 34, 38]);
        fs::remove_file(folder.join("video.m3u8")).unwrap();
    }
}

/// They began again where the day before had ended: players had seen others under them.
#[test]
fn regression_numbers_went_back_when_everything_of_a_day_was_set_aside() {
    let root = tempfile::tempdir().unwrap();
    {
        let camera = open(root.path(), Tz::UTC, "2026-11-21T12:00:00Z");
        let mut recorder = recorder(&camera);
        record(&mut recorder, media("2026-11-21T12:00:00Z"), 2);
        recorder.finish().unwrap();
    }
    let numbers = |camera: &Camera| {
        let today = camera.archive.today().unwrap();
        today.timeline().next_sequence(Video)
    };
    let after = {
        let camera = open(root.path(), Tz::UTC, NOON);
        let mut recorder = recorder(&camera);
        record(&mut recorder, media("2026-11-22T14:00:00Z"), 3);
        recorder.finish().unwrap();
        let before = numbers(&camera);
        recorder.interrupted(GapCause::Clock);
        record(&mut recorder, media(NOON), 1);
        recorder.finish().unwrap();
        let after = numbers(&camera);
        assert_eq!(after.media, before.media + 1);
        after
    };
    assert_eq!(numbers(&open(root.path(), Tz::UTC, NOON)), after);
}

#[test]
fn a_kill_right_after_setting_aside_lists_nothing_twice() {
    let root = tempfile::tempdir().unwrap();
    {
        let camera = open(root.path(), Tz::UTC, NOON);
        let mut recorder = recorder(&camera);
        record(&mut recorder, media("2026-11-22T14:00:00Z"), 3);
        recorder.finish().unwrap();
        recorder.append(Video, chunk(media(NOON), true)).unwrap();
    }
    let camera = open(root.path(), Tz::UTC, NOON);
    assert_eq!(starts(&camera, "2026-11-22", NOON), [0]);
    // And the time that was set aside can be recorded again.
    let mut recorder = recorder(&camera);
    record(&mut recorder, media("2026-11-22T14:00:02Z"), 2);
    recorder.finish().unwrap();
    assert_eq!(starts(&camera, "2026-11-22", NOON), [0, 7202, 7206]);
}

#[test]
fn a_clock_that_was_a_day_ahead_goes_back_to_the_right_day() {
    let root = tempfile::tempdir().unwrap();
    let camera = open(root.path(), Tz::UTC, NOON);
    let mut recorder = recorder(&camera);
    record(&mut recorder, media(NOON), 2);
    let tomorrow = "2026-11-23T13:00:00Z";
    camera.clock.set(wall(tomorrow));
    record(&mut recorder, media(tomorrow), 2);
    recorder.finish().unwrap();
    assert_eq!(
        camera.archive.today().unwrap().day().to_string(),
        "2026-11-23"
    );
    let listed = || {
        let summaries = camera.archive.summaries().unwrap();
        let day = |one: &dayreel_archive::DaySummary| (one.day.to_string(), one.finished);
        summaries.iter().map(day).collect::<Vec<_>>()
    };
    let days = |finished: [bool; 2]| {
        vec![
            ("2026-11-22".to_owned(), finished[0]),
            ("2026-11-23".to_owned(), finished[1]),
        ]
    };
    assert_eq!(listed(), days([true, false]));

    camera.clock.set(wall("2026-11-22T12:01:00Z"));
    record(&mut recorder, media("2026-11-22T12:01:00Z"), 2);
    recorder.finish().unwrap();
    assert_eq!(listed(), days([false, true]));
    assert_eq!(
        camera.archive.today().unwrap().day().to_string(),
        "2026-11-22"
    );
    assert_eq!(starts(&camera, "2026-11-22", NOON), [0, 4, 60, 64]);
    assert!(
        camera.archive.weekday(0).unwrap().is_none(),
        "Monday has yet to come"
    );
    let index = fs::read_to_string(root.path().join(DAY).join("video.m3u8")).unwrap();
    assert!(!index.contains("#EXT-X-ENDLIST"), "{index}");

    // When that day comes, it is recorded as if nothing had been.
    camera.clock.set(wall("2026-11-23T00:00:10Z"));
    record(&mut recorder, media("2026-11-23T00:00:00Z"), 3);
    recorder.finish().unwrap();
    assert_eq!(listed(), days([true, false]));
    assert_eq!(
        starts(&camera, "2026-11-23", "2026-11-23T00:00:00Z"),
        [0, 4, 8]
    );
    assert!(
        root.path()
            .join("cam/days/2026-11-23/video.aside-1.m3u8")
            .exists()
    );
}

#[test]
fn a_machine_that_begins_in_1970_disturbs_no_day() {
    let root = tempfile::tempdir().unwrap();
    let thursday = "2026-11-19T12:00:00Z";
    {
        let camera = open(root.path(), Tz::UTC, thursday);
        record(&mut recorder(&camera), media(thursday), 2);
    }
    // The media clock does not believe it, and goes on after what is recorded.
    let camera = open(root.path(), Tz::UTC, "1970-01-01T00:00:20Z");
    let mut recorder = recorder(&camera);
    let until = recorder.recorded_until().unwrap();
    assert_eq!(until.ticks(), media(thursday) + 8 * CHUNK_90K);
    record(&mut recorder, until.ticks(), 2);
    assert_eq!(
        camera.archive.today().unwrap().day().to_string(),
        "2026-11-19"
    );
    // Nobody sets it for long: it is believed.
    record(&mut recorder, media("1970-01-01T00:10:20Z"), 2);
    recorder.finish().unwrap();
    assert_eq!(
        camera.archive.today().unwrap().day().to_string(),
        "1970-01-01"
    );
    assert_eq!(starts(&camera, "2026-11-19", thursday), [0, 4, 8, 12]);
    // At last it is.
    let noon = "2026-11-20T12:00:00Z";
    camera.clock.set(wall(noon));
    record(&mut recorder, media(noon), 2);
    recorder.finish().unwrap();
    let today = camera.archive.today().unwrap();
    assert_eq!(today.day().to_string(), "2026-11-20");
    let thursday = camera.archive.weekday(3).unwrap().unwrap();
    assert_eq!(thursday.day().to_string(), "2026-11-19");
    fs::remove_dir_all(root.path().join("cam/days/2026-11-19")).unwrap();
    assert!(
        camera.archive.weekday(3).unwrap().is_none(),
        "1970 began on a Thursday"
    );
}

#[test]
fn media_time_goes_on_after_what_is_recorded() {
    let root = tempfile::tempdir().unwrap();
    {
        let camera = open(root.path(), Tz::UTC, NOON);
        assert_eq!(
            camera.archive.recorder().recorded_until().unwrap().ticks(),
            0
        );
        let mut recorder = recorder(&camera);
        record(&mut recorder, media(NOON), 2);
        camera.clock.set(wall("2026-11-24T12:00:00Z"));
        record(&mut recorder, media("2026-11-24T12:00:00Z"), 2);
        recorder.finish().unwrap();
    }
    let until = |now: &str| {
        let camera = open(root.path(), Tz::UTC, now);
        let until = camera.archive.recorder().recorded_until().unwrap();
        until
            .media_to_wall()
            .to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    };
    let (first, last) = ("2026-11-22T12:00:08Z", "2026-11-24T12:00:08Z");
    // Today is recorded up to now: what is later was recorded by a clock that was ahead.
    assert_eq!(until("2026-11-22T12:00:30Z"), first);
    // The clock is behind, or nothing is recorded of today.
    assert_eq!(until("2026-11-22T11:00:00Z"), last);
    assert_eq!(until("2026-11-23T12:00:00Z"), last);
    assert_eq!(until("2026-11-25T12:00:00Z"), last);
}
