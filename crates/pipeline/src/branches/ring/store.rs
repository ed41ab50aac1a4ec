//! What the ring holds: groups of access units in bounded memory, oldest first.
//!
//! A GOP knows what lies between it and the one before ([`Seam`]): a new codec configuration, a gap,
//! or nothing. Whoever cuts a clip sees there where it has to end.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use gstreamer as gst;
use gstreamer::prelude::*;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Bookkeeping of one access unit (buffer, memory, metas), charged against the byte cap so that a
/// stream of empty access units is bounded as well.
const UNIT_OVERHEAD_BYTES: usize = 512;

/// Two pictures further apart than this have a gap between them; cameras show several a second.
const GAP: gst::ClockTime = gst::ClockTime::from_mseconds(1500);

/// How much a ring may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSettings {
    /// Media time kept before the newest access unit, rounded up to whole GOPs. Zero: the open GOP.
    pub keep: Duration,
    /// Most memory the access units may pin, in bytes.
    pub max_bytes: usize,
}

impl RingSettings {
    /// For the picture: 30 s before a request, which is what a moment can reach back, and 2 s for
    /// answering it. At most 64 MiB: 32 s at 16 Mbit/s.
    pub const VIDEO: Self = Self {
        keep: Duration::from_secs(32),
        max_bytes: 64 << 20,
    };

    /// For the sound: as long, and a GOP of 10 s, so that there is sound to every picture. At most
    /// 4 MiB.
    pub const AUDIO: Self = Self {
        keep: Duration::from_secs(42),
        max_bytes: 4 << 20,
    };
}

impl Default for RingSettings {
    /// The open GOP, at most 64 MiB: 8 s at 64 Mbit/s.
    fn default() -> Self {
        Self {
            keep: Duration::ZERO,
            max_bytes: 64 << 20,
        }
    }
}

/// What lies between two neighbours in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seam {
    /// Another codec, resolution or codec data.
    Format,
    /// Time without pictures: the camera was away, or its timeline jumped.
    Gap,
}

/// The access units from the newest keyframe on, as far as they decode without a missing reference.
#[derive(Clone, Debug)]
pub struct Gop {
    /// Codec, stream format and codec data of all of them.
    pub caps: gst::Caps,
    /// In decode order, a keyframe first, never empty. Shared with the ring, not copied.
    pub access_units: Vec<gst::Buffer>,
    /// What was newest when this was taken.
    pub newest: Newest,
}

/// The newest access unit of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// Presentation time of the newest picture since the Unix epoch; the epoch itself while the
    /// camera has given no time at all.
    pub pts: gst::ClockTime,
    /// When it came in.
    pub arrived: Instant,
    /// Changes with every access unit that changes the newest picture.
    pub version: u64,
}

/// What a ring holds now and has dropped so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingStats {
    /// GOPs held, the open one included.
    pub gops: usize,
    /// Access units held.
    pub access_units: usize,
    /// Memory pinned by them, in bytes.
    pub bytes: usize,
    /// Access units dropped since the start: over the byte cap, or before a first keyframe.
    pub dropped: u64,
}

/// The last access units of one camera.
///
/// One streaming thread pushes, any thread reads. The lock is held for a push or for taking
/// references, never while memory is freed or copied.
#[derive(Debug)]
pub struct Ring {
    settings: RingSettings,
    state: Mutex<State>,
    /// Told after every push.
    pushed: Notify,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Oldest first; the last one is open.
    pub(super) gops: VecDeque<StoredGop>,
    /// Sum over `gops`.
    bytes: usize,
    /// Delta units do not continue the last GOP: they belong to a GOP whose start is not here.
    awaits_keyframe: bool,
    /// When a new source began of which no keyframe is here.
    source_began: Option<Instant>,
    /// Decode time of the newest access unit: no picture shown before it is still to come.
    settled: Option<gst::ClockTime>,
    pub(super) newest: Option<Newest>,
    /// Never starts over, so that no two pictures of this ring share a version.
    version: u64,
    dropped: u64,
    /// Access units stored so far: the number of the next.
    stored: u64,
}

#[derive(Debug)]
pub(super) struct StoredGop {
    pub(super) caps: gst::Caps,
    /// The number of its first unit among all that were ever stored.
    pub(super) first: u64,
    /// What is between it and the GOP that came before, if that is not continued.
    pub(super) seam: Option<Seam>,
    pub(super) units: Vec<gst::Buffer>,
    bytes: usize,
    /// Units before the first that refers to something lost.
    intact: usize,
    /// Units before the first that comes after a gap, if there is one.
    pub(super) unbroken: Option<usize>,
    /// Presentation time of its keyframe.
    pub(super) start: Option<gst::ClockTime>,
    /// Latest presentation time of the unbroken units.
    pub(super) latest: Option<gst::ClockTime>,
}

impl Ring {
    /// An empty ring.
    pub fn new(settings: RingSettings) -> Self {
        Self {
            settings,
            state: Mutex::default(),
            pushed: Notify::new(),
        }
    }

    /// Takes a reference to one access unit. Called in decode order.
    ///
    /// Delta units without a keyframe before them are dropped, also after `caps` of another stream
    /// (codec, resolution, codec data).
    pub fn push(&self, caps: &gst::Caps, unit: gst::Buffer) {
        let (unit, bytes) = without_slack(unit);
        let arrived = Instant::now();
        // Freed after the lock is gone: the last reference to a GOP is many calls of `free`.
        let _freed = self
            .state
            .lock()
            .push(&self.settings, caps, unit, bytes, arrived);
        self.pushed.notify_waiters();
    }

    /// Waits until no picture shown before `end` is still to come; for ever if the camera is silent.
    pub async fn reach(&self, end: gst::ClockTime) {
        loop {
            let pushed = self.pushed.notified();
            if self.has_reached(end) {
                return;
            }
            pushed.await;
        }
    }

    /// Whether no picture shown before `end` is still to come.
    pub(crate) fn has_reached(&self, end: gst::ClockTime) -> bool {
        let settled = self.state.lock().settled;
        settled.is_some_and(|settled| settled >= end)
    }

    /// Told after every push; ask for it before looking, so that none is missed.
    pub(super) fn pushed(&self) -> impl Future<Output = ()> {
        self.pushed.notified()
    }

    /// A new source begins: until its first keyframe the ring shows what it has, and does not
    /// append to it.
    pub fn begin_source(&self) {
        let mut state = self.state.lock();
        state.awaits_keyframe = true;
        state.source_began = Some(Instant::now());
    }

    /// How long ago the source began that has given nothing yet; `None` if it has.
    pub(crate) fn awaited(&self) -> Option<Duration> {
        Some(self.state.lock().source_began?.elapsed())
    }

    /// Looks at what it holds. The lock is held meanwhile.
    pub(super) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock())
    }

    /// The newest access unit, `None` while there is none.
    pub fn newest(&self) -> Option<Newest> {
        self.state.lock().newest
    }

    /// What is needed to decode the newest picture, `None` while there is no keyframe.
    pub fn open_gop(&self) -> Option<Gop> {
        let state = self.state.lock();
        let gop = state.gops.back().filter(|gop| gop.intact > 0)?;
        Some(Gop {
            caps: gop.caps.clone(),
            access_units: gop.units[..gop.intact].to_vec(),
            newest: state.newest?,
        })
    }

    /// What it holds now.
    pub fn stats(&self) -> RingStats {
        let state = self.state.lock();
        RingStats {
            gops: state.gops.len(),
            access_units: state.gops.iter().map(|gop| gop.units.len()).sum(),
            bytes: state.bytes,
            dropped: state.dropped,
        }
    }
}

impl State {
    fn push(
        &mut self,
        settings: &RingSettings,
        caps: &gst::Caps,
        unit: gst::Buffer,
        bytes: usize,
        arrived: Instant,
    ) -> Vec<StoredGop> {
        let mut freed = Vec::new();
        let flags = unit.flags();
        let same_format = match self.gops.back_mut() {
            Some(gop) if same_stream(&gop.caps, caps) => {
                // They may have learnt something.
                if gop.caps.as_ptr() != caps.as_ptr() {
                    gop.caps = caps.clone();
                }
                true
            }
            gop => gop.is_none(),
        };
        self.awaits_keyframe |= !same_format;
        if !flags.contains(gst::BufferFlags::DELTA_UNIT) {
            if self.goes_back(&unit) {
                // The clock was set back: what lies ahead now is in nobody's past.
                self.bytes = 0;
                freed.extend(self.gops.drain(..));
            }
            let seam = self.seam_before(&unit, same_format);
            self.gops
                .push_back(StoredGop::begin(caps, self.stored, seam, unit.pts()));
            self.awaits_keyframe = false;
            self.source_began = None;
        }
        let Some(gop) = self.gops.back_mut().filter(|_| !self.awaits_keyframe) else {
            self.dropped += 1;
            return freed;
        };

        let pts = unit.pts();
        let lost = flags.contains(gst::BufferFlags::CORRUPTED)
            || flags.contains(gst::BufferFlags::DISCONT | gst::BufferFlags::DELTA_UNIT);
        // Once something is missing, all that follows in the GOP may refer to it.
        if !lost && gop.intact == gop.units.len() {
            gop.intact += 1;
            let known = self.newest.map(|newest| newest.pts);
            // A picture that is shown before others of its GOP does not turn the time back; a
            // keyframe may, when the camera's clock does.
            let newest = if gop.intact == 1 {
                pts.or(known)
            } else {
                pts.max(known)
            };
            self.version += 1;
            self.newest = Some(Newest {
                pts: newest.unwrap_or(gst::ClockTime::ZERO),
                arrived,
                version: self.version,
            });
        }
        self.settled = unit.dts().or(pts).or(self.settled);
        gop.push(unit, bytes);
        self.bytes += bytes;
        self.stored += 1;

        self.drop_expired(settings, pts, &mut freed);
        self.drop_overflow(settings, &mut freed);
        freed
    }

    /// Whether a keyframe is shown before the one before.
    fn goes_back(&self, keyframe: &gst::Buffer) -> bool {
        let before = self.gops.back().and_then(|gop| gop.start);
        before
            .zip(keyframe.pts())
            .is_some_and(|(before, pts)| pts < before)
    }

    /// What lies between the last GOP and the keyframe that begins the next.
    fn seam_before(&self, keyframe: &gst::Buffer, same_format: bool) -> Option<Seam> {
        let last = self.gops.back()?;
        let jumps = match (last.latest, keyframe.pts()) {
            (Some(before), Some(pts)) => pts > before + GAP,
            _ => false,
        };
        if !same_format {
            Some(Seam::Format)
        } else if self.source_began.is_some() || last.unbroken.is_some() || jumps {
            Some(Seam::Gap)
        } else {
            None
        }
    }

    /// Drops the oldest GOPs while those after them still cover `keep`.
    fn drop_expired(
        &mut self,
        settings: &RingSettings,
        newest: Option<gst::ClockTime>,
        freed: &mut Vec<StoredGop>,
    ) {
        let keep = gst::ClockTime::try_from(settings.keep).unwrap_or(gst::ClockTime::MAX);
        let covered_from = newest.map(|newest| newest.saturating_sub(keep));
        // Without times nothing says how much is covered: then only the open GOP stays.
        while self.gops.get(1).is_some_and(|second| {
            second
                .start
                .zip(covered_from)
                .is_none_or(|(start, from)| start <= from)
        }) {
            freed.extend(self.pop_oldest());
        }
    }

    /// Drops whole GOPs, oldest first, until the byte cap holds. A single GOP over the cap goes as
    /// well, and with it the pictures up to the next keyframe.
    fn drop_overflow(&mut self, settings: &RingSettings, freed: &mut Vec<StoredGop>) {
        while self.bytes > settings.max_bytes
            && let Some(gop) = self.pop_oldest()
        {
            self.dropped += gop.units.len() as u64;
            freed.push(gop);
        }
        if self.gops.is_empty() {
            self.awaits_keyframe = true;
        }
    }

    fn pop_oldest(&mut self) -> Option<StoredGop> {
        let gop = self.gops.pop_front()?;
        self.bytes -= gop.bytes;
        Some(gop)
    }
}

impl StoredGop {
    fn begin(
        caps: &gst::Caps,
        first: u64,
        seam: Option<Seam>,
        start: Option<gst::ClockTime>,
    ) -> Self {
        Self {
            caps: caps.clone(),
            first,
            seam,
            units: Vec::new(),
            bytes: 0,
            intact: 0,
            unbroken: None,
            start,
            latest: None,
        }
    }

    /// The number after that of its last unit.
    pub(super) fn end(&self) -> u64 {
        self.first + self.units.len() as u64
    }

    fn push(&mut self, unit: gst::Buffer, bytes: usize) {
        if let Some(pts) = unit.pts().filter(|_| self.unbroken.is_none()) {
            if self.latest.is_some_and(|latest| pts > latest + GAP) {
                self.unbroken = Some(self.units.len());
            } else {
                self.latest = self.latest.max(Some(pts));
            }
        }
        self.units.push(unit);
        self.bytes += bytes;
    }
}

/// Whether a decoder set up for `old` can go on with `new`. Parsers announce new caps as well when
/// they have only learnt the frame rate.
fn same_stream(old: &gst::Caps, new: &gst::Caps) -> bool {
    if old.as_ptr() == new.as_ptr() {
        return true;
    }
    let (Some(old), Some(new)) = (old.structure(0), new.structure(0)) else {
        return false;
    };
    old.name() == new.name()
        && ["stream-format", "codec_data", "width", "height"]
            .iter()
            .all(|field| match (old.value(*field), new.value(*field)) {
                (Ok(a), Ok(b)) => a.compare(b) == Some(std::cmp::Ordering::Equal),
                (a, b) => a.is_err() && b.is_err(),
            })
}

/// The access unit and the memory it pins, in bytes. One that is a small view into a large memory
/// (a pool buffer, a big network read) is copied, so that it pins no more than itself.
fn without_slack(unit: gst::Buffer) -> (gst::Buffer, usize) {
    let pinned = |unit: &gst::BufferRef| -> usize {
        // Not `maxsize` of the buffer: that counts the slack of the first and last memory only.
        let memories = unit.iter_memories();
        UNIT_OVERHEAD_BYTES + memories.map(|memory| memory.maxsize()).sum::<usize>()
    };
    let bytes = pinned(&unit);
    if bytes <= 2 * unit.size() + 4096 {
        return (unit, bytes);
    }
    // Out of memory is the one way this fails; the view is no worse then.
    let unit = unit.copy_deep().unwrap_or(unit);
    let bytes = pinned(&unit);
    (unit, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: gst::BufferFlags = gst::BufferFlags::empty();
    const DELTA: gst::BufferFlags = gst::BufferFlags::DELTA_UNIT;

    fn caps(width: i32) -> gst::Caps {
        gst::init().unwrap();
        gst::Caps::builder("video/x-h264")
            .field("stream-format", "avc")
            .field("codec_data", gst::Buffer::from_slice([1, 2, 3]))
            .field("width", width)
            .build()
    }

    fn unit(at_ms: u64, flags: gst::BufferFlags, bytes: usize) -> gst::Buffer {
        gst::init().unwrap();
        let mut unit = gst::Buffer::with_size(bytes).unwrap();
        let writable = unit.get_mut().unwrap();
        writable.set_pts(gst::ClockTime::from_mseconds(at_ms));
        writable.set_flags(flags);
        unit
    }

    fn ring(keep: Duration, max_bytes: usize) -> Ring {
        Ring::new(RingSettings { keep, max_bytes })
    }

    /// `gops` GOPs of ten units of 1000 bytes, a unit every 100 ms.
    fn fill(ring: &Ring, gops: u64) {
        let caps = caps(64);
        for number in 0..gops * 10 {
            let flags = if number % 10 == 0 { KEY } else { DELTA };
            ring.push(&caps, unit(number * 100, flags, 1000));
        }
    }

    fn open_len(ring: &Ring) -> usize {
        ring.open_gop().map_or(0, |gop| gop.access_units.len())
    }

    #[test]
    fn begins_at_a_keyframe_and_keeps_only_the_open_gop() {
        let ring = ring(Duration::ZERO, 1 << 20);
        ring.push(&caps(64), unit(0, DELTA, 10));
        assert!(ring.open_gop().is_none() && ring.newest().is_none());
        fill(&ring, 3);
        let stats = ring.stats();
        assert_eq!((stats.gops, stats.access_units, stats.dropped), (1, 10, 1));
        let newest = ring.newest().unwrap();
        assert_eq!(newest.pts, gst::ClockTime::from_mseconds(2900));
        assert_eq!(ring.open_gop().unwrap().newest, newest);
    }

    #[test]
    fn keeps_whole_gops_that_cover_the_time_asked_for() {
        let ring = ring(Duration::from_millis(1500), 1 << 20);
        fill(&ring, 5);
        // Newest 4900: 3400 and later must be there, so the GOPs from 3000 on.
        assert_eq!(ring.stats().gops, 2);
        ring.push(&caps(64), unit(5000, KEY, 1000));
        assert_eq!(ring.stats().gops, 3, "3500 is in the GOP from 3000");
        assert_eq!(open_len(&ring), 1);
    }

    #[test]
    fn the_byte_cap_drops_whole_gops_oldest_first() {
        let max_bytes = 40_000;
        let ring = ring(Duration::from_secs(3600), max_bytes);
        fill(&ring, 10);
        let stats = ring.stats();
        assert!(stats.bytes <= max_bytes && stats.gops >= 2, "{stats:?}");
        assert_eq!(stats.access_units % 10, 0, "no GOP is cut");
        assert_eq!(stats.dropped, 100 - stats.access_units as u64);
        assert_eq!(open_len(&ring), 10);
    }

    #[test]
    fn a_gop_over_the_cap_is_dropped_to_the_next_keyframe() {
        let ring = ring(Duration::ZERO, 8_000);
        let caps = caps(64);
        for number in 0..20 {
            let flags = if number == 0 { KEY } else { DELTA };
            ring.push(&caps, unit(number * 100, flags, 1000));
            assert!(ring.stats().bytes <= 8_000);
        }
        assert_eq!((open_len(&ring), ring.stats().dropped), (0, 20));
        ring.push(&caps, unit(2000, KEY, 1000));
        assert_eq!(open_len(&ring), 1);
    }

    #[test]
    fn empty_units_are_bounded_too() {
        let ring = ring(Duration::ZERO, 10_000);
        let caps = caps(64);
        ring.push(&caps, unit(0, KEY, 0));
        for _ in 0..1000 {
            ring.push(&caps, unit(0, DELTA, 0));
            assert!(ring.stats().access_units <= 20);
        }
    }

    #[test]
    fn another_stream_begins_anew_and_a_learnt_frame_rate_does_not() {
        let ring = ring(Duration::ZERO, 1 << 20);
        fill(&ring, 1);
        let mut with_rate = caps(64);
        with_rate
            .make_mut()
            .set("framerate", gst::Fraction::new(25, 1));
        ring.push(&with_rate, unit(1000, DELTA, 1000));
        assert_eq!(open_len(&ring), 11);
        assert_eq!(ring.open_gop().unwrap().caps, with_rate);

        ring.push(&caps(128), unit(1100, DELTA, 1000));
        assert_eq!(open_len(&ring), 11, "a delta unit of another stream");
        ring.push(&caps(128), unit(1200, KEY, 1000));
        assert_eq!(open_len(&ring), 1);
        assert_eq!(ring.open_gop().unwrap().caps, caps(128));
    }

    #[test]
    fn what_follows_a_loss_waits_for_a_keyframe() {
        for flag in [gst::BufferFlags::DISCONT, gst::BufferFlags::CORRUPTED] {
            let ring = ring(Duration::ZERO, 1 << 20);
            fill(&ring, 1);
            let newest = ring.newest();
            ring.push(&caps(64), unit(1000, DELTA | flag, 1000));
            ring.push(&caps(64), unit(1100, DELTA, 1000));
            assert_eq!((open_len(&ring), ring.newest()), (10, newest));
            assert_eq!(ring.stats().access_units, 12, "clips may still want them");
            ring.push(&caps(64), unit(1200, KEY | gst::BufferFlags::DISCONT, 1000));
            assert_eq!(open_len(&ring), 1);
        }
    }

    #[test]
    fn a_new_source_starts_with_a_keyframe_of_its_own() {
        let ring = ring(Duration::ZERO, 1 << 20);
        fill(&ring, 1);
        ring.begin_source();
        assert_eq!(open_len(&ring), 10, "shown while the camera is away");
        ring.push(&caps(64), unit(5000, DELTA, 1000));
        assert_eq!((open_len(&ring), ring.stats().dropped), (10, 1));
        ring.push(&caps(64), unit(5100, KEY, 1000));
        assert_eq!(open_len(&ring), 1);
    }

    #[test]
    fn seams_are_known() {
        let ring = ring(Duration::from_secs(60), 1 << 20);
        let seams = |ring: &Ring| {
            ring.look(|state| state.gops.iter().map(|gop| gop.seam).collect::<Vec<_>>())
        };
        fill(&ring, 2);
        ring.push(&caps(64), unit(2000, KEY, 10));
        ring.push(&caps(128), unit(2100, KEY, 10));
        ring.push(&caps(128), unit(9000, KEY, 10));
        ring.begin_source();
        ring.push(&caps(128), unit(9100, KEY, 10));
        // Within a GOP: what comes after it cannot continue it.
        ring.push(&caps(128), unit(15_000, DELTA, 10));
        ring.push(&caps(128), unit(15_100, KEY, 10));
        let (format, gap) = (Some(Seam::Format), Some(Seam::Gap));
        assert_eq!(seams(&ring), [None, None, None, format, gap, gap, gap]);
    }

    #[test]
    fn a_clock_that_is_set_back_leaves_nothing_ahead() {
        let ring = ring(Duration::from_secs(60), 1 << 20);
        fill(&ring, 2);
        ring.push(&caps(64), unit(500, KEY, 1000));
        let stats = ring.stats();
        assert_eq!((stats.gops, stats.access_units), (1, 1));
        assert!((1000..4096).contains(&stats.bytes), "{stats:?}");
    }

    #[tokio::test]
    async fn who_waits_for_an_instant_is_told_when_it_has_passed() {
        let ring = std::sync::Arc::new(ring(Duration::ZERO, 1 << 20));
        let waiting = tokio::spawn({
            let ring = ring.clone();
            async move { ring.reach(gst::ClockTime::from_mseconds(500)).await }
        });
        tokio::task::yield_now().await;
        for at_ms in [0, 499] {
            ring.push(&caps(64), unit(at_ms, KEY, 10));
            tokio::task::yield_now().await;
            assert!(!waiting.is_finished());
        }
        // Shown later, but decoded before others that are not.
        let mut reordered = unit(600, DELTA, 10);
        let dts = gst::ClockTime::from_mseconds(499);
        reordered.get_mut().unwrap().set_dts(dts);
        ring.push(&caps(64), reordered);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        ring.push(&caps(64), unit(500, KEY, 10));
        waiting.await.unwrap();
    }

    #[test]
    fn a_picture_shown_earlier_does_not_turn_the_time_back() {
        let ring = ring(Duration::ZERO, 1 << 20);
        let caps = caps(64);
        for (at_ms, flags) in [(0, KEY), (300, DELTA), (100, DELTA), (200, DELTA)] {
            ring.push(&caps, unit(at_ms, flags, 10));
        }
        let newest = ring.newest().unwrap();
        assert_eq!(newest.pts, gst::ClockTime::from_mseconds(300));
        ring.push(&caps, unit(50, KEY, 10));
        let newest = ring.newest().unwrap();
        assert_eq!(
            newest.pts,
            gst::ClockTime::from_mseconds(50),
            "the clock was set back"
        );
    }

    #[test]
    fn a_small_view_does_not_pin_a_large_memory() {
        gst::init().unwrap();
        let large = gst::Memory::from_slice(vec![7_u8; 1 << 20]);
        let mut view = gst::Buffer::new();
        {
            let view = view.get_mut().unwrap();
            view.append_memory(large.share(1000..1200));
            view.append_memory(large.share(5000..5200));
        }
        let ring = ring(Duration::ZERO, 1 << 20);
        ring.push(&caps(64), view);
        let stats = ring.stats();
        assert!((400..4096).contains(&stats.bytes), "{stats:?}");
        let kept = &ring.open_gop().unwrap().access_units[0];
        assert_eq!(kept.map_readable().unwrap().as_slice(), [7_u8; 400]);
    }

    #[test]
    fn what_fits_its_memory_is_not_copied() {
        let ring = ring(Duration::ZERO, 1 << 20);
        let unit = unit(0, KEY, 1000);
        let address = unit.map_readable().unwrap().as_ptr();
        ring.push(&caps(64), unit);
        let gop = ring.open_gop().unwrap();
        assert_eq!(
            gop.access_units[0].map_readable().unwrap().as_ptr(),
            address
        );
    }
}
