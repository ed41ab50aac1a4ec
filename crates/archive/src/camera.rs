//! The recordings of one camera, as readers see them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use chrono::{Duration, NaiveDate};
use chrono_tz::Tz;
use dayreel_core::{CameraId, Clock, Day, MediaTime, TrackKind};
use dayreel_manifest::{InitHash, Recorded};
use parking_lot::{Mutex, RwLock};

use crate::{DayFolder, Recorder, Result, error::IoContext as _};

/// So many finished days are kept in memory after somebody asked for them.
const CACHED_DAYS: usize = 2;

/// For so long after midnight the old day is still `today` while the new one has no segment yet.
const MIDNIGHT_GRACE: Duration = Duration::minutes(1);

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
    /// Bytes of all its segments.
    pub bytes: u64,
    /// Stretches without a gap, ascending.
    pub recorded: Vec<Recorded>,
}

/// The recordings of one camera. Shared by the recorder and all readers.
#[derive(Debug)]
pub struct CameraArchive {
    id: CameraId,
    zone: Tz,
    /// `data/<camera>/days`.
    days_path: PathBuf,
    clock: Arc<dyn Clock>,
    /// How long segments are meant to be, 1/90000 s; 0 while not said.
    segment_90k: AtomicU32,
    /// The day that is being written and the one before, ascending. Read by every request, changed
    /// at midnight.
    current: RwLock<Vec<Arc<DayFolder>>>,
    /// Locked while a day is loaded, so that it is loaded and mended once.
    loaded: Mutex<Loaded>,
}

#[derive(Debug, Default)]
struct Loaded {
    days: BTreeMap<NaiveDate, Arc<DayFolder>>,
    /// Init segments of all days that were ever loaded: their URLs name no day.
    inits: HashMap<(TrackKind, InitHash), Bytes>,
    /// Days whose init segments are among them.
    known: BTreeSet<NaiveDate>,
    /// Of days to which nothing is added any more: pages ask for all of them again and again.
    summaries: BTreeMap<NaiveDate, DaySummary>,
}

impl CameraArchive {
    pub(crate) fn open(
        path: PathBuf,
        id: CameraId,
        zone: Tz,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>> {
        let archive = Self {
            id,
            zone,
            days_path: path.join("days"),
            clock,
            segment_90k: AtomicU32::new(0),
            current: RwLock::default(),
            loaded: Mutex::default(),
        };
        let today = Day::containing(archive.clock.now(), zone);
        archive.current.write().extend(archive.day(today.date())?);
        Ok(Arc::new(archive))
    }

    /// The camera.
    pub const fn id(&self) -> &CameraId {
        &self.id
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

    /// The writer. There must be one at a time.
    pub fn recorder(self: &Arc<Self>) -> Recorder {
        Recorder::new(Arc::clone(self))
    }

    /// The live day. `None` if nothing of it is recorded. Does no I/O.
    ///
    /// In the first seconds after midnight, until the first segment of the new day is complete, it
    /// is still the old day, so that a player that follows `today` goes on.
    pub fn today(&self) -> Option<Arc<DayFolder>> {
        let now = self.clock.now();
        let is_live = |folder: &&Arc<DayFolder>| {
            folder.day().end() + MIDNIGHT_GRACE > now && !folder.timeline().is_empty()
        };
        self.current.read().iter().rev().find(is_live).cloned()
    }

    /// Whether `folder` is over: nothing will be added to it.
    pub fn is_finished(&self, folder: &DayFolder) -> bool {
        let today = self.today();
        let is_today = today.is_some_and(|today| today.day() == folder.day());
        !is_today && self.clock.now() >= folder.day().end()
    }

    /// The day `date`; `None` if nothing of it is kept. May read from the disk.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if the folder is there but cannot be read.
    pub fn day(&self, date: NaiveDate) -> Result<Option<Arc<DayFolder>>> {
        let mut loaded = self.loaded.lock();
        let path = self.day_path(date);
        if !path.try_exists().context("look for", &path)? {
            loaded.days.remove(&date);
            return Ok(None);
        }
        if let Some(folder) = loaded.days.get(&date) {
            return Ok(Some(Arc::clone(folder)));
        }
        let folder = Arc::new(DayFolder::load(path, Day::new(date, self.zone))?);
        loaded.remember(&folder);
        Ok(Some(folder))
    }

    /// The latest finished day that is kept of the weekday `number`, 0 = Monday. May read from the
    /// disk.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if the days cannot be listed or that day cannot be read.
    pub fn weekday(&self, number: u32) -> Result<Option<Arc<DayFolder>>> {
        let today = Day::containing(self.clock.now(), self.zone);
        let is_meant = |date: &NaiveDate| {
            *date < today.date() && Day::new(*date, self.zone).weekday_number() == number
        };
        match self.dates()?.into_iter().rev().find(is_meant) {
            Some(date) => self.day(date),
            None => Ok(None),
        }
    }

    /// The dates that are kept, ascending. Reads from the disk.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if the folder of days cannot be listed.
    pub fn dates(&self) -> Result<Vec<NaiveDate>> {
        let entries = match fs::read_dir(&self.days_path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
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

    /// Deletes the days that are more than `days_to_keep` full days before today, and returns their
    /// dates. The only place where recordings are deleted.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if a folder cannot be listed or deleted; the others are tried first.
    pub fn expire(&self, days_to_keep: u8) -> Result<Vec<NaiveDate>> {
        let today = Day::containing(self.clock.now(), self.zone);
        let oldest_kept = today.before(days_to_keep.into()).date();
        let (mut expired, mut result) = (Vec::new(), Ok(()));
        for date in self.dates()?.into_iter().filter(|date| *date < oldest_kept) {
            let mut loaded = self.loaded.lock();
            let path = self.day_path(date);
            match fs::remove_dir_all(&path).context("delete", &path) {
                Ok(()) => expired.push(date),
                Err(error) => result = result.and(Err(error)),
            }
            loaded.days.remove(&date);
        }
        result.map(|()| expired)
    }

    /// What is kept, oldest day first. Reads each finished day from the disk once.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if a day cannot be read.
    pub fn summaries(&self) -> Result<Vec<DaySummary>> {
        let dates = self.dates()?;
        let mut known = {
            let mut loaded = self.loaded.lock();
            loaded.summaries.retain(|date, _| dates.contains(date));
            loaded.summaries.clone()
        };
        let mut summaries = Vec::new();
        for date in dates {
            if let Some(summary) = known.remove(&date) {
                summaries.push(summary);
                continue;
            }
            let Some(folder) = self.day(date)? else {
                continue;
            };
            let timeline = folder.timeline();
            if timeline.is_empty() {
                continue;
            }
            let summary = DaySummary {
                day: folder.day(),
                finished: self.is_finished(&folder),
                bytes: timeline.total_bytes(),
                recorded: timeline.recorded().to_vec(),
            };
            // A current day may still get its last segment, and is in memory anyway.
            if summary.finished && !self.is_current(&folder) {
                let mut loaded = self.loaded.lock();
                loaded.summaries.insert(date, summary.clone());
            }
            summaries.push(summary);
        }
        Ok(summaries)
    }

    /// Where the bytes of the segment of `kind` that starts at `start` are. Reads from the disk
    /// only if its day is not in memory.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if its day cannot be read.
    pub fn segment(&self, kind: TrackKind, start: MediaTime) -> Result<Option<MediaSlice>> {
        let in_folder = |folder: &DayFolder| {
            let bytes = folder.timeline().track(kind).segment(start)?.bytes;
            Some(folder.media(kind, &bytes))
        };
        if let Some(found) = self.today().and_then(|today| in_folder(&today)) {
            return Ok(Some(found));
        }
        let day = Day::containing(start.media_to_wall(), self.zone);
        Ok(self.day(day.date())?.and_then(|folder| in_folder(&folder)))
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
                self.day(date)?;
            }
        }
        Ok(known(self))
    }

    /// The latest kept day before `day`.
    pub(crate) fn day_before(&self, day: Day) -> Result<Option<Arc<DayFolder>>> {
        match self
            .dates()?
            .into_iter()
            .rev()
            .find(|date| *date < day.date())
        {
            Some(date) => self.day(date),
            None => Ok(None),
        }
    }

    /// The folder of `day` for the recorder: it becomes the current one.
    pub(crate) fn folder_to_write(&self, day: Day) -> Result<Arc<DayFolder>> {
        let folder = match self.day(day.date())? {
            Some(folder) => folder,
            None => {
                let path = self.day_path(day.date());
                fs::create_dir_all(&path).context("create", &path)?;
                let folder = Arc::new(DayFolder::new(path, day));
                self.loaded.lock().remember(&folder);
                folder
            }
        };
        let segment_90k = self.segment_90k.load(Ordering::Relaxed);
        folder.change(|state| state.timeline.expect_duration_90k(segment_90k));
        let mut current = self.current.write();
        if current
            .last()
            .is_none_or(|newest| newest.day().date() < day.date())
        {
            current.push(Arc::clone(&folder));
            let outdated = current.len().saturating_sub(2);
            current.drain(..outdated);
        }
        Ok(folder)
    }

    fn is_current(&self, folder: &DayFolder) -> bool {
        let current = self.current.read();
        current.iter().any(|one| one.day() == folder.day())
    }

    fn day_path(&self, date: NaiveDate) -> PathBuf {
        self.days_path.join(date.to_string())
    }
}

impl Loaded {
    /// Keeps `folder`, and lets go of days nobody uses any more.
    fn remember(&mut self, folder: &Arc<DayFolder>) {
        let date = folder.day().date();
        for kind in [TrackKind::Video, TrackKind::Audio] {
            for init in folder.timeline().track(kind).inits() {
                self.inits.insert((kind, init.hash), init.bytes.clone());
            }
        }
        self.known.insert(date);
        self.days.insert(date, Arc::clone(folder));
        while self.days.len() > CACHED_DAYS + 1 {
            let unused = |(other, folder): (&NaiveDate, &Arc<DayFolder>)| {
                (*other != date && Arc::strong_count(folder) == 1).then_some(*other)
            };
            match self.days.iter().find_map(unused) {
                Some(oldest) => self.days.remove(&oldest),
                None => break,
            };
        }
    }
}
