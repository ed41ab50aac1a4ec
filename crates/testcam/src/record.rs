//! The record: what a camera sent, access unit by access unit.

use std::{
    collections::VecDeque,
    fs::File,
    io::{BufWriter, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use parking_lot::{Condvar, Mutex};
use serde::Serialize;

use crate::{Fingerprint, Recording};

/// Which stream of the camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Track {
    /// The pictures.
    Video,
    /// The sound.
    Audio,
}

/// One access unit that a camera sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SentUnit {
    /// Which stream.
    pub track: Track,
    /// Runs of the encoder, from 0: a new one begins when a client comes after all had left.
    pub run: u32,
    /// Video: the number of the picture, as burnt in; goes on over runs and restarts. A file's
    /// pictures are counted in decoding order, over all loops. Audio: the number of the access unit,
    /// counted likewise.
    pub number: u32,
    /// Video: a decoder can start here. Audio: always.
    pub is_keyframe: bool,
    /// Timestamp of its RTP packets, with the random offset of this run.
    pub rtp_timestamp: u32,
    /// Ticks of `rtp_timestamp` in a second.
    pub clock_rate_hz: u32,
    /// When its first packet was handed to the network, microseconds since the Unix epoch.
    pub sent_us: i64,
    /// Length of its normal form, bytes.
    pub normal_form_bytes: usize,
    /// SHA-256 of its [normal form](crate::Format). Not unique: silence repeats, and so does a
    /// looped file. Compare sequences.
    pub sha256: Fingerprint,
}

/// The access units a camera sent, in order; may be asked while it runs. Clones share the record.
#[derive(Clone, Debug)]
pub struct Record(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    kept: Mutex<Kept>,
    /// Told after each unit added.
    added: Condvar,
}

#[derive(Debug)]
struct Kept {
    units: VecDeque<SentUnit>,
    capacity: usize,
    lines: Option<BufWriter<File>>,
    /// Why the file is not written any more.
    failure: Option<std::io::Error>,
}

impl Record {
    /// An empty record.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub(crate) fn create(recording: &Recording) -> Result<Option<Self>> {
        let (capacity, lines) = match recording {
            Recording::Off => return Ok(None),
            Recording::Memory { units } => (*units, None),
            Recording::File { units, path } => {
                let file = File::create(path)
                    .with_context(|| format!("cannot create {}", path.display()))?;
                (*units, Some(BufWriter::new(file)))
            }
        };
        Ok(Some(Self(Arc::new(Shared {
            kept: Mutex::new(Kept {
                units: VecDeque::new(),
                capacity,
                lines,
                failure: None,
            }),
            added: Condvar::new(),
        }))))
    }

    /// Adds what has just been sent. Called by streaming threads.
    pub(crate) fn add(&self, unit: SentUnit) {
        let mut kept = self.0.kept.lock();
        kept.write_line(&unit);
        if kept.units.len() >= kept.capacity {
            kept.units.pop_front();
        }
        if kept.capacity > 0 {
            kept.units.push_back(unit);
        }
        drop(kept);
        self.0.added.notify_all();
    }

    /// What is kept of one stream, oldest first.
    pub fn units(&self, track: Track) -> Vec<SentUnit> {
        let kept = self.0.kept.lock();
        let of_track = kept.units.iter().filter(|unit| unit.track == track);
        of_track.cloned().collect()
    }

    /// Waits until `enough` holds for what is kept of both streams, oldest first. Whether it did
    /// within `timeout`.
    pub fn wait_until(
        &self,
        timeout: Duration,
        mut enough: impl FnMut(&VecDeque<SentUnit>) -> bool,
    ) -> bool {
        let deadline = Instant::now() + timeout;
        let mut kept = self.0.kept.lock();
        loop {
            if enough(&kept.units) {
                return true;
            }
            if self.0.added.wait_until(&mut kept, deadline).timed_out() {
                return enough(&kept.units);
            }
        }
    }

    /// Writes out what the file has not got yet.
    ///
    /// # Errors
    /// If it, or an earlier write, failed.
    pub fn flush(&self) -> Result<()> {
        let mut kept = self.0.kept.lock();
        if let Some(error) = kept.failure.take() {
            return Err(error).context("the record's file is incomplete");
        }
        match &mut kept.lines {
            Some(lines) => lines.flush().context("cannot write the record's file"),
            None => Ok(()),
        }
    }
}

impl Kept {
    /// A failure ends the file, not the camera; [`Record::flush`] tells.
    fn write_line(&mut self, unit: &SentUnit) {
        let Some(lines) = &mut self.lines else { return };
        let written = serde_json::to_writer(&mut *lines, unit)
            .map_err(std::io::Error::from)
            .and_then(|()| lines.write_all(b"\n"));
        if let Err(error) = written {
            self.lines = None;
            self.failure = Some(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(track: Track, number: u32) -> SentUnit {
        SentUnit {
            track,
            run: 0,
            number,
            is_keyframe: true,
            rtp_timestamp: 90 * number,
            clock_rate_hz: 90_000,
            sent_us: 7,
            normal_form_bytes: 3,
            sha256: Fingerprint::of_normal_form(b"abc"),
        }
    }

    #[test]
    fn keeps_the_latest_and_writes_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record.jsonl");
        let recording = Recording::File {
            units: 2,
            path: path.clone(),
        };
        let record = Record::create(&recording).unwrap().unwrap();
        for number in 0..3 {
            record.add(unit(Track::Video, number));
        }
        record.add(unit(Track::Audio, 9));
        assert_eq!(record.units(Track::Video), [unit(Track::Video, 2)]);
        assert_eq!(record.units(Track::Audio), [unit(Track::Audio, 9)]);
        record.flush().unwrap();
        let lines = std::fs::read_to_string(path).unwrap();
        assert_eq!(lines.lines().count(), 4);
        let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!(first["track"], "video");
        assert_eq!(first["sha256"].as_str().unwrap().len(), 64);
    }

    #[test]
    fn waiting_ends_with_the_unit_or_the_deadline() {
        let record = Record::create(&Recording::default()).unwrap().unwrap();
        let adder = {
            let record = record.clone();
            std::thread::spawn(move || record.add(unit(Track::Video, 0)))
        };
        assert!(record.wait_until(Duration::from_secs(10), |units| units.len() == 1));
        assert!(!record.wait_until(Duration::from_millis(1), |units| units.len() == 2));
        adder.join().unwrap();
    }

    #[test]
    fn nothing_is_kept_when_off() {
        assert!(Record::create(&Recording::Off).unwrap().is_none());
    }
}
