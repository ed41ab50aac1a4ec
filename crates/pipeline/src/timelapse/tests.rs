//! Days of a camera in seconds: a clock that is set, keyframes with the times of a day, and the real
//! muxer, decoder and encoder.

use std::{fs, ops::Range, path::Path};

use chrono_tz::{Europe::Berlin, Tz};
use dayreel_testcam::pattern;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::*;
use crate::{
    frame::{recorded::Recorded, streams::Stream},
    track::media_to_pts,
};

/// Half an hour has 5 slots, a day 240.
const RECIPE: Recipe = Recipe {
    interval_s: 360,
    width: 1280,
    fps: 30,
};

fn day(text: &str) -> Day {
    Day::new(text.parse().unwrap(), Berlin)
}

/// A camera's day: keyframes at regular distances, numbered from the day's start on.
struct Camera {
    caps: gst::Caps,
    units: Vec<gst::Buffer>,
    day: Day,
    step_s: u32,
}

impl Camera {
    /// Keyframes every `step_s` seconds of `day`, numbers in `numbers`.
    fn new(stream: &Stream, day: Day, step_s: u32, numbers: Range<u32>) -> Self {
        let (caps, units) = Stream {
            gop: 1,
            pictures: numbers.end,
            ..stream.clone()
        }
        .encode();
        let start = media_to_pts(MediaTime::wall_to_media(day.start()));
        let step = gst::ClockTime::from_seconds(step_s.into());
        let timed = |(number, mut unit): (u32, gst::Buffer)| {
            let timed = unit.make_mut();
            timed.set_pts(start + step * u64::from(number));
            timed.set_dts(gst::ClockTime::NONE);
            timed.set_duration(step);
            unit
        };
        let units = (0..).zip(units).map(timed);
        Self {
            caps,
            units: units.skip(numbers.start as usize).collect(),
            day,
            step_s,
        }
    }

    /// Records the hours of the day from `hours.start` to `hours.end`, and sets the clock to just
    /// before the end.
    fn record(&self, to: &Recorded, hours: Range<u32>) {
        let at = |hour: u32| media_to_pts(MediaTime::wall_to_media(self.at(f64::from(hour))));
        let due = |unit: &&gst::Buffer| {
            unit.pts()
                .is_some_and(|pts| pts >= at(hours.start) && pts < at(hours.end))
        };
        let units: Vec<_> = self.units.iter().filter(due).cloned().collect();
        assert!(!units.is_empty());
        to.clock
            .set(self.at(hours.end.into()) - TimeDelta::seconds(1));
        to.record_keyframes(&self.caps, &units);
    }

    fn at(&self, hour: f64) -> WallTime {
        #[expect(clippy::cast_possible_truncation, reason = "a few hours")]
        let ms = (hour * 3_600_000.0) as i64;
        self.day.start() + TimeDelta::milliseconds(ms)
    }

    /// The numbers that `slots` show: of the last keyframe before the middle of each.
    fn numbers(&self, recipe: Recipe, slots: Range<u32>) -> Vec<u32> {
        let number = |slot: u32| (slot * recipe.interval_s + recipe.interval_s / 2) / self.step_s;
        slots.map(number).collect()
    }
}

fn maker(recorded: &Recorded, recipe: Recipe) -> TimelapseMaker {
    let archive = Arc::clone(&recorded.archive);
    TimelapseMaker::new(archive, recipe, recorded.clock.clone(), Arc::default())
}

/// A picture of a film: its luma, row after row.
struct Seen {
    size: (u32, u32),
    luma: Vec<u8>,
}

impl Seen {
    fn number(&self) -> Option<u32> {
        let (width, height) = self.size;
        let read = pattern::read(&self.luma, width, height, width as usize);
        read.map(|reading| reading.frame_number)
    }

    /// Of one row, the pixels in `columns`.
    fn row(&self, row: usize, columns: Range<usize>) -> &[u8] {
        let begin = row * self.size.0 as usize;
        &self.luma[begin + columns.start..begin + columns.end]
    }
}

/// The pictures of a film, in the order they are shown.
fn seen(film: &Path) -> Vec<Seen> {
    let pipeline = gst::parse::launch(&format!(
        "filesrc location={} ! qtdemux ! h264parse ! avdec_h264 ! appsink name=sink sync=false",
        film.display()
    ));
    let pipeline = pipeline.unwrap().downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline.by_name("sink").unwrap();
    let sink = sink.downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let (mut pictures, mut last) = (Vec::new(), None);
    while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(60)) {
        let info = gstreamer_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
        assert_eq!(info.colorimetry(), "bt709".parse().unwrap());
        let buffer = sample.buffer().unwrap();
        assert!(last < buffer.pts(), "in the order they are shown");
        last = buffer.pts();
        let map = buffer.map_readable().unwrap();
        let (width, height) = (info.width() as usize, info.height() as usize);
        let rows = map.chunks(usize::try_from(info.stride()[0]).unwrap());
        pictures.push(Seen {
            size: (info.width(), info.height()),
            luma: rows
                .take(height)
                .flat_map(|row| row[..width].to_vec())
                .collect(),
        });
    }
    pipeline.set_state(gst::State::Null).unwrap();
    pictures
}

/// All pictures of a film, each of which must have its number.
fn numbers(film: &Timelapse) -> Vec<u32> {
    let pictures = seen(&film.media.path);
    let numbers: Vec<u32> = pictures.iter().filter_map(Seen::number).collect();
    assert_eq!(numbers.len(), pictures.len());
    let duration_s = numbers.len() as f64 / 30.0;
    assert!((film.duration_s - duration_s).abs() < 0.002, "{film:?}");
    numbers
}

#[test]
fn a_day_grows_while_it_is_recorded_and_is_a_film_at_midnight() {
    let folder = tempfile::tempdir().unwrap();
    let today = day("2026-11-22");
    let camera = Camera::new(&Stream::default(), today, 60, 0..1440);
    let recorded = Recorded::open(folder.path(), Berlin, today.start());
    let mut maker = maker(&recorded, RECIPE);
    for hour in 0..24 {
        camera.record(&recorded, hour..hour + 1);
        assert_eq!(maker.step().unwrap(), [], "not before midnight");
        assert_eq!(recorded.archive.timelapses().list().unwrap(), []);
        // Half an hour is made at once; what is recorded is in it.
        let growing = recorded
            .archive
            .timelapses()
            .grow(today.date(), RECIPE)
            .unwrap();
        let due = if hour == 23 { 240 } else { (hour + 1) * 10 };
        assert!(
            growing.next_slot() + 5 >= due,
            "{} at {hour}:59",
            growing.next_slot()
        );
        if hour % 7 == 3 {
            // Another process goes on.
            maker = self::maker(&recorded, RECIPE);
        }
    }
    recorded.clock.set(today.end());
    // A second after midnight, whatever was looked at before.
    let films = maker.step().unwrap();
    assert_eq!(films.len(), 1);
    assert_eq!(films[0].date, today.date());
    assert_eq!(films[0].duration_s, 8.0);
    assert_eq!(recorded.archive.timelapses().list().unwrap(), films);
    assert_eq!(numbers(&films[0]), camera.numbers(RECIPE, 0..240));
    assert_eq!(maker.step().unwrap(), [], "once");

    // From the recordings alone it is the same, to the byte.
    let first = fs::read(&films[0].media.path).unwrap();
    fs::remove_file(&films[0].media.path).unwrap();
    assert_eq!(maker.remake(today.date()).unwrap().date, today.date());
    assert_eq!(fs::read(&films[0].media.path).unwrap(), first);
}

#[test]
fn a_kill_loses_nothing_that_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let today = day("2026-11-22");
    let camera = Camera::new(&Stream::default(), today, 60, 0..1440);
    let recorded = Recorded::open(folder.path(), Berlin, today.start());
    camera.record(&recorded, 0..12);
    maker(&recorded, RECIPE).step().unwrap();
    let growing = folder.path().join("cam/timelapse/2026/11/22.growing.mp4");
    let whole = fs::read(&growing).unwrap();
    // In the middle of a write, and with nothing left of it.
    for kept in [whole.len() - 100, 1000, 0] {
        fs::write(&growing, &whole[..kept]).unwrap();
        maker(&recorded, RECIPE).step().unwrap();
        assert_eq!(fs::read(&growing).unwrap(), whole, "{kept} bytes were left");
    }
    // The file is gone, and the server comes back the day after: it was never begun for it.
    camera.record(&recorded, 12..24);
    maker(&recorded, RECIPE).step().unwrap();
    recorded.clock.set(today.end() + TimeDelta::hours(5));
    let films = maker(&recorded, RECIPE).step().unwrap();
    assert_eq!(films.len(), 1, "midnight passed while nothing ran");
    assert_eq!(numbers(&films[0]), camera.numbers(RECIPE, 0..240));
}

#[test]
fn a_camera_that_was_away_makes_a_shorter_film_not_a_stretched_one() {
    let folder = tempfile::tempdir().unwrap();
    let today = day("2026-11-22");
    let camera = Camera::new(&Stream::default(), today, 60, 0..1440);
    let recorded = Recorded::open(folder.path(), Berlin, today.start());
    let mut maker = maker(&recorded, RECIPE);
    camera.record(&recorded, 1..3);
    maker.step().unwrap();
    recorded.clock.set(camera.at(15.5));
    maker.step().unwrap();
    camera.record(&recorded, 16..24);
    maker.step().unwrap();
    recorded.clock.set(today.end() + TimeDelta::seconds(1));
    let films = maker.step().unwrap();
    let mut due = camera.numbers(RECIPE, 10..30);
    due.extend(camera.numbers(RECIPE, 160..240));
    assert_eq!(numbers(&films[0]), due);
    assert_eq!(films[0].duration_s, 3.333);
}

#[test]
fn a_day_of_nothing_is_no_film() {
    let folder = tempfile::tempdir().unwrap();
    let today = day("2026-11-22");
    let recorded = Recorded::open(folder.path(), Berlin, today.start());
    let mut maker = maker(&recorded, RECIPE);
    for hour in [1, 12, 23, 25, 49] {
        recorded.clock.set(today.start() + TimeDelta::hours(hour));
        assert_eq!(maker.step().unwrap(), []);
    }
    assert!(!folder.path().join("cam/timelapse").exists());
    let refused = maker.remake(today.date()).unwrap_err();
    assert_eq!(refused.kind(), Kind::NotFound, "{refused}");
    let refused = maker.remake(day("2026-11-24").date()).unwrap_err();
    assert_eq!(refused.kind(), Kind::InvalidArgument, "{refused}");
}

#[test]
fn keyframes_of_ten_seconds_and_of_a_minute_fill_every_slot() {
    let today = day("2026-11-22");
    for (step_s, pictures, until) in [(10, 1080, 3), (60, 180, 3)] {
        let folder = tempfile::tempdir().unwrap();
        let camera = Camera::new(&Stream::default(), today, step_s, 0..pictures);
        let recorded = Recorded::open(folder.path(), Berlin, today.start());
        let recipe = Recipe {
            interval_s: 48,
            ..RECIPE
        };
        camera.record(&recorded, 0..until);
        recorded.clock.set(today.end() + TimeDelta::minutes(5));
        let film = maker(&recorded, recipe).remake(today.date()).unwrap();
        // 3 hours of a day whose 24 make 60 s: the speed does not depend on the keyframes.
        assert_eq!(film.duration_s, 7.5);
        assert_eq!(numbers(&film), camera.numbers(recipe, 0..225));
    }
}

#[test]
fn another_camera_at_noon_is_put_on_the_same_canvas() {
    let folder = tempfile::tempdir().unwrap();
    let today = day("2026-11-22");
    let morning = Camera::new(&Stream::default(), today, 60, 0..720);
    let other = Stream {
        codec: "h265",
        size: (320, 480),
        ..Stream::default()
    };
    let noon = Camera::new(&other, today, 60, 0..1080);
    // Infrared: grey and brighter, and in the full range of another matrix.
    let night = Stream {
        yuv: [200, 128, 128],
        colours: "1:4:0:0",
        ..Stream::default()
    };
    let evening = Camera::new(&night, today, 60, 0..1440);
    let recorded = Recorded::open(folder.path(), Berlin, today.start());
    let mut maker = maker(&recorded, RECIPE);
    for (camera, hours) in [(&morning, 0..12), (&noon, 12..18), (&evening, 18..24)] {
        camera.record(&recorded, hours);
        maker.step().unwrap();
    }
    recorded.clock.set(today.end());
    let films = maker.step().unwrap();
    let pictures = seen(&films[0].media.path);
    assert_eq!(pictures.len(), 240);
    assert!(
        pictures.iter().all(|one| one.size == (272, 144)),
        "one size all day"
    );
    let same_size = pictures[..120].iter().chain(&pictures[180..]);
    let mut due = morning.numbers(RECIPE, 0..120);
    due.extend(evening.numbers(RECIPE, 180..240));
    assert_eq!(same_size.filter_map(Seen::number).collect::<Vec<_>>(), due);
    // A tall picture is 96 pixels wide in the middle, black beside it: too narrow for its pattern.
    let near = |luma: &[u8], level: u8| luma.iter().all(|luma| luma.abs_diff(level) < 5);
    for tall in &pictures[120..180] {
        assert!(
            near(tall.row(100, 0..80), 16),
            "{:?}",
            tall.row(100, 0..272)
        );
        assert!(
            near(tall.row(100, 100..170), 100),
            "{:?}",
            tall.row(100, 0..272)
        );
        assert!(
            near(tall.row(100, 192..272), 16),
            "{:?}",
            tall.row(100, 0..272)
        );
    }
    // 200 of the full range is 16 + 200 · 219 / 255.
    for bright in &pictures[180..] {
        assert!(
            near(bright.row(100, 0..272), 188),
            "{:?}",
            bright.row(100, 0..272)
        );
    }
    // One configuration: the file has one sample entry, whatever the camera sent.
    let file = fs::read(&films[0].media.path).unwrap();
    assert_eq!(file.windows(4).filter(|word| word == b"avcC").count(), 1);
}

/// The sensor's noise in the dark, then its infrared light: grey, and at another bit rate. The camera's
/// parameter sets stay.
#[test]
fn a_night_of_noise_and_the_infrared_light_are_shown_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let today = day("2026-11-22");
    let evening = Stream {
        yuv: [150, 100, 160],
        ..Stream::default()
    };
    let dark = Stream {
        yuv: [20, 126, 130],
        noise: 24,
        ..Stream::default()
    };
    let infrared = Stream {
        yuv: [120, 128, 128],
        noise: 8,
        bitrate_kbps: 500,
        ..Stream::default()
    };
    // Its brightness, with the noise.
    let hours = [
        (evening, 0..2, 150),
        (dark, 2..4, 32),
        (infrared, 4..6, 124),
    ];
    let recorded = Recorded::open(folder.path(), Berlin, today.start());
    let mut maker = maker(&recorded, RECIPE);
    let mut due = vec![];
    for (stream, hours, luma) in hours {
        let camera = Camera::new(&stream, today, 60, 0..60 * hours.end);
        camera.record(&recorded, hours.clone());
        maker.step().unwrap();
        let numbers = camera.numbers(RECIPE, 10 * hours.start..10 * hours.end);
        due.extend(numbers.into_iter().map(|number| (number, luma)));
    }
    recorded.clock.set(today.end() + TimeDelta::seconds(1));
    let films = maker.step().unwrap();
    let pictures = seen(&films[0].media.path);
    let numbers: Vec<_> = pictures.iter().map(Seen::number).collect();
    let due_numbers: Vec<_> = due.iter().map(|(number, _)| Some(*number)).collect();
    assert_eq!(numbers, due_numbers);
    for (picture, (number, luma)) in pictures.iter().zip(due) {
        let row = picture.row(100, 0..272).iter().map(|luma| u32::from(*luma));
        let mean = row.sum::<u32>() / 272;
        assert!(
            mean.abs_diff(luma) < 6,
            "{number}: {mean} instead of {luma}"
        );
    }
    let file = fs::read(&films[0].media.path).unwrap();
    assert_eq!(file.windows(4).filter(|word| word == b"avcC").count(), 1);
}

#[test]
fn a_day_of_23_hours_is_shorter_and_one_of_25_longer() {
    for (date, hours) in [("2026-03-29", 23), ("2026-10-25", 25)] {
        let folder = tempfile::tempdir().unwrap();
        let today = day(date);
        let camera = Camera::new(&Stream::default(), today, 300, 0..hours * 12);
        let recorded = Recorded::open(folder.path(), Berlin, today.start());
        camera.record(&recorded, 0..hours);
        recorded.clock.set(today.end() + TimeDelta::minutes(5));
        let film = maker(&recorded, RECIPE).remake(today.date()).unwrap();
        assert_eq!(numbers(&film), camera.numbers(RECIPE, 0..hours * 10));
    }
}

#[test]
fn other_settings_make_the_day_again() {
    let folder = tempfile::tempdir().unwrap();
    let today = day("2026-11-22");
    let camera = Camera::new(&Stream::default(), today, 60, 0..720);
    let recorded = Recorded::open(folder.path(), Berlin, today.start());
    camera.record(&recorded, 0..12);
    maker(&recorded, RECIPE).step().unwrap();
    let smaller = Recipe {
        interval_s: 720,
        width: 200,
        fps: 10,
    };
    maker(&recorded, smaller).step().unwrap();
    recorded.clock.set(today.end());
    let mut maker = maker(&recorded, smaller);
    let mut films = maker.step().unwrap();
    if films.is_empty() {
        // The camera is away: it may still come back for two minutes.
        recorded.clock.set(today.end() + PATIENCE);
        films = maker.step().unwrap();
    }
    let pictures = seen(&films[0].media.path);
    assert!(pictures.iter().all(|one| one.size == (200, 106)));
    assert_eq!(films[0].duration_s, 6.0);
    let numbers: Vec<_> = pictures.iter().filter_map(Seen::number).collect();
    assert_eq!(numbers, camera.numbers(smaller, 0..60));
}

#[test]
fn a_damaged_keyframe_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let today = day("2026-11-22");
    let mut camera = Camera::new(&Stream::default(), today, 60, 0..720);
    // The one that slot 3 shows.
    let damaged = camera.numbers(RECIPE, 3..4)[0] as usize;
    let len_bytes = camera.units[damaged].size();
    let mut garbage = gst::Buffer::from_slice(vec![0x5a_u8; len_bytes]);
    let unit = &camera.units[damaged];
    let (pts, duration) = (unit.pts(), unit.duration());
    let writable = garbage.get_mut().unwrap();
    writable.set_pts(pts);
    writable.set_duration(duration);
    camera.units[damaged] = garbage;
    let recorded = Recorded::open(folder.path(), Berlin, today.start());
    camera.record(&recorded, 0..12);
    recorded.clock.set(today.end() + PATIENCE);
    let film = maker(&recorded, RECIPE).remake(today.date()).unwrap();
    let mut due = camera.numbers(RECIPE, 0..120);
    due.remove(3);
    assert_eq!(numbers(&film), due);
}

/// A bad block in the morning: nothing more came of that day, and of no day after it.
#[test]
fn regression_one_unreadable_keyframe_stopped_all_timelapses() {
    let folder = tempfile::tempdir().unwrap();
    let today = day("2026-11-22");
    let camera = Camera::new(&Stream::default(), today, 60, 0..1440);
    let recorded = Recorded::open(folder.path(), Berlin, today.start());
    camera.record(&recorded, 0..12);
    // The keyframe that slot 33 shows.
    let lost: u32 = 33;
    let at = today.start() + TimeDelta::seconds(i64::from(lost * 360 + 180));
    let hour = recorded
        .archive
        .segment(TrackKind::Video, MediaTime::wall_to_media(at));
    let hour = hour.unwrap().unwrap();
    let file = fs::File::options().write(true).open(&hour.path).unwrap();
    let nothing = vec![0; usize::try_from(hour.len_bytes).unwrap()];
    std::os::unix::fs::FileExt::write_all_at(&file, &nothing, hour.offset).unwrap();

    let mut maker = maker(&recorded, RECIPE);
    let begun = recorded.clock.now();
    let mut errors = 0;
    let growing = || recorded.archive.timelapses().grow(today.date(), RECIPE);
    while maker.step().is_err() {
        errors += 1;
        assert_eq!(growing().unwrap().next_slot(), 30, "it may be read yet");
        recorded.clock.set(begun + AFTER_ERROR * errors);
        assert!(errors < 20, "it is given up at last");
    }
    assert_eq!(AFTER_ERROR * errors, LOST);
    assert!(growing().unwrap().next_slot() >= 115);
    camera.record(&recorded, 12..24);
    recorded.clock.set(today.end() + PATIENCE);
    let film = &maker.step().unwrap()[0];
    let mut due = camera.numbers(RECIPE, 0..240);
    due.remove(lost as usize);
    assert_eq!(numbers(film), due);

    // Another day is not kept from its film.
    fs::remove_file(&film.media.path).unwrap();
    let tomorrow = day("2026-11-23");
    let camera = Camera::new(&Stream::default(), tomorrow, 60, 0..1440);
    let mut maker = self::maker(&recorded, RECIPE);
    drop(
        recorded
            .archive
            .timelapses()
            .grow(today.date(), RECIPE)
            .unwrap(),
    );
    camera.record(&recorded, 0..1);
    assert!(maker.step().unwrap_err().is_damage());
    let growing = recorded.archive.timelapses().grow(tomorrow.date(), RECIPE);
    assert!(growing.unwrap().next_slot() >= 5);
    // Who asks for it wants what there is.
    let film = maker.remake(today.date()).unwrap();
    assert_eq!(numbers(&film), due);
}

#[test]
fn it_stops_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let today = day("2026-11-22");
    let camera = Camera::new(&Stream::default(), today, 60, 0..360);
    let recorded = Recorded::open(folder.path(), Tz::Europe__Berlin, today.start());
    camera.record(&recorded, 0..6);
    let stop = Arc::new(AtomicBool::new(true));
    let archive = Arc::clone(&recorded.archive);
    let mut maker = TimelapseMaker::new(archive, RECIPE, recorded.clock.clone(), stop.clone());
    assert!(matches!(maker.step(), Err(TimelapseError::Stopped)));
    stop.store(false, Ordering::Relaxed);
    recorded.clock.set(camera.at(6.1));
    maker.step().unwrap();
    let growing = recorded
        .archive
        .timelapses()
        .grow(today.date(), RECIPE)
        .unwrap();
    assert!(growing.next_slot() >= 55, "{}", growing.next_slot());
}
