//! Moments on disk: names, what the files say, the GIF, and what people do to the folder.

use std::{fs, sync::Arc, thread};

use bytes::Bytes;
use chrono::{DateTime, FixedOffset};
use dayreel_archive::{
    CameraArchive, Clip, Moment, MomentFacts, Moments, Sample, Store, VideoClip, VideoCodec,
};
use dayreel_core::{ManualClock, MediaTime};
use tempfile::TempDir;

const AVCC: &[u8] = &[
    1, 0x42, 0xc0, 0x0d, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x0d, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80,
];

struct Shelf {
    folder: TempDir,
    _store: Store,
    archive: Arc<CameraArchive>,
}

fn shelf() -> Shelf {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let clock = Arc::new(ManualClock::new(time("2026-11-22T17:03:05+01:00").to_utc()));
    let zone = chrono_tz::Europe::Berlin;
    let archive = store.camera("cam".parse().unwrap(), zone, clock).unwrap();
    Shelf {
        folder,
        _store: store,
        archive,
    }
}

fn time(text: &str) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339(text).unwrap()
}

fn facts(text: &str, label: Option<&str>) -> MomentFacts {
    MomentFacts {
        time: time(text),
        start: time(text) - chrono::TimeDelta::milliseconds(4_880),
        duration_90k: 450_000,
        label: label.map(str::to_owned),
        length_s: 5,
        delay_s: 0,
        starts_late: Some("gap".into()),
        ends_early: None,
    }
}

fn clip() -> Clip {
    let at = |number: u64| MediaTime::from_ticks(161_582_704_650_000 + number * 3600);
    let sample = |number| Sample {
        bytes: Bytes::from_static(b"picture"),
        pts: at(number),
        dts: at(number),
        is_keyframe: number == 0,
    };
    Clip {
        start: at(0),
        end: at(125),
        video: VideoClip {
            codec: VideoCodec::Avc,
            config: Bytes::from_static(AVCC),
            width: 320,
            height: 180,
            pixel_aspect: (1, 1),
            colour: None,
            samples: (0..125).map(sample).collect(),
        },
        audio: None,
    }
}

impl Shelf {
    fn moments(&self) -> &Arc<Moments> {
        self.archive.moments()
    }

    fn keep(&self, text: &str, label: Option<&str>) -> Moment {
        let claim = self.moments().claim(time(text)).unwrap();
        claim.write(&clip(), &facts(text, label)).unwrap()
    }

    fn listed(&self) -> Vec<String> {
        let listed = self.moments().list().unwrap();
        listed
            .iter()
            .map(|moment| moment.name.to_string())
            .collect()
    }
}

#[test]
fn what_is_kept_is_listed_as_it_was_said() {
    let shelf = shelf();
    let label = Some("K\u{e4}the \u{1F408}");
    let kept = shelf.keep("2026-11-22T17:03:05.123+01:00", label);
    let path = shelf
        .folder
        .path()
        .join("cam/moments/2026/11/22/17-03-05.mp4");
    assert_eq!(kept.bytes, fs::metadata(&path).unwrap().len());
    let expected = facts("2026-11-22T17:03:05.123+01:00", label);
    for _ in 0..2 {
        let listed = shelf.moments().list().unwrap();
        assert_eq!(listed, std::slice::from_ref(&kept));
        assert_eq!(listed[0].facts, expected);
    }
    assert_eq!(shelf.moments().facts(kept.name).unwrap(), Some(expected));
    let parts = fs::read_dir(path.parent().unwrap()).unwrap();
    assert_eq!(parts.count(), 1, "nothing is left beside it");
}

#[test]
fn two_of_one_second_are_both_kept() {
    let shelf = shelf();
    let first = shelf
        .moments()
        .claim(time("2026-11-22T17:03:05.1+01:00"))
        .unwrap();
    let second = shelf
        .moments()
        .claim(time("2026-11-22T17:03:05.2+01:00"))
        .unwrap();
    assert_eq!(first.name().to_string(), "2026/11/22/17-03-05");
    assert_eq!(second.name().to_string(), "2026/11/22/17-03-05-2");
    // The one that is done first keeps its name all the same.
    let (facts_1, facts_2) = (
        facts("2026-11-22T17:03:05.1+01:00", None),
        facts("2026-11-22T17:03:05.2+01:00", None),
    );
    second.write(&clip(), &facts_2).unwrap();
    first.write(&clip(), &facts_1).unwrap();
    drop((first, second));
    assert_eq!(
        shelf.listed(),
        ["2026/11/22/17-03-05", "2026/11/22/17-03-05-2"]
    );
    let third = shelf
        .moments()
        .claim(time("2026-11-22T17:03:05.9+01:00"))
        .unwrap();
    assert_eq!(third.name().nth(), 3);
}

#[test]
fn a_moment_is_kept_while_the_only_other_of_its_day_is_deleted() {
    let shelf = shelf();
    thread::scope(|scope| {
        for second in ["03", "04"] {
            let shelf = &shelf;
            scope.spawn(move || {
                for _ in 0..300 {
                    let kept = shelf.keep(&format!("2026-11-22T17:03:{second}+01:00"), None);
                    assert!(shelf.moments().delete(kept.name).unwrap());
                }
            });
        }
    });
    assert_eq!(shelf.listed(), Vec::<String>::new());
}

#[test]
fn a_claim_that_is_not_used_is_free_again() {
    let shelf = shelf();
    let claim = || {
        shelf
            .moments()
            .claim(time("2026-11-22T17:03:05+01:00"))
            .unwrap()
    };
    drop(claim());
    assert_eq!(claim().name().nth(), 1);
}

/// The hour that comes twice: half past two in summer time, then in winter time.
#[test]
fn both_hours_of_the_autumn_night_are_there_and_in_order() {
    let shelf = shelf();
    let times = [
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:40:00+02:00",
        "2026-10-25T02:30:00+01:00",
        "2026-10-25T02:35:00+01:00",
    ];
    for text in times {
        shelf.keep(text, None);
    }
    let listed = shelf.moments().list().unwrap();
    let order: Vec<_> = listed.iter().map(|moment| moment.facts.time).collect();
    assert_eq!(order, times.map(time));
    assert_eq!(shelf.listed()[2], "2026/10/25/02-30-00-2");
}

#[test]
fn the_gif_is_that_of_the_latest_and_goes_with_its_moment() {
    let shelf = shelf();
    let (early, late) = ("2026-11-22T17:03:05+01:00", "2026-11-22T17:03:09+01:00");
    let (first, last) = (shelf.keep(early, None), shelf.keep(late, None));
    let gif = |moment: &Moment| {
        let comment = Moments::gif_comment(moment.name);
        let mut gif = b"GIF89a\x21\xfe".to_vec();
        gif.push(u8::try_from(comment.len()).unwrap());
        gif.extend(comment.as_bytes());
        gif.extend(b"\0\x3b");
        gif
    };
    assert!(shelf.moments().latest_gif().unwrap().is_none());
    shelf.moments().put_gif(time(late), &gif(&last)).unwrap();
    // Asked for earlier, ready later.
    shelf.moments().put_gif(time(early), &gif(&first)).unwrap();
    let shown = || {
        let file = shelf.moments().latest_gif().unwrap();
        file.map(|file| fs::read(file.slice.path).unwrap())
    };
    assert_eq!(shown(), Some(gif(&last)));
    assert!(shelf.moments().delete(first.name).unwrap());
    assert_eq!(shown(), Some(gif(&last)), "of another moment");
    assert!(shelf.moments().delete(last.name).unwrap());
    assert_eq!(shown(), None);
    assert!(!shelf.moments().delete(last.name).unwrap(), "it is gone");
    assert_eq!(shelf.listed(), [""; 0]);
    assert!(!shelf.folder.path().join("cam/moments/2026").exists());
}

#[test]
fn a_new_moment_of_a_name_has_another_tag() {
    let shelf = shelf();
    let text = "2026-11-22T17:03:05+01:00";
    let kept = shelf.keep(text, None);
    let tag = || shelf.moments().file(kept.name).unwrap().unwrap().tag;
    let before = tag();
    shelf.moments().delete(kept.name).unwrap();
    assert!(shelf.moments().file(kept.name).unwrap().is_none());
    shelf.keep(text, Some("another"));
    assert_ne!(tag(), before);
}

#[test]
fn what_people_do_to_the_folder_is_seen_and_what_is_no_moment_is_not_listed() {
    let shelf = shelf();
    let kept = shelf.keep("2026-11-22T17:03:05+01:00", Some("moved"));
    let folder = shelf.folder.path().join("cam/moments/2026");
    let path = folder.join("11/22/17-03-05.mp4");
    assert_eq!(shelf.listed().len(), 1);
    let elsewhere = folder.join("12/01");
    fs::create_dir_all(&elsewhere).unwrap();
    fs::rename(&path, elsewhere.join("08-00-00.mp4")).unwrap();
    fs::write(
        folder.join("11/22/17-03-06.mp4"),
        b"\0\0\0\x08ftyp\0\0\0\x64moov torn",
    )
    .unwrap();
    fs::write(folder.join("11/22/17-03-07.mp4"), b"").unwrap();
    fs::write(folder.join("11/22/17-03-08.part"), b"left by a crash").unwrap();
    fs::write(folder.join("11/22/notes.txt"), b"").unwrap();
    fs::create_dir_all(folder.join("11/99")).unwrap();
    fs::create_dir_all(folder.join("11/22/17-03-09.mp4")).unwrap();
    fs::write(folder.join("index.html"), b"").unwrap();
    let listed = shelf.moments().list().unwrap();
    assert_eq!(shelf.listed(), ["2026/12/01/08-00-00"]);
    assert_eq!(listed[0].facts, kept.facts, "copied with what it says");
}
