//! Finds recorded pictures and reads what has to be decoded to see them: never more than that.
//!
//! ```text
//! day timeline (memory) ─▶ segment ─▶ its `moof` boxes ─▶ keyframe … picture ─▶ their bytes
//! ```

use std::{fs::File, os::unix::fs::FileExt as _, path::PathBuf, sync::Arc};

use bytes::Bytes;
use dayreel_core::{Day, MediaTime, TrackKind, WallTime};
use dayreel_manifest::{GAP_90K, Segment};

use crate::{
    CameraArchive, DayFolder, Error, MediaSlice, Result, chunks::read_chunks, cmaf::UnitPlace,
    error::IoContext as _,
};

/// Chunks that start so long after the wanted instant hold no picture that is shown before it,
/// however the camera reorders them: 1 s.
const REORDER_90K: u64 = 90_000;

/// Which picture is meant by an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pick {
    /// The one that was shown then: the last that was taken at or before.
    Exact,
    /// The keyframe next to it, before or after: one access unit to decode.
    NearestKeyframe,
    /// The last keyframe that had been shown by then.
    LastKeyframe,
}

/// What was found at an instant.
#[derive(Debug)]
pub enum Found {
    /// A picture.
    Picture(RecordedPicture),
    /// Nothing is recorded then.
    Nothing {
        /// Until when something is recorded before it on that day.
        before: Option<MediaTime>,
        /// From when on something is recorded after it on that day.
        after: Option<MediaTime>,
    },
}

/// A recorded picture, and where all that has to be decoded to see it is.
#[derive(Clone, Debug)]
pub struct RecordedPicture {
    /// Its presentation time.
    pub taken: MediaTime,
    /// The init segment its access units need.
    pub init: Bytes,
    /// In decode order, from a keyframe to the picture: of its segment, and of the one before where
    /// that has the keyframe. Never empty.
    parts: Vec<Part>,
}

/// Access units in one file.
#[derive(Clone, Debug)]
struct Part {
    path: PathBuf,
    units: Vec<UnitPlace>,
}

/// One coded picture, as a recording has it: NAL units with their lengths before them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// Presentation time.
    pub presentation: MediaTime,
    /// Decode time.
    pub decode: MediaTime,
    /// Whether it is a keyframe.
    pub is_keyframe: bool,
    /// Its bytes.
    pub bytes: Bytes,
}

impl RecordedPicture {
    /// Bytes that [`RecordedPicture::read`] reads.
    pub fn len_bytes(&self) -> u64 {
        self.units().map(|unit| u64::from(unit.len_bytes)).sum()
    }

    /// Whether it is a keyframe, decoded from nothing else.
    pub fn is_keyframe(&self) -> bool {
        self.units().count() == 1
    }

    /// Reads the access units, in decode order, from a keyframe to the picture itself.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; of kind `NotFound` if the day has expired meanwhile.
    pub fn read(&self) -> Result<Vec<AccessUnit>> {
        let mut read = Vec::with_capacity(self.units().count());
        for Part { path, units } in &self.parts {
            let file = File::open(path).context("open", path)?;
            // Of one chunk they lie one behind the other: one read.
            for run in units.chunk_by(|one, next| one.end() == next.offset) {
                let len_bytes: usize = run.iter().map(|unit| unit.len_bytes as usize).sum();
                let mut bytes = vec![0; len_bytes];
                let offset = run.first().map_or(0, |unit| unit.offset);
                file.read_exact_at(&mut bytes, offset)
                    .context("read", path)?;
                let mut bytes = Bytes::from(bytes);
                read.extend(run.iter().map(|unit| AccessUnit {
                    presentation: unit.presentation,
                    decode: unit.decode,
                    is_keyframe: unit.is_keyframe,
                    bytes: bytes.split_to(unit.len_bytes as usize),
                }));
            }
        }
        Ok(read)
    }

    fn units(&self) -> impl Iterator<Item = &UnitPlace> {
        self.parts.iter().flat_map(|part| &part.units)
    }
}

impl CameraArchive {
    /// The picture that `pick` means by `at`. Reads the heads of a few chunks from the disk.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Mux`] if the recording cannot be read.
    pub fn picture(&self, at: MediaTime, pick: Pick) -> Result<Found> {
        let (mut before, mut after) = (None, None);
        let day = Day::containing(at.media_to_wall(), self.zone());
        // Until the first segment of a day is complete, the one that runs over midnight is listed in
        // the day before only.
        for day in [day, day.before(1)] {
            let Some(folder) = self.day_in_memory_or_disk(day)? else {
                continue;
            };
            if let Some(picture) = picture_in(&folder, at, pick)? {
                return Ok(Found::Picture(picture));
            }
            for recorded in folder.timeline().recorded() {
                if recorded.end <= at {
                    before = before.max(Some(recorded.end));
                } else if recorded.start > at && after.is_none() {
                    after = Some(recorded.start);
                }
            }
        }
        Ok(Found::Nothing { before, after })
    }

    /// The last picture that is recorded by `now`.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Mux`] if the recording cannot be read.
    pub fn last_picture(&self, now: WallTime) -> Result<Option<RecordedPicture>> {
        let today = Day::containing(now, self.zone()).date();
        let dates = self.dates()?.into_iter().rev();
        for date in dates.filter(|date| *date <= today) {
            let Some(folder) = self.day(date)? else {
                continue;
            };
            let end = folder.timeline().track(TrackKind::Video).end();
            let last = end.and_then(|end| end.ticks().checked_sub(1));
            if let Some(last) = last {
                return picture_in(&folder, MediaTime::from_ticks(last), Pick::Exact);
            }
        }
        Ok(None)
    }

    /// The day: without I/O if it is the live one.
    fn day_in_memory_or_disk(&self, day: Day) -> Result<Option<Arc<DayFolder>>> {
        match self.today().filter(|today| today.day() == day) {
            Some(today) => Ok(Some(today)),
            None => self.day(day.date()),
        }
    }
}

/// The segments around an instant, which is within `here`.
struct Around {
    /// Follows without a gap before `here`.
    before: Option<Segment>,
    here: Segment,
    /// Follows `here` without a gap.
    after: Option<Segment>,
}

fn around(folder: &DayFolder, at: MediaTime) -> Option<Around> {
    let timeline = folder.timeline();
    let track = timeline.track(TrackKind::Video);
    let segments = track.segments();
    let index = track.index_at(at)?;
    let follows = |one: &Segment, next: &Segment| one.end().saturating_add(GAP_90K) >= next.start;
    let here = *segments.get(index)?;
    let after = segments
        .get(index + 1)
        .filter(|after| follows(&here, after))
        .copied();
    // A hole that is no gap belongs to the picture before it.
    if at >= here.end() && after.is_none() {
        return None;
    }
    let before = index.checked_sub(1).and_then(|before| segments.get(before));
    Some(Around {
        before: before.filter(|before| follows(before, &here)).copied(),
        here,
        after,
    })
}

/// The picture in `folder` that `pick` means by `at`; `None` if nothing is recorded then. Reads the
/// heads of a few chunks from the disk.
///
/// # Errors
/// [`Error::Io`] or [`Error::Mux`] if the recording cannot be read.
pub fn picture_in(
    folder: &DayFolder,
    at: MediaTime,
    pick: Pick,
) -> Result<Option<RecordedPicture>> {
    let Some(around) = around(folder, at) else {
        return Ok(None);
    };
    match pick {
        Pick::Exact => exact(folder, &around, at),
        Pick::NearestKeyframe => nearest_keyframe(folder, &around, at),
        Pick::LastKeyframe => last_keyframe(folder, &around, at),
    }
}

fn last_keyframe(
    folder: &DayFolder,
    around: &Around,
    at: MediaTime,
) -> Result<Option<RecordedPicture>> {
    let segments = [Some(around.here), around.before];
    for segment in segments.into_iter().flatten() {
        let mut reach = Reach::read(folder, segment, at)?;
        if let Some(index) = reach.last_keyframe_shown_by(at) {
            let keyframe = reach.units.swap_remove(index);
            reach.units = vec![keyframe];
            return Ok(reach.picture(folder, keyframe.presentation, None));
        }
    }
    // The first of all is shown a little after its segment begins.
    nearest_keyframe(folder, around, at)
}

fn exact(folder: &DayFolder, around: &Around, at: MediaTime) -> Result<Option<RecordedPicture>> {
    let mut here = Reach::read(folder, around.here, at)?;
    let mut before = around.before;
    if here.shown_at(at).is_none()
        && let Some(segment) = before.take()
    {
        // A segment begins when its first picture is decoded; it is shown a little later.
        here = Reach::read(folder, segment, at)?;
    }
    let target = here.shown_at(at).unwrap_or(0);
    let Some(taken) = here.units.get(target).map(|unit| unit.presentation) else {
        return Ok(None);
    };
    here.units.truncate(target + 1);
    if let Some(first) = here.last_keyframe_shown_by(taken) {
        here.units.drain(..first);
        return Ok(here.picture(folder, taken, None));
    }
    // An open GOP: the pictures that follow its keyframe in decode order but are shown before it
    // refer to the GOP before.
    let mut lead = None;
    if let Some(segment) = before.filter(|before| before.init == here.segment.init) {
        let mut reach = Reach::read(folder, segment, taken)?;
        let first = reach.last_keyframe_shown_by(taken).unwrap_or(0);
        reach.units.drain(..first);
        lead = Some(reach);
    }
    Ok(here.picture(folder, taken, lead))
}

fn nearest_keyframe(
    folder: &DayFolder,
    around: &Around,
    at: MediaTime,
) -> Result<Option<RecordedPicture>> {
    let distance = |unit: &UnitPlace| unit.presentation.ticks().abs_diff(at.ticks());
    let nearest = |reach: &Reach| {
        let keyframes = reach.units.iter().filter(|unit| unit.is_keyframe);
        keyframes.min_by_key(|unit| distance(unit)).copied()
    };
    let mut here = Reach::read(folder, around.here, at)?;
    let Some(mut best) = nearest(&here) else {
        return Ok(None);
    };
    // Behind the wanted instant only what is nearer than this is worth reading.
    let horizon = at.saturating_add(distance(&best));
    if distance(&best) > REORDER_90K {
        here = Reach::read(folder, around.here, horizon)?;
        best = nearest(&here).unwrap_or(best);
    }
    if let Some(after) = around.after.filter(|after| after.start < horizon) {
        let next = Reach::read(folder, after, after.start)?;
        if let Some(first) = nearest(&next).filter(|first| distance(first) < distance(&best)) {
            (here, best) = (next, first);
        }
    }
    here.units = vec![best];
    Ok(here.picture(folder, best.presentation, None))
}

/// The access units of a segment, as far as they were wanted.
struct Reach {
    segment: Segment,
    path: PathBuf,
    /// In decode order. Never empty when read.
    units: Vec<UnitPlace>,
}

impl Reach {
    /// Those of all chunks that begin no later than a second after `until`.
    fn read(folder: &DayFolder, segment: Segment, until: MediaTime) -> Result<Self> {
        let media = folder.media(TrackKind::Video, &segment.bytes);
        let units = read_units(&media, until)?;
        Ok(Self {
            segment,
            path: media.path,
            units,
        })
    }

    /// Index of the one that is shown at `at`.
    fn shown_at(&self, at: MediaTime) -> Option<usize> {
        let units = self.units.iter().enumerate();
        let shown = units.filter(|(_, unit)| unit.presentation <= at);
        shown
            .max_by_key(|(_, unit)| unit.presentation)
            .map(|(index, _)| index)
    }

    /// Index of the last keyframe that is not shown after `taken`.
    fn last_keyframe_shown_by(&self, taken: MediaTime) -> Option<usize> {
        self.units
            .iter()
            .rposition(|unit| unit.is_keyframe && unit.presentation <= taken)
    }

    /// The picture taken at `taken`, for which `lead` and then these have to be decoded.
    fn picture(
        self,
        folder: &DayFolder,
        taken: MediaTime,
        lead: Option<Self>,
    ) -> Option<RecordedPicture> {
        let timeline = folder.timeline();
        let inits = timeline.track(TrackKind::Video).inits();
        let init = inits.get(usize::from(self.segment.init))?.bytes.clone();
        drop(timeline);
        let parts = lead.into_iter().chain([self]);
        Some(RecordedPicture {
            taken,
            init,
            parts: parts
                .map(|reach| Part {
                    path: reach.path,
                    units: reach.units,
                })
                .collect(),
        })
    }
}

/// Where the access units of the segment in `media` are, in decode order: of all chunks that begin
/// no later than a second after `until`. Never empty, a keyframe first.
fn read_units(media: &MediaSlice, until: MediaTime) -> Result<Vec<UnitPlace>> {
    let latest = until.saturating_add(REORDER_90K);
    let chunks = read_chunks(TrackKind::Video, media, latest)?;
    let units: Vec<_> = chunks.into_iter().flat_map(|chunk| chunk.units).collect();
    match units.first() {
        Some(first) if first.is_keyframe => Ok(units),
        _ => Err(Error::Mux {
            track: TrackKind::Video,
            what: "segment",
            source: None,
        }),
    }
}
