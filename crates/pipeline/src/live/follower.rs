//! Feeds the muxer from the rings while somebody watches. One thread, which ends with the watching.

use std::{sync::Arc, time::Duration};

use gstreamer as gst;
use tracing::{info, warn};

use super::{Inner, mux::Mux};
use crate::{Ring, alignment::MOST_WAIT_NS, branches::ring::Fresh, track::pts_to_90k};

/// So much of the past is shown at once: with GOPs of 2 s four segments, so that who begins three of them before the
/// end, as players do that do not know EXT-X-START, finds them.
const BACK: Duration = Duration::from_secs(10);

/// Sound that is so late is not waited for.
const LATE_SOUND: gst::ClockTime = gst::ClockTime::from_seconds(3);

/// How much has to have come before a span begins, so that its sound is there: a player that begins
/// without stays without, and at the begin of a session sound waits until it is aligned.
const SETTLED: gst::ClockTime = gst::ClockTime::from_seconds(4);
const _: () = assert!(SETTLED.nseconds() > MOST_WAIT_NS.unsigned_abs() + 500_000_000);

/// A camera that is silent for so long completes the last segment.
const SILENCE: Duration = Duration::from_secs(5);

/// The follower of one camera.
pub(super) struct Follower {
    inner: Arc<Inner>,
    mux: Option<Mux>,
    /// Numbers of the next access units in the rings.
    next_picture: u64,
    next_sound: u64,
    /// The longest GOP so far.
    longest: gst::ClockTime,
    /// When the last keyframe is shown.
    last_keyframe: Option<gst::ClockTime>,
}

impl Follower {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self {
            inner,
            mux: None,
            next_picture: 0,
            next_sound: 0,
            longest: gst::ClockTime::ZERO,
            last_keyframe: None,
        }
    }

    /// Follows until nobody watches any more.
    pub(super) async fn run(mut self) {
        let ring = Arc::clone(&self.inner.ring);
        if let Some((first, longest)) = ring.join(BACK) {
            self.next_picture = first;
            self.longest = longest;
            self.inner.expect(pts_to_90k(longest));
        }
        info!(camera = %self.inner.id, "the live view in MPEG-TS begins");
        loop {
            let mut waits_for = None;
            while let Some(fresh) = ring.after(self.next_picture) {
                waits_for = self.waits_for(&fresh);
                if waits_for.is_some() {
                    break;
                }
                self.next_picture = fresh.next;
                self.pictures(&fresh);
                self.sound();
            }
            let more = async {
                match waits_for {
                    Some(settled) => ring.reach(settled).await,
                    None => ring.has_after(self.next_picture).await,
                }
            };
            let silence = match self.mux {
                Some(_) => SILENCE,
                None => Duration::MAX,
            };
            tokio::select! {
                () = more => {}
                () = self.inner.is_idle() => break,
                () = tokio::time::sleep(silence) => self.finish(),
            }
        }
        self.mux = None;
        info!(camera = %self.inner.id, "the live view in MPEG-TS ends");
    }

    /// Until when the ring has to have come before the span that begins with `fresh` is begun; `None`
    /// if it has, or no span begins.
    fn waits_for(&self, fresh: &Fresh) -> Option<gst::ClockTime> {
        let begins_span = fresh.begins_gop && (self.mux.is_none() || fresh.seam.is_some());
        let start = fresh.units.first().filter(|_| begins_span)?.pts()?;
        let settled = start + SETTLED;
        (!self.inner.ring.has_reached(settled)).then_some(settled)
    }

    fn pictures(&mut self, fresh: &Fresh) {
        let mut skipped = fresh.skipped;
        if fresh.begins_gop {
            self.begin_gop(fresh);
        } else if self.mux.as_ref().is_some_and(|mux| !mux.is_well()) {
            self.mux = None;
        }
        match &self.mux {
            Some(mux) => fresh.units.iter().for_each(|unit| mux.push_picture(unit)),
            None => skipped += fresh.units.len() as u64,
        }
        self.inner.note_dropped(skipped);
    }

    /// Goes on with the span, or begins another.
    fn begin_gop(&mut self, fresh: &Fresh) {
        let Some(start) = fresh.units.first().and_then(|unit| unit.pts()) else {
            return;
        };
        let goes_back = self.last_keyframe.is_some_and(|last| start < last);
        if let Some(last) = self.last_keyframe.replace(start)
            && fresh.seam.is_none()
        {
            self.longest = self.longest.max(start.saturating_sub(last));
        }
        let sound = self.current_sound(start);
        let continues = |mux: &Mux| {
            mux.is_well()
                && mux.has_sound() == sound.is_some()
                && fresh.seam.is_none()
                && fresh.skipped == 0
                && !goes_back
        };
        if self.mux.as_ref().is_some_and(continues) {
            return;
        }
        self.finish();
        self.next_sound = self.inner.sound_ring.first_from(start);
        let inner = Arc::downgrade(&self.inner);
        let sink = move |fragment| {
            if let Some(inner) = inner.upgrade() {
                inner.push(fragment);
            }
        };
        match Mux::start(&fresh.caps, sound.as_ref(), start, self.longest, sink) {
            Ok(mux) => self.mux = Some(mux),
            Err(error) => warn!(camera = %self.inner.id, %error, "no live view in MPEG-TS"),
        }
    }

    /// The format of the sound, if there is sound to a picture that is shown at `start`.
    fn current_sound(&self, start: gst::ClockTime) -> Option<gst::Caps> {
        let sound: &Ring = &self.inner.sound_ring;
        let gop = sound.open_gop()?;
        let is_current = gop.newest.pts + LATE_SOUND > start;
        is_current.then_some(gop.caps)
    }

    fn sound(&mut self) {
        let Some(mux) = self.mux.as_ref().filter(|mux| mux.has_sound()) else {
            return;
        };
        while let Some(fresh) = self.inner.sound_ring.after(self.next_sound) {
            self.next_sound = fresh.next;
            fresh.units.iter().for_each(|unit| mux.push_sound(unit));
        }
    }

    /// Completes the span. What comes next begins another.
    fn finish(&mut self) {
        if let Some(mux) = self.mux.take() {
            mux.finish();
        }
    }
}
