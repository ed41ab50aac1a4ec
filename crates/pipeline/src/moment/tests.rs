//! Moments from streams whose pictures say which they are.

use std::{sync::Arc, time::Duration};

use dayreel_archive::{CameraArchive, Store};
use dayreel_core::{Clock, ManualClock, WallTime};
use dayreel_testcam::pattern;
use gstreamer as gst;
use image::RgbImage;
use tempfile::TempDir;
use tokio::runtime::Handle;

use super::*;
use crate::{
    Cut, Ring, RingSettings, Window,
    frame::streams::{INTERVAL, START, Stream},
};

/// One camera: pictures in GOPs of 2 s, of which [`HELD`] have come.
struct Stage {
    folder: TempDir,
    _store: Store,
    archive: Arc<CameraArchive>,
    clock: Arc<ManualClock>,
    picture: Arc<Ring>,
    sound: Arc<Ring>,
    stream: (gst::Caps, Vec<gst::Buffer>),
    desk: MomentDesk,
    maker: MomentMaker,
}

const HELD: u32 = 250;

fn wall(pts: gst::ClockTime) -> WallTime {
    chrono::DateTime::from_timestamp_nanos(i64::try_from(pts.nseconds()).unwrap())
}

fn pictures(count: u32) -> gst::ClockTime {
    INTERVAL * u64::from(count)
}

/// `shown` of `stream`, from a ring.
fn cut(stream: &Stream, shown: std::ops::Range<u32>) -> (Ring, Cut) {
    let ring = Ring::new(RingSettings::VIDEO);
    let (caps, units) = stream.encode();
    for unit in units {
        ring.push(&caps, unit);
    }
    let window = Window {
        start: START + pictures(shown.start),
        end: START + pictures(shown.end),
    };
    let cut = ring.cut(window).unwrap();
    (ring, cut)
}

impl Stage {
    fn new() -> Self {
        let stream = Stream {
            pictures: HELD + 101,
            ..Stream::default()
        };
        let (caps, units) = stream.encode();
        let picture = Arc::new(Ring::new(RingSettings::VIDEO));
        for unit in &units[..HELD as usize] {
            picture.push(&caps, unit.clone());
        }
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let clock = Arc::new(ManualClock::new(wall(START + pictures(HELD))));
        let time: Arc<dyn Clock> = clock.clone();
        let zone = chrono_tz::Europe::Berlin;
        let archive = store.camera("cam".parse().unwrap(), zone, time.clone());
        let archive = archive.unwrap();
        let desk = MomentDesk::new(Handle::current());
        let sound = Arc::new(Ring::new(RingSettings::AUDIO));
        let maker = MomentMaker::new(
            (picture.clone(), sound.clone()),
            archive.clone(),
            time,
            MomentSettings::default(),
            desk.clone(),
        );
        Self {
            folder,
            _store: store,
            archive,
            clock,
            picture,
            sound,
            stream: (caps, units),
            desk,
            maker,
        }
    }

    /// The picture `number` comes, and the clock shows its time.
    fn receive(&self, number: u32) -> &Self {
        let (caps, units) = &self.stream;
        self.picture.push(caps, units[number as usize].clone());
        self.clock.set(wall(START + pictures(number)));
        self
    }

    /// An access unit of sound of that time comes.
    fn hear(&self, pts: gst::ClockTime) {
        let caps = gst::Caps::builder("audio/mpeg")
            .field("mpegversion", 4)
            .field("stream-format", "raw")
            .field("rate", 48_000)
            .field("channels", 1)
            .field("codec_data", gst::Buffer::from_slice([0x11, 0x88]))
            .build();
        let mut unit = gst::Buffer::from_slice([0x21; 8]);
        unit.get_mut().unwrap().set_pts(pts);
        self.sound.push(&caps, unit);
    }

    fn has_sound(&self, made: &MomentMade) -> bool {
        let kept = self.archive.moments().file(made.moment.name).unwrap();
        let mp4 = std::fs::read(kept.unwrap().slice.path).unwrap();
        mp4.windows(4).any(|word| word == b"soun")
    }

    /// It is a second after the last picture that came.
    fn silent_for_a_second(&self) -> &Self {
        self.clock.set(wall(START + pictures(HELD + 25)));
        self
    }

    async fn make(&self, length_s: u32, delay_s: u32) -> Result<MomentMade, MomentError> {
        self.maker.make(request(length_s, delay_s)).await
    }
}

fn request(length_s: u32, delay_s: u32) -> MomentRequest {
    MomentRequest {
        length_s,
        delay_s,
        label: None,
    }
}

/// The pictures of a GIF as a viewer sees them, how long each is seen, and the size of the file's
/// pictures together.
fn shown(gif: &[u8]) -> (Vec<RgbImage>, Vec<u64>, usize) {
    let mut options = ::gif::DecodeOptions::new();
    options.set_color_output(::gif::ColorOutput::Indexed);
    let mut decoder = options.read_info(gif).unwrap();
    let (width, height) = (decoder.width(), decoder.height());
    let palette = decoder.global_palette().unwrap().to_vec();
    let mut screen = RgbImage::new(width.into(), height.into());
    let (mut images, mut delays, mut drawn) = (Vec::new(), Vec::new(), 0);
    while let Some(frame) = decoder.read_next_frame().unwrap() {
        for (at, index) in frame.buffer.iter().enumerate() {
            let (x, y) = (at % usize::from(frame.width), at / usize::from(frame.width));
            if Some(*index) != frame.transparent {
                let at = usize::from(*index) * 3;
                let colour = [palette[at], palette[at + 1], palette[at + 2]];
                let x = u32::from(frame.left) + u32::try_from(x).unwrap();
                let y = u32::from(frame.top) + u32::try_from(y).unwrap();
                screen.put_pixel(x, y, image::Rgb(colour));
                drawn += 1;
            }
        }
        images.push(screen.clone());
        delays.push(u64::from(frame.delay));
    }
    (images, delays, drawn)
}

fn number(image: &RgbImage) -> Option<u32> {
    let (width, height) = image.dimensions();
    let stride = width as usize * 3;
    pattern::read_rgb(image, width, height, stride, 3).map(|reading| reading.frame_number)
}

#[tokio::test]
async fn a_moment_is_exactly_the_seconds_that_were_asked_for() {
    let stage = Stage::new();
    for (now, (length_s, delay_s)) in (HELD..).zip([(5, 0), (4, 2), (8, 1)]) {
        let first = now - 25 * (length_s + delay_s);
        let made = stage.receive(now).make(length_s, delay_s).await.unwrap();
        let facts = &made.moment.facts;
        assert_eq!(
            facts.start,
            wall(START + pictures(first)),
            "{length_s} {delay_s}"
        );
        assert_eq!(facts.duration_90k, u64::from(length_s) * 90_000);
        assert_eq!((&facts.starts_late, &facts.ends_early), (&None, &None));
        assert!(made.gif_error.is_none(), "{:?}", made.gif_error);
        let gif = stage.archive.moments().latest_gif().unwrap().unwrap();
        let (images, delays, _) = shown(&std::fs::read(gif.slice.path).unwrap());
        assert_eq!(number(&images[0]), Some(first));
        assert_eq!(delays.iter().sum::<u64>(), u64::from(length_s) * 100);
    }
}

#[tokio::test]
async fn with_less_in_the_ring_you_get_what_there_is() {
    let stage = Stage::new();
    let made = stage.receive(HELD).make(20, 0).await.unwrap();
    assert_eq!(made.moment.facts.duration_90k, 10 * 90_000);
    assert_eq!(made.moment.facts.starts_late.as_deref(), Some("not_held"));
}

/// The camera has stopped 1 s before the request: nothing comes while the end is waited for.
#[tokio::test(start_paused = true)]
async fn during_an_outage_you_get_what_was_before() {
    let stage = Stage::new();
    let made = stage.silent_for_a_second().make(5, 0).await.unwrap();
    assert_eq!(made.moment.facts.duration_90k, 4 * 90_000);
    assert_eq!(
        made.moment.facts.ends_early.as_deref(),
        Some("nothing_newer")
    );
}

#[tokio::test]
async fn without_a_picture_there_is_no_moment() {
    let stage = Stage::new();
    let empty = Arc::new(Ring::new(RingSettings::VIDEO));
    let maker = MomentMaker::new(
        (empty.clone(), empty),
        stage.archive.clone(),
        stage.clock.clone(),
        MomentSettings::default(),
        stage.desk.clone(),
    );
    let error = maker.make(request(5, 0)).await.unwrap_err();
    assert!(matches!(error, MomentError::NothingYet), "{error}");
    assert_eq!(error.kind(), Kind::Unavailable);
}

#[tokio::test]
async fn a_moment_waits_for_its_end() {
    let stage = Stage::new();
    let maker = stage.silent_for_a_second().maker.clone();
    let waiting = tokio::spawn(async move { maker.make(request(5, 0)).await });
    let (caps, units) = &stage.stream;
    for unit in &units[HELD as usize..=HELD as usize + 25] {
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        stage.picture.push(caps, unit.clone());
    }
    let made = waiting.await.unwrap().unwrap();
    assert_eq!(made.moment.facts.start, wall(START + pictures(150)));
    assert_eq!(made.moment.facts.duration_90k, 5 * 90_000);
    assert_eq!(made.moment.facts.ends_early, None);
}

/// The pictures come 4 s late, on a machine that is overloaded: what was just seen is not yet among them.
#[tokio::test]
async fn regression_a_late_stream_was_taken_for_a_clock_that_was_set() {
    let stage = Stage::new();
    stage.clock.set(wall(START + pictures(HELD + 100)));
    let maker = stage.maker.clone();
    let waiting = tokio::spawn(async move { maker.make(request(5, 0)).await });
    let (caps, units) = &stage.stream;
    for unit in &units[HELD as usize..=HELD as usize + 100] {
        tokio::task::yield_now().await;
        stage.picture.push(caps, unit.clone());
    }
    let facts = waiting.await.unwrap().unwrap().moment.facts;
    assert_eq!(facts.start, wall(START + pictures(HELD + 100 - 125)));
    assert_eq!(facts.duration_90k, 5 * 90_000);
}

/// An hour ahead, nothing has come since, and there is something to keep all the same; and an hour back.
#[tokio::test]
async fn when_our_clock_was_set_a_moment_is_what_just_came() {
    for hours in [1, -1] {
        let stage = Stage::new();
        let shown = wall(START + pictures(HELD)) + chrono::TimeDelta::hours(hours);
        stage.clock.set(shown);
        let facts = stage.make(4, 4).await.unwrap().moment.facts;
        let late = facts.start.to_utc() - wall(START + pictures(HELD - 200));
        assert!(late.num_milliseconds() < 4000, "{late}");
        assert_eq!(facts.ends_early, None);
    }
}

/// Sound waits for seconds when a camera has just begun, until it is aligned.
#[tokio::test]
async fn a_moment_right_after_the_start_waits_for_the_first_sound() {
    let stage = Stage::new();
    stage.sound.begin_source();
    let maker = stage.receive(HELD).maker.clone();
    let waiting = tokio::spawn(async move { maker.make(request(5, 0)).await });
    // 1024 samples of 48 kHz are 1920 ticks.
    for number in 0..=u64::from(HELD) * 3600 / 1920 + 1 {
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        let since = gst::ClockTime::from_nseconds(number * 1024 * 1_000_000 / 48);
        stage.hear(START + since);
    }
    let made = waiting.await.unwrap().unwrap();
    assert!(stage.has_sound(&made));
}

/// Its microphone was turned off an hour ago: a sample of an hour ago was the sound of the moment.
#[tokio::test]
async fn regression_a_camera_that_had_sound_had_it_for_ever() {
    let stage = Stage::new();
    for number in 0..20 {
        let since = gst::ClockTime::from_nseconds(number * 1024 * 1_000_000 / 48);
        stage.hear(START - gst::ClockTime::from_seconds(3600) + since);
    }
    let made = stage.receive(HELD).make(5, 0).await.unwrap();
    assert!(!stage.has_sound(&made));
}

#[tokio::test]
async fn a_moment_is_made_although_nobody_waits_for_it() {
    let stage = Stage::new();
    let impatient = stage.receive(HELD).make(5, 0);
    let answered = tokio::select! {
        biased;
        _ = impatient => true,
        () = tokio::task::yield_now() => false,
    };
    assert!(!answered, "a decode takes longer than no time");
    assert_eq!(stage.desk.close(Duration::from_secs(60)).await, 0);
    assert_eq!(stage.archive.moments().list().unwrap().len(), 1);
    assert!(stage.archive.moments().latest_gif().unwrap().is_some());
}

/// A hundred at once: so many are made, the others are told to come later, and all of a second are
/// kept.
#[tokio::test]
async fn a_hundred_at_once_are_made_or_refused() {
    let stage = Stage::new();
    stage.receive(HELD);
    let asked: Vec<_> = (0..100)
        .map(|_| {
            let maker = stage.maker.clone();
            tokio::spawn(async move { maker.make(request(4, 0)).await })
        })
        .collect();
    let (mut made, mut refused) = (0, 0);
    for answer in asked {
        match answer.await.unwrap() {
            Ok(moment) => {
                assert!(moment.gif_error.is_none(), "{:?}", moment.gif_error);
                made += 1;
            }
            Err(error) => {
                assert!(matches!(error, MomentError::Busy), "{error}");
                assert_eq!(error.kind(), Kind::Busy);
                refused += 1;
            }
        }
    }
    assert!(
        made >= 32 && made + refused == 100,
        "{made} made, {refused} refused"
    );
    assert_eq!(stage.archive.moments().list().unwrap().len(), made);
    assert_eq!(
        stage.desk.close(Duration::ZERO).await,
        0,
        "no place is lost"
    );
}

/// The end is far away, and the program is to end.
#[tokio::test]
async fn at_the_end_of_the_program_a_moment_takes_what_there_is() {
    let stage = Stage::new();
    let maker = stage.silent_for_a_second().maker.clone();
    let waiting = tokio::spawn(async move { maker.make(request(5, 0)).await });
    tokio::task::yield_now().await;
    assert_eq!(stage.desk.close(Duration::from_secs(60)).await, 0);
    let made = waiting.await.unwrap().unwrap();
    assert_eq!(made.moment.facts.duration_90k, 4 * 90_000);
    let error = stage.make(5, 0).await.unwrap_err();
    assert!(matches!(error, MomentError::Closing), "{error}");
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_is_said_and_leaves_nothing() {
    let stage = Stage::new();
    let blocked = stage.folder.path().join("cam/moments");
    std::fs::create_dir_all(blocked.parent().unwrap()).unwrap();
    std::fs::write(&blocked, b"a file where the folder should be").unwrap();
    let error = stage.receive(HELD).make(5, 0).await.unwrap_err();
    assert!(matches!(error, MomentError::Archive(_)), "{error}");
    assert_eq!(stage.desk.close(Duration::from_secs(60)).await, 0);
}

fn gif_of(stream: &Stream, max_bytes: usize) -> Vec<u8> {
    let (_, cut) = cut(stream, 5..stream.pictures);
    let stills = stills::stills(&cut, 2, || false).unwrap();
    shrink::smallest_needed(&stills, "comment", max_bytes, || false).unwrap()
}

#[test]
fn a_gif_shows_its_pictures_in_their_time() {
    let stream = Stream {
        size: (640, 360),
        pictures: 105,
        ..Stream::default()
    };
    let gif = gif_of(&stream, 4 << 20);
    let (images, delays, drawn) = shown(&gif);
    assert_eq!(images[0].dimensions(), (320, 180));
    assert!(gif.windows(7).any(|window| window == b"comment"));
    let mut at_cs = 0;
    for (image, delay) in images.iter().zip(&delays) {
        let number = number(image).unwrap();
        assert_eq!(
            u64::from(number - 5) * 4,
            at_cs,
            "each is seen when it was taken"
        );
        assert!(*delay >= 4, "{delays:?}");
        at_cs += delay;
    }
    assert_eq!((at_cs, images.len().abs_diff(48)), (400, 0));
    // The pattern changes, the rest is drawn once.
    assert!(
        drawn < 320 * 180 * 3,
        "{drawn} pixels in {} pictures",
        images.len()
    );
}

#[test]
fn colours_are_near_those_of_the_camera() {
    let stream = Stream {
        size: (320, 240),
        yuv: [120, 90, 170],
        pictures: 30,
        ..Stream::default()
    };
    let (images, ..) = shown(&gif_of(&stream, 4 << 20));
    // BT.709, limited range.
    let expected = [196, 97, 41];
    let (mut sum, mut count) = ([0_u32; 3], 0);
    for y in 150..230 {
        for x in 20..300 {
            let pixel = images[0].get_pixel(x, y);
            sum.iter_mut()
                .zip(pixel.0)
                .for_each(|(sum, level)| *sum += u32::from(level));
            count += 1;
        }
    }
    let mean = sum.map(|sum| sum / count);
    for (got, expected) in mean.iter().zip(expected) {
        assert!(got.abs_diff(expected) <= 6, "{mean:?} for {expected}");
    }
}

/// Snow, of which nothing stays and nothing repeats.
fn snow(seconds: u64, rate: u64, size: (u32, u32)) -> stills::Stills {
    let mut noise = 12_345_u32;
    let mut image = || {
        let mut image = RgbImage::new(size.0, size.1);
        for level in image.iter_mut() {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *level = u8::try_from(noise >> 24).unwrap();
        }
        image
    };
    let still = |number| stills::Still {
        at: gst::ClockTime::SECOND * number / rate,
        image: image(),
    };
    stills::Stills {
        stills: (0..seconds * rate).map(still).collect(),
        duration: gst::ClockTime::from_seconds(seconds),
    }
}

#[test]
fn a_gif_is_made_narrower_and_then_slower_until_it_is_small_enough() {
    let stills = snow(4, 12, (320, 320));
    let make = |max_bytes| {
        let gif = shrink::smallest_needed(&stills, "", max_bytes, || false).unwrap();
        assert!(gif.len() <= max_bytes, "{} of {max_bytes}", gif.len());
        let (images, delays, _) = shown(&gif);
        assert_eq!(delays.iter().sum::<u64>(), 400);
        (images[0].width(), images.len())
    };
    assert_eq!(make(64 << 20), (320, 48));
    let (width, count) = make(4 << 20);
    assert!(width < 320 && count == 48, "{width}, {count}");
    let (narrow, few) = make(700 << 10);
    assert!(narrow == 160 && few < 48, "{narrow}, {few}");
}

#[test]
fn the_worst_gif_fits_into_the_least_that_may_be_said() {
    let stills = snow(20, 10, (320, 320));
    let limit = usize::try_from(dayreel_config::GIF_MAX_BYTES_RANGE.0).unwrap();
    let gif = shrink::smallest_needed(&stills, "", limit, || false).unwrap();
    assert!(gif.len() <= limit);
}

#[test]
fn a_gif_is_given_up_when_it_is_not_wanted() {
    let (_, cut) = cut(&Stream::default(), 0..10);
    let error = stills::stills(&cut, 2, || true).unwrap_err();
    assert!(matches!(error, GifError::Closing), "{error}");
    let stills = stills::stills(&cut, 2, || false).unwrap();
    let error = shrink::smallest_needed(&stills, "", 1 << 20, || true).unwrap_err();
    assert!(matches!(error, GifError::Closing), "{error}");
}
