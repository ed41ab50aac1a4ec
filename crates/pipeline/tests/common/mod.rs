//! What the tests with a camera share.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod usage;

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use dayreel_archive::{ChunkInfo, Piece, read_chunk};
use dayreel_config::{OnLoss, Transport, Trust};
use dayreel_core::{Clock, SystemClock, TrackKind};
use dayreel_pipeline::{Camera, CameraSettings, PieceSink, Timing};

/// What a recorder was given.
#[derive(Debug)]
pub(crate) enum Given {
    Init(TrackKind, Bytes),
    Chunk(TrackKind, Chunk),
    Finish,
}

/// A chunk and what is in it.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) begins_segment: bool,
    pub(crate) info: ChunkInfo,
    pub(crate) parts: Vec<Bytes>,
}

impl Chunk {
    /// Decode time of its first access unit, in ticks.
    pub(crate) fn start_90k(&self) -> u64 {
        self.info.start.ticks()
    }

    pub(crate) fn end_90k(&self) -> u64 {
        self.start_90k() + self.info.duration_90k
    }
}

/// Passes everything on to the test.
struct Collector(Sender<Given>);

impl PieceSink for Collector {
    fn append(&mut self, track: TrackKind, piece: Piece) -> Result<(), dayreel_archive::Error> {
        let given = match piece {
            Piece::Init(init) => Given::Init(track, init),
            Piece::Chunk {
                begins_segment,
                parts,
            } => Given::Chunk(
                track,
                Chunk {
                    begins_segment,
                    info: read_chunk(track, &parts[0])?,
                    parts,
                },
            ),
        };
        // The test has seen enough.
        let _ = self.0.send(given);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), dayreel_archive::Error> {
        let _ = self.0.send(Given::Finish);
        Ok(())
    }
}

/// A camera under test.
pub(crate) struct Recorded {
    pub(crate) camera: Camera,
    /// What the wall clock showed before.
    pub(crate) begun: SystemTime,
    given: Receiver<Given>,
}

/// Waits of a test: short where a person would wait, long where only a broken test waits.
pub(crate) fn timing() -> Timing {
    Timing {
        connect: Duration::from_secs(20),
        silence: Duration::from_secs(2),
        retry_first: Duration::from_millis(200),
        retry_most: Duration::from_millis(500),
        ..Timing::default()
    }
}

pub(crate) fn settings(url: &str) -> CameraSettings {
    CameraSettings {
        id: "cam".parse().unwrap(),
        url: url.parse().unwrap(),
        transport: Transport::Tcp,
        trust: Trust::Roots,
        on_loss: OnLoss::Keep,
        audio: true,
        segment: Duration::from_secs(2),
        timing: timing(),
    }
}

pub(crate) fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

impl Recorded {
    pub(crate) fn start(settings: CameraSettings) -> Self {
        Self::start_at(settings, Arc::new(SystemClock))
    }

    pub(crate) fn start_at(settings: CameraSettings, clock: Arc<dyn Clock>) -> Self {
        dayreel_pipeline::init().unwrap();
        let (sender, given) = channel();
        let begun = SystemTime::now();
        let camera = Camera::start_with(settings, Collector(sender), clock).unwrap();
        Self {
            camera,
            begun,
            given,
        }
    }

    /// The next thing the recorder is given.
    pub(crate) fn next(&self) -> Given {
        match self.given.recv_timeout(Duration::from_secs(60)) {
            Ok(given) => given,
            Err(RecvTimeoutError::Timeout) => {
                panic!("nothing recorded: {:?}", self.camera.status())
            }
            Err(RecvTimeoutError::Disconnected) => panic!("the writer has ended"),
        }
    }

    /// Everything up to and with what pleases `enough`.
    pub(crate) fn until(&self, mut enough: impl FnMut(&Given) -> bool) -> Vec<Given> {
        let mut all = vec![];
        loop {
            let given = self.next();
            let done = enough(&given);
            all.push(given);
            if done {
                return all;
            }
        }
    }

    /// Ends the camera and returns what came until then.
    pub(crate) fn end(self) -> Vec<Given> {
        assert!(self.camera.shutdown(deadline()), "the camera does not end");
        self.given.try_iter().collect()
    }
}

/// The chunks of one track.
pub(crate) fn chunks(all: Vec<Given>, kind: TrackKind) -> Vec<Chunk> {
    let chunk = |given| match given {
        Given::Chunk(track, chunk) if track == kind => Some(chunk),
        _ => None,
    };
    all.into_iter().filter_map(chunk).collect()
}
