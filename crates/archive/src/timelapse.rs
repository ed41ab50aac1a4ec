//! The timelapses of a camera: one film a day, finished at midnight, and the growing part of today's.
//!
//! ```text
//! data/front-door/timelapse/2026/11/
//!   21.mp4            finished: fast start, one codec configuration
//!   22.growing.mp4    today's so far
//! ```

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use bytes::Bytes;
use chrono::{Datelike as _, NaiveDate, TimeDelta};
use chrono_tz::Tz;
use dayreel_core::{Day, TrackKind, WallTime};
use mp4_atom::Mvhd;
use parking_lot::Mutex;

use crate::{
    MediaSlice, Result,
    cmaf::{find, next_box},
    data_dir::DataDir,
    dated::{self, Dated},
    error::IoContext as _,
};

mod film;
mod growing;

pub use growing::Growing;

/// How the pictures of a timelapse are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// One picture of so many seconds. > 0.
    pub interval_s: u32,
    /// At most so many pixels wide.
    pub width: u32,
    /// Pictures a second when it is played. > 0.
    pub fps: u32,
}

impl Recipe {
    /// How many slots `day` has. A slot is one interval long, and is shown by the picture of its
    /// middle; what is left of the day after the last whole half has none.
    pub fn slots(&self, day: Day) -> u32 {
        let length_ms = (day.end() - day.start()).num_milliseconds();
        let interval_ms = i64::from(self.interval_s.max(1)) * 1000;
        u32::try_from((length_ms + interval_ms / 2) / interval_ms).unwrap_or(0)
    }

    /// The middle of the slot number `slot` of `day`.
    pub fn middle(&self, day: Day, slot: u32) -> WallTime {
        let half_ms = i64::from(self.interval_s) * 500;
        let since_ms = (i64::from(slot) * 2 + 1).saturating_mul(half_ms);
        let since = TimeDelta::try_milliseconds(since_ms).unwrap_or(TimeDelta::MAX);
        day.start().checked_add_signed(since).unwrap_or(day.end())
    }
}

/// What all pictures of a film have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilmFormat {
    /// `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §5.3.3.1).
    pub config: Bytes,
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
}

/// Pictures that decode without any before them.
#[derive(Clone, Debug)]
pub struct Group {
    /// The slot after the last they stand for.
    pub next_slot: u32,
    /// Length-prefixed NAL units, one picture each; the first is a keyframe. All are shown in this
    /// order.
    pub pictures: Vec<Bytes>,
}

/// A finished timelapse.
#[derive(Clone, Debug, PartialEq)]
pub struct Timelapse {
    /// The local day it shows.
    pub date: NaiveDate,
    /// How long it plays.
    pub duration_s: f64,
    /// Its file.
    pub media: MediaSlice,
    /// When the file was written.
    pub modified: SystemTime,
}

/// The timelapses of one camera.
#[derive(Debug)]
pub struct Timelapses {
    root: PathBuf,
    zone: Tz,
    data_dir: Arc<DataDir>,
    /// What is known of files: only new ones are opened.
    known: Mutex<BTreeMap<NaiveDate, Timelapse>>,
}

impl Timelapses {
    pub(crate) fn new(root: PathBuf, zone: Tz, data_dir: Arc<DataDir>) -> Self {
        Self {
            root,
            zone,
            data_dir,
            known: Mutex::default(),
        }
    }

    /// The finished ones, oldest first. Reads folders; opens only files that are new.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if a folder cannot be read.
    pub fn list(&self) -> Result<Vec<Timelapse>> {
        let dates = self.dates("mp4")?;
        let mut known = self.known.lock();
        known.retain(|date, _| dates.binary_search(date).is_ok());
        let found = dates.into_iter().map(|date| self.look(date, &mut known));
        found.filter_map(Result::transpose).collect()
    }

    /// The finished one of `date`.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if it is there but cannot be read.
    pub fn find(&self, date: NaiveDate) -> Result<Option<Timelapse>> {
        self.look(date, &mut self.known.lock())
    }

    /// Days that have been begun but not finished, oldest first.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if a folder cannot be read.
    pub fn begun(&self) -> Result<Vec<NaiveDate>> {
        self.dates("growing.mp4")
    }

    /// The growing part of `date`, begun if it is not there.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if it cannot be read or written.
    pub fn grow(&self, date: NaiveDate, recipe: Recipe) -> Result<Growing> {
        self.open(date, "growing.mp4", recipe)
    }

    /// The same for a day that is made once more: the growing part there may be is left alone.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if it cannot be read or written.
    pub fn grow_again(&self, date: NaiveDate, recipe: Recipe) -> Result<Growing> {
        let mut growing = self.open(date, "again.mp4", recipe)?;
        growing.restart()?;
        Ok(growing)
    }

    fn open(&self, date: NaiveDate, extension: &str, recipe: Recipe) -> Result<Growing> {
        self.data_dir.ensure_there()?;
        let path = self.path(date, extension);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).context("create", folder)?;
        }
        Growing::open(path, Day::new(date, self.zone), recipe)
    }

    /// Ends the day of `growing`: from now on its film can be seen. `None` if it has no picture.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if it cannot be written; the growing part is still there then.
    pub fn finish(&self, growing: Growing) -> Result<Option<Timelapse>> {
        let date = growing.day().date();
        if growing.finish(&self.path(date, "mp4"))? {
            self.find(date)
        } else {
            Ok(None)
        }
    }

    fn path(&self, date: NaiveDate, extension: &str) -> PathBuf {
        let (year, month, day) = (date.year(), date.month(), date.day());
        self.root
            .join(format!("{year:04}/{month:02}/{day:02}.{extension}"))
    }

    fn look(
        &self,
        date: NaiveDate,
        known: &mut BTreeMap<NaiveDate, Timelapse>,
    ) -> Result<Option<Timelapse>> {
        let path = self.path(date, "mp4");
        let facts = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            facts => facts.context("read", &path)?,
        };
        let modified = facts.modified().context("read", &path)?;
        let unchanged =
            |one: &&Timelapse| one.media.len_bytes == facts.len() && one.modified == modified;
        if let Some(same) = known.get(&date).filter(unchanged) {
            return Ok(Some(same.clone()));
        }
        let Some(duration_s) = duration_of(&path)? else {
            tracing::warn!(path = %path.display(), "is no film, so it is not listed");
            return Ok(None);
        };
        let timelapse = Timelapse {
            date,
            duration_s,
            media: MediaSlice {
                path,
                offset: 0,
                len_bytes: facts.len(),
            },
            modified,
        };
        known.insert(date, timelapse.clone());
        Ok(Some(timelapse))
    }

    /// The dates of which there is a file with that extension, ascending.
    fn dates(&self, extension: &str) -> Result<Vec<NaiveDate>> {
        let is_meant = |dated: &Dated| dated.name == format!("{:02}.{extension}", dated.date.day());
        let dated = dated::entries(&self.root)?.into_iter();
        let mut dates: Vec<_> = dated.filter(is_meant).map(|dated| dated.date).collect();
        dates.sort_unstable();
        Ok(dates)
    }
}

/// How long the film at `path` plays, in seconds. `None` if it is no film whose `moov` comes first.
fn duration_of(path: &Path) -> Result<Option<f64>> {
    let mut head = Vec::new();
    let file = File::open(path).context("open", path)?;
    file.take(4096)
        .read_to_end(&mut head)
        .context("read", path)?;
    let begin = next_box(&head).and_then(|(_, ftyp_bytes)| usize::try_from(ftyp_bytes).ok());
    // `mvhd` is the first box in `moov`, whose own header has 8 bytes.
    let inside = begin.and_then(|begin| head.get(begin..)?.get(8..));
    let mvhd = inside.and_then(|inside| find::<Mvhd>(TrackKind::Video, "timelapse", inside).ok());
    Ok(mvhd.map(|mvhd| film::duration_s(&mvhd)))
}

#[cfg(test)]
mod tests;
