//! The timelapse of a camera: one picture of each interval of its day, made from what is recorded.
//!
//! ```text
//! archive ─ last keyframe before the middle of each slot ─ encode (a group) ─▶ growing part ─▶ film
//! ```
//!
//! The recordings are the source, not the running pipeline. So one way serves the day that grows,
//! the day that goes on after a restart or a kill, the day that ended while nothing ran, and the day
//! that is made again; what is lost of the growing part is made again from what is recorded. One
//! keyframe of each slot is decoded, and nothing else.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chrono::{NaiveDate, TimeDelta};
use dayreel_archive::{
    CameraArchive, DayFolder, Group, Growing, Pick, Recipe, Timelapse, picture_in,
};
use dayreel_core::{Clock, Day, Kind, MediaTime, TrackKind, WallTime};
use gstreamer as gst;
use gstreamer::glib;

mod encode;
#[cfg(test)]
mod tests;

use crate::frame::{FrameError, give_back_large_blocks};
use encode::Shown;

/// Pictures that are made at once: a keyframe and what is predicted from it, a second of the film.
const GROUP_PICTURES: u32 = 30;
/// But at least once in so many seconds, so that a long interval does not leave all to midnight.
const GROUP_S: u32 = 1800;
/// A slot is not waited for longer than this: a camera that is away records nothing.
const PATIENCE: TimeDelta = TimeDelta::seconds(120);
/// Segments are listed when they are complete: so long after its middle a slot is worth a look.
const SEGMENT: TimeDelta = TimeDelta::seconds(12);
/// And again after this, if there is still nothing.
const AGAIN: TimeDelta = TimeDelta::seconds(10);
/// After an error: a disk that is full is so for a while.
const AFTER_ERROR: TimeDelta = TimeDelta::seconds(60);

/// Why there is no timelapse.
#[derive(Debug, thiserror::Error)]
pub enum TimelapseError {
    /// The recordings or the timelapse cannot be read or written.
    #[error(transparent)]
    Archive(#[from] dayreel_archive::Error),
    /// A picture cannot be made.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// An element is missing or does not start.
    #[error("an element for the timelapse does not work")]
    Element(#[from] glib::BoolError),
    /// The encoder gave up.
    #[error("the timelapse cannot be encoded")]
    Flow(#[source] gst::FlowError),
    /// Its pictures are still being recorded.
    #[error("{0} is not over: its timelapse grows until midnight")]
    NotOver(NaiveDate),
    /// Nothing to make it of.
    #[error("nothing is kept of {0}")]
    NothingKept(NaiveDate),
    /// The program is about to end.
    #[error("interrupted")]
    Stopped,
}

impl TimelapseError {
    /// What kind of error it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Archive(error) => error.kind(),
            Self::Frame(error) => error.kind(),
            Self::Element(_) | Self::Flow(_) => Kind::Internal,
            Self::NotOver(_) => Kind::InvalidArgument,
            Self::NothingKept(_) => Kind::NotFound,
            Self::Stopped => Kind::Unavailable,
        }
    }
}

/// Makes the timelapses of one camera. Used by one thread at a time, which it may keep busy for
/// seconds.
#[derive(Debug)]
pub struct TimelapseMaker {
    archive: Arc<CameraArchive>,
    recipe: Recipe,
    clock: Arc<dyn Clock>,
    /// Set from outside: what is being made is given up.
    stop: Arc<AtomicBool>,
    /// When it was last looked, and when it is worth to look again.
    looked: Option<(WallTime, WallTime)>,
}

impl TimelapseMaker {
    /// Makes films after `recipe` of what `archive` keeps.
    pub fn new(
        archive: Arc<CameraArchive>,
        recipe: Recipe,
        clock: Arc<dyn Clock>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        give_back_large_blocks();
        Self {
            archive,
            recipe,
            clock,
            stop,
            looked: None,
        }
    }

    /// The camera.
    pub fn camera(&self) -> &dayreel_core::CameraId {
        self.archive.id()
    }

    /// Makes what is due: pictures of today, and films of days that have been begun and are over.
    /// Returns those films. Costs nothing while nothing is due.
    ///
    /// # Errors
    /// See [`TimelapseError`]; what was made before stays, and the next call goes on.
    pub fn step(&mut self) -> Result<Vec<Timelapse>, TimelapseError> {
        let now = self.clock.now();
        let is_waiting = |(looked, next): (WallTime, WallTime)| looked <= now && now < next;
        if self.looked.is_some_and(is_waiting) {
            return Ok(Vec::new());
        }
        let today = Day::containing(now, self.archive.zone());
        self.looked = Some((now, now + AFTER_ERROR));
        let mut films = Vec::new();
        let mut next = today.end();
        let begun = self.archive.timelapses().begun()?;
        for date in begun.into_iter().filter(|date| *date < today.date()) {
            let day = Day::new(date, self.archive.zone());
            if self.is_over(day, now)? {
                let growing = self.archive.timelapses().grow(date, self.recipe)?;
                let growing = self.fill(growing, None)?;
                films.extend(self.archive.timelapses().finish(growing)?);
            } else {
                next = next.min(now + TimeDelta::seconds(1));
            }
        }
        if self
            .archive
            .today()
            .is_some_and(|folder| folder.day() == today)
        {
            let growing = self.archive.timelapses().grow(today.date(), self.recipe)?;
            let growing = self.fill(growing, Some(now))?;
            let last = self
                .group_after(today, growing.next_slot())
                .end
                .saturating_sub(1);
            let due = self.recipe.middle(today, last) + SEGMENT;
            next = next.min(if due > now { due } else { now + AGAIN });
        } else {
            next = next.min(now + AGAIN);
        }
        self.looked = Some((now, next));
        Ok(films)
    }

    /// Makes the film of `date` from what is kept of it, in place of the one there may be.
    ///
    /// # Errors
    /// [`TimelapseError::NotOver`], [`TimelapseError::NothingKept`], or it cannot be made.
    pub fn remake(&self, date: NaiveDate) -> Result<Timelapse, TimelapseError> {
        let now = self.clock.now();
        let day = Day::new(date, self.archive.zone());
        if now < day.end() {
            return Err(TimelapseError::NotOver(date));
        }
        if self.archive.day(date)?.is_none() {
            return Err(TimelapseError::NothingKept(date));
        }
        let growing = self.archive.timelapses().grow_again(date, self.recipe)?;
        let growing = self.fill(growing, None)?;
        let film = self.archive.timelapses().finish(growing)?;
        film.ok_or(TimelapseError::NothingKept(date))
    }

    /// Whether all of `day` that will ever be recorded is.
    fn is_over(&self, day: Day, now: WallTime) -> Result<bool, TimelapseError> {
        let last = self.recipe.slots(day).saturating_sub(1);
        Ok(now >= day.end() && self.is_settled(day, last, now)?)
    }

    /// Whether what is recorded around the middle of `slot` will not change any more.
    fn is_settled(&self, day: Day, slot: u32, now: WallTime) -> Result<bool, TimelapseError> {
        let middle = self.recipe.middle(day, slot);
        if now >= middle + PATIENCE {
            return Ok(true);
        }
        let folder = self.archive.day(day.date())?;
        let end = folder.and_then(|folder| folder.timeline().track(TrackKind::Video).end());
        Ok(end.is_some_and(|end| end > MediaTime::wall_to_media(middle)))
    }

    /// The slots that are made together, from `first` on.
    fn group_after(&self, day: Day, first: u32) -> std::ops::Range<u32> {
        let interval_s = self.recipe.interval_s.max(1);
        let length = (GROUP_S / interval_s).clamp(1, GROUP_PICTURES);
        let end = (first / length + 1) * length;
        first..end.min(self.recipe.slots(day))
    }

    /// Makes the groups that are missing: of a day that is over, or as far as they are settled
    /// `now`.
    fn fill(&self, mut growing: Growing, now: Option<WallTime>) -> Result<Growing, TimelapseError> {
        let day = growing.day();
        // Without a folder nothing is kept of it: what has been made stays.
        let Some(folder) = self.archive.day(day.date())? else {
            return Ok(growing);
        };
        let mut first = growing.next_slot();
        let mut is_new_format = false;
        while first < self.recipe.slots(day) {
            let slots = self.group_after(day, first);
            if let Some(now) = now
                && !self.is_settled(day, slots.end - 1, now)?
            {
                break;
            }
            match self.make_group(&folder, &mut growing, slots.clone()) {
                Ok(()) => first = slots.end,
                // Another version of the encoder began this day.
                Err(TimelapseError::Archive(dayreel_archive::Error::OtherFilm(_)))
                    if !is_new_format =>
                {
                    growing.restart()?;
                    (first, is_new_format) = (0, true);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(growing)
    }

    fn make_group(
        &self,
        folder: &DayFolder,
        growing: &mut Growing,
        slots: std::ops::Range<u32>,
    ) -> Result<(), TimelapseError> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(TimelapseError::Stopped);
        }
        let mut shown = Vec::new();
        let mut last = None;
        for slot in slots.clone() {
            let middle = MediaTime::wall_to_media(self.recipe.middle(growing.day(), slot));
            match picture_in(folder, middle, Pick::LastKeyframe)? {
                Some(keyframe) if last == Some(keyframe.taken) => shown.push(Shown::Again),
                Some(keyframe) => {
                    last = Some(keyframe.taken);
                    shown.push(Shown::Keyframe(keyframe));
                }
                // Nothing was recorded: the film is so much shorter.
                None => last = None,
            }
        }
        let canvas = growing.format();
        let canvas = canvas.map(|format| (format.width.into(), format.height.into()));
        if let Some(encoded) = encode::group(&shown, canvas, self.recipe, &self.stop)? {
            let group = Group {
                next_slot: slots.end,
                pictures: encoded.pictures,
            };
            growing.append(&encoded.format, &group)?;
        }
        Ok(())
    }
}
