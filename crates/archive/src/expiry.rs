//! Deletes recordings: whole days by age, the oldest hour where room is wanted. Nothing else does.
//!
//! An hour goes in this order, so that players and a crash find what is listed:
//!
//! 1. Its segments leave the timeline: numbering goes on, the beginning of the day slides out.
//! 2. The indexes are replaced by shorter ones.
//! 3. The hour files are deleted.
//!
//! On a disk that has no room for the shorter index, 3 comes before 2; recovery leaves out entries
//! whose files are gone.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use chrono::{Duration, NaiveDate};
use dayreel_core::{Day, Kind, TrackKind, WallTime};

use crate::{
    CameraArchive, DayFolder, Result, aside, dated,
    day_state::KINDS,
    error::IoContext as _,
    index,
    track_writer::{HourName, index_name},
};

/// So long after midnight days begin to be too old: until then the recorder may still complete the
/// last segment of the old day, and number the new one after it.
const MIDNIGHT_GRACE: Duration = Duration::minutes(5);

/// An hour of a camera's recordings on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedHour {
    /// The local day.
    pub date: NaiveDate,
    /// Local hour, 0 to 23.
    pub hour: u32,
    /// About when it began.
    pub begin: WallTime,
    /// Of its files.
    pub bytes: u64,
}

/// What a camera's days take on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recordings {
    /// Ascending.
    pub hours: Vec<RecordedHour>,
    /// Of everything in the day folders.
    pub bytes: u64,
}

impl CameraArchive {
    /// The dates of days that are more than `days_to_keep` full days before today, ascending.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if the days cannot be listed.
    pub fn too_old(&self, days_to_keep: u8) -> Result<Vec<NaiveDate>> {
        let oldest_kept = self.oldest_kept(days_to_keep.into());
        let live = self.today().map(|today| today.day().date());
        let mut dates = self.dates()?;
        dates.retain(|date| *date < oldest_kept && Some(*date) != live);
        Ok(dates)
    }

    /// Whether all that was recorded before today is [too old](CameraArchive::too_old), and not only since
    /// last midnight: as it looks, too, when the clock was set ahead, even to a camera that records since.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if the days cannot be listed.
    pub(crate) fn all_is_too_old(&self, days_to_keep: u8) -> Result<bool> {
        let too_old = self.too_old(days_to_keep)?;
        let dates = self.dates()?;
        let today = Day::containing(self.now(), self.zone()).date();
        let newest_to_go = self.oldest_kept(u32::from(days_to_keep) + 1);
        let usual = newest_to_go..today;
        let is_none_usual = !dates.iter().any(|date| usual.contains(date));
        Ok(!too_old.is_empty() && (is_none_usual || too_old.len() == dates.len()))
    }

    /// Deletes the days that are more than `days_to_keep` full days before today, and returns their
    /// dates.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if a folder cannot be listed or deleted; the others are tried first.
    pub fn expire(&self, days_to_keep: u8) -> Result<Vec<NaiveDate>> {
        let (mut expired, mut result) = (Vec::new(), Ok(()));
        for date in self.too_old(days_to_keep)? {
            match self.delete_day(date) {
                Ok(()) => expired.push(date),
                Err(error) => result = result.and(Err(error)),
            }
        }
        result.map(|()| expired)
    }

    /// Deletes what is dated more than `days_to_keep` full days before today in the camera's folder
    /// `name` (`moments`, `timelapse`), and returns the dates.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if something cannot be listed or deleted; the rest is tried first.
    pub fn expire_dated(&self, name: &str, days_to_keep: u16) -> Result<Vec<NaiveDate>> {
        let folder = self.root().join(self.id().as_str()).join(name);
        dated::expire(&folder, self.oldest_kept(days_to_keep.into()))
    }

    fn oldest_kept(&self, days_to_keep: u32) -> NaiveDate {
        let today = Day::containing(self.now() - MIDNIGHT_GRACE, self.zone());
        today.before(days_to_keep).date()
    }

    /// What the days take on disk. Asks for the length of each file.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if a folder cannot be listed.
    pub fn recordings(&self) -> Result<Recordings> {
        let mut recordings = Recordings::default();
        for date in self.dates()? {
            let day = Day::new(date, self.zone());
            let mut hours: BTreeMap<u32, u64> = BTreeMap::new();
            for (name, len_bytes) in self.files_of(date)? {
                recordings.bytes += len_bytes;
                let hour = KINDS
                    .into_iter()
                    .find_map(|kind| HourName::parse(kind, &name));
                if let Some(hour) = hour {
                    *hours.entry(hour.hour()).or_default() += len_bytes;
                }
            }
            let hours = hours.into_iter().map(|(hour, bytes)| RecordedHour {
                date,
                hour,
                begin: day.start() + Duration::hours(hour.into()),
                bytes,
            });
            recordings.hours.extend(hours);
        }
        Ok(recordings)
    }

    /// Names and lengths of the files of a day; none if the day is not there (any more).
    fn files_of(&self, date: NaiveDate) -> Result<Vec<(String, u64)>> {
        let path = self.day_path(date);
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.context("list", &path)?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.context("list", &path)?;
            // One that went away meanwhile has no length.
            let len_bytes = entry.metadata().map_or(0, |file| file.len());
            files.push((entry.file_name().to_string_lossy().into_owned(), len_bytes));
        }
        Ok(files)
    }

    /// Deletes an hour: the oldest of its day, and not the newest of the camera. With the last hour
    /// of a day goes the day.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if the day cannot be read, an index not replaced or a file not deleted.
    /// It can be tried again.
    pub fn expire_hour(&self, hour: &RecordedHour) -> Result<()> {
        let others = self.files_of(hour.date)?.into_iter().any(|(name, _)| {
            let parsed = KINDS.map(|kind| HourName::parse(kind, &name));
            let mut hours = parsed.into_iter().flatten();
            hours.any(|other| other.hour() != hour.hour)
        });
        if !others {
            return self.delete_day(hour.date);
        }
        match self.day(hour.date)? {
            Some(folder) => folder.delete_hour(hour.hour)?,
            None => return Ok(()),
        }
        Ok(())
    }
}

impl DayFolder {
    fn delete_hour(&self, hour: u32) -> Result<()> {
        let is_gone = |kind: TrackKind, name: &str| {
            HourName::parse(kind, name).is_some_and(|name| name.hour() == hour)
        };
        // The recorder waits meanwhile, once an hour.
        let mut indexes = KINDS.map(|kind| self.index(kind));
        self.change(|state| state.forget_files(is_gone));
        let mut shorten = || -> Result<()> {
            for (kind, index) in KINDS.into_iter().zip(&mut indexes) {
                let path = self.path().join(index_name(kind));
                let text = match fs::read(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    text => text.context("read", &path)?,
                };
                let first = self.timeline().track(kind).first();
                let shorter = index::without(&text, first, |name| {
                    // Also what a full disk has not let be taken out before.
                    is_gone(kind, name) || !self.path().join(name).exists()
                });
                index.replace(&shorter)?;
            }
            Ok(())
        };
        let delete = || -> Result<()> {
            for path in self.files_called(is_gone)? {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    deleted => deleted.context("delete", path)?,
                }
            }
            aside::forget_files(self.path(), is_gone)
        };
        match shorten() {
            Err(error) if error.kind() == Kind::Full => {
                delete()?;
                match shorten() {
                    // There may be room after the next hour; until then recovery reads it rightly.
                    Err(error) if error.kind() == Kind::Full => Ok(()),
                    shortened => shortened,
                }
            }
            shortened => shortened.and_then(|()| delete()),
        }
    }

    fn files_called(&self, is_meant: impl Fn(TrackKind, &str) -> bool) -> Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(self.path()).context("list", self.path())? {
            let entry = entry.context("list", self.path())?;
            let name = entry.file_name();
            let is_meant = name
                .to_str()
                .is_some_and(|name| KINDS.into_iter().any(|kind| is_meant(kind, name)));
            paths.extend(is_meant.then(|| entry.path()));
        }
        Ok(paths)
    }
}
