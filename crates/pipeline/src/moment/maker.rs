//! Makes moments of one camera: waits for the end of the time, takes what the rings hold of it, and
//! has the MP4 and the GIF made side by side.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, FixedOffset};
use dayreel_archive::{CameraArchive, MomentFacts, MomentName};
use dayreel_core::{Clock, MediaTime, WallTime};
use gstreamer as gst;
use tokio::{
    sync::OwnedSemaphorePermit,
    task::{JoinHandle, spawn_blocking},
};

use super::{
    GifError, MomentDesk, MomentError, MomentMade, MomentRequest, MomentSettings, clip, comment,
    desk::Stage, shrink, stills,
};
use crate::{
    Cut, Missing, Newest, Ring, Window, alignment::MOST_WAIT_NS, frame, track::media_to_pts,
};

/// How much later than the newest a camera's pictures may come: media time follows the wall clock to within a second.
const LATENESS: Duration = Duration::from_secs(2);

/// A stream is no later than this, on a congested network or a busy machine; what seems later has not
/// come since our clock was set.
const MOST_LATE: gst::ClockTime = gst::ClockTime::from_seconds(10);

/// So much later the sound may come than the picture of the same instant.
const SOUND_LATENESS: Duration = Duration::from_millis(300);

/// So long after its beginning a source may give the first sound, which waits until it is aligned with
/// the picture.
const SOUND_BEGINS: Duration =
    Duration::from_nanos(MOST_WAIT_NS.unsigned_abs()).saturating_add(Duration::from_millis(800));

/// A track that has delivered nothing for so long is not waited for.
const SILENT: Duration = Duration::from_secs(1);

/// Media time this far ahead of the wall clock: that was set back, or is not believed.
const CLOCK_BEHIND: gst::ClockTime = gst::ClockTime::from_seconds(2);

/// Makes moments of one camera. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MomentMaker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    picture: Arc<Ring>,
    sound: Arc<Ring>,
    archive: Arc<CameraArchive>,
    clock: Arc<dyn Clock>,
    settings: MomentSettings,
    desk: MomentDesk,
}

impl MomentMaker {
    /// Makes moments from what `picture` and `sound` hold, and puts them into `archive`.
    pub fn new(
        (picture, sound): (Arc<Ring>, Arc<Ring>),
        archive: Arc<CameraArchive>,
        clock: Arc<dyn Clock>,
        settings: MomentSettings,
        desk: MomentDesk,
    ) -> Self {
        frame::give_back_large_blocks();
        Self(Arc::new(Inner {
            picture,
            sound,
            archive,
            clock,
            settings,
            desk,
        }))
    }

    /// Makes a moment. It is made even if nobody waits for the answer any more.
    ///
    /// # Errors
    /// See [`MomentError`].
    pub async fn make(&self, request: MomentRequest) -> Result<MomentMade, MomentError> {
        let now = self.0.clock.now();
        let place = self.0.desk.enter()?;
        let inner = Arc::clone(&self.0);
        let task = self.0.desk.runtime().spawn(async move {
            let made = inner.make(request, now).await;
            if let Err(error) = &made {
                let error: &dyn std::error::Error = error;
                tracing::warn!(camera = %inner.archive.id(), error, "no moment");
            }
            // Held until all is done.
            drop(place);
            made
        });
        task.await.unwrap_or(Err(MomentError::Closing))
    }
}

impl Inner {
    async fn make(&self, request: MomentRequest, now: WallTime) -> Result<MomentMade, MomentError> {
        let newest = self.picture.newest().ok_or(MomentError::NothingYet)?;
        let (now_media, late) = media_now(now, newest);
        let window = window(now_media, &request);
        self.wait_for(window.end, now_media, late).await;
        // The references are taken before others are waited for: the rings go on.
        let cut = self.picture.cut(window);
        let cut = cut.ok_or(MomentError::NoPicture(request.length_s))?;
        let clip = clip::clip(&cut, &self.sound)?;
        let facts = self.facts(&cut, &request, now);

        let slot = self.desk.slot().await?;
        let moments = Arc::clone(self.archive.moments());
        let time = facts.time;
        let claim = blocking(move || moments.claim(time)).await?;
        let gif = slot.map(|slot| GifInTheMaking::begin(self, slot, cut, claim.name()));
        let moment = blocking(move || claim.write(&clip, &facts)).await?;
        tracing::info!(camera = %self.archive.id(), moment = %moment.name, "kept a moment");
        let gif = match gif {
            Some(gif) => gif.end().await,
            None => Err(GifError::Closing),
        };
        let gif_error = match gif {
            Ok(gif) => self.put_gif(time, gif).await.err(),
            Err(error) => Some(error),
        };
        if let Some(error) = &gif_error {
            tracing::warn!(camera = %self.archive.id(), moment = %moment.name, %error, "no GIF");
        }
        Ok(MomentMade { moment, gif_error })
    }

    /// Waits until picture and sound have come up to `end`, for no longer than they can be late, of which
    /// `late` has been seen.
    async fn wait_for(&self, end: gst::ClockTime, now: gst::ClockTime, late: gst::ClockTime) {
        let until_end = Duration::from(end.saturating_sub(now));
        let since_end = Duration::from(now.saturating_sub(end));
        let patience = (until_end + late.into() + LATENESS).saturating_sub(since_end);
        let mut stage = self.desk.stage();
        let both = async {
            if tokio::time::timeout(patience, self.picture.reach(end))
                .await
                .is_ok()
            {
                // Without its end it is a few hundredths shorter.
                let _ =
                    tokio::time::timeout(self.patience_for_sound(), self.sound.reach(end)).await;
            }
        };
        tokio::select! {
            () = both => {}
            _ = stage.wait_for(|stage| *stage >= Stage::Closing) => {}
        }
    }

    /// How much longer than the picture the sound may take.
    fn patience_for_sound(&self) -> Duration {
        let arrived = self.sound.newest().map(|newest| newest.arrived.elapsed());
        match self.sound.awaited() {
            Some(since) => SOUND_BEGINS.saturating_sub(since),
            None if arrived.is_some_and(|since| since < SILENT) => SOUND_LATENESS,
            None => Duration::ZERO,
        }
    }

    fn facts(&self, cut: &Cut, request: &MomentRequest, now: WallTime) -> MomentFacts {
        let zone = self.archive.zone();
        let local = |time: WallTime| time.with_timezone(&zone).fixed_offset();
        let start = clip::media(cut.shown.start);
        let word = |missing: Missing| missing.word().to_owned();
        MomentFacts {
            time: local(now),
            start: local(start.media_to_wall()),
            duration_90k: clip::media(cut.shown.end).saturating_since(start),
            label: request.label.clone(),
            length_s: request.length_s,
            delay_s: request.delay_s,
            starts_late: cut.starts_late.map(word),
            ends_early: cut.ends_early.map(word),
        }
    }

    async fn put_gif(&self, time: DateTime<FixedOffset>, gif: Vec<u8>) -> Result<(), GifError> {
        let moments = Arc::clone(self.archive.moments());
        match spawn_blocking(move || moments.put_gif(time, &gif)).await {
            Ok(put) => put.map_err(|error| GifError::Archive(Arc::new(error))),
            Err(_) => Err(GifError::Closing),
        }
    }
}

/// A GIF that a thread is at. Given up when dropped.
struct GifInTheMaking {
    done: JoinHandle<Result<Vec<u8>, GifError>>,
    dropped: Arc<AtomicBool>,
}

impl GifInTheMaking {
    fn begin(maker: &Inner, slot: OwnedSemaphorePermit, cut: Cut, name: MomentName) -> Self {
        let dropped = Arc::new(AtomicBool::new(false));
        let stage = maker.desk.stage();
        let max_bytes = maker.settings.gif_max_bytes;
        let give_up = {
            let dropped = Arc::clone(&dropped);
            move || dropped.load(Ordering::Relaxed) || *stage.borrow() == Stage::Hurrying
        };
        let done = spawn_blocking(move || {
            let gif = stills::stills(&cut, *frame::THREADS, &give_up).and_then(|stills| {
                shrink::smallest_needed(&stills, &comment(name), max_bytes, &give_up)
            });
            frame::trim_memory();
            drop(slot);
            gif
        });
        Self { done, dropped }
    }

    async fn end(mut self) -> Result<Vec<u8>, GifError> {
        let done = (&mut self.done).await;
        done.unwrap_or(Err(GifError::Encoding))
    }
}

impl Drop for GifInTheMaking {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
    }
}

/// Media time at `now`, and how much later than that the stream comes. It is the wall clock's, unless
/// that was set: then the camera's timeline goes on, and what was just seen is found by when it came.
fn media_now(now: WallTime, newest: Newest) -> (gst::ClockTime, gst::ClockTime) {
    let by_wall = media_to_pts(MediaTime::wall_to_media(now));
    let since = gst::ClockTime::try_from(newest.arrived.elapsed()).unwrap_or_default();
    let by_arrival = newest.pts.saturating_add(since);
    let late = by_wall.saturating_sub(by_arrival);
    let ahead = by_arrival.saturating_sub(by_wall);
    if ahead > CLOCK_BEHIND || late > MOST_LATE {
        (by_arrival, gst::ClockTime::ZERO)
    } else {
        (by_wall, late)
    }
}

/// The seconds that are asked for at `now`.
fn window(now: gst::ClockTime, request: &MomentRequest) -> Window {
    let seconds = |seconds: u32| gst::ClockTime::from_seconds(seconds.into());
    let end = now.saturating_sub(seconds(request.delay_s));
    Window {
        start: end.saturating_sub(seconds(request.length_s)),
        end,
    }
}

/// Runs `work` of the archive where it may wait for a disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> dayreel_archive::Result<T> + Send + 'static,
) -> Result<T, MomentError> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| MomentError::Archive(Arc::new(error))),
        Err(_) => Err(MomentError::Closing),
    }
}
