//! A recorder for the two streams of a camera: each has sessions, and trouble, of its own.

use std::sync::Arc;

use dayreel_core::{GapCause, MediaTime, TrackKind};
use parking_lot::Mutex;

use crate::{Piece, Recorder, Result};

/// The tracks that one stream of a camera fills. Each stream's writer thread has its own; they
/// append in turn.
pub struct StreamRecorder {
    recorder: Arc<Mutex<Recorder>>,
    /// What its picture is recorded as, and what its sound is.
    kinds: &'static [TrackKind],
}

impl Recorder {
    /// For a camera with a sub-stream: first the recorder of its main stream, then that of the
    /// sub-stream, whose picture is the preview.
    pub fn split(self) -> [StreamRecorder; 2] {
        let recorder = Arc::new(Mutex::new(self));
        let of = |kinds| StreamRecorder {
            recorder: Arc::clone(&recorder),
            kinds,
        };
        [
            of(&[TrackKind::Video, TrackKind::Audio]),
            of(&[TrackKind::Preview]),
        ]
    }
}

impl StreamRecorder {
    /// Appends one piece of the picture ([`TrackKind::Video`]) or of the sound; see
    /// [`Recorder::append`]. Sound of a sub-stream is not recorded.
    ///
    /// # Errors
    /// Those of [`Recorder::append`].
    pub fn append(&mut self, of_stream: TrackKind, piece: Piece) -> Result<()> {
        match self.kinds.get(of_stream as usize) {
            Some(kind) => self.recorder.lock().append(*kind, piece),
            None => Ok(()),
        }
    }

    /// Says why nothing comes from this stream; see [`Recorder::interrupted`].
    pub fn interrupted(&mut self, cause: GapCause) {
        self.recorder.lock().interrupted_of(self.kinds, cause);
    }

    /// The end of what is recorded; see [`Recorder::recorded_until`].
    ///
    /// # Errors
    /// Those of [`Recorder::recorded_until`].
    pub fn recorded_until(&self) -> Result<MediaTime> {
        self.recorder.lock().recorded_until()
    }

    /// Ends a session of this stream; see [`Recorder::finish`].
    ///
    /// # Errors
    /// Those of [`Recorder::finish`].
    pub fn finish(&mut self) -> Result<()> {
        self.recorder.lock().finish_of(self.kinds)
    }
}
