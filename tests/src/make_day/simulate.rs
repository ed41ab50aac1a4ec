//! A camera in simulated time: a clock that is moved by hand, the archive on disk, real media.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use chrono::TimeDelta;
use chrono_tz::Tz;
use dayreel_archive::{CameraArchive, Recorder, Store};
use dayreel_core::{CameraId, Clock, ManualClock, TICKS_PER_SECOND, WallTime};

use super::{Media, encode, repeat::Repeat};

/// Media that is encoded once, to be recorded as often as wanted.
pub struct Film {
    media: Media,
    loops: Vec<encode::Loop>,
}

impl Film {
    /// Encodes the loop.
    ///
    /// # Errors
    /// The media is impossible or cannot be encoded.
    pub fn encode(media: Media) -> Result<Self> {
        media.check()?;
        let loops = encode::loops(&media)?;
        Ok(Self { media, loops })
    }
}

/// A camera whose recording is advanced segment by segment. Stopped or killed by dropping it.
pub struct Simulation<'a> {
    film: &'a Film,
    id: CameraId,
    zone: Tz,
    _store: Store,
    clock: Arc<ManualClock>,
    archive: Arc<CameraArchive>,
    recorder: Recorder,
    tracks: Vec<Repeat<'a>>,
}

impl<'a> Simulation<'a> {
    /// Opens the data directory `data` at the time `now`. The camera `id` delivers from then on.
    ///
    /// # Errors
    /// The directory is in use or cannot be written.
    pub fn start(data: &Path, id: &str, zone: Tz, now: WallTime, film: &'a Film) -> Result<Self> {
        let clock = Arc::new(ManualClock::new(now));
        let store = Store::open(data)?;
        let id: CameraId = id.parse()?;
        let archive = store.camera(id.clone(), zone, Arc::clone(&clock) as Arc<dyn Clock>)?;
        let segment_90k = u64::from(film.media.segment_s) * TICKS_PER_SECOND;
        archive.expect_segments_of(u32::try_from(segment_90k)?);
        let recorder = archive.recorder();
        let mut simulation = Self {
            film,
            id,
            zone,
            _store: store,
            clock,
            archive,
            recorder,
            tracks: Vec::new(),
        };
        simulation.connect(now)?;
        Ok(simulation)
    }

    /// The recordings.
    pub const fn archive(&self) -> &Arc<CameraArchive> {
        &self.archive
    }

    /// What the clock shows: when the segment that is being recorded began.
    pub fn now(&self) -> WallTime {
        self.clock.now()
    }

    /// Lets the next segment of each track be delivered. The one before is complete.
    ///
    /// # Errors
    /// It cannot be recorded.
    pub fn segment(&mut self) -> Result<()> {
        let first = self.tracks.iter().map(Repeat::next_start).min();
        let until = first.context("no tracks")?.media_to_wall() + self.segment_length();
        while let Some(track) = self
            .tracks
            .iter_mut()
            .min_by_key(|track| track.next_start())
        {
            let start = track.next_start().media_to_wall();
            if start >= until {
                break;
            }
            self.clock.set(start);
            let kind = track.kind();
            for piece in track.next_segment()? {
                let appended = self.recorder.append(kind, piece);
                appended.with_context(|| format!("{}: the segment of {start}", self.id))?;
            }
        }
        Ok(())
    }

    /// The camera goes away, and comes again at `at`.
    ///
    /// # Errors
    /// What is open cannot be completed.
    pub fn reconnect(&mut self, at: WallTime) -> Result<()> {
        self.recorder.finish()?;
        self.clock.set(at);
        self.connect(at)
    }

    /// The server ends, `cleanly` or killed, and is started again at `at`.
    ///
    /// # Errors
    /// The recordings cannot be completed or opened.
    pub fn restart(mut self, cleanly: bool, data: &Path, at: WallTime) -> Result<Self> {
        if cleanly {
            self.recorder.finish()?;
        }
        let (film, id, zone) = (self.film, self.id.clone(), self.zone);
        // The data directory is free when all that uses it is gone.
        drop(self);
        Self::start(data, id.as_str(), zone, at, film)
    }

    /// Length of a segment.
    pub fn segment_length(&self) -> TimeDelta {
        TimeDelta::seconds(self.film.media.segment_s.into())
    }

    fn connect(&mut self, now: WallTime) -> Result<()> {
        let from = |of_track| Repeat::at(of_track, now);
        self.tracks = self.film.loops.iter().map(from).collect();
        for track in &self.tracks {
            self.recorder.append(track.kind(), track.init())?;
        }
        Ok(())
    }
}
