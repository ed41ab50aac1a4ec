//! What recording a camera would do: connects once, by the same source and pipeline, and throws away
//! what comes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use dayreel_archive::Piece;
use dayreel_core::{SystemClock, TrackKind};

use crate::{
    Camera, CameraSettings, CameraState, CameraStatus, Error, PieceSink, RtpClockReport,
    SenderReports, Timing,
};

/// What a camera does, seen for some seconds.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Its tracks and how they are; `last_error` is why it would not be recorded.
    pub status: CameraStatus,
    /// How packets come: `tcp`, `udp`, `multicast` or `http`. `None`: it never played.
    pub transport: Option<&'static str>,
    /// The clocks of picture and sound, indexed by [`TrackKind`].
    pub clocks: [Option<RtpClockReport>; 2],
    /// The sender reports of picture and sound, likewise.
    pub sender_reports: [Option<SenderReports>; 2],
}

/// Takes what would be recorded.
struct Nowhere;

impl PieceSink for Nowhere {
    fn append(&mut self, _: TrackKind, _: Piece) -> Result<(), dayreel_archive::Error> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), dayreel_archive::Error> {
        Ok(())
    }
}

/// Connects once and watches for `duration`, or until the camera is lost. Blocks its thread.
///
/// # Errors
/// The system has no thread left. That the camera cannot be recorded is no error, but in the answer.
pub fn probe(settings: CameraSettings, duration: Duration) -> Result<Probe, Error> {
    let Timing {
        connect, teardown, ..
    } = settings.timing;
    let camera = Camera::start_with(settings, Nowhere, Arc::new(SystemClock))?;
    let is_decided =
        |status: &CameraStatus| status.state == CameraState::Live || status.last_error.is_some();
    // The supervisor decides within `connect`.
    let patience = connect + teardown;
    let began = camera.wait_until(Instant::now() + patience, is_decided);
    let is_live = began
        .as_ref()
        .is_some_and(|status| status.last_error.is_none());
    let lost = match is_live {
        true => camera.wait_until(Instant::now() + duration, |status| {
            status.last_error.is_some()
        }),
        false => None,
    };
    let observed = camera.observed();
    let tracks = [TrackKind::Video, TrackKind::Audio].map(|kind| observed.track(kind));
    let mut status = lost
        .or(began.filter(|_| !is_live))
        .unwrap_or_else(|| camera.status());
    if !is_live && status.last_error.is_none() {
        status.last_error = Some(Error::Timeout(connect));
    }
    let probe = Probe {
        status,
        transport: observed.way().map(|way| way.name()),
        clocks: tracks.map(|(clock, _)| clock),
        sender_reports: tracks.map(|(_, reports)| reports),
    };
    camera.shutdown(Instant::now() + teardown);
    Ok(probe)
}
