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

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
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
/// What cannot be read for so long, never will be: a bad block, a damaged file.
const LOST: TimeDelta = TimeDelta::minutes(10);

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

    /// Whether a recording that is there cannot be read.
    fn is_damage(&self) -> bool {
        match self {
            Self::Archive(dayreel_archive::Error::OtherFilm(_)) => false,
            Self::Archive(error) => error.kind() == Kind::Internal,
            Self::Frame(FrameError::Archive(error)) => error.kind() == Kind::Internal,
            _ => false,
        }
    }
}

/// What becomes of recordings that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    /// No film without them: they may be read the next time.
    Fails,
    /// The film is so much shorter.
    LeftOut,
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
    /// Of days with recordings that cannot be read: the first slot of the group, and since when.
    damaged: BTreeMap<NaiveDate, (u32, WallTime)>,
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
            damaged: BTreeMap::new(),
        }
    }

    /// The camera.
    pub fn camera(&self) -> &dayreel_core::CameraId {
        self.archive.id()
    }

    /// Makes what is due: pictures of today, and films of days that have been begun and are over.
    /// Returns those films, which the log tells, too. Costs nothing while nothing is due.
    ///
    /// # Errors
    /// See [`TimelapseError`], the first; what was made stays, also of other days, and the next call goes on.
    pub fn step(&mut self) -> Result<Vec<Timelapse>, TimelapseError> {
        let now = self.clock.now();
        let is_waiting = |(looked, next): (WallTime, WallTime)| looked <= now && now < next;
        if self.looked.is_some_and(is_waiting) {
            return Ok(Vec::new());
        }
        let today = Day::containing(now, self.archive.zone());
        self.looked = Some((now, now + AFTER_ERROR));
        let mut films = Vec::new();
        let mut failed = None;
        let mut next = today.end();
        let mut begun = self.archive.timelapses().begun()?;
        begun.retain(|date| *date < today.date());
        self.damaged
            .retain(|date, _| *date == today.date() || begun.contains(date));
        for date in begun {
            let film = match self.is_over(Day::new(date, self.archive.zone()), now) {
                Ok(true) => self.finish(date),
                Ok(false) => {
                    next = next.min(now + TimeDelta::seconds(1));
                    Ok(None)
                }
                Err(error) => Err(error),
            };
            match film {
                Ok(film) => films.extend(film),
                Err(TimelapseError::Stopped) => return Err(TimelapseError::Stopped),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match self.grow(today, now) {
            Ok(due) => next = next.min(due),
            Err(error) => failed = failed.or(Some(error)),
        }
        match failed {
            Some(error) => Err(error),
            None => {
                self.looked = Some((now, next));
                Ok(films)
            }
        }
    }

    /// Makes the film of a day that is over; `None` if there is nothing to see of it.
    fn finish(&mut self, date: NaiveDate) -> Result<Option<Timelapse>, TimelapseError> {
        let growing = self.archive.timelapses().grow(date, self.recipe)?;
        let growing = self.fill(growing, None)?;
        let film = self.archive.timelapses().finish(growing)?;
        if let Some(film) = &film {
            let (camera, bytes) = (self.archive.id(), film.media.len_bytes);
            tracing::info!(%camera, %date, duration_s = film.duration_s, bytes, "finished a timelapse");
        }
        Ok(film)
    }

    /// Makes the pictures of `today` that are due `now`; returns when the next are.
    fn grow(&mut self, today: Day, now: WallTime) -> Result<WallTime, TimelapseError> {
        let folder = self.archive.today();
        if folder.is_none_or(|folder| folder.day() != today) {
            return Ok(now + AGAIN);
        }
        let growing = self.archive.timelapses().grow(today.date(), self.recipe)?;
        let growing = self.fill(growing, Some(now))?;
        let group = self.group_after(today, growing.next_slot());
        let due = self.recipe.middle(today, group.end.saturating_sub(1)) + SEGMENT;
        Ok(if due > now { due } else { now + AGAIN })
    }

    /// Makes the film of `date` from what is kept of it and can be read, in place of the one there may be.
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
        let growing = self.fill_with(growing, None, |_| Damage::LeftOut)?;
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

    /// [`fill_with`](Self::fill_with), with patience for what cannot be read.
    fn fill(&mut self, growing: Growing, now: Option<WallTime>) -> Result<Growing, TimelapseError> {
        let date = growing.day().date();
        let today = self.clock.now();
        let known = self.damaged.get(&date).copied();
        let is_lost =
            |(slot, since): (u32, WallTime), first| slot == first && today - since >= LOST;
        let mut reached = growing.next_slot();
        let filled = self.fill_with(growing, now, |first| {
            reached = first;
            match known.is_some_and(|known| is_lost(known, first)) {
                true => Damage::LeftOut,
                false => Damage::Fails,
            }
        });
        match &filled {
            Err(error) if error.is_damage() => {
                let since = known.filter(|(slot, _)| *slot == reached);
                self.damaged.insert(date, since.unwrap_or((reached, today)));
            }
            _ => drop(self.damaged.remove(&date)),
        }
        filled
    }

    /// Makes the groups that are missing: of a day that is over, or as far as they are settled
    /// `now`. `damage` says of the group with that first slot what becomes of what cannot be read.
    fn fill_with(
        &self,
        mut growing: Growing,
        now: Option<WallTime>,
        mut damage: impl FnMut(u32) -> Damage,
    ) -> Result<Growing, TimelapseError> {
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
            match self.make_group(&folder, &mut growing, slots.clone(), damage(first)) {
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
        damage: Damage,
    ) -> Result<(), TimelapseError> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(TimelapseError::Stopped);
        }
        let mut shown = Vec::new();
        let mut last = None;
        for slot in slots.clone() {
            let middle = MediaTime::wall_to_media(self.recipe.middle(growing.day(), slot));
            let found = picture_in(folder, middle, Pick::LastKeyframe).map_err(Into::into);
            match without(damage, middle, found)? {
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
        if let Some(encoded) = encode::group(&shown, canvas, self.recipe, damage, &self.stop)? {
            let group = Group {
                next_slot: slots.end,
                pictures: encoded.pictures,
            };
            growing.append(&encoded.format, &group)?;
        }
        Ok(())
    }
}

/// What was found at `at`; nothing where it cannot be read and `damage` says that it is left out.
fn without<T>(
    damage: Damage,
    at: MediaTime,
    found: Result<Option<T>, TimelapseError>,
) -> Result<Option<T>, TimelapseError> {
    match found {
        Err(error) if damage == Damage::LeftOut && error.is_damage() => {
            let taken = at.media_to_wall();
            tracing::warn!(%taken, error = %error, "a timelapse lacks a picture that cannot be read");
            Ok(None)
        }
        found => found,
    }
}
