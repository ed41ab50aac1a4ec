//! The live view in MPEG-TS, for players that know nothing newer: a few segments in memory, made by
//! `hlssink3` while somebody watches.
//!
//! ```text
//! ring ─ follower ─ appsrc ─ parse ─ hlssink3 ─▶ window ─▶ playlist, segments
//! ```
//!
//! It reads the rings along, which every camera has anyway, and hangs on no tee: beginning and ending
//! touch nothing that records, the last seconds are there at once, and one that is too slow loses
//! what the ring no longer has, up to the next keyframe. The first request starts the follower's
//! thread; it ends by itself some time after the last.

use std::{
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

use bytes::Bytes;
use dayreel_core::{CameraId, Kind, MediaTime};
use gstreamer as gst;
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};
use tracing::warn;

use crate::{CameraSettings, Ring, track::media_to_pts};

mod follower;
mod mux;
mod parameter_sets;
mod split;
mod window;

use follower::Follower;
use window::{Fragment, Window};

/// A request waits so long for the first segment: a keyframe interval of 4 s until it begins, as long until its sound has
/// settled, one until it ends, and a second.
const FIRST: Duration = Duration::from_secs(13);

/// So much later than it ends a segment is listed: pictures may be decoded long before they are shown, and sound lag.
const BEHIND: gst::ClockTime = gst::ClockTime::SECOND;

/// A request waits so much longer for the next segment than half of the longest.
const LATE: Duration = Duration::from_millis(500);

/// A camera whose last picture is older is away: nobody waits for it.
const AWAY: Duration = Duration::from_secs(5);

/// Why there is no live view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LiveError {
    /// The camera delivers nothing.
    #[error("the camera sends no pictures now")]
    Away,
    /// The camera delivers, but no segment is complete.
    #[error("no segment was complete within {} s", FIRST.as_secs())]
    NotYet,
    /// The camera is being ended, or there is no thread.
    #[error("the live view cannot be made now")]
    Closed,
}

impl LiveError {
    /// What kind of error this is.
    pub const fn kind(self) -> Kind {
        Kind::Unavailable
    }
}

/// The live view of one camera. Any thread may ask.
#[derive(Debug)]
pub struct LiveView(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: CameraId,
    ring: Arc<Ring>,
    sound_ring: Arc<Ring>,
    /// So long after the last request it ends.
    idle: Duration,
    state: Mutex<State>,
    /// Told when there is a new segment, or none any more.
    changed: Notify,
    /// Told when nobody waits any more.
    left: Notify,
}

#[derive(Debug)]
struct State {
    window: Window,
    /// The window has come to the present since it was begun, or does not.
    is_current: bool,
    /// There is a follower.
    is_made: bool,
    is_closed: bool,
    last_request: Instant,
    /// How many wait for a segment.
    waiting: usize,
    dropped: u64,
}

impl LiveView {
    pub(crate) fn new(settings: &CameraSettings, ring: Arc<Ring>, sound_ring: Arc<Ring>) -> Self {
        Self(Arc::new(Inner {
            id: settings.id.clone(),
            ring,
            sound_ring,
            idle: settings.timing.live_idle,
            state: Mutex::new(State {
                window: Window::default(),
                is_current: false,
                is_made: false,
                is_closed: false,
                last_request: Instant::now(),
                waiting: 0,
                dropped: 0,
            }),
            changed: Notify::new(),
            left: Notify::new(),
        }))
    }

    /// The playlist of now, or of a moment later: where the newest segment is older than half of the longest, the next
    /// one is waited for. Players begin near the end, and many stay as far behind as they began; and who follows is not
    /// sent away when the next one is about to come. The first who asks waits for what the ring holds, for at most 13 s.
    ///
    /// # Errors
    /// See [`LiveError`].
    pub async fn playlist(&self) -> Result<String, LiveError> {
        let inner = &self.0;
        let _waiting = Waiting::begin(inner);
        let begun = Instant::now();
        // Where the newest segment ended when there was one of the present, and until when the next is waited for.
        let mut known: Option<(MediaTime, Instant)> = None;
        loop {
            let changed = inner.changed.notified();
            let until = {
                let mut state = inner.state.lock();
                let asked = inner.ask(&mut state);
                let now = Instant::now();
                let end = state.window.end().filter(|_| inner.is_current(&mut state));
                let next_until = now + Duration::from(state.window.target() / 2) + LATE;
                known = end.map(|end| known.unwrap_or((end, next_until)));
                let until = known.map_or(begun + FIRST, |(_, until)| until);
                let is_next = known.is_some_and(|(known, _)| Some(known) != end);
                if asked.is_err() || is_next || inner.is_fresh(&state) || until <= now {
                    let playlist = state.window.playlist();
                    // It does not become more current than that.
                    state.is_current |= playlist.is_some();
                    return playlist.ok_or(asked.err().unwrap_or(LiveError::NotYet));
                }
                until
            };
            // Then it is looked at once more.
            let _ = tokio::time::timeout_at(until, changed).await;
        }
    }

    /// The segment with that number, if it is still held.
    pub fn segment(&self, number: u64) -> Option<Bytes> {
        let mut state = self.0.state.lock();
        state.last_request = Instant::now();
        state.window.segment(number)
    }

    /// Whether it is being made.
    pub fn is_made(&self) -> bool {
        self.0.state.lock().is_made
    }

    /// Waits until it has a new segment, or has ended; ask for it before looking.
    pub fn changed(&self) -> impl Future<Output = ()> {
        self.0.changed.notified()
    }

    /// Waits until it is not being made.
    pub async fn ended(&self) {
        loop {
            let changed = self.changed();
            if !self.is_made() {
                return;
            }
            changed.await;
        }
    }

    /// Bytes of all segments that are held.
    pub fn held_bytes(&self) -> usize {
        self.0.state.lock().window.held_bytes()
    }

    /// Pictures that it left out so far: the muxer was too slow or failed, or they followed a gap.
    pub fn dropped(&self) -> u64 {
        self.0.state.lock().dropped
    }

    /// Ends it for ever, without waiting.
    pub(crate) fn close(&self) {
        self.0.state.lock().is_closed = true;
        self.0.changed.notify_waiters();
    }
}

impl Drop for LiveView {
    fn drop(&mut self) {
        self.close();
    }
}

impl Inner {
    /// Whether the window has come to the present, and only what is being made is missing.
    fn is_current(&self, state: &mut State) -> bool {
        let most = state.window.target() + BEHIND;
        state.is_current |= self.is_within(state, most);
        state.is_current
    }

    /// Whether the next segment is not due yet.
    fn is_fresh(&self, state: &State) -> bool {
        self.is_within(state, state.window.target() / 2)
    }

    /// Whether the newest segment ended at most so long before the newest picture.
    fn is_within(&self, state: &State, most: gst::ClockTime) -> bool {
        let ends = state.window.end().map(media_to_pts);
        let newest = self.ring.newest();
        ends.zip(newest)
            .is_some_and(|(end, newest)| end + most >= newest.pts)
    }

    /// Sees to it that the view is made.
    fn ask(self: &Arc<Self>, state: &mut State) -> Result<(), LiveError> {
        if state.is_closed {
            return Err(LiveError::Closed);
        }
        let newest = self.ring.newest();
        if newest.is_none_or(|newest| newest.arrived.elapsed() > AWAY) {
            return Err(LiveError::Away);
        }
        if state.is_made {
            return Ok(());
        }
        let inner = Arc::clone(self);
        let follow = thread::Builder::new().name(format!("live {}", self.id));
        match follow.spawn(move || inner.follow()) {
            Ok(_) => {
                state.is_made = true;
                Ok(())
            }
            Err(error) => {
                warn!(camera = %self.id, %error, "no thread for a live view");
                Err(LiveError::Closed)
            }
        }
    }

    fn follow(self: Arc<Self>) {
        let made = Made(Arc::downgrade(&self));
        match tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
        {
            Ok(runtime) => runtime.block_on(Follower::new(self).run()),
            Err(error) => warn!(camera = %self.id, %error, "no live view"),
        }
        drop(made);
    }

    /// Waits until nobody has asked for some time, or the camera ends.
    async fn is_idle(&self) {
        loop {
            let changed = self.changed.notified();
            let left = self.left.notified();
            let until = {
                let state = self.state.lock();
                if state.is_closed {
                    return;
                }
                (state.waiting == 0).then_some(state.last_request + self.idle)
            };
            if until.is_some_and(|until| until <= Instant::now()) {
                return;
            }
            let next_look = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => left.await,
                }
            };
            tokio::select! {
                () = next_look => {}
                () = changed => {}
            }
        }
    }

    fn expect(&self, longest_90k: u64) {
        self.state.lock().window.expect(longest_90k);
    }

    fn push(&self, fragment: Fragment) {
        self.state.lock().window.push(fragment);
        self.changed.notify_waiters();
    }

    fn note_dropped(&self, pictures: u64) {
        if pictures > 0 {
            self.state.lock().dropped += pictures;
        }
    }
}

/// Somebody who waits for a segment: until it is there, or they go, nobody is idle.
struct Waiting<'i>(&'i Inner);

impl<'i> Waiting<'i> {
    fn begin(inner: &'i Inner) -> Self {
        inner.state.lock().waiting += 1;
        Self(inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let nobody_waits = {
            let mut state = self.0.state.lock();
            state.waiting -= 1;
            state.last_request = Instant::now();
            state.waiting == 0
        };
        if nobody_waits {
            self.0.left.notify_waiters();
        }
    }
}

/// Held by the follower's thread, however it ends.
struct Made(Weak<Inner>);

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(inner) = self.0.upgrade() {
            let mut state = inner.state.lock();
            state.is_made = false;
            state.is_current = false;
            state.window.clear();
        }
        // Whoever asked meanwhile asks again, and starts another.
        if let Some(inner) = self.0.upgrade() {
            inner.changed.notify_waiters();
        }
    }
}
