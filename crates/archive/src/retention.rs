//! Decides what is deleted, for all cameras at once, and says whether the disk is large enough.
//!
//! Three limits, in this order: the age of a day, the bytes of a camera, the room on the disk. Where
//! room is wanted the oldest hour of all cameras goes first, so that they reach equally far back. The
//! newest hour of each camera always stays.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use dayreel_core::CameraId;
use parking_lot::{Mutex, RwLock};
use tracing::{error, info, warn};

use crate::{
    CameraArchive, Result,
    expiry::{RecordedHour, Recordings},
    forecast::{Forecast, forecast},
    limits::{Limits, gigabytes},
    space::{Disk, Space},
};

/// When everything that a camera has recorded before today is too old, it is believed only after so long:
/// the clock may be wrong, until the network sets it.
const ALL_TOO_OLD_WAIT: Duration = Duration::from_secs(3600);

/// A forecast that changes is said this often at most.
const FORECAST_INTERVAL: Duration = Duration::from_secs(3600);

/// Hours that one step deletes at most; the next step goes on.
const MOST_HOURS: usize = 100;

/// The disk of the recordings, as it was found last.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    /// The room on it; `None` before the first look, or while it is away.
    pub space: Option<Space>,
    /// Recordings are deleted where less is free.
    pub min_free_bytes: u64,
    /// What is wrong with it: a stable word, and a sentence.
    pub problem: Option<(&'static str, String)>,
    /// What each camera needs.
    pub forecasts: Vec<Forecast>,
}

impl Storage {
    /// Whether the disk is large enough for what is to be kept; `None` while that is not known.
    pub fn fits(&self) -> Option<bool> {
        let space = self.space?;
        let missing = self.forecasts.iter().map(Forecast::missing_bytes);
        let missing = missing.sum::<Option<u64>>()?;
        Some(missing <= space.free_bytes.saturating_sub(self.min_free_bytes))
    }
}

/// The one that decides what is deleted.
#[derive(Debug)]
pub struct Retention {
    disk: Box<dyn Disk>,
    /// Locked during a step, which may take as long as the disk: there is one deleter.
    work: Mutex<Work>,
    /// What the next step shall look after instead. Never locked for long.
    next: Mutex<Option<Task>>,
    /// What the last step found. Read by requests.
    storage: RwLock<Storage>,
}

/// What is to be looked after.
#[derive(Debug)]
struct Task {
    cameras: Vec<Camera>,
    min_free_bytes: u64,
}

/// A task, and what has been said of it.
#[derive(Debug)]
struct Work {
    task: Task,
    memory: Memory,
}

#[derive(Debug)]
struct Camera {
    archive: Arc<CameraArchive>,
    limits: Limits,
}

/// What has been said, so that it is said once.
#[derive(Debug, Default)]
struct Memory {
    /// Since when everything that a camera has is too old.
    all_too_old: HashMap<CameraId, Instant>,
    errors: Vec<String>,
    problem: Option<&'static str>,
    /// What was said of the forecast, and when.
    fits: Option<(bool, Instant)>,
}

impl Retention {
    /// Nothing is deleted before the first [`Retention::step`].
    pub fn new(
        cameras: impl IntoIterator<Item = (Arc<CameraArchive>, Limits)>,
        min_free_bytes: u64,
        disk: Box<dyn Disk>,
    ) -> Self {
        Self {
            work: Mutex::new(Work {
                task: Task::new(cameras, min_free_bytes),
                memory: Memory::default(),
            }),
            next: Mutex::default(),
            disk,
            storage: RwLock::default(),
        }
    }

    /// Looks after these cameras from the next [`Retention::step`] on. Does not wait.
    pub fn look_after(
        &self,
        cameras: impl IntoIterator<Item = (Arc<CameraArchive>, Limits)>,
        min_free_bytes: u64,
    ) {
        *self.next.lock() = Some(Task::new(cameras, min_free_bytes));
    }

    /// The disk, as the last step found it.
    pub fn storage(&self) -> Storage {
        self.storage.read().clone()
    }

    /// Looks once, and deletes what is to go. Waits for the disk. `now` is the steady clock.
    pub fn step(&self, now: Instant) {
        let Work { task, memory } = &mut *self.work.lock();
        if let Some(next) = self.next.lock().take() {
            *task = next;
        }
        let Some(first) = task.cameras.first() else {
            return;
        };
        if let Err(error) = first.archive.ensure_there() {
            let code = error.disk_code().unwrap_or("disk_error");
            self.publish(
                task,
                memory,
                None,
                Some((code, error.to_string())),
                &[],
                now,
            );
            return;
        }
        let mut errors = Vec::new();
        for camera in &task.cameras {
            let since = &mut memory.all_too_old;
            errors.extend(camera.expire_old(now, since).err());
        }
        let mut recordings = Vec::new();
        for camera in &task.cameras {
            let found = camera.archive.recordings();
            let mut found = found.unwrap_or_else(|error| {
                errors.push(error);
                Recordings::default()
            });
            camera.expire_above_max(&mut found, &mut errors);
            recordings.push(found);
        }
        let space = self.make_room(task, &mut recordings, &mut errors);
        let space = space.map_err(|error| errors.push(error)).ok();
        memory.say_errors(&errors);
        let problem = space.and_then(|space| task.problem_of(space));
        self.publish(task, memory, space, problem, &recordings, now);
    }

    /// Deletes the oldest hours until enough is free; of what cannot be deleted `errors` tell.
    fn make_room(
        &self,
        task: &Task,
        recordings: &mut [Recordings],
        errors: &mut Vec<crate::Error>,
    ) -> Result<Space> {
        let root = task.cameras[0].archive.root();
        let mut space = self.disk.space(root)?;
        for _ in 0..MOST_HOURS {
            if space.free_bytes >= task.min_free_bytes {
                break;
            }
            let oldest = recordings.iter().enumerate().filter_map(|(place, of)| {
                let hour = of.oldest()?;
                // Of the same age: where it frees most.
                Some((hour.begin, u64::MAX - hour.bytes, place))
            });
            let Some((.., place)) = oldest.min() else {
                break;
            };
            let found = &mut recordings[place];
            let expired = task.cameras[place].expire_oldest(found, "the disk is nearly full");
            errors.extend(expired.err());
            space = self.disk.space(root)?;
        }
        Ok(space)
    }

    fn publish(
        &self,
        task: &Task,
        memory: &mut Memory,
        space: Option<Space>,
        problem: Option<(&'static str, String)>,
        recordings: &[Recordings],
        now: Instant,
    ) {
        let of_cameras = task.cameras.iter().zip(recordings);
        let storage = Storage {
            space,
            min_free_bytes: task.min_free_bytes,
            forecasts: of_cameras
                .map(|(camera, found)| forecast(&camera.archive, &camera.limits, found))
                .collect(),
            problem,
        };
        memory.say_problem(&storage);
        memory.say_forecast(&storage, now);
        *self.storage.write() = storage;
    }
}

impl Task {
    fn new(
        cameras: impl IntoIterator<Item = (Arc<CameraArchive>, Limits)>,
        min_free_bytes: u64,
    ) -> Self {
        Self {
            cameras: cameras
                .into_iter()
                .map(|(archive, limits)| Camera { archive, limits })
                .collect(),
            min_free_bytes,
        }
    }

    fn problem_of(&self, space: Space) -> Option<(&'static str, String)> {
        (space.free_bytes < self.min_free_bytes).then(|| {
            let free = gigabytes(space.free_bytes);
            let wanted = gigabytes(self.min_free_bytes);
            let text =
                format!("{free} are free, {wanted} should be, and there is nothing left to delete");
            ("disk_low", text)
        })
    }
}

impl Camera {
    fn id(&self) -> &CameraId {
        self.archive.id()
    }

    fn expire_old(&self, now: Instant, all_too_old: &mut HashMap<CameraId, Instant>) -> Result<()> {
        let Limits { days_to_keep, .. } = self.limits;
        let mut result = Ok(());
        let is_all = self.archive.all_is_too_old(days_to_keep)?;
        let may_delete = match (is_all, all_too_old.get(self.id())) {
            (false, _) => {
                all_too_old.remove(self.id());
                true
            }
            (true, None) => {
                warn!(camera = %self.id(),
                    "all that was recorded before today is too old: deleted in an hour, if the clock is right");
                all_too_old.insert(self.id().clone(), now);
                false
            }
            (true, Some(since)) => now.saturating_duration_since(*since) >= ALL_TOO_OLD_WAIT,
        };
        if may_delete {
            let expired = self.archive.expire(days_to_keep);
            self.say_expired("days", expired, &mut result);
        }
        let dated = [
            ("moments", self.limits.moments_days_to_keep),
            ("timelapse", self.limits.timelapse_days_to_keep),
        ];
        for (name, days) in dated {
            if let Some(days) = days.filter(|_| may_delete) {
                let expired = self.archive.expire_dated(name, days);
                self.say_expired(name, expired, &mut result);
            }
        }
        result
    }

    fn say_expired(
        &self,
        what: &str,
        expired: Result<Vec<chrono::NaiveDate>>,
        result: &mut Result<()>,
    ) {
        match expired {
            Ok(dates) => dates.iter().for_each(|date| {
                info!(camera = %self.id(), what, %date, "deleted what is too old");
            }),
            Err(error) => *result = Err(error),
        }
    }

    fn expire_above_max(&self, found: &mut Recordings, errors: &mut Vec<crate::Error>) {
        let max_bytes = self.limits.max_bytes.unwrap_or(u64::MAX);
        while found.bytes > max_bytes && found.oldest().is_some() {
            let expired = self.expire_oldest(found, "the camera has reached max_bytes");
            errors.extend(expired.err());
        }
    }

    /// What cannot be deleted is taken out of `found`, with the rest of its day: others can.
    fn expire_oldest(&self, found: &mut Recordings, why: &str) -> Result<()> {
        if found.oldest().is_none() {
            return Ok(());
        }
        let hour = found.hours.remove(0);
        if let Err(error) = self.archive.expire_hour(&hour) {
            found.hours.retain(|other| other.date != hour.date);
            return Err(error);
        }
        found.bytes = found.bytes.saturating_sub(hour.bytes);
        let RecordedHour {
            date, hour, bytes, ..
        } = hour;
        info!(camera = %self.id(), %date, hour, bytes, why, "deleted the oldest hour");
        Ok(())
    }
}

impl Recordings {
    /// The oldest hour that may go: not the newest.
    fn oldest(&self) -> Option<&RecordedHour> {
        match self.hours.as_slice() {
            [oldest, _, ..] => Some(oldest),
            _ => None,
        }
    }
}

impl Memory {
    fn say_errors(&mut self, errors: &[crate::Error]) {
        let errors: Vec<_> = errors.iter().map(in_words).collect();
        for text in errors.iter().filter(|text| !self.errors.contains(text)) {
            error!(error = text, "cannot delete");
        }
        self.errors = errors;
    }

    fn say_problem(&mut self, storage: &Storage) {
        let code = storage.problem.as_ref().map(|(code, _)| *code);
        if code != self.problem {
            match &storage.problem {
                Some((_, text)) => error!("{text}"),
                None => info!("the disk is as it should be again"),
            }
        }
        self.problem = code;
    }

    fn say_forecast(&mut self, storage: &Storage, now: Instant) {
        let (Some(fits), Some(space)) = (storage.fits(), storage.space) else {
            return;
        };
        // On the edge it would be said again and again.
        let is_known = self.fits.is_some_and(|(said, at)| {
            said == fits || now.saturating_duration_since(at) < FORECAST_INTERVAL
        });
        if is_known {
            return;
        }
        self.fits = Some((fits, now));
        for forecast in &storage.forecasts {
            let text = forecast.in_words(space.free_bytes);
            match fits {
                true => info!("{text}"),
                false => warn!("{text}: the oldest hours will be deleted"),
            }
        }
    }
}

fn in_words(error: &crate::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
