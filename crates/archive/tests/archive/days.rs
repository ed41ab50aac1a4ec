//! Random zones, dates, gaps and restarts: every day is named rightly at every moment.

use std::{collections::BTreeSet, path::Path};

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta};
use chrono_tz::{TZ_VARIANTS, Tz};
use dayreel_archive::{Piece, Recorder};
use dayreel_core::{MediaTime, TICKS_PER_SECOND, TrackKind::Video, WallTime};
use dayreel_manifest::{Encoding, Extent, Presentation, manifest, media_playlist};
use proptest::prelude::*;

use crate::common::{Camera, chunk_of, init, open_at};

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many segments of so many seconds are recorded.
    Record(u64, i64),
    /// The camera is away for so many seconds.
    Away(i64),
    /// The server is stopped, or killed, and started again after so many seconds.
    Restart { clean: bool, after_s: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..40_u64, 60..2_000_i64).prop_map(|(count, length_s)| Step::Record(count, length_s)),
        1 => (1..100_000_i64).prop_map(Step::Away),
        2 => (any::<bool>(), prop_oneof![0..100_i64, 0..100_000_i64])
            .prop_map(|(clean, after_s)| Step::Restart { clean, after_s }),
    ]
}

/// A camera that is recorded, and what should be kept of it.
struct Run<'a> {
    root: &'a Path,
    zone: Tz,
    now: WallTime,
    /// `None` while nothing runs.
    server: Option<(Camera, Recorder)>,
    /// What is complete, in order.
    complete: Vec<(WallTime, WallTime)>,
    /// What is being recorded.
    open: Option<(WallTime, WallTime)>,
    /// Local dates of which something is listed.
    listed: BTreeSet<NaiveDate>,
}

impl<'a> Run<'a> {
    fn start(root: &'a Path, zone: Tz, now: WallTime) -> Self {
        Self {
            root,
            zone,
            now,
            server: Some(serve(root, zone, now)),
            complete: Vec::new(),
            open: None,
            listed: BTreeSet::new(),
        }
    }

    fn camera(&self) -> &Camera {
        &self.server.as_ref().unwrap().0
    }

    fn recorder(&mut self) -> &mut Recorder {
        &mut self.server.as_mut().unwrap().1
    }

    /// Asked of the zone database, not of [`dayreel_core::Day`].
    fn date(&self, wall: WallTime) -> NaiveDate {
        wall.with_timezone(&self.zone).date_naive()
    }

    fn complete_open(&mut self) {
        if let Some(done) = self.open.take() {
            self.listed.insert(self.date(done.0));
            self.complete.push(done);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Record(count, length_s) => {
                for _ in 0..count {
                    self.segment(TimeDelta::seconds(length_s));
                }
            }
            Step::Away(seconds) => {
                self.recorder().finish().unwrap();
                self.complete_open();
                self.pass(TimeDelta::seconds(seconds));
            }
            Step::Restart { clean, after_s } => {
                if clean {
                    self.recorder().finish().unwrap();
                }
                // What was open is one whole chunk: a kill does not cost it.
                self.complete_open();
                self.pass(TimeDelta::seconds(after_s));
                self.server = None;
                self.server = Some(serve(self.root, self.zone, self.now));
            }
        }
        self.check();
    }

    fn pass(&mut self, time: TimeDelta) {
        self.now += time;
        self.camera().clock.set(self.now);
    }

    fn segment(&mut self, length: TimeDelta) {
        let start = MediaTime::wall_to_media(self.now).ticks();
        let length_90k = length.num_seconds().unsigned_abs() * TICKS_PER_SECOND;
        let piece = chunk_of(start, length_90k, true);
        self.recorder().append(Video, piece).unwrap();
        let turned = self
            .open
            .is_some_and(|(start, _)| self.date(start) != self.date(self.now));
        self.complete_open();
        // What runs over midnight is in the new day as soon as that is recorded.
        let today = self.date(self.now);
        let before = self
            .complete
            .last()
            .map(|(_, end)| *end - TimeDelta::nanoseconds(1));
        if before.is_some_and(|before| self.date(before) == today) {
            self.listed.insert(today);
        }
        self.open = Some((self.now, self.now + length));
        if turned {
            self.check();
        }
        self.pass(length);
    }

    /// The date that `today` should mean.
    fn live(&self) -> Option<NaiveDate> {
        let today = self.date(self.now);
        // For a minute after midnight it may still be yesterday.
        let yesterday = self.date(self.now - TimeDelta::minutes(1));
        let of = |date: &NaiveDate| self.listed.contains(date);
        Some(today).filter(of).or(Some(yesterday).filter(of))
    }

    fn check(&self) {
        let archive = &self.camera().archive;
        let (now, live, today) = (self.now, self.live(), self.date(self.now));
        let said = archive.today().map(|folder| folder.day().date());
        assert_eq!(said, live, "today at {now}");
        for number in 0..7 {
            let week = today - Days::new(7)..today;
            let is_meant = |date: &&NaiveDate| {
                week.contains(*date)
                    && Some(**date) != live
                    && date.weekday().num_days_from_monday() == number
            };
            let expected = self.listed.iter().rev().find(is_meant).copied();
            let said = archive.weekday(number).unwrap();
            let said = said.map(|folder| folder.day().date());
            assert_eq!(said, expected, "weekday {number} at {now}");
        }
        let summaries = archive.summaries().unwrap();
        let dates = summaries.iter().map(|one| one.day.date());
        assert_eq!(dates.collect::<BTreeSet<_>>(), self.listed, "days at {now}");
        for summary in &summaries {
            let date = summary.day.date();
            let is_over = Some(date) != live && date != today;
            assert_eq!(summary.finished, is_over, "{date} at {now}");
            let folder = archive.day(date).unwrap().unwrap();
            let timeline = folder.timeline();
            let text = |document: Option<dayreel_manifest::Document>| {
                String::from_utf8(document.unwrap().to_vec()).unwrap()
            };
            let playlist =
                media_playlist(&timeline, Video, is_over, Extent::Whole, Encoding::Identity);
            assert_eq!(text(playlist).contains("#EXT-X-ENDLIST"), is_over);
            let presentation = match is_over {
                true => Presentation::Finished,
                false => Presentation::Live {
                    now,
                    window_s: None,
                    low_latency: false,
                },
            };
            let mpd = text(manifest(&timeline, presentation, Encoding::Identity));
            assert_eq!(mpd.contains("type=\"static\""), is_over);
            self.check_day(date, timeline.track(Video).segments());
        }
    }

    /// All that lies in the day is listed in it, in order, and what runs over its beginning.
    fn check_day(&self, date: NaiveDate, segments: &[dayreel_manifest::Segment]) {
        let of_day = |(start, end): &&(WallTime, WallTime)| {
            let last = *end - TimeDelta::nanoseconds(1);
            self.date(*start) == date || self.date(last) == date
        };
        let expected = self.complete.iter().filter(of_day);
        let starts = segments.iter().map(|one| one.start.media_to_wall());
        let starts: Vec<_> = starts.collect();
        let expected: Vec<_> = expected.map(|(start, _)| *start).collect();
        assert_eq!(starts, expected, "{date} in {}", self.zone);
    }
}

fn serve(root: &Path, zone: Tz, now: WallTime) -> (Camera, Recorder) {
    let camera = open_at(root, zone, now);
    let mut recorder = camera.archive.recorder();
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    (camera, recorder)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn days_are_named_rightly_in_any_zone_at_any_date_over_any_restarts(
        zone in (0..TZ_VARIANTS.len()).prop_map(|index| TZ_VARIANTS[index]),
        // 2015 to 2036: before, some zones turned a minute after midnight, back into the day before.
        start_s in 1_420_070_400_i64..2_082_758_400,
        steps in prop::collection::vec(step(), 1..20),
    ) {
        let root = tempfile::tempdir().unwrap();
        let now = DateTime::from_timestamp(start_s, 0).unwrap();
        let mut run = Run::start(root.path(), zone, now);
        for step in steps {
            run.step(step);
        }
    }
}

/// The days of the year in which the clocks of these zones are changed.
#[test]
fn days_are_named_rightly_where_clocks_are_changed() {
    for (zone, date) in [
        ("Europe/Berlin", "2026-03-29"),
        ("Europe/Berlin", "2026-10-25"),
        ("America/New_York", "2026-03-08"),
        ("America/New_York", "2026-11-01"),
        ("Australia/Lord_Howe", "2026-04-05"),
        ("Australia/Lord_Howe", "2026-10-04"),
        ("America/Santiago", "2026-04-04"),
        ("America/Santiago", "2026-09-06"),
        ("Asia/Beirut", "2026-03-29"),
        ("Asia/Beirut", "2026-10-24"),
        ("America/Nuuk", "2026-03-28"),
        ("Atlantic/Azores", "2026-10-25"),
    ] {
        let root = tempfile::tempdir().unwrap();
        let zone: Tz = zone.parse().unwrap();
        let date: NaiveDate = date.parse().unwrap();
        let noon = date.and_hms_opt(12, 0, 0).unwrap() - TimeDelta::days(1);
        let noon = noon.and_local_timezone(zone).unwrap().to_utc();
        let mut run = Run::start(root.path(), zone, noon);
        while run.date(run.now) <= date + Days::new(1) {
            run.step(Step::Record(7, 701));
            run.step(Step::Restart {
                clean: true,
                after_s: 0,
            });
        }
        let summaries = run.camera().archive.summaries().unwrap();
        assert!(summaries.iter().all(|one| one.gaps.is_empty()), "{zone}");
    }
}
