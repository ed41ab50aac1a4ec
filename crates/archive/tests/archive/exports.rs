//! Exports of recordings that are odd.

use chrono_tz::Tz;
use dayreel_archive::{Exported, Gaps, Piece};
use dayreel_core::{MediaTime, TrackKind};
use mp4_atom::{Decode as _, Ftyp, Moov};

use crate::common::{CHUNK_90K, chunk, init, media, open, sound_init};

/// The picture ends; the camera comes back twice, each time with a second of sound alone.
#[test]
fn regression_sound_without_a_picture_cut_the_film_that_ends_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let begin = media("2026-11-22T12:00:00Z");
    let camera = open(folder.path(), Tz::UTC, "2026-11-22T12:00:00Z");
    let mut recorder = camera.archive.recorder();
    let mut record = |track, init, seconds: &[u64]| {
        recorder.append(track, Piece::Init(init)).unwrap();
        for second in seconds {
            let chunk = chunk(begin + second * CHUNK_90K, true);
            recorder.append(track, chunk).unwrap();
        }
    };
    record(TrackKind::Video, init(30), &[0, 1, 2, 3]);
    record(TrackKind::Audio, sound_init(), &[0, 1, 2, 3, 60, 100]);
    recorder.finish().unwrap();
    let at = |second: u64| MediaTime::from_ticks(begin + second * CHUNK_90K);
    let found = camera.archive.export(&(at(1)..at(200)), Gaps::Close);
    let Exported::Whole(export) = found.unwrap() else {
        panic!("there is something");
    };
    assert_eq!(*export.shown(), at(1)..at(4));
    let pieces = std::sync::Arc::new(export).read(0..2000);
    let bytes = pieces.map(Result::unwrap).collect::<Vec<_>>().concat();
    let mut bytes = &bytes[..];
    Ftyp::decode(&mut bytes).unwrap();
    let moov = Moov::decode(&mut bytes).unwrap();
    assert_eq!(moov.trak.len(), 2);
    for trak in moov.trak {
        let edits = trak.edts.unwrap().elst.unwrap().entries;
        assert_eq!(edits[0].segment_duration, 3 * CHUNK_90K, "{edits:?}");
    }
}
