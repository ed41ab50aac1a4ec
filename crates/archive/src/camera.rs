//! The recordings of one camera, as readers see them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::SystemTime,
};

use bytes::Bytes;
use chrono::{Duration, NaiveDate};
use chrono_tz::Tz;
use dayreel_core::{CameraId, Clock, Day, GapCause, MediaTime, TrackKind, WallTime};
use dayreel_manifest::{InitHash, Recorded, Segment};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tracing::warn;

use crate::{
    DayFolder, Error, Gap, Moments, Recorder, Result, Timelapses, chunks::read_chunks,
    data_dir::DataDir, error::IoContext as _, recorder::close_left_open, track_writer::ends_closed,
};

/// So many finished days are kept in memory after somebody asked for them.
const CACHED_DAYS: usize = 2;

/// For so long after midnight the old day is still `today` while the new one has no segment yet.
const MIDNIGHT_GRACE: Duration = Duration::minutes(1);

/// Media time may be ahead of the wall clock by so much.
const AHEAD: Duration = Duration::seconds(1);

/// A range of a file: the bytes of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaSlice {
    /// The file.
    pub path: PathBuf,
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub len_bytes: u64,
}

/// What is kept of one day.
#[derive(Clone, Debug)]
pub struct DaySummary {
    /// The local day.
    pub day: Day,
    /// Whether it is over.
    pub finished: bool,
    /// Whether its weekday number stands for it: the latest finished day of that weekday.
    pub is_numbered: bool,
    /// Bytes of all its segments.
    pub bytes: u64,
    /// Stretches without a gap, ascending.
    pub recorded: Vec<Recorded>,
    /// What is missing, ascending.
    pub gaps: Vec<Gap>,
}

/// The recordings of one camera. Shared by the recorder and all readers.
#[derive(Debug)]
pub struct CameraArchive {
    id: CameraId,
    zone: Tz,
    /// `data/<camera>/days`.
    days_path: PathBuf,
    moments: Arc<Moments>,
    data_dir: Arc<DataDir>,
    clock: Arc<dyn Clock>,
    timelapses: Timelapses,
    /// How long segments are meant to be, 1/90000 s; 0 while not said.
    segment_90k: AtomicU32,
    /// How many gaps were ended since the start, by cause.
    gaps: [AtomicU64; GapCause::ALL.len()],
    /// The day that is being written and the one before, ascending. Read by every request, changed
    /// at midnight.
    current: RwLock<Vec<Arc<DayFolder>>>,
    /// Locked while a day is loaded, so that it is loaded and mended once.
    loaded: Mutex<Loaded>,
    /// Told whenever something more is recorded.
    growth: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Loaded {
    days: BTreeMap<NaiveDate, (Arc<DayFolder>, Files)>,
    /// Init segments of all days that were ever loaded: their URLs name no day.
    inits: HashMap<(TrackKind, InitHash), Bytes>,
    /// Days whose init segments are among them.
    known: BTreeSet<NaiveDate>,
    /// Of days to which nothing is added any more: pages ask for all of them again and again.
    summaries: BTreeMap<NaiveDate, (DaySummary, Files)>,
    /// Days that could not be read when that was last tried.
    unreadable: BTreeSet<NaiveDate>,
}

/// What can be seen of a folder from outside: another look that sees the same need not read it
/// again. Somebody may copy a day here, or change one, at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Files {
    count: usize,
    bytes: u64,
    newest: Option<SystemTime>,
}

impl Files {
    fn of(folder: &Path) -> Result<Self> {
        let mut files = Self::default();
        for entry in fs::read_dir(folder).context("list", folder)? {
            let entry = entry.context("list", folder)?;
            let seen = entry.metadata().context("look at", entry.path())?;
            files.count += 1;
            files.bytes += seen.len();
            files.newest = files.newest.max(seen.modified().ok());
        }
        Ok(files)
    }
}

impl CameraArchive {
    pub(crate) fn open(
        data_dir: Arc<DataDir>,
        id: CameraId,
        zone: Tz,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>> {
        let archive = Self::reader(data_dir, id, zone, clock);
        let today = Day::containing(archive.clock.now(), zone);
        archive.end_what_was_left_open(today)?;
        archive.read_current(today)?;
        Ok(Arc::new(archive))
    }

    /// Reads the days that are written to, and mends them.
    fn read_current(&self, today: Day) -> Result<()> {
        let before = today.before(1);
        let grace = (self.clock.now() < before.end() + MIDNIGHT_GRACE).then_some(before);
        for day in grace.into_iter().chain([today]) {
            let path = self.day_path(day.date());
            if path.try_exists().context("look for", &path)? {
                let folder = DayFolder::mend(path, day, Arc::clone(&self.data_dir))?;
                let folder = Arc::new(folder);
                self.loaded.lock().remember(&folder, Files::default());
                self.current.write().push(folder);
            }
        }
        Ok(())
    }

    /// The recordings for somebody who only reads: nothing on disk is mended, so that the process
    /// that records need not be stopped. What it has not listed yet is not there.
    pub(crate) fn reader(
        data_dir: Arc<DataDir>,
        id: CameraId,
        zone: Tz,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let path = data_dir.root().join(id.as_str());
        let timelapses = Timelapses::new(path.join("timelapse"), zone, Arc::clone(&data_dir));
        Self {
            id,
            zone,
            days_path: path.join("days"),
            moments: Arc::new(Moments::new(path.join("moments"), Arc::clone(&data_dir))),
            data_dir,
            clock,
            timelapses,
            segment_90k: AtomicU32::new(0),
            gaps: Default::default(),
            current: RwLock::default(),
            loaded: Mutex::default(),
            growth: watch::Sender::default(),
        }
    }

    /// Changes whenever something more is recorded: a chunk, a segment, the end of a session.
    pub fn growth(&self) -> watch::Receiver<()> {
        self.growth.subscribe()
    }

    pub(crate) fn has_grown(&self) {
        self.growth.send_replace(());
    }

    /// The last day before `today` has its ending only if its recorder saw the next one begin.
    fn end_what_was_left_open(&self, today: Day) -> Result<()> {
        let dates = self.dates()?;
        let Some(date) = dates.into_iter().rfind(|date| *date < today.date()) else {
            return Ok(());
        };
        let path = self.day_path(date);
        if TrackKind::ALL
            .into_iter()
            .all(|kind| ends_closed(&path, kind))
        {
            return Ok(());
        }
        let folder = DayFolder::mend(path, Day::new(date, self.zone), Arc::clone(&self.data_dir));
        let folder = folder.map(Arc::new);
        // A folder that cannot be written to (a copy, say) can still be read.
        let ended = folder.and_then(|folder| close_left_open(&folder, &self.clock));
        if let Err(error) = ended {
            warn!(camera = %self.id, %date, error = &error as &dyn std::error::Error, "the index of a day that is over cannot be ended");
        }
        Ok(())
    }

    /// The camera.
    pub const fn id(&self) -> &CameraId {
        &self.id
    }

    /// Its moments.
    pub const fn moments(&self) -> &Arc<Moments> {
        &self.moments
    }

    /// Its timelapses.
    pub const fn timelapses(&self) -> &Timelapses {
        &self.timelapses
    }

    /// The zone whose midnights end its days.
    pub const fn zone(&self) -> Tz {
        self.zone
    }

    /// Says how long segments are meant to be, 1/90000 s: playlists announce it from the first
    /// segment of a day on, however short that one is.
    pub fn expect_segments_of(&self, duration_90k: u32) {
        self.segment_90k.store(duration_90k, Ordering::Relaxed);
        for folder in self.current.read().iter() {
            folder.change(|state| state.timeline.expect_duration_90k(duration_90k));
        }
    }

    /// Whether the data directory is there; see [`DataDir::ensure_there`].
    pub(crate) fn ensure_there(&self) -> Result<()> {
        self.data_dir.ensure_there()
    }

    /// How often the data directory has come back.
    pub(crate) fn returns(&self) -> u64 {
        self.data_dir.returns()
    }

    /// Closes what is open for writing: else a disk that was pulled or unmounted could not be mended.
    pub(crate) fn let_go(&self) {
        for folder in self.current.read().iter() {
            for kind in TrackKind::ALL {
                folder.index(kind).let_go();
            }
        }
    }

    /// Forgets what is in memory, and reads the current days again.
    pub(crate) fn reload(&self) -> Result<()> {
        self.current.write().clear();
        *self.loaded.lock() = Loaded::default();
        self.read_current(Day::containing(self.clock.now(), self.zone))
    }

    /// Counts a gap that the recording has just left behind.
    pub(crate) fn note_gap(&self, cause: GapCause) {
        self.gaps[cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many gaps the picture has had since the start of the program, by cause; those that still
    /// last are not among them.
    pub fn gaps_since_start(&self) -> [(GapCause, u64); GapCause::ALL.len()] {
        let count = |cause| (cause, self.gaps[cause as usize].load(Ordering::Relaxed));
        GapCause::ALL.map(count)
    }

    /// The writer. There must be one at a time.
    pub fn recorder(self: &Arc<Self>) -> Recorder {
        Recorder::new(Arc::clone(self))
    }

    /// The live day. `None` if nothing of it is recorded. Does no I/O.
    ///
    /// In the first seconds after midnight, until the first segments of the new day are complete, of
    /// each track that is recorded, it is still the old day, so that a player that follows `today` goes
    /// on.
    pub fn today(&self) -> Option<Arc<DayFolder>> {
        let mut newest_first = self.live_days().into_iter();
        let newest = newest_first.find(|folder| !folder.timeline().is_empty())?;
        let before = newest_first.find(|folder| !folder.timeline().is_empty());
        let old = before.filter(|before| !newest.timeline().has_tracks_of(&before.timeline()));
        Some(old.unwrap_or(newest))
    }

    /// The live day as who follows the track `kind` alone sees it: the new day from its first segment of that track
    /// on. Tracks are cut at different times; to wait for the others would leave a player that is a second behind
    /// without anything to play. Does no I/O.
    pub fn today_of(&self, kind: TrackKind) -> Option<Arc<DayFolder>> {
        let is_there =
            |folder: &Arc<DayFolder>| !folder.timeline().track(kind).segments().is_empty();
        let of_track = self.live_days().into_iter().find(is_there);
        of_track.or_else(|| self.today())
    }

    /// The days that may be live, newest first.
    fn live_days(&self) -> Vec<Arc<DayFolder>> {
        let now = self.clock.now();
        let is_live = |folder: &&Arc<DayFolder>| folder.day().end() + MIDNIGHT_GRACE > now;
        let current = self.current.read();
        current.iter().rev().filter(is_live).cloned().collect()
    }

    /// How long the day that the clock shows goes on.
    pub fn until_midnight(&self) -> Duration {
        let now = self.clock.now();
        Day::containing(now, self.zone).end() - now
    }

    /// Whether `folder` is over: nothing will be added to it. A day that the clock has yet to reach,
    /// because it was ahead, is over until then.
    pub fn is_finished(&self, folder: &DayFolder) -> bool {
        let today = self.today();
        let is_today = today.is_some_and(|today| today.day() == folder.day());
        !is_today && !folder.day().contains(self.clock.now())
    }

    /// The day `date`; `None` if nothing of it is kept. May read from the disk.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if the folder is there but cannot be read.
    pub fn day(&self, date: NaiveDate) -> Result<Option<Arc<DayFolder>>> {
        let path = self.day_path(date);
        if !path.try_exists().context("look for", &path)? {
            // What is on a disk that is away is not deleted.
            self.ensure_there()?;
            self.current.write().retain(|one| one.day().date() != date);
            self.loaded.lock().days.remove(&date);
            return Ok(None);
        }
        if let Some(current) = self.current_day(date) {
            return Ok(Some(current));
        }
        let mut loaded = self.loaded.lock();
        let files = Files::of(&path)?;
        if let Some((folder, _)) = loaded.days.get(&date).filter(|(_, seen)| *seen == files) {
            return Ok(Some(Arc::clone(folder)));
        }
        let folder = Arc::new(DayFolder::load(
            path,
            Day::new(date, self.zone),
            Arc::clone(&self.data_dir),
        )?);
        loaded.remember(&folder, files);
        Ok(Some(folder))
    }

    /// The latest finished day that is kept of the weekday `number`, 0 = Monday. May read from the
    /// disk.
    ///
    /// Looks back a week: what is older is due to be deleted, or was recorded by a clock that had
    /// not been set.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if the days cannot be listed or that day cannot be read.
    pub fn weekday(&self, number: u32) -> Result<Option<Arc<DayFolder>>> {
        let numbered = self.numbered();
        let live = self.today().map(|today| today.day().date());
        let is_meant = |date: &NaiveDate| {
            numbered.contains(date)
                && Some(*date) != live
                && Day::new(*date, self.zone).weekday_number() == number
        };
        for date in self.dates()?.into_iter().rev().filter(is_meant) {
            let folder = self.day(date)?;
            if let Some(folder) = folder.filter(|folder| !folder.timeline().is_empty()) {
                return Ok(Some(folder));
            }
        }
        Ok(None)
    }

    /// The dates that weekday numbers can stand for: those of the week before today.
    fn numbered(&self) -> Range<NaiveDate> {
        let now = Day::containing(self.clock.now(), self.zone);
        now.before(7).date()..now.date()
    }

    /// The dates that are kept, ascending. Reads from the disk.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if the folder of days cannot be listed.
    pub fn dates(&self) -> Result<Vec<NaiveDate>> {
        let entries = match fs::read_dir(&self.days_path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.ensure_there()?;
                return Ok(Vec::new());
            }
            entries => entries.context("list", &self.days_path)?,
        };
        let mut dates = Vec::new();
        for entry in entries {
            let name = entry.context("list", &self.days_path)?.file_name();
            let date = name
                .to_str()
                .and_then(|name| name.parse::<NaiveDate>().ok());
            // One spelling: what else parses is not ours.
            dates.extend(date.filter(|date| date.to_string().as_str() == name));
        }
        dates.sort_unstable();
        Ok(dates)
    }

    /// What is kept, oldest day first. Reads each finished day from the disk once.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if a day cannot be read.
    pub fn summaries(&self) -> Result<Vec<DaySummary>> {
        let dates = self.dates()?;
        self.current
            .write()
            .retain(|one| dates.contains(&one.day().date()));
        let mut known = {
            let mut loaded = self.loaded.lock();
            loaded.summaries.retain(|date, _| dates.contains(date));
            loaded.summaries.clone()
        };
        let mut summaries = Vec::new();
        for date in dates {
            // A current day may still get its last segment, and is in memory anyway.
            let files = match self.current_day(date) {
                Some(_) => None,
                None => Files::of(&self.day_path(date)).ok(),
            };
            let known = known.remove(&date);
            if let Some((summary, _)) = known.filter(|(_, seen)| Some(*seen) == files) {
                summaries.push(summary);
                continue;
            }
            let Some(folder) = self.readable_day(date)? else {
                continue;
            };
            if folder.timeline().is_empty() {
                continue;
            }
            let finished = self.is_finished(&folder);
            let gaps = folder.gaps(finished);
            let timeline = folder.timeline();
            let summary = DaySummary {
                day: folder.day(),
                finished,
                is_numbered: false,
                bytes: timeline.total_bytes(),
                recorded: timeline.recorded().to_vec(),
                gaps,
            };
            if let Some(files) = files.filter(|_| finished) {
                let mut loaded = self.loaded.lock();
                loaded.summaries.insert(date, (summary.clone(), files));
            }
            summaries.push(summary);
        }
        let numbered = self.numbered();
        let mut taken = BTreeSet::new();
        for summary in summaries.iter_mut().rev() {
            let day = summary.day;
            summary.is_numbered = summary.finished
                && numbered.contains(&day.date())
                && taken.insert(day.weekday_number());
        }
        Ok(summaries)
    }

    /// Where the bytes of the segment of `kind` that starts at `start` are. Reads from the disk
    /// only if its day is not in memory.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if its day cannot be read.
    pub fn segment(&self, kind: TrackKind, start: MediaTime) -> Result<Option<MediaSlice>> {
        let found = self.listed(kind, start)?;
        Ok(found.map(|(folder, segment)| folder.media(kind, &segment.bytes)))
    }

    /// The segment of `kind` that starts at `start`, and the folder that lists it. As [`CameraArchive::segment`].
    pub(crate) fn listed(
        &self,
        kind: TrackKind,
        start: MediaTime,
    ) -> Result<Option<(Arc<DayFolder>, Segment)>> {
        let in_folder = |folder: Arc<DayFolder>| {
            let segment = *folder.timeline().track(kind).segment(start)?;
            Some((folder, segment))
        };
        if let Some((folder, segment)) = self.today().and_then(in_folder) {
            let path = folder.media(kind, &segment.bytes).path;
            if path.try_exists().unwrap_or(true) {
                return Ok(Some((folder, segment)));
            }
        }
        // Also where a hand has deleted today: this notices.
        let day = Day::containing(start.media_to_wall(), self.zone);
        Ok(self.day(day.date())?.and_then(in_folder))
    }

    /// What there is of the segment of `kind` that is being recorded and starts at `start`: more from one time to the
    /// next, until [`CameraArchive::segment`] has all of it. Does no I/O.
    pub fn open_segment(&self, kind: TrackKind, start: MediaTime) -> Option<MediaSlice> {
        let today = self.today_of(kind)?;
        let bytes = today.timeline().open_bytes(kind, start)?;
        Some(today.media(kind, &bytes))
    }

    /// Where the bytes of the part of `kind` that starts at `start` are: a chunk of a segment. Reads from
    /// the disk only if that is not one of the newest.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if its day cannot be read, [`crate::Error::Mux`] if its segment is damaged.
    pub fn part(&self, kind: TrackKind, start: MediaTime) -> Result<Option<MediaSlice>> {
        let newest = |today: Arc<DayFolder>| {
            let bytes = today.timeline().track(kind).part(start)?.bytes;
            Some(today.media(kind, &bytes))
        };
        if let Some(found) = self.today_of(kind).and_then(newest) {
            return Ok(Some(found));
        }
        let day = Day::containing(start.media_to_wall(), self.zone);
        let Some(folder) = self.day(day.date())? else {
            return Ok(None);
        };
        let around = folder.timeline().track(kind).segment_at(start).copied();
        let Some(segment) = around else {
            return Ok(None);
        };
        let media = folder.media(kind, &segment.bytes);
        let chunks = read_chunks(kind, &media, start)?;
        let found = chunks.iter().find(|chunk| chunk.start() == start);
        Ok(found.map(|chunk| MediaSlice {
            offset: chunk.offset,
            len_bytes: chunk.end() - chunk.offset,
            path: media.path,
        }))
    }

    /// The init segment of `kind` with that hash. Reads from the disk only if it is not in memory.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if a day cannot be read.
    pub fn init(&self, kind: TrackKind, hash: InitHash) -> Result<Option<Bytes>> {
        let of_today = self.today().and_then(|today| {
            today
                .timeline()
                .track(kind)
                .init(hash)
                .map(|init| init.bytes.clone())
        });
        if of_today.is_some() {
            return Ok(of_today);
        }
        let known = |archive: &Self| archive.loaded.lock().inits.get(&(kind, hash)).cloned();
        if let Some(bytes) = known(self) {
            return Ok(Some(bytes));
        }
        // Each day is read once for this, whatever is asked for.
        for date in self.dates()? {
            if !self.loaded.lock().known.contains(&date) {
                self.readable_day(date)?;
            }
        }
        Ok(known(self))
    }

    /// As [`CameraArchive::day`], where other days are there all the same: one that cannot be read, by a bad
    /// disk or because it is another user's, is none. It is said once.
    fn readable_day(&self, date: NaiveDate) -> Result<Option<Arc<DayFolder>>> {
        match self.day(date) {
            Err(error @ Error::Io { .. }) => {
                if self.loaded.lock().unreadable.insert(date) {
                    warn!(camera = %self.id, %date, error = &error as &dyn std::error::Error,
                        "a day cannot be read, and is passed over");
                }
                Ok(None)
            }
            Ok(folder) => {
                self.loaded.lock().unreadable.remove(&date);
                Ok(folder)
            }
            Err(error) => Err(error),
        }
    }

    /// The latest kept day before `day` in which something is recorded.
    pub(crate) fn day_before(&self, day: Day) -> Result<Option<Arc<DayFolder>>> {
        let dates = self.dates()?.into_iter().rev();
        for date in dates.filter(|date| *date < day.date()) {
            let folder = self.readable_day(date)?;
            if let Some(folder) = folder.filter(|folder| !folder.timeline().is_empty()) {
                return Ok(Some(folder));
            }
        }
        Ok(None)
    }

    /// The end of what is recorded. Where today is recorded up to now, a later day was recorded by a
    /// clock that was ahead, and does not count.
    pub(crate) fn recorded_until(&self) -> Result<MediaTime> {
        let now = self.clock.now();
        let end = |folder: Arc<DayFolder>| {
            let ends = TrackKind::ALL.map(|kind| folder.end(kind));
            ends.into_iter().flatten().max()
        };
        let today = Day::containing(now, self.zone).date();
        let is_over = |end: &MediaTime| end.media_to_wall() <= now + AHEAD;
        let today = self.readable_day(today)?.and_then(end).filter(is_over);
        if let Some(end) = today {
            return Ok(end);
        }
        for date in self.dates()?.into_iter().rev() {
            if let Some(end) = self.readable_day(date)?.and_then(end) {
                return Ok(end);
            }
        }
        Ok(MediaTime::default())
    }

    pub(crate) const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The folder of `day` for the recorder: it becomes the current one.
    pub(crate) fn folder_to_write(&self, day: Day) -> Result<Arc<DayFolder>> {
        let path = self.day_path(day.date());
        let exists = path.try_exists().context("look for", &path)?;
        if let Some(known) = self.current_day(day.date()).filter(|_| exists) {
            // The clock may have been set back, from a day that is not being written any more.
            let mut current = self.current.write();
            current.retain(|one| one.day().date() <= day.date());
            return Ok(known);
        }
        let data_dir = Arc::clone(&self.data_dir);
        let folder = if exists {
            DayFolder::mend(path, day, data_dir)?
        } else {
            self.ensure_there()?;
            fs::create_dir_all(&path).context("create", &path)?;
            DayFolder::new(path, day, data_dir)
        };
        let folder = Arc::new(folder);
        self.loaded.lock().remember(&folder, Files::default());
        self.announce_length(&folder);
        let mut current = self.current.write();
        current.retain(|one| one.day().date() < day.date());
        current.push(Arc::clone(&folder));
        let outdated = current.len().saturating_sub(2);
        current.drain(..outdated);
        Ok(folder)
    }

    /// Tells a timeline that was just made how long segments are meant to be.
    pub(crate) fn announce_length(&self, folder: &DayFolder) {
        let segment_90k = self.segment_90k.load(Ordering::Relaxed);
        folder.change(|state| state.timeline.expect_duration_90k(segment_90k));
    }

    /// `folder` is not there any more.
    pub(crate) fn forget(&self, folder: &Arc<DayFolder>) {
        let is_other = |one: &Arc<DayFolder>| !Arc::ptr_eq(one, folder);
        self.current.write().retain(is_other);
        self.loaded.lock().days.retain(|_, (one, _)| is_other(one));
    }

    pub(crate) fn now(&self) -> WallTime {
        self.clock.now()
    }

    pub(crate) fn root(&self) -> &Path {
        self.data_dir.root()
    }

    /// Deletes the whole day `date`. Only for the expiry: see [`CameraArchive::expire`].
    pub(crate) fn delete_day(&self, date: NaiveDate) -> Result<()> {
        // Locked, so that nobody loads it meanwhile.
        let mut loaded = self.loaded.lock();
        loaded.days.remove(&date);
        loaded.summaries.remove(&date);
        let path = self.day_path(date);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            deleted => deleted.context("delete", path),
        }
    }

    /// The day `date`, if it is being written or was until midnight.
    fn current_day(&self, date: NaiveDate) -> Option<Arc<DayFolder>> {
        let current = self.current.read();
        current.iter().find(|one| one.day().date() == date).cloned()
    }

    pub(crate) fn day_path(&self, date: NaiveDate) -> PathBuf {
        self.days_path.join(date.to_string())
    }
}

impl Loaded {
    /// Keeps `folder`, and lets go of days nobody uses any more.
    fn remember(&mut self, folder: &Arc<DayFolder>, files: Files) {
        let date = folder.day().date();
        for kind in TrackKind::ALL {
            for init in folder.timeline().track(kind).inits() {
                self.inits.insert((kind, init.hash), init.bytes.clone());
            }
        }
        self.known.insert(date);
        self.days.insert(date, (Arc::clone(folder), files));
        while self.days.len() > CACHED_DAYS + 1 {
            let unused = |(other, (folder, _)): (&NaiveDate, &(Arc<DayFolder>, Files))| {
                (*other != date && Arc::strong_count(folder) == 1).then_some(*other)
            };
            match self.days.iter().find_map(unused) {
                Some(oldest) => self.days.remove(&oldest),
                None => break,
            };
        }
    }
}
