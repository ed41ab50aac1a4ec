//! Who asks when: one decode for all who ask meanwhile, remembered until the next picture.

use std::{
    num::NonZero,
    sync::{
        Arc, LazyLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread::available_parallelism,
    time::Instant,
};

use parking_lot::Mutex;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore, watch};

use super::{Frame, FrameError, FrameSettings, decode, jpeg, memory};
use crate::Ring;

/// JPEGs of different widths remembered with one picture.
const WIDTHS_REMEMBERED: usize = 8;

/// Threads of one decode: more than four pictures at once cost memory and gain little.
static THREADS: LazyLock<u32> = LazyLock::new(|| {
    available_parallelism()
        .map_or(1, NonZero::get)
        .min(4)
        .try_into()
        .unwrap_or(1)
});

/// Decodes and compressions at once, in the whole process. Two at least, so that one camera with a
/// long GOP does not make all others wait for it.
static SLOTS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let cores = available_parallelism().map_or(1, NonZero::get);
    Arc::new(Semaphore::new((cores / 4).max(2)))
});

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
    /// At most [`WIDTHS_REMEMBERED`].
    frames: Mutex<Vec<FrameOfSize>>,
}

/// A size in pixels, and the JPEG of that size once it is made.
type FrameOfSize = ((u32, u32), Arc<OnceCell<Frame>>);

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

    /// The newest picture, at most `width` pixels wide and never enlarged.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub async fn frame(&self, width: Option<u32>) -> Result<Frame, FrameError> {
        let shot = self.shot().await?;
        let size = jpeg::frame_size(&shot.picture.info, width);
        let cell = shot.cell(size);
        let frame = cell.get_or_try_init(|| async {
            let permit = self.slot().await?;
            let shot = shot.clone();
            run_blocking(permit, move || jpeg::encode(&shot.picture, size, *THREADS)).await
        });
        frame.await.cloned()
    }

    /// Decodes begun since the start.
    pub fn decodes(&self) -> u64 {
        self.0.decodes.load(Ordering::Relaxed)
    }

    /// The newest picture: remembered, being decoded for another request, or decoded now.
    async fn shot(&self) -> Decoded {
        let mut flight = {
            let mut state = self.0.state.lock();
            let running = state.flight.clone();
            if let Some(flight) = running.filter(|flight| flight.has_changed().is_ok()) {
                flight
            } else {
                let newest = self.0.ring.newest().ok_or(FrameError::NothingYet)?;
                let age = newest.arrived.elapsed();
                if age > self.0.settings.stale_after {
                    return Err(FrameError::Stale(age));
                }
                if let Some(known) = &mut state.remembered
                    && known.version == newest.version
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
        let permit = match self.slot().await {
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

    async fn slot(&self) -> Result<OwnedSemaphorePermit, FrameError> {
        let slot = SLOTS.clone().acquire_owned();
        match tokio::time::timeout(self.0.settings.deadline, slot).await {
            Ok(permit) => permit.map_err(|_| FrameError::Interrupted),
            Err(_) => Err(FrameError::Busy),
        }
    }
}

impl Shot {
    /// Where the JPEG of `size` is, or will be.
    fn cell(&self, size: (u32, u32)) -> Arc<OnceCell<Frame>> {
        let mut frames = self.frames.lock();
        if let Some((_, cell)) = frames.iter().find(|(of, _)| *of == size) {
            return cell.clone();
        }
        if frames.len() == WIDTHS_REMEMBERED {
            frames.remove(0);
        }
        let cell = Arc::new(OnceCell::new());
        frames.push((size, cell.clone()));
        cell
    }
}

/// Runs CPU-bound `work` off the runtime's threads; the slot is taken until it is really over.
async fn run_blocking<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> Result<T, FrameError> + Send + 'static,
) -> Result<T, FrameError> {
    let job = tokio::task::spawn_blocking(move || {
        let outcome = work();
        drop(permit);
        outcome
    });
    job.await.unwrap_or(Err(FrameError::Interrupted))
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
    use std::time::Duration;

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
                tokio::spawn(async move { maker.frame(width).await })
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
            let frame = maker.frame(None).await.unwrap();
            let again = maker.frame(None).await.unwrap();
            assert_eq!(streams::decode(&frame).number(), Some(number));
            assert_eq!(again.jpeg.as_ptr(), frame.jpeg.as_ptr(), "compressed once");
        }
        assert_eq!(maker.decodes(), 3);
    }

    #[tokio::test]
    async fn another_resolution_is_shown_at_once() {
        let (ring, _, _) = filled(1);
        let maker = FrameMaker::new(ring.clone());
        assert_eq!(maker.frame(None).await.unwrap().width, 272);
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
        let frame = maker.frame(None).await.unwrap();
        assert_eq!((frame.width, frame.height), (320, 240));
        assert_eq!(streams::decode(&frame).number(), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_picture_is_forgotten() {
        let (ring, _, _) = filled(1);
        let maker = FrameMaker::new(ring);
        let idle = FrameSettings::default().idle;
        maker.frame(None).await.unwrap();
        tokio::time::advance(idle / 2).await;
        maker.frame(None).await.unwrap();
        assert_eq!(maker.decodes(), 1, "remembered meanwhile");
        // Virtual time: the task that forgets is due before this one.
        tokio::time::sleep(idle * 2).await;
        assert!(maker.0.state.lock().remembered.is_none());
        maker.frame(None).await.unwrap();
        assert_eq!(maker.decodes(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_maker_that_is_gone_leaves_nothing() {
        let (ring, _, _) = filled(1);
        let maker = FrameMaker::new(ring.clone());
        maker.frame(None).await.unwrap();
        let inner = Arc::downgrade(&maker.0);
        drop(maker);
        tokio::time::sleep(FrameSettings::default().idle * 2).await;
        assert!(inner.upgrade().is_none());
        assert_eq!(Arc::strong_count(&ring), 1);
    }

    #[tokio::test]
    async fn no_picture_and_an_old_picture_are_unavailable() {
        let ring = Arc::new(Ring::new(RingSettings::default()));
        let error = FrameMaker::new(ring).frame(None).await.unwrap_err();
        assert!(matches!(error, FrameError::NothingYet));
        assert_eq!(error.kind(), Kind::Unavailable);

        let (ring, _, _) = filled(1);
        let settings = FrameSettings {
            stale_after: Duration::ZERO,
            ..FrameSettings::default()
        };
        let maker = FrameMaker::with_settings(ring, settings);
        let error = maker.frame(None).await.unwrap_err();
        assert!(matches!(error, FrameError::Stale(_)), "{error}");
        assert_eq!((error.kind(), maker.decodes()), (Kind::Unavailable, 0));
    }

    #[tokio::test]
    async fn a_failed_decode_is_not_repeated_for_the_same_picture() {
        let (ring, caps, units) = filled(1);
        let mut broken = gst::Buffer::from_slice(vec![0x5a_u8; 4000]);
        broken.get_mut().unwrap().set_pts(units[0].pts());
        ring.push(&caps, broken);
        let maker = FrameMaker::new(ring);
        for _ in 0..3 {
            let error = maker.frame(None).await.unwrap_err();
            assert!(matches!(error, FrameError::Undecodable), "{error}");
        }
        assert_eq!(maker.decodes(), 1);
    }

    #[tokio::test]
    async fn requests_that_go_away_do_not_stop_the_decode_for_others() {
        let (ring, _, _) = filled(1);
        let maker = FrameMaker::new(ring);
        let impatient = maker.frame(None);
        let answered = tokio::select! {
            biased;
            _ = impatient => true,
            () = tokio::task::yield_now() => false,
        };
        assert!(!answered, "a decode takes longer than no time");
        assert_eq!(maker.frame(None).await.unwrap().width, 272);
        assert_eq!(maker.decodes(), 1);
    }
}
