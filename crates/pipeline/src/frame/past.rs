//! Frames of the past: from the recordings, and from the ring what is not recorded yet. One decode
//! for all who want the same picture.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use dayreel_archive::{CameraArchive, Found, Pick, RecordedPicture, VideoConfig, video_config};
use dayreel_core::{MediaTime, TICKS_PER_SECOND, WallTime};
use gstreamer as gst;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::{
    Frame, FrameError, FrameSettings, Look, decode, jpeg, memory,
    slots::{THREADS, run_blocking, slot},
};
use crate::{Gop, Newest, Ring, media_clock::STEP_90K, track::media_to_pts};

/// JPEGs that are remembered, of each camera: what a pointer on a seek bar goes over and back.
const REMEMBERED: usize = 64;

/// And at most so many bytes of them.
const REMEMBERED_BYTES: usize = 8 << 20;

/// The most that is read for one picture, in bytes: 40 s of 12 Mbit/s between two keyframes.
const MOST_BYTES: u64 = 64 << 20;

/// A camera whose newest picture came in no longer ago delivers: cameras show several a second.
const DELIVERS: Duration = Duration::from_secs(2);

/// How long is waited for a picture that is about to come: a client's clock may be ahead, and the
/// media clock behind.
const ABOUT_TO_COME: Duration = Duration::from_secs(3);

/// Media time is at most so far ahead of the clock.
const MOST_AHEAD: Duration =
    Duration::from_millis(STEP_90K.unsigned_abs() * 1000 / TICKS_PER_SECOND);

/// Makes frames of one camera's past. Cheap to clone; all clones share their work.
///
/// Its methods want a Tokio runtime.
#[derive(Clone, Debug)]
pub struct PastFrames(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    archive: Arc<CameraArchive>,
    ring: Arc<Ring>,
    settings: FrameSettings,
    /// Most lately used last.
    remembered: Mutex<VecDeque<(Key, Cell)>>,
    /// Decodes begun.
    decodes: AtomicU64,
}

/// A picture and how it is wanted.
type Key = (MediaTime, Look);

/// The JPEG, once it is made.
type Cell = Arc<OnceCell<Frame>>;

/// A picture of the past that has been found.
#[derive(Clone, Debug)]
pub struct PastPicture {
    /// Its presentation time.
    pub taken: MediaTime,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Recorded(RecordedPicture),
    /// Its segment is not complete yet.
    Held(Gop),
}

impl PastFrames {
    /// Makes frames from what `archive` keeps, and the newest from what `ring` holds.
    pub fn new(archive: Arc<CameraArchive>, ring: Arc<Ring>, settings: FrameSettings) -> Self {
        memory::give_back_large_blocks();
        Self(Arc::new(Inner {
            archive,
            ring,
            settings,
            remembered: Mutex::default(),
            decodes: AtomicU64::new(0),
        }))
    }

    /// Finds the picture that `pick` means by `at`. Reads little and decodes nothing; waits for a
    /// picture that is about to come.
    ///
    /// # Errors
    /// [`FrameError::NotRecorded`], or the recording cannot be read.
    pub async fn find(&self, at: MediaTime, pick: Pick) -> Result<PastPicture, FrameError> {
        let found = self.in_archive(move |archive| archive.picture(at, pick));
        match found.await? {
            Found::Picture(picture) => Ok(PastPicture::recorded(picture)),
            Found::Nothing { before, after } => match self.held(at, pick).await {
                Some(gop) => Ok(PastPicture::held(gop)),
                None => Err(FrameError::NotRecorded { before, after }),
            },
        }
    }

    /// The last recorded picture, for a camera that has delivered none since the program started.
    /// It is marked as stale, and refused if it is older than [`FrameSettings::max_age`] at `now`.
    ///
    /// # Errors
    /// [`FrameError::NothingYet`] if nothing is recorded, [`FrameError::Stale`], or see
    /// [`FrameError`].
    pub async fn last(&self, now: WallTime, look: Look) -> Result<Frame, FrameError> {
        let found = self.in_archive(move |archive| archive.last_picture(now));
        let picture = found.await?.ok_or(FrameError::NothingYet)?;
        // A later one was taken by a clock that was ahead.
        let age = now + MOST_AHEAD - picture.taken.media_to_wall();
        let age = age.to_std().map_err(|_| FrameError::NothingYet)?;
        let age = age.saturating_sub(MOST_AHEAD);
        if age > self.0.settings.max_age {
            return Err(FrameError::Stale(age));
        }
        let frame = self.frame(PastPicture::recorded(picture), look).await?;
        Ok(Frame {
            stale: Some(age),
            ..frame
        })
    }

    /// The frame of `picture`.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub async fn frame(&self, picture: PastPicture, look: Look) -> Result<Frame, FrameError> {
        let cell = self.cell((picture.taken, look));
        let frame = cell
            .get_or_try_init(|| self.make(picture, look))
            .await
            .cloned()?;
        self.forget_overflow();
        Ok(frame)
    }

    /// Decodes begun since the start.
    pub fn decodes(&self) -> u64 {
        self.0.decodes.load(Ordering::Relaxed)
    }

    async fn in_archive<T: Send + 'static>(
        &self,
        read: impl FnOnce(&CameraArchive) -> dayreel_archive::Result<T> + Send + 'static,
    ) -> Result<T, FrameError> {
        let archive = Arc::clone(&self.0.archive);
        let read = tokio::task::spawn_blocking(move || read(&archive)).await;
        let read = read.map_err(|_| FrameError::Interrupted)?;
        read.map_err(|error| FrameError::Archive(Arc::new(error)))
    }

    /// What the ring holds of it.
    async fn held(&self, at: MediaTime, pick: Pick) -> Option<Gop> {
        let (ring, at) = (&self.0.ring, media_to_pts(at));
        if ring.newest()?.arrived.elapsed() < DELIVERS {
            let come = ring.reach(at + gst::ClockTime::NSECOND);
            let _or_not = tokio::time::timeout(ABOUT_TO_COME, come).await;
        }
        ring.shown_at(at, pick)
    }

    async fn make(&self, picture: PastPicture, look: Look) -> Result<Frame, FrameError> {
        let patience = self.0.settings.deadline;
        let permit = slot(patience).await?;
        self.0.decodes.fetch_add(1, Ordering::Relaxed);
        run_blocking(permit, move || {
            // One keyframe is decoded sooner than a second thread is started.
            let gop = match picture.place {
                Place::Recorded(picture) => gop_of(&picture)?,
                Place::Held(gop) => gop,
            };
            let threads = if gop.access_units.len() == 1 {
                1
            } else {
                *THREADS
            };
            let decoded = decode::newest_picture(&gop, threads, Instant::now() + patience)?;
            let size = jpeg::frame_size(&decoded.info, look.width);
            let frame = jpeg::encode(&decoded, size, look.quality, threads);
            drop(decoded);
            memory::trim();
            frame
        })
        .await
    }

    /// Where the JPEG of `key` is, or will be.
    fn cell(&self, key: Key) -> Cell {
        let mut remembered = self.0.remembered.lock();
        let known = remembered.iter().position(|(known, _)| *known == key);
        let cell = known
            .and_then(|index| remembered.remove(index))
            .map_or_else(Cell::default, |(_, cell)| cell);
        remembered.push_back((key, Arc::clone(&cell)));
        cell
    }

    /// Lets go of what was used longest ago, as long as there is too much.
    fn forget_overflow(&self) {
        let mut remembered = self.0.remembered.lock();
        let len_bytes = |(_, cell): &(Key, Cell)| cell.get().map_or(0, |frame| frame.jpeg.len());
        let mut bytes: usize = remembered.iter().map(len_bytes).sum();
        while remembered.len() > REMEMBERED || bytes > REMEMBERED_BYTES {
            let Some(oldest) = remembered.pop_front() else {
                return;
            };
            bytes -= len_bytes(&oldest);
        }
    }
}

impl PastPicture {
    const fn recorded(picture: RecordedPicture) -> Self {
        Self {
            taken: picture.taken,
            place: Place::Recorded(picture),
        }
    }

    fn held(gop: Gop) -> Self {
        Self {
            taken: MediaTime::wall_to_media(decode::pts_to_wall(gop.newest.pts)),
            place: Place::Held(gop),
        }
    }
}

/// The access units that `picture` needs, as they would stand in the ring.
///
/// # Errors
/// [`FrameError::TooFarFromKeyframe`], or the recording cannot be read.
pub(super) fn gop_of(picture: &RecordedPicture) -> Result<Gop, FrameError> {
    if picture.len_bytes() > MOST_BYTES {
        return Err(FrameError::TooFarFromKeyframe(picture.len_bytes()));
    }
    let read = |error| FrameError::Archive(Arc::new(error));
    let caps = caps_of(&picture.init).map_err(read)?;
    let units = picture.read().map_err(read)?;
    Ok(Gop {
        caps,
        access_units: units.into_iter().map(buffer_of).collect(),
        newest: Newest {
            pts: media_to_pts(picture.taken),
            arrived: Instant::now(),
            version: 0,
        },
    })
}

/// What a parser would say of the video that needs `init`.
fn caps_of(init: &Bytes) -> Result<gst::Caps, dayreel_archive::Error> {
    let (name, format, record) = match video_config(init)? {
        VideoConfig::H264(record) => ("video/x-h264", "avc", record),
        VideoConfig::H265(record) => ("video/x-h265", "hvc1", record),
    };
    Ok(gst::Caps::builder(name)
        .field("stream-format", format)
        .field("alignment", "au")
        .field("codec_data", gst::Buffer::from_slice(record))
        .build())
}

/// `unit` as a buffer that refers to its bytes.
fn buffer_of(unit: dayreel_archive::AccessUnit) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice(unit.bytes);
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(media_to_pts(unit.presentation));
        buffer.set_dts(media_to_pts(unit.decode));
        if !unit.is_keyframe {
            buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
        }
    }
    buffer
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use chrono_tz::Tz;
    use dayreel_core::Kind;

    use super::*;
    use crate::{
        RingSettings,
        frame::{
            recorded::Recorded,
            streams::{self, INTERVAL, START, Stream},
        },
    };

    const SEGMENT: Duration = Duration::from_secs(2);

    /// The instant that is `ms` after the first picture.
    fn after_start(ms: u64) -> MediaTime {
        MediaTime::from_ticks(START.seconds() * 90_000 + ms * 90)
    }

    fn frames_of(recorded: &Recorded, ring: Ring) -> PastFrames {
        let archive = Arc::clone(&recorded.archive);
        PastFrames::new(archive, Arc::new(ring), FrameSettings::default())
    }

    fn recorded(folder: &tempfile::TempDir, streams: &[(&Stream, u64)]) -> (PastFrames, Recorded) {
        let now = after_start(3_600_000).media_to_wall();
        let recorded = Recorded::open(folder.path(), Tz::UTC, now);
        for (stream, offset_ms) in streams {
            let (caps, units) = stream.encode();
            let units: Vec<_> = units
                .into_iter()
                .map(|mut unit| {
                    let unit_ref = unit.make_mut();
                    let moved = unit_ref.pts().unwrap() + gst::ClockTime::from_mseconds(*offset_ms);
                    unit_ref.set_pts(moved);
                    unit_ref.set_dts(gst::ClockTime::NONE);
                    unit
                })
                .collect();
            recorded.record(&caps, &units, SEGMENT);
        }
        (
            frames_of(&recorded, Ring::new(RingSettings::VIDEO)),
            recorded,
        )
    }

    async fn number_at(frames: &PastFrames, at: MediaTime, pick: Pick) -> (Option<u32>, u64) {
        let picture = frames.find(at, pick).await.unwrap();
        let taken = picture.taken;
        let units = picture.clone();
        let frame = match frames.frame(picture, Look::default()).await {
            Ok(frame) => frame,
            Err(error) => panic!("{error} at {at:?}, {pick:?}: {units:#?}"),
        };
        let named = MediaTime::wall_to_media(frame.taken);
        assert!(named.ticks().abs_diff(taken.ticks()) <= 1, "{frame:?}");
        let since = (taken.ticks() - START.seconds() * 90_000) / 90;
        (streams::decode(&frame).number(), since)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_instant_shows_its_picture() {
        let interval_ms = INTERVAL.mseconds();
        for (codec, gop, b_frames) in [
            ("h264", 13, 0),
            ("h264", 50, 3),
            ("h264", 125, 0),
            ("h265", 25, 0),
            ("h265", 50, 3),
        ] {
            let stream = Stream {
                codec,
                gop,
                b_frames,
                pictures: 160,
                ..Stream::default()
            };
            let folder = tempfile::tempdir().unwrap();
            let (frames, _recorded) = recorded(&folder, &[(&stream, 0)]);
            for number in [
                0, 1, 2, 3, 11, 12, 13, 24, 25, 26, 49, 50, 51, 77, 99, 124, 125, 158, 159,
            ] {
                // From its own instant until just before the next picture's.
                for ms in [0, 1, 20, 39] {
                    let at = after_start(number * interval_ms + ms);
                    let (shown, since) = number_at(&frames, at, Pick::Exact).await;
                    assert_eq!(
                        (shown.map(u64::from), since),
                        (Some(number), number * interval_ms),
                        "{stream:?}, {ms} ms after picture {number}"
                    );
                }
            }
        }
    }

    #[tokio::test]
    async fn the_nearest_keyframe_is_one_access_unit() {
        let stream = Stream {
            gop: 25,
            pictures: 200,
            ..Stream::default()
        };
        let folder = tempfile::tempdir().unwrap();
        // Segments of 2 s: some keyframes begin one, the others are within.
        let (frames, _recorded) = recorded(&folder, &[(&stream, 0)]);
        for (ms, keyframe) in [
            (0, 0),
            (499, 0),
            (501, 25),
            (1000, 25),
            (1499, 25),
            (1501, 50),
            (2400, 50),
            (3600, 100),
            (7990, 175),
        ] {
            let picture = frames
                .find(after_start(ms), Pick::NearestKeyframe)
                .await
                .unwrap();
            let Place::Recorded(place) = &picture.place else {
                panic!("{picture:?}");
            };
            assert!(place.is_keyframe());
            assert_eq!(place.read().unwrap().len(), 1);
            let (shown, _) = number_at(&frames, after_start(ms), Pick::NearestKeyframe).await;
            assert_eq!(shown, Some(keyframe), "at {ms} ms");
        }
    }

    #[tokio::test]
    async fn gaps_and_ends_say_what_is_around_them() {
        let stream = Stream {
            gop: 25,
            pictures: 50,
            ..Stream::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let (frames, _recorded) = recorded(&folder, &[(&stream, 0), (&stream, 10_000)]);
        let (first_end, second_start) = (after_start(2000), after_start(10_000));
        for (at, before, after) in [
            (after_start(2000), Some(first_end), Some(second_start)),
            (after_start(9999), Some(first_end), Some(second_start)),
            (after_start(12_000), Some(after_start(12_000)), None),
            (MediaTime::from_ticks(0), None, None),
        ] {
            for pick in [Pick::Exact, Pick::NearestKeyframe] {
                match frames.find(at, pick).await {
                    Err(FrameError::NotRecorded {
                        before: b,
                        after: a,
                    }) => {
                        assert_eq!((b, a), (before, after));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        let early = MediaTime::from_ticks(after_start(0).ticks() - 1);
        let error = frames.find(early, Pick::Exact).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
    }

    #[tokio::test]
    async fn what_is_not_recorded_yet_is_the_same_picture_from_the_ring() {
        for (codec, b_frames) in [("h264", 0), ("h264", 3), ("h265", 3)] {
            let stream = Stream {
                codec,
                b_frames,
                pictures: 60,
                ..Stream::default()
            };
            let (folder, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let (from_disk, _recorded) = recorded(&folder, &[(&stream, 0)]);
            let nothing = Recorded::open(empty.path(), Tz::UTC, after_start(0).media_to_wall());
            let ring = Ring::new(RingSettings::VIDEO);
            let (caps, units) = stream.encode();
            for unit in units {
                ring.push(&caps, unit);
            }
            let from_ring = frames_of(&nothing, ring);
            for number in [0, 1, 2, 3, 11, 25, 26, 49, 50, 51, 59] {
                for pick in [Pick::Exact, Pick::NearestKeyframe] {
                    let at = after_start(number * 40 + 13);
                    let held = from_ring.find(at, pick).await.unwrap();
                    assert!(matches!(held.place, Place::Held(_)));
                    let read = from_disk.find(at, pick).await.unwrap();
                    assert_eq!(held.taken, read.taken, "{stream:?}, picture {number}");
                    let held = from_ring.frame(held, Look::default()).await.unwrap();
                    let read = from_disk.frame(read, Look::default()).await.unwrap();
                    assert_eq!(held.jpeg, read.jpeg, "{stream:?}, picture {number}");
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_picture_that_is_about_to_come_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let nothing = Recorded::open(folder.path(), Tz::UTC, after_start(0).media_to_wall());
        let (caps, units) = Stream {
            pictures: 30,
            ..Stream::default()
        }
        .encode();
        let ring = Arc::new(Ring::new(RingSettings::VIDEO));
        let archive = Arc::clone(&nothing.archive);
        let frames = PastFrames::new(archive, Arc::clone(&ring), FrameSettings::default());
        for unit in &units[..10] {
            ring.push(&caps, unit.clone());
        }
        let at = after_start(20 * 40);
        let asked = tokio::spawn({
            let frames = frames.clone();
            async move { frames.find(at, Pick::Exact).await }
        });
        for unit in &units[10..] {
            tokio::task::yield_now().await;
            ring.push(&caps, unit.clone());
        }
        assert_eq!(asked.await.unwrap().unwrap().taken, at);
        // What does not come is not waited for for ever.
        let never = frames.find(after_start(60_000), Pick::Exact).await;
        assert_eq!(never.unwrap_err().kind(), Kind::NotFound);
    }

    #[tokio::test]
    async fn the_last_recorded_picture_is_stale_and_then_too_old() {
        let folder = tempfile::tempdir().unwrap();
        let stream = Stream {
            pictures: 60,
            ..Stream::default()
        };
        let (frames, _recorded) = recorded(&folder, &[(&stream, 0)]);
        let last = |ms: u64| {
            let now = after_start(ms).media_to_wall();
            frames.last(now, Look::default())
        };
        let frame = last(3_400).await.unwrap();
        assert_eq!(streams::decode(&frame).number(), Some(59));
        let age_ms = frame.stale.map(|age| age.as_millis());
        assert_eq!(age_ms, Some(3_400 - 59 * 40));
        let max_age_ms = u64::from(dayreel_config::DEFAULT_FRAME_MAX_AGE_S) * 1000;
        last(59 * 40 + max_age_ms - 1).await.unwrap();
        let old = last(59 * 40 + max_age_ms + 1).await.unwrap_err();
        assert!(matches!(old, FrameError::Stale(_)), "{old}");
        // Media time is ahead of the clock, or the clock was set back.
        assert_eq!(last(1400).await.unwrap().stale, Some(Duration::ZERO));
        let ahead = last(1300).await.unwrap_err();
        assert!(matches!(ahead, FrameError::NothingYet), "{ahead}");
    }

    #[tokio::test]
    async fn another_codec_and_size_on_the_same_day() {
        let first = Stream {
            pictures: 50,
            ..Stream::default()
        };
        let second = Stream {
            codec: "h265",
            size: (320, 240),
            par: (3, 2),
            pictures: 50,
            ..Stream::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let (frames, _recorded) = recorded(&folder, &[(&first, 0), (&second, 2000)]);
        for (ms, number, size) in [(1960, 49, (272, 144)), (2040, 1, (480, 240))] {
            let picture = frames.find(after_start(ms), Pick::Exact).await.unwrap();
            let frame = frames.frame(picture, Look::default()).await.unwrap();
            assert_eq!((frame.width, frame.height), size);
            assert_eq!(streams::decode(&frame).number(), Some(number));
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn requests_for_one_picture_share_one_decode() {
        let folder = tempfile::tempdir().unwrap();
        let stream = Stream {
            pictures: 50,
            ..Stream::default()
        };
        let (frames, _recorded) = recorded(&folder, &[(&stream, 0)]);
        let requests: Vec<_> = (0..50)
            .map(|number| {
                let frames = frames.clone();
                // All of these instants show the picture that is 1 s after the first.
                let at = after_start(1000 + number % 40);
                tokio::spawn(async move {
                    let picture = frames.find(at, Pick::Exact).await?;
                    frames.frame(picture, Look::default()).await
                })
            })
            .collect();
        for request in requests {
            let frame = request.await.unwrap().unwrap();
            assert_eq!(streams::decode(&frame).number(), Some(25));
        }
        assert_eq!(frames.decodes(), 1);
        // Remembered, but not for ever.
        for number in 0..50_u64 {
            for width in [Some(100), Some(101)] {
                let at = after_start(number * 40);
                let look = Look {
                    width,
                    ..Look::default()
                };
                let picture = frames.find(at, Pick::Exact).await.unwrap();
                frames.frame(picture, look).await.unwrap();
            }
        }
        assert_eq!(frames.decodes(), 101);
        assert_eq!(frames.0.remembered.lock().len(), REMEMBERED);
    }

    #[tokio::test]
    async fn a_day_that_is_deleted_meanwhile_is_not_found() {
        let folder = tempfile::tempdir().unwrap();
        let stream = Stream::default();
        let (frames, recorded) = recorded(&folder, &[(&stream, 0)]);
        let picture = frames.find(after_start(40), Pick::Exact).await.unwrap();
        let later = recorded.archive.zone();
        assert_eq!(later, Tz::UTC);
        recorded
            .clock
            .set(after_start(0).media_to_wall() + TimeDelta::days(9));
        assert_eq!(recorded.archive.expire(1).unwrap().len(), 1);
        let error = frames.frame(picture, Look::default()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound, "{error}");
        let error = frames.find(after_start(40), Pick::Exact).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound, "{error}");
    }

    #[tokio::test]
    async fn damaged_recordings_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let (frames, recorded) = recorded(&folder, &[(&Stream::default(), 0)]);
        let picture = frames.find(after_start(0), Pick::Exact).await.unwrap();
        let day = recorded.archive.today().unwrap();
        let slice = day
            .timeline()
            .track(dayreel_core::TrackKind::Video)
            .segments()[0]
            .bytes;
        let media = day.media(dayreel_core::TrackKind::Video, &slice);
        let mut bytes = std::fs::read(&media.path).unwrap();
        let len_bytes = bytes.len();
        let begin = usize::try_from(media.offset).unwrap();
        bytes[begin + 200..].fill(0x5a);
        std::fs::write(&media.path, &bytes).unwrap();
        let error = frames.frame(picture, Look::default()).await.unwrap_err();
        assert!(matches!(error, FrameError::Undecodable), "{error}");
        bytes[begin..].fill(0);
        std::fs::write(&media.path, &bytes).unwrap();
        let error = frames.find(after_start(40), Pick::Exact).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Internal, "{error}");
        std::fs::write(&media.path, &bytes[..len_bytes / 2]).unwrap();
        let error = frames.find(after_start(40), Pick::Exact).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Internal, "{error}");
    }
}
