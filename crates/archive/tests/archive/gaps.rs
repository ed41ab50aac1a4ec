//! Why nothing was recorded is on disk, and is said after a restart as before it.

use std::{fs, path::Path};

use chrono_tz::{Europe::Berlin, Tz};
use dayreel_archive::{Piece, Recorder};
use dayreel_core::{GapCause, TICKS_PER_SECOND, TrackKind::Video};

use crate::common::{CHUNK_90K, Camera, chunk, init, media, open, record};

const NOON: &str = "2026-11-22T12:00:00Z";
const DAY: &str = "2026-11-22";

fn recorder(camera: &Camera) -> Recorder {
    let mut recorder = camera.archive.recorder();
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    recorder
}

/// Seconds and causes of the gaps of the day `date`, as the API lists them.
fn gaps(camera: &Camera, date: &str) -> Vec<(u64, Option<GapCause>)> {
    let summaries = camera.archive.summaries().unwrap();
    let summary = summaries.iter().find(|one| one.day.to_string() == date);
    let gaps = &summary.unwrap().gaps;
    gaps.iter()
        .map(|gap| {
            (
                gap.end.saturating_since(gap.start) / TICKS_PER_SECOND,
                gap.cause,
            )
        })
        .collect()
}

fn index(root: &Path, date: &str) -> String {
    fs::read_to_string(root.join("cam/days").join(date).join("video.m3u8")).unwrap()
}

#[test]
fn a_gap_has_the_cause_that_was_said_and_keeps_it_over_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    {
        let camera = open(root.path(), Tz::UTC, NOON);
        let mut recorder = recorder(&camera);
        let mut next = record(&mut recorder, media(NOON), 1);
        for (cause, seconds) in [
            (GapCause::Camera, 7),
            (GapCause::Network, 60),
            (GapCause::Clock, 3600),
        ] {
            recorder.interrupted(cause);
            // Of the session that was interrupted more is written.
            next = record(&mut recorder, next, 1);
            recorder.finish().unwrap();
            next = record(&mut recorder, next + seconds * TICKS_PER_SECOND, 1);
            expected.push((seconds, Some(cause)));
        }
        // Without a gap the cause is nobody's, also not the next one's.
        recorder.interrupted(GapCause::Network);
        recorder.finish().unwrap();
        next = record(&mut recorder, next, 1);
        record(&mut recorder, next + 5 * TICKS_PER_SECOND, 1);
        expected.push((5, Some(GapCause::Camera)));
        recorder.finish().unwrap();
        assert_eq!(gaps(&camera, DAY), expected);
    }
    assert_eq!(gaps(&open(root.path(), Tz::UTC, NOON), DAY), expected);
}

#[test]
fn what_is_missing_after_a_restart_is_for_the_restart() {
    let root = tempfile::tempdir().unwrap();
    let mut next = media(NOON);
    for _ in 0..3 {
        let camera = open(root.path(), Tz::UTC, NOON);
        let mut recorder = recorder(&camera);
        // The camera, too, did not come at once: it would have, without the restart.
        recorder.interrupted(GapCause::Network);
        next = record(&mut recorder, next, 1) + 30 * TICKS_PER_SECOND;
        recorder.finish().unwrap();
    }
    let camera = open(root.path(), Tz::UTC, NOON);
    assert_eq!(gaps(&camera, DAY), [(30, Some(GapCause::Restart)); 2]);
    let text = index(root.path(), DAY);
    assert_eq!(
        text.matches("#DAYREEL-GAP:cause=restart\n").count(),
        2,
        "{text}"
    );
}

#[test]
fn a_gap_over_midnight_is_in_both_days_with_its_cause() {
    let root = tempfile::tempdir().unwrap();
    {
        let camera = open(root.path(), Berlin, "2026-11-22T22:00:00+01:00");
        let mut recorder = recorder(&camera);
        record(&mut recorder, media("2026-11-22T22:00:00+01:00"), 1);
        recorder.finish().unwrap();
        recorder.interrupted(GapCause::Network);
        camera
            .clock
            .set(crate::common::wall("2026-11-23T01:00:00+01:00"));
        record(&mut recorder, media("2026-11-23T01:00:00+01:00"), 1);
        recorder.finish().unwrap();
    }
    let camera = open(root.path(), Berlin, "2026-11-24T12:00:00+01:00");
    let network = Some(GapCause::Network);
    assert_eq!(gaps(&camera, "2026-11-22"), [(2 * 3600 - 4, network)]);
    // Nothing ran from 1:00:04 on, which is only known now.
    let expected = [(3600, network), (23 * 3600 - 4, Some(GapCause::Restart))];
    assert_eq!(gaps(&camera, "2026-11-23"), expected);
    assert!(index(root.path(), "2026-11-22").ends_with("cause=network\n#EXT-X-ENDLIST\n"));
    assert!(index(root.path(), "2026-11-23").ends_with("cause=restart\n#EXT-X-ENDLIST\n"));
}

#[test]
fn a_day_that_ended_while_nothing_ran_is_closed_once() {
    let root = tempfile::tempdir().unwrap();
    {
        let camera = open(root.path(), Tz::UTC, "2026-11-22T23:59:52Z");
        record(&mut recorder(&camera), media("2026-11-22T23:59:52Z"), 2);
    }
    for _ in 0..2 {
        let camera = open(root.path(), Tz::UTC, "2026-11-23T08:00:00Z");
        assert_eq!(gaps(&camera, DAY), []);
        let text = index(root.path(), DAY);
        // The segment that was open at the kill is there, too.
        assert_eq!(text.matches("#EXTINF").count(), 2, "{text}");
        assert_eq!(text.matches("#EXT-X-ENDLIST").count(), 1, "{text}");
        assert!(!text.contains("#DAYREEL-GAP"), "{text}");
    }
}

#[test]
fn a_day_that_was_closed_too_early_goes_on() {
    let root = tempfile::tempdir().unwrap();
    {
        let camera = open(root.path(), Tz::UTC, NOON);
        record(&mut recorder(&camera), media(NOON), 1);
    }
    // The clock is a day ahead at this start, and right at the next.
    drop(open(root.path(), Tz::UTC, "2026-11-23T12:00:00Z"));
    assert!(index(root.path(), DAY).ends_with("#EXT-X-ENDLIST\n"));
    let camera = open(root.path(), Tz::UTC, NOON);
    let mut recorder = recorder(&camera);
    record(&mut recorder, media(NOON) + 60 * TICKS_PER_SECOND, 1);
    recorder.finish().unwrap();
    assert!(!index(root.path(), DAY).contains("#EXT-X-ENDLIST"));
    assert_eq!(gaps(&camera, DAY), [(56, Some(GapCause::Restart))]);
}

#[test]
fn what_cannot_be_written_is_for_the_disk() {
    let root = tempfile::tempdir().unwrap();
    let camera = open(root.path(), Tz::UTC, "2026-11-22T23:59:56Z");
    let mut recorder = recorder(&camera);
    let next = record(&mut recorder, media("2026-11-22T23:59:56Z"), 1);
    // Where the folder of the next day should be made is a file.
    let obstacle = root.path().join("cam/days/2026-11-23");
    fs::write(&obstacle, "").unwrap();
    recorder.append(Video, chunk(next, true)).unwrap_err();
    recorder.interrupted(GapCause::Camera);
    fs::remove_file(&obstacle).unwrap();
    record(&mut recorder, next + 20 * CHUNK_90K, 1);
    recorder.finish().unwrap();
    assert_eq!(gaps(&camera, "2026-11-23"), [(20, Some(GapCause::Disk))]);
}

#[test]
fn an_index_without_causes_is_read() {
    let root = tempfile::tempdir().unwrap();
    {
        let camera = open(root.path(), Tz::UTC, NOON);
        let mut recorder = recorder(&camera);
        let next = record(&mut recorder, media(NOON), 1);
        record(&mut recorder, next + 9 * TICKS_PER_SECOND, 1);
        recorder.finish().unwrap();
    }
    let path = root.path().join("cam/days").join(DAY).join("video.m3u8");
    let text = index(root.path(), DAY).replace("#DAYREEL-GAP:cause=camera\n", "");
    fs::write(&path, text).unwrap();
    assert_eq!(gaps(&open(root.path(), Tz::UTC, NOON), DAY), [(9, None)]);
}
