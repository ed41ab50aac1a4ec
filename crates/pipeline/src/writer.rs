//! The one writer thread of a camera: what the muxers make goes through a bounded queue to the
//! archive.
//!
//! ```text
//! video muxer ─┐ try_send                  ┌ append, finish
//!              ├──────────▶ queue ─▶ thread ┴─────────────────▶ PieceSink
//! audio muxer ─┘
//! ```
//!
//! A muxer's thread never waits. What does not fit is dropped up to the next segment of that
//! track, so that no segment has a hole.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use dayreel_archive::{Piece, Recorder, StreamRecorder};
use dayreel_core::{CameraId, GapCause, Kind, MediaTime, TrackKind};
use parking_lot::Mutex;
use tracing::{info, warn};

use crate::{RecordingError, counts::Writes, events::Events, log::span_of, panics::caught};

/// Most bytes that may wait: 8 s at 16 Mbit/s.
const MOST_BYTES: usize = 16 << 20;
/// Most pieces that may wait.
const MOST_PIECES: usize = 192;
/// A disk that has not taken a write for so long is said to be slow.
const SLOW: Duration = Duration::from_secs(3);
/// Repeated trouble is said this often.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// Where the pieces of a camera go. The archive's [`Recorder`] is one.
pub trait PieceSink: Send + 'static {
    /// Takes one piece of a track.
    ///
    /// # Errors
    /// It could not be recorded. The rest of its segment is not offered.
    fn append(&mut self, track: TrackKind, piece: Piece) -> Result<(), dayreel_archive::Error>;

    /// The end of what is recorded: media time goes on after it. The epoch if nothing is.
    fn recorded_until(&self) -> MediaTime {
        MediaTime::default()
    }

    /// Says why nothing comes for now. What has been appended before is not concerned.
    fn interrupted(&mut self, _cause: GapCause) {}

    /// The session is over; another may follow.
    ///
    /// # Errors
    /// The open segments could not be completed.
    fn finish(&mut self) -> Result<(), dayreel_archive::Error>;
}

impl PieceSink for Recorder {
    fn append(&mut self, track: TrackKind, piece: Piece) -> Result<(), dayreel_archive::Error> {
        Self::append(self, track, piece)
    }

    fn recorded_until(&self) -> MediaTime {
        or_wall_clock(Self::recorded_until(self))
    }

    fn interrupted(&mut self, cause: GapCause) {
        Self::interrupted(self, cause);
    }

    fn finish(&mut self) -> Result<(), dayreel_archive::Error> {
        Self::finish(self)
    }
}

impl PieceSink for StreamRecorder {
    fn append(&mut self, track: TrackKind, piece: Piece) -> Result<(), dayreel_archive::Error> {
        Self::append(self, track, piece)
    }

    fn recorded_until(&self) -> MediaTime {
        or_wall_clock(Self::recorded_until(self))
    }

    fn interrupted(&mut self, cause: GapCause) {
        Self::interrupted(self, cause);
    }

    fn finish(&mut self) -> Result<(), dayreel_archive::Error> {
        Self::finish(self)
    }
}

fn or_wall_clock(recorded_until: Result<MediaTime, dayreel_archive::Error>) -> MediaTime {
    recorded_until.unwrap_or_else(|error| {
        let error: &dyn std::error::Error = &error;
        warn!(
            error,
            "what is recorded cannot be read; media time begins at the wall clock"
        );
        MediaTime::default()
    })
}

/// What the muxers, the writer thread and those who ask share.
#[derive(Debug, Default)]
struct Load {
    bytes: AtomicUsize,
    pieces: AtomicUsize,
    dropped_units: AtomicU64,
    /// The thread has ended by that.
    has_panicked: AtomicBool,
    /// Since when the writer has been at what it is doing; `None` while it waits for orders.
    busy_since: Mutex<Option<Instant>>,
    /// Why nothing is recorded, while that is so.
    trouble: Mutex<Option<RecordingError>>,
    writes: Writes,
}

enum Order {
    Piece(TrackKind, Piece, usize),
    Interrupted(GapCause),
    Finish,
    Stop,
}

/// The writer thread. Ends when this is dropped; see [`Writer::stop`] for waiting.
pub(crate) struct Writer {
    orders: Sender<Order>,
    load: Arc<Load>,
    events: Arc<Events>,
    /// In a lock because a receiver cannot be shared; only [`Writer::stop`] uses it.
    done: Mutex<Receiver<()>>,
}

impl Writer {
    /// Starts the thread of the camera `id`, which owns `sink`.
    pub(crate) fn start(
        id: &CameraId,
        sink: impl PieceSink,
        events: Arc<Events>,
    ) -> io::Result<Self> {
        let (orders, received) = channel();
        let (ended, done) = channel();
        let load = Arc::new(Load::default());
        let mut work = Work {
            camera: id.clone(),
            sink,
            load: Arc::clone(&load),
            events: Arc::clone(&events),
            skipping: [false; TrackKind::COUNT],
            was_slow: false,
            writing: [None; TrackKind::COUNT],
            log: Throttle::default(),
        };
        thread::Builder::new()
            .name(format!("write {id}"))
            .spawn(move || {
                let _camera = span_of(&work.camera).entered();
                if caught(|| work.run(&received)).is_err() {
                    work.load.has_panicked.store(true, Ordering::Release);
                }
                // What it recorded into is free for another.
                drop(work);
                // Nobody waits any more if this fails.
                let _ = ended.send(());
            })?;
        Ok(Self {
            orders,
            load,
            events,
            done: Mutex::new(done),
        })
    }

    /// A way in for one track of one session.
    pub(crate) fn feed(&self, track: TrackKind) -> Feed {
        Feed {
            track,
            orders: self.orders.clone(),
            load: Arc::clone(&self.load),
            events: Arc::clone(&self.events),
            init: None,
            state: FeedState::Skipping,
            overflowed: false,
            log: Throttle::default(),
        }
    }

    /// Says why nothing comes, after all that has been fed before; see [`PieceSink::interrupted`].
    pub(crate) fn interrupted(&self, cause: GapCause) {
        // It fails only when the thread has ended, and then nothing more is recorded.
        let _ = self.orders.send(Order::Interrupted(cause));
    }

    /// The session is over: completes its segments after all that has been fed before.
    pub(crate) fn finish(&self) {
        // It fails only when the thread has ended, and then all is complete.
        let _ = self.orders.send(Order::Finish);
    }

    /// Completes everything and waits for the thread's end until `deadline`. Says whether it ended.
    pub(crate) fn stop(&self, deadline: Instant) -> bool {
        let _ = self.orders.send(Order::Stop);
        let rest = deadline.saturating_duration_since(Instant::now());
        !matches!(
            self.done.lock().recv_timeout(rest),
            Err(RecvTimeoutError::Timeout)
        )
    }

    /// Whether the thread has panicked: nothing more is recorded.
    pub(crate) fn has_panicked(&self) -> bool {
        self.load.has_panicked.load(Ordering::Acquire)
    }

    /// Access units that did not fit into the queue or could not be written.
    pub(crate) fn dropped_units(&self) -> u64 {
        self.load.dropped_units.load(Ordering::Relaxed)
    }

    /// What the writer thread has met so far.
    pub(crate) fn writes(&self) -> &Writes {
        &self.load.writes
    }

    /// Why nothing is recorded, while that is so.
    pub(crate) fn trouble(&self) -> Option<RecordingError> {
        let busy = self.load.busy_since.lock().map(|since| since.elapsed());
        match busy.filter(|busy| *busy >= SLOW) {
            Some(busy) => Some(slow(busy)),
            None => self.load.trouble.lock().clone(),
        }
    }
}

/// One track's way to the writer. Used by one muxer thread.
pub(crate) struct Feed {
    track: TrackKind,
    orders: Sender<Order>,
    load: Arc<Load>,
    events: Arc<Events>,
    /// The init segment that the writer has not got yet.
    init: Option<Bytes>,
    state: FeedState,
    /// The writer has yet to hear that something did not fit.
    overflowed: bool,
    log: Throttle,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FeedState {
    InSegment,
    /// Up to the next segment: at the beginning and after an overflow.
    Skipping,
}

impl Feed {
    /// The init segment of the chunks that follow.
    pub(crate) fn init(&mut self, init: Bytes) {
        self.init = Some(init);
    }

    /// A chunk; see [`Piece::Chunk`]. Never waits: if the queue is full, drops up to the next
    /// segment.
    pub(crate) fn chunk(&mut self, begins_segment: bool, parts: Vec<Bytes>) {
        // The first part is the head of the chunk, the others are access units.
        let units = parts.len().saturating_sub(1) as u64;
        if self.state == FeedState::Skipping && !begins_segment {
            self.dropped(units);
            return;
        }
        let len_bytes = parts.iter().map(Bytes::len).sum::<usize>();
        if self.load.pieces.load(Ordering::Relaxed) >= MOST_PIECES
            || self.load.bytes.load(Ordering::Relaxed) + len_bytes > MOST_BYTES
        {
            self.state = FeedState::Skipping;
            self.overflowed = true;
            self.dropped(units);
            return;
        }
        if std::mem::take(&mut self.overflowed) {
            // As for Writer::interrupted.
            let _ = self.orders.send(Order::Interrupted(GapCause::Disk));
        }
        if let Some(init) = self.init.take() {
            self.send(Piece::Init(init), 0);
        }
        self.state = FeedState::InSegment;
        let chunk = Piece::Chunk {
            begins_segment,
            parts,
        };
        self.send(chunk, len_bytes);
    }

    fn send(&self, piece: Piece, len_bytes: usize) {
        self.load.pieces.fetch_add(1, Ordering::Relaxed);
        self.load.bytes.fetch_add(len_bytes, Ordering::Relaxed);
        // The writer has stopped: the camera is being shut down.
        let _ = self.orders.send(Order::Piece(self.track, piece, len_bytes));
    }

    fn dropped(&mut self, units: u64) {
        if self.overflowed {
            let message = "the disk is too slow: access units are dropped up to the next segment";
            self.events.dropped("disk_slow", message);
        }
        let dropped = self.load.dropped_units.fetch_add(units, Ordering::Relaxed) + units;
        if self.log.may_speak() {
            warn!(track = %self.track, dropped, "the disk is too slow: access units are dropped up to the next segment");
        }
    }
}

struct Work<S> {
    camera: CameraId,
    sink: S,
    load: Arc<Load>,
    events: Arc<Events>,
    /// For each track: an append failed, so wait for the next segment.
    skipping: [bool; TrackKind::COUNT],
    /// The last order took too long.
    was_slow: bool,
    /// For each track: for how long its open segment has been written.
    writing: [Option<Duration>; TrackKind::COUNT],
    log: Throttle,
}

impl<S: PieceSink> Work<S> {
    fn run(&mut self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            *self.load.busy_since.lock() = Some(Instant::now());
            match order {
                Order::Piece(track, piece, len_bytes) => {
                    self.append(track, piece);
                    self.load.pieces.fetch_sub(1, Ordering::Relaxed);
                    self.load.bytes.fetch_sub(len_bytes, Ordering::Relaxed);
                }
                Order::Interrupted(cause) => self.sink.interrupted(cause),
                Order::Finish => self.finish(),
                Order::Stop => break,
            }
            let since = self.load.busy_since.lock().take();
            if let Some(busy) = since
                .map(|since| since.elapsed())
                .filter(|busy| *busy >= SLOW)
            {
                self.events.trouble(&slow(busy));
                self.load.writes.trouble("disk_slow");
                self.was_slow = true;
                warn!(camera = %self.camera, seconds = busy.as_secs(), "the disk was slow");
            } else if std::mem::take(&mut self.was_slow) && self.load.trouble.lock().is_none() {
                self.events.recording();
            }
        }
        self.finish();
    }

    fn append(&mut self, track: TrackKind, piece: Piece) {
        let (begins, units) = match &piece {
            Piece::Chunk {
                begins_segment,
                parts,
            } => (Some(*begins_segment), parts.len().saturating_sub(1) as u64),
            Piece::Init(_) => (None, 0),
        };
        let skipping = &mut self.skipping[track as usize];
        if *skipping && begins == Some(false) {
            self.load.dropped_units.fetch_add(units, Ordering::Relaxed);
            return;
        }
        let started = Instant::now();
        let appended = self.sink.append(track, piece);
        let writing = &mut self.writing[track as usize];
        let took = writing.unwrap_or_default() + started.elapsed();
        // The next segment completes the one before it in the index.
        if begins == Some(true) && writing.replace(Duration::ZERO).is_some() {
            self.load.writes.segment(took);
        } else if begins.is_some() {
            *writing = Some(took);
        }
        match appended {
            Ok(()) => {
                *skipping = false;
                if begins == Some(true) && self.load.trouble.lock().take().is_some() {
                    self.events.recording();
                    info!(camera = %self.camera, "recording goes on");
                }
            }
            Err(error) => {
                *skipping = true;
                self.load.dropped_units.fetch_add(units, Ordering::Relaxed);
                self.in_trouble(error);
            }
        }
    }

    fn finish(&mut self) {
        self.skipping = [false; TrackKind::COUNT];
        if let Err(error) = self.sink.finish() {
            self.in_trouble(error);
        }
    }

    fn in_trouble(&mut self, error: dayreel_archive::Error) {
        // What follows from the trouble does not explain it.
        let is_consequence = matches!(error, dayreel_archive::Error::Orphan(_));
        let mut trouble = self.load.trouble.lock();
        if is_consequence && trouble.is_some() {
            return;
        }
        if self.log.may_speak() {
            let error: &dyn std::error::Error = &error;
            warn!(camera = %self.camera, error, "not recorded");
        }
        let error = RecordingError::from(&error);
        if trouble.as_ref().map(|trouble| trouble.code) != Some(error.code) {
            self.events.trouble(&error);
            self.load.writes.trouble(error.code);
        }
        *trouble = Some(error);
    }
}

fn slow(busy: Duration) -> RecordingError {
    RecordingError {
        kind: Kind::Unavailable,
        code: "disk_slow",
        message: format!("the disk has not taken a write for {} s", busy.as_secs()),
    }
}

impl From<&dayreel_archive::Error> for RecordingError {
    fn from(error: &dayreel_archive::Error) -> Self {
        let code = error.disk_code();
        let what = match code {
            Some("disk_full") => "the disk is full: ",
            Some("quota_exceeded") => "the quota of this user is used up: ",
            Some("disk_read_only") => "the disk is read-only: ",
            Some("too_many_open_files") => "too many files are open: ",
            _ => "",
        };
        let cause = std::error::Error::source(error).map(|source| format!(" ({source})"));
        Self {
            kind: error.kind(),
            code: code.unwrap_or("not_recorded"),
            message: format!("{what}{error}{}", cause.unwrap_or_default()),
        }
    }
}

/// Lets something be said once in [`LOG_EVERY`].
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    spoke: Option<Instant>,
}

impl Throttle {
    pub(crate) fn may_speak(&mut self) -> bool {
        let now = Instant::now();
        let may = self
            .spoke
            .is_none_or(|spoke| now.duration_since(spoke) >= LOG_EVERY);
        if may {
            self.spoke = Some(now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{SyncSender, sync_channel};

    use super::*;

    const VIDEO: TrackKind = TrackKind::Video;

    /// Reports each append and then waits until it is let go on.
    struct Gate {
        reports: Sender<String>,
        goes: Receiver<bool>,
    }

    impl PieceSink for Gate {
        fn append(&mut self, track: TrackKind, piece: Piece) -> Result<(), dayreel_archive::Error> {
            let what = match piece {
                Piece::Init(_) => "init".to_owned(),
                Piece::Chunk {
                    begins_segment: true,
                    parts,
                } => format!("[{}", parts[0][0]),
                Piece::Chunk {
                    begins_segment: false,
                    parts,
                } => format!("{}", parts[0][0]),
            };
            self.reports.send(what).unwrap();
            match self.goes.recv().unwrap() {
                true => Ok(()),
                false => Err(dayreel_archive::Error::Orphan(track)),
            }
        }

        fn interrupted(&mut self, cause: GapCause) {
            self.reports.send(cause.to_string()).unwrap();
        }

        fn finish(&mut self) -> Result<(), dayreel_archive::Error> {
            self.reports.send("finish".to_owned()).unwrap();
            Ok(())
        }
    }

    fn gated() -> (Writer, Receiver<String>, SyncSender<bool>) {
        let (reports, reported) = channel();
        let (go, goes) = sync_channel(10_000);
        let id: CameraId = "cam".parse().unwrap();
        let events = Arc::new(Events::new(Arc::new(dayreel_core::SystemClock)));
        (
            Writer::start(&id, Gate { reports, goes }, events).unwrap(),
            reported,
            go,
        )
    }

    fn chunk(n: u8) -> Vec<Bytes> {
        vec![Bytes::from(vec![n]), Bytes::new()]
    }

    fn all(reported: &Receiver<String>) -> String {
        reported.try_iter().collect::<Vec<_>>().join(" ")
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn an_overflow_drops_whole_segments_and_keeps_the_init() {
        let (writer, reported, go) = gated();
        let mut feed = writer.feed(VIDEO);
        feed.init(Bytes::from_static(b"i"));
        feed.chunk(false, chunk(0));
        feed.chunk(true, chunk(1));
        assert_eq!(reported.recv().unwrap(), "init");
        for _ in 0..MOST_PIECES {
            feed.chunk(false, chunk(2));
        }
        feed.init(Bytes::from_static(b"j"));
        feed.chunk(true, chunk(3));
        for _ in 0..MOST_PIECES + 10 {
            go.send(true).unwrap();
        }
        while reported.recv_timeout(Duration::from_millis(200)).is_ok() {}
        feed.chunk(false, chunk(4));
        feed.chunk(true, chunk(5));
        feed.chunk(false, chunk(6));
        assert!(writer.stop(soon()));
        assert_eq!(all(&reported), "disk init [5 6 finish");
        assert_eq!(writer.dropped_units(), 1 + 2 + 1 + 1);
    }

    #[test]
    fn a_failed_append_waits_for_the_next_segment_and_then_goes_on() {
        let (writer, reported, go) = gated();
        let codes = || {
            let all = writer.events.all();
            all.into_iter().map(|event| event.code).collect::<Vec<_>>()
        };
        let mut feed = writer.feed(VIDEO);
        for ok in [true, false, true] {
            go.send(ok).unwrap();
        }
        feed.chunk(true, chunk(1));
        feed.chunk(false, chunk(2));
        feed.chunk(false, chunk(3));
        feed.chunk(true, chunk(4));
        writer.finish();
        assert!(writer.stop(soon()));
        assert_eq!(all(&reported), "[1 2 [4 finish finish");
        assert_eq!(writer.dropped_units(), 2);
        assert!(writer.trouble().is_none());
        assert_eq!(codes(), ["not_recorded", "recording"]);
    }

    #[test]
    fn a_writer_that_hangs_is_left_behind() {
        let (writer, reported, _go) = gated();
        writer.feed(VIDEO).chunk(true, chunk(1));
        assert_eq!(reported.recv().unwrap(), "[1");
        assert!(!writer.stop(Instant::now()));
    }
}
