use std::{fs::OpenOptions, os::unix::fs::FileExt as _};

use chrono_tz::Europe::Berlin;
use mp4_atom::{Atom as _, Avcc, Codec, Moov};

use super::*;
use crate::Error;

const RECIPE: Recipe = Recipe {
    interval_s: 48,
    width: 1280,
    fps: 30,
};

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn day(text: &str) -> Day {
    Day::new(date(text), Berlin)
}

fn format(level: u8) -> FilmFormat {
    let mut config = Vec::new();
    let avcc = Avcc {
        configuration_version: 1,
        avc_profile_indication: 0x42,
        profile_compatibility: 0,
        avc_level_indication: level,
        length_size: 4,
        sequence_parameter_sets: vec![vec![0x67, 0x42, 0, level, 1]],
        picture_parameter_sets: vec![vec![0x68, 1]],
        ext: None,
    };
    avcc.encode_body(&mut config).unwrap();
    FilmFormat {
        config: config.into(),
        width: 1280,
        height: 720,
    }
}

/// Pictures whose bytes say which slot they are of.
fn group(slots: std::ops::Range<u32>) -> Group {
    Group {
        next_slot: slots.end,
        pictures: slots
            .map(|slot| vec![u8::try_from(slot).unwrap(); 100 + slot as usize].into())
            .collect(),
    }
}

fn open() -> (tempfile::TempDir, Timelapses) {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = Arc::new(DataDir::open(folder.path(), false).unwrap());
    let timelapses = Timelapses::new(folder.path().join("timelapse"), Berlin, data_dir);
    (folder, timelapses)
}

fn growing_path(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("timelapse/2026/11/22.growing.mp4")
}

/// The pictures of a finished film, found by its tables.
fn pictures(path: &Path) -> (Moov, Vec<Vec<u8>>) {
    let bytes = fs::read(path).unwrap();
    let moov = find::<Moov>(TrackKind::Video, "film", &bytes).unwrap();
    let stbl = &moov.trak[0].mdia.minf.stbl;
    let mp4_atom::StszSamples::Different { sizes } = &stbl.stsz.samples else {
        panic!("{stbl:?}")
    };
    let chunks = &stbl.co64.as_ref().unwrap().entries;
    let mut sizes = sizes.iter();
    let mut pictures = Vec::new();
    for (number, offset) in (1_u32..).zip(chunks) {
        let run = stbl
            .stsc
            .entries
            .iter()
            .rfind(|run| run.first_chunk <= number);
        let mut at = usize::try_from(*offset).unwrap();
        for _ in 0..run.unwrap().samples_per_chunk {
            let size = *sizes.next().unwrap() as usize;
            pictures.push(bytes[at..at + size].to_vec());
            at += size;
        }
    }
    assert_eq!(sizes.next(), None, "all pictures are in chunks");
    let end = chunks.last().map_or(0, |_| bytes.len());
    assert_eq!(end, bytes.len());
    (moov, pictures)
}

#[test]
fn a_day_has_as_many_slots_as_it_is_long() {
    assert_eq!(RECIPE.slots(day("2026-11-22")), 1800);
    assert_eq!(RECIPE.slots(day("2026-03-29")), 1725, "23 hours");
    assert_eq!(RECIPE.slots(day("2026-10-25")), 1875, "25 hours");
    let odd = Recipe {
        interval_s: 7,
        ..RECIPE
    };
    let last = odd.slots(day("2026-11-22")) - 1;
    assert!(odd.middle(day("2026-11-22"), last) < day("2026-11-22").end());
    assert!(odd.middle(day("2026-11-22"), last + 1) >= day("2026-11-22").end());
    let hour = Recipe {
        interval_s: 3600,
        ..RECIPE
    };
    assert_eq!(hour.slots(day("2026-10-25")), 25);
}

#[test]
fn slots_are_shown_by_their_middle() {
    let day = day("2026-11-22");
    let since = |slot| (RECIPE.middle(day, slot) - day.start()).num_seconds();
    assert_eq!([since(0), since(1), since(1799)], [24, 72, 86_400 - 24]);
}

#[test]
fn a_day_grows_goes_on_after_a_restart_and_is_finished() {
    let (folder, timelapses) = open();
    let mut growing = timelapses.grow(date("2026-11-22"), RECIPE).unwrap();
    assert_eq!((growing.next_slot(), growing.format()), (0, None));
    growing.append(&format(31), &group(0..3)).unwrap();
    growing.append(&format(31), &group(10..12)).unwrap();
    assert_eq!(timelapses.list().unwrap(), [], "not before it is finished");
    assert_eq!(timelapses.begun().unwrap(), [date("2026-11-22")]);
    drop(growing);

    let mut growing = timelapses.grow(date("2026-11-22"), RECIPE).unwrap();
    assert_eq!((growing.next_slot(), growing.pictures()), (12, 5));
    assert_eq!(growing.format(), Some(&format(31)));
    growing.append(&format(31), &group(12..15)).unwrap();
    let finished = timelapses.finish(growing).unwrap().unwrap();
    assert_eq!(finished.date, date("2026-11-22"));
    assert_eq!(finished.duration_s, 0.266);
    assert_eq!(timelapses.list().unwrap(), std::slice::from_ref(&finished));
    assert_eq!(
        timelapses.find(date("2026-11-22")).unwrap().as_ref(),
        Some(&finished)
    );
    assert_eq!(timelapses.begun().unwrap(), []);
    assert!(!growing_path(&folder).exists());

    let (moov, shown) = pictures(&finished.media.path);
    let order: Vec<u8> = shown.iter().map(|picture| picture[0]).collect();
    assert_eq!(order, [0, 1, 2, 10, 11, 12, 13, 14]);
    assert!(
        shown
            .iter()
            .all(|picture| picture.len() == 100 + usize::from(picture[0]))
    );
    let stbl = &moov.trak[0].mdia.minf.stbl;
    assert_eq!(stbl.stss.as_ref().unwrap().entries, [1, 4, 6]);
    assert_eq!(stbl.stts.entries[0].sample_count, 8);
    assert_eq!(moov.mvhd.timescale / stbl.stts.entries[0].sample_delta, 30);
    assert!(moov.mvex.is_none());
    assert!(matches!(&stbl.stsd.codecs[0], Codec::Avc1(avc) if avc.visual.width == 1280));
}

#[test]
fn a_write_torn_anywhere_loses_its_group_and_nothing_else() {
    let (folder, timelapses) = open();
    let mut growing = timelapses.grow(date("2026-11-22"), RECIPE).unwrap();
    growing.append(&format(31), &group(0..3)).unwrap();
    let path = growing_path(&folder);
    let before = fs::read(&path).unwrap();
    growing.append(&format(31), &group(3..6)).unwrap();
    let whole = fs::read(&path).unwrap();
    for cut in before.len()..=whole.len() {
        for zeros in [false, true] {
            let mut torn = whole[..cut].to_vec();
            if zeros {
                // What a power cut leaves: the length is there, the bytes are not.
                torn.resize(whole.len(), 0);
            }
            fs::write(&path, &torn).unwrap();
            let mut growing = timelapses.grow(date("2026-11-22"), RECIPE).unwrap();
            let whole_group = cut == whole.len();
            let kept = if whole_group { 6 } else { 3 };
            assert_eq!(growing.next_slot(), kept, "cut at {cut}, zeros: {zeros}");
            let left = if whole_group { &whole } else { &before };
            assert_eq!(&fs::read(&path).unwrap(), left);
            if !whole_group {
                growing.append(&format(31), &group(3..6)).unwrap();
                assert_eq!(fs::read(&path).unwrap(), whole, "as if nothing had been");
            }
        }
    }
    for cut in 0..before.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let growing = timelapses.grow(date("2026-11-22"), RECIPE).unwrap();
        assert_eq!((growing.next_slot(), growing.pictures()), (0, 0));
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    }
}

#[test]
fn garbage_is_a_day_without_pictures() {
    let (folder, timelapses) = open();
    drop(timelapses.grow(date("2026-11-22"), RECIPE).unwrap());
    for garbage in [vec![0; 5000], vec![0xff; 5000], b"ftypmoovuuid".repeat(99)] {
        fs::write(growing_path(&folder), garbage).unwrap();
        let growing = timelapses.grow(date("2026-11-22"), RECIPE).unwrap();
        assert_eq!(growing.pictures(), 0);
    }
}

#[test]
fn other_settings_make_the_day_again_and_another_format_says_so() {
    let (_folder, timelapses) = open();
    let mut growing = timelapses.grow(date("2026-11-22"), RECIPE).unwrap();
    growing.append(&format(31), &group(0..3)).unwrap();
    let refused = growing.append(&format(40), &group(3..6));
    assert!(matches!(refused, Err(Error::OtherFilm(_))), "{refused:?}");
    assert_eq!(growing.next_slot(), 3);
    growing.restart().unwrap();
    growing.append(&format(40), &group(0..6)).unwrap();
    assert_eq!(growing.pictures(), 6);
    drop(growing);
    let wider = Recipe {
        width: 1920,
        ..RECIPE
    };
    let growing = timelapses.grow(date("2026-11-22"), wider).unwrap();
    assert_eq!((growing.next_slot(), growing.pictures()), (0, 0));
}

#[test]
fn a_day_without_pictures_leaves_nothing() {
    let (folder, timelapses) = open();
    let mut growing = timelapses.grow(date("2026-11-22"), RECIPE).unwrap();
    let nothing = Group {
        next_slot: 30,
        pictures: vec![],
    };
    growing.append(&format(31), &nothing).unwrap();
    assert_eq!(timelapses.finish(growing).unwrap(), None);
    assert_eq!(timelapses.list().unwrap(), []);
    assert!(!growing_path(&folder).exists());
}

#[test]
fn only_films_are_listed_oldest_first() {
    let (folder, timelapses) = open();
    for day in ["2026-11-22", "2025-12-31", "2026-02-03"] {
        let mut growing = timelapses.grow(date(day), RECIPE).unwrap();
        growing.append(&format(31), &group(0..3)).unwrap();
        timelapses.finish(growing).unwrap().unwrap();
    }
    let root = folder.path().join("timelapse");
    fs::write(root.join("2026/11/21.mp4"), b"no film").unwrap();
    fs::write(root.join("2026/11/20.mp4.part"), b"").unwrap();
    fs::write(root.join("2026/11/31.mp4"), b"").unwrap();
    fs::write(root.join("2026/11/.19.mp4"), b"").unwrap();
    fs::write(root.join("2026/11/7.mp4"), b"").unwrap();
    fs::write(root.join("notes.txt"), b"").unwrap();
    fs::create_dir_all(root.join("20260/11")).unwrap();
    let listed = || -> Vec<String> {
        let list = timelapses.list().unwrap();
        list.iter().map(|one| one.date.to_string()).collect()
    };
    assert_eq!(listed(), ["2025-12-31", "2026-02-03", "2026-11-22"]);
    fs::remove_dir_all(root.join("2025")).unwrap();
    assert_eq!(listed(), ["2026-02-03", "2026-11-22"]);
}

#[test]
fn a_film_that_is_made_again_is_another_file() {
    let (_folder, timelapses) = open();
    let mut made = Vec::new();
    for pictures in [3, 6] {
        let mut growing = timelapses.grow(date("2026-11-22"), RECIPE).unwrap();
        growing.append(&format(31), &group(0..pictures)).unwrap();
        made.push(timelapses.finish(growing).unwrap().unwrap());
    }
    assert_eq!([made[0].duration_s, made[1].duration_s], [0.1, 0.2]);
    assert_eq!(timelapses.list().unwrap(), made[1..]);
}

#[test]
fn a_disk_error_keeps_what_there_was() {
    let (folder, timelapses) = open();
    let mut growing = timelapses.grow(date("2026-11-22"), RECIPE).unwrap();
    growing.append(&format(31), &group(0..3)).unwrap();
    // A folder stands where the film should be written.
    let part = folder.path().join("timelapse/2026/11/22.mp4.part");
    fs::create_dir(&part).unwrap();
    timelapses.finish(growing).unwrap_err();
    assert_eq!(timelapses.list().unwrap(), []);
    fs::remove_dir(&part).unwrap();
    let growing = timelapses.grow(date("2026-11-22"), RECIPE).unwrap();
    assert_eq!(growing.next_slot(), 3);
    assert!(timelapses.finish(growing).unwrap().is_some());
}

#[test]
fn a_flipped_bit_in_the_newest_group_drops_it() {
    let (folder, timelapses) = open();
    let mut growing = timelapses.grow(date("2026-11-22"), RECIPE).unwrap();
    growing.append(&format(31), &group(0..3)).unwrap();
    growing.append(&format(31), &group(3..6)).unwrap();
    let path = growing_path(&folder);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let last = fs::metadata(&path).unwrap().len() - 1;
    file.write_all_at(&[0xaa], last).unwrap();
    let growing = timelapses.grow(date("2026-11-22"), RECIPE).unwrap();
    assert_eq!(growing.next_slot(), 3);
}

#[test]
fn nothing_is_begun_on_a_disk_that_is_away() {
    let (folder, timelapses) = open();
    fs::remove_file(folder.path().join(crate::data_dir::MARKER)).unwrap();
    let refused = timelapses.grow(date("2026-11-22"), RECIPE);
    assert!(matches!(refused, Err(Error::Missing(_))), "{refused:?}");
    assert!(!folder.path().join("timelapse").exists());
}
