//! Who asks when: one decode for all who ask meanwhile, remembered until the next picture.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::{OnceCell, watch};

use super::{
    Frame, FrameError, FrameSettings, Look, decode, jpeg, memory,
    slots::{THREADS, run_blocking, slot},
};
use crate::Ring;

/// JPEGs of different sizes and qualities remembered with one picture.
const LOOKS_REMEMBERED: usize = 8;

/// Makes frames of one camera. Cheap to clone; all clones share their work.
///
/// Requests that come while a decode runs, or before the camera delivered the next picture, share
/// one decode. Its methods want a Tokio runtime.
#[derive(Clone, Debug)]
pub struct FrameMaker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ring: Arc<Ring>,
    settings: FrameSettings,
    state: Mutex<State>,
    /// Decodes begun.
    decodes: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    remembered: Option<Remembered>,
    /// The decode that runs, if its sender is still there.
    flight: Option<watch::Receiver<Option<Decoded>>>,
    /// Whether a task waits to forget what is remembered.
    forgetting: bool,
}

/// The outcome of decoding what was newest at `version`.
#[derive(Debug)]
struct Remembered {
    version: u64,
    decoded: Decoded,
    last_used: tokio::time::Instant,
}

type Decoded = Result<Arc<Shot>, FrameError>;

/// A picture and the JPEGs made of it.
struct Shot {
    picture: decode::Picture,
    /// At most [`LOOKS_REMEMBERED`].
    frames: Mutex<Vec<FrameOfSize>>,
}

/// A size in pixels and a quality, and the JPEG of them once it is made.
type FrameOfSize = (((u32, u32), u8), Arc<OnceCell<Frame>>);

impl std::fmt::Debug for Shot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shot")
            .field("taken", &self.picture.taken)
            .finish_non_exhaustive()
    }
}

impl FrameMaker {
    /// Makes frames from what `ring` holds.
    pub fn new(ring: Arc<Ring>) -> Self {
        Self::with_settings(ring, FrameSettings::default())
    }

    /// The same with other limits.
    pub fn with_settings(ring: Arc<Ring>, settings: FrameSettings) -> Self {
        memory::give_back_large_blocks();
        Self(Arc::new(Inner {
            ring,
            settings,
            state: Mutex::default(),
            decodes: AtomicU64::new(0),
        }))
    }

    /// The newest picture. If it is older than what could be called now, but younger than
    /// [`FrameSettings::max_age`], it says so in [`Frame::stale`].
    ///
    /// # Errors
    /// See [`FrameError`].
    pub async fn frame(&self, look: Look) -> Result<Frame, FrameError> {
        let (shot, stale) = self.shot().await?;
        let size = jpeg::frame_size(&shot.picture.info, look.width);
        let cell = shot.cell(size, look.quality);
        let frame = cell.get_or_try_init(|| async {
            let permit = slot(self.0.settings.deadline).await?;
            let shot = shot.clone();
            run_blocking(permit, move || {
                jpeg::encode(&shot.picture, size, look.quality, *THREADS)
            })
            .await
        });
        let frame = frame.await?.clone();
        Ok(Frame { stale, ..frame })
    }

    /// Decodes begun since the start.
    pub fn decodes(&self) -> u64 {
        self.0.decodes.load(Ordering::Relaxed)
    }

    /// The newest picture, and its age if that is too much for "now": remembered, being decoded for
    /// another request, or decoded now.
    async fn shot(&self) -> Result<(Arc<Shot>, Option<Duration>), FrameError> {
        let newest = self.0.ring.newest().ok_or(FrameError::NothingYet)?;
        let age = newest.arrived.elapsed();
        if age > self.0.settings.stale_after.max(self.0.settings.max_age) {
            return Err(FrameError::Stale(age));
        }
        let stale = (age > self.0.settings.stale_after).then_some(age);
        self.decoded(newest.version).await.map(|shot| (shot, stale))
    }

    async fn decoded(&self, version: u64) -> Decoded {
        let mut flight = {
            let mut state = self.0.state.lock();
            let running = state.flight.clone();
            if let Some(flight) = running.filter(|flight| flight.has_changed().is_ok()) {
                flight
            } else {
                if let Some(known) = &mut state.remembered
                    && known.version == version
                {
                    known.last_used = tokio::time::Instant::now();
                    return known.decoded.clone();
                }
                let (sender, flight) = watch::channel(None);
                state.flight = Some(flight.clone());
                // A task of its own: it ends even when all who asked have gone away.
                tokio::spawn(self.clone().fly(sender));
                flight
            }
        };
        let landed = flight.wait_for(Option::is_some).await;
        landed
            .ok()
            .and_then(|decoded| decoded.clone())
            .unwrap_or(Err(FrameError::Interrupted))
    }

    /// Decodes, remembers the outcome and tells all who wait.
    async fn fly(self, sender: watch::Sender<Option<Decoded>>) {
        let (version, decoded) = self.decode().await;
        let forget = {
            let mut state = self.0.state.lock();
            state.flight = None;
            state.remembered = version.map(|version| Remembered {
                version,
                decoded: decoded.clone(),
                last_used: tokio::time::Instant::now(),
            });
            !std::mem::replace(&mut state.forgetting, true)
        };
        sender.send_replace(Some(decoded));
        if forget {
            let inner = Arc::downgrade(&self.0);
            drop(self);
            forget_when_idle(inner).await;
        }
    }

    /// The outcome, with the version of the ring it belongs to if it is worth remembering.
    async fn decode(&self) -> (Option<u64>, Decoded) {
        let permit = match slot(self.0.settings.deadline).await {
            Ok(permit) => permit,
            Err(error) => return (None, Err(error)),
        };
        // Only now: what arrived while others were served counts.
        let Some(gop) = self.0.ring.open_gop() else {
            return (None, Err(FrameError::NothingYet));
        };
        self.0.decodes.fetch_add(1, Ordering::Relaxed);
        let version = gop.newest.version;
        let deadline = Instant::now() + self.0.settings.deadline;
        let picture = run_blocking(permit, move || {
            decode::newest_picture(&gop, *THREADS, deadline)
        });
        let shot = picture.await.map(|picture| {
            Arc::new(Shot {
                picture,
                frames: Mutex::default(),
            })
        });
        (Some(version), shot)
    }
}

impl Shot {
    /// Where the JPEG of `size` and `quality` is, or will be.
    fn cell(&self, size: (u32, u32), quality: u8) -> Arc<OnceCell<Frame>> {
        let mut frames = self.frames.lock();
        let wanted = (size, quality);
        if let Some((_, cell)) = frames.iter().find(|(of, _)| *of == wanted) {
            return cell.clone();
        }
        if frames.len() == LOOKS_REMEMBERED {
            frames.remove(0);
        }
        let cell = Arc::new(OnceCell::new());
        frames.push((wanted, cell.clone()));
        cell
    }
}

/// Waits until nobody has asked for a while, then frees the picture and its JPEGs.
async fn forget_when_idle(inner: Weak<Inner>) {
    loop {
        let until = {
            let Some(inner) = inner.upgrade() else { return };
            let mut state = inner.state.lock();
            let until = state
                .remembered
                .as_ref()
                .map(|known| known.last_used + inner.settings.idle)
                .filter(|until| *until > tokio::time::Instant::now());
            let Some(until) = until else {
                state.remembered = None;
                state.forgetting = false;
                let _detached = tokio::task::spawn_blocking(memory::trim);
                return;
            };
            until
        };
        tokio::time::sleep_until(until).await;
    }
}

#[cfg(test)]
mod tests {
    use dayreel_core::Kind;
    use gstreamer as gst;

    use super::*;
    use crate::{RingSettings, frame::streams};

    fn filled(pictures: u32) -> (Arc<Ring>, gst::Caps, Vec<gst::Buffer>) {
        let (caps, units) = streams::Stream {
            pictures,
            ..streams::Stream::default()
        }
        .encode();
        let ring = Arc::new(Ring::new(RingSettings::default()));
        ring.push(&caps, units[0].clone());
        (ring, caps, units)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn fifty_requests_at_once_cause_one_decode() {
        let (ring, _, _) = filled(1);
        let maker = FrameMaker::new(ring);
        let requests: Vec<_> = (0..50)
            .map(|number| {
                let maker = maker.clone();
                let width = [None, Some(200), Some(64)][number % 3];
                tokio::spawn(async move {
                    maker
                        .frame(Look {
                            width,
                            ..Look::default()
                        })
                        .await
                })
            })
            .collect();
        for request in requests {
            let frame = request.await.unwrap().unwrap();
            assert_eq!(streams::decode(&frame).width, frame.width);
        }
        assert_eq!(maker.decodes(), 1);
    }

    #[tokio::test]
    async fn the_next_access_unit_makes_the_next_frame() {
        let (ring, caps, units) = filled(3);
        let maker = FrameMaker::new(ring.clone());
        for (number, unit) in (0..).zip(&units) {
            if number > 0 {
                ring.push(&caps, unit.clone());
            }
            let frame = maker.frame(Look::default()).await.unwrap();
            let again = maker.frame(Look::default()).await.unwrap();
            assert_eq!(streams::decode(&frame).number(), Some(number));
            assert_eq!(again.jpeg.as_ptr(), frame.jpeg.as_ptr(), "compressed once");
        }
        assert_eq!(maker.decodes(), 3);
    }

    #[tokio::test]
    async fn another_resolution_is_shown_at_once() {
        let (ring, _, _) = filled(1);
        let maker = FrameMaker::new(ring.clone());
        assert_eq!(maker.frame(Look::default()).await.unwrap().width, 272);
        let (caps, units) = streams::Stream {
            codec: "h265",
            size: (320, 240),
            pictures: 2,
            ..streams::Stream::default()
        }
        .encode();
        for unit in units {
            ring.push(&caps, unit);
        }
        let frame = maker.frame(Look::default()).await.unwrap();
        assert_eq!((frame.width, frame.height), (320, 240));
        assert_eq!(streams::decode(&frame).number(), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_picture_is_forgotten() {
        let (ring, _, _) = filled(1);
        let maker = FrameMaker::new(ring);
        let idle = FrameSettings::default().idle;
        maker.frame(Look::default()).await.unwrap();
        tokio::time::advance(idle / 2).await;
        maker.frame(Look::default()).await.unwrap();
        assert_eq!(maker.decodes(), 1, "remembered meanwhile");
        // Virtual time: the task that forgets is due before this one.
        tokio::time::sleep(idle * 2).await;
        assert!(maker.0.state.lock().remembered.is_none());
        maker.frame(Look::default()).await.unwrap();
        assert_eq!(maker.decodes(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_maker_that_is_gone_leaves_nothing() {
        let (ring, _, _) = filled(1);
        let maker = FrameMaker::new(ring.clone());
        maker.frame(Look::default()).await.unwrap();
        let inner = Arc::downgrade(&maker.0);
        drop(maker);
        tokio::time::sleep(FrameSettings::default().idle * 2).await;
        assert!(inner.upgrade().is_none());
        assert_eq!(Arc::strong_count(&ring), 1);
    }

    #[tokio::test]
    async fn no_picture_and_an_old_picture_are_unavailable() {
        let ring = Arc::new(Ring::new(RingSettings::default()));
        let error = FrameMaker::new(ring)
            .frame(Look::default())
            .await
            .unwrap_err();
        assert!(matches!(error, FrameError::NothingYet));
        assert_eq!(error.kind(), Kind::Unavailable);

        let (ring, _, _) = filled(1);
        let settings = FrameSettings {
            stale_after: Duration::ZERO,
            max_age: Duration::ZERO,
            ..FrameSettings::default()
        };
        let maker = FrameMaker::with_settings(ring, settings);
        let error = maker.frame(Look::default()).await.unwrap_err();
        assert!(matches!(error, FrameError::Stale(_)), "{error}");
        assert_eq!((error.kind(), maker.decodes()), (Kind::Unavailable, 0));
    }

    #[tokio::test]
    async fn an_old_picture_within_the_age_allowed_says_how_old_it_is() {
        let (ring, _, _) = filled(1);
        let fresh = FrameMaker::new(ring.clone());
        let frame = fresh.frame(Look::default()).await.unwrap();
        assert_eq!(frame.stale, None);
        let settings = FrameSettings {
            stale_after: Duration::ZERO,
            max_age: Duration::from_secs(3600),
            ..FrameSettings::default()
        };
        let stale = FrameMaker::with_settings(ring, settings);
        let old = stale.frame(Look::default()).await.unwrap();
        assert!(old.stale.is_some_and(|age| age > Duration::ZERO));
        assert_eq!(old.jpeg, frame.jpeg, "the same picture");
    }

    #[tokio::test]
    async fn every_quality_is_a_file_of_its_own_from_one_decode() {
        let (ring, _, _) = filled(1);
        let maker = FrameMaker::new(ring);
        let mut sizes = Vec::new();
        for quality in [1, 50, 85, 100] {
            let look = Look {
                quality,
                ..Look::default()
            };
            let frame = maker.frame(look).await.unwrap();
            assert_eq!(streams::decode(&frame).width, 272);
            sizes.push(frame.jpeg.len());
        }
        assert!(sizes.is_sorted_by(|a, b| a < b), "{sizes:?}");
        assert_eq!(maker.decodes(), 1);
    }

    #[tokio::test]
    async fn a_failed_decode_is_not_repeated_for_the_same_picture() {
        let (ring, caps, units) = filled(1);
        let mut broken = gst::Buffer::from_slice(vec![0x5a_u8; 4000]);
        broken.get_mut().unwrap().set_pts(units[0].pts());
        ring.push(&caps, broken);
        let maker = FrameMaker::new(ring);
        for _ in 0..3 {
            let error = maker.frame(Look::default()).await.unwrap_err();
            assert!(matches!(error, FrameError::Undecodable), "{error}");
        }
        assert_eq!(maker.decodes(), 1);
    }

    #[tokio::test]
    async fn requests_that_go_away_do_not_stop_the_decode_for_others() {
        let (ring, _, _) = filled(1);
        let maker = FrameMaker::new(ring);
        let impatient = maker.frame(Look::default());
        let answered = tokio::select! {
            biased;
            _ = impatient => true,
            () = tokio::task::yield_now() => false,
        };
        assert!(!answered, "a decode takes longer than no time");
        assert_eq!(maker.frame(Look::default()).await.unwrap().width, 272);
        assert_eq!(maker.decodes(), 1);
    }
}
