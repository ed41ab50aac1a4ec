//! What the cameras do, and the disk that they record to.

use std::{fmt, sync::Arc};

use dayreel_core::{CameraId, TrackKind};
use dayreel_pipeline::{CameraCounts, CameraState, CameraStatus};

use super::page::{ALONE, Page};
use crate::app::{App, CameraEntry};

const TRACKS: [(TrackKind, &str); 2] = [(TrackKind::Video, "video"), (TrackKind::Audio, "audio")];

/// One camera when it was asked.
struct Seen {
    id: String,
    status: CameraStatus,
    counts: CameraCounts,
    gaps: Vec<(&'static str, u64)>,
    /// Of the sub-stream, if there is one.
    preview: Option<(CameraStatus, CameraCounts)>,
}

impl Seen {
    fn of((id, entry): (&CameraId, &Arc<CameraEntry>)) -> Self {
        let gaps = entry.archive().gaps_since_start();
        Self {
            id: id.to_string(),
            status: entry.camera().status(),
            counts: entry.camera().counts(),
            preview: entry.preview().map(|one| (one.status(), one.counts())),
            gaps: gaps.map(|(cause, count)| (cause.name(), count)).into(),
        }
    }

    fn label(&self) -> [(&'static str, &str); 1] {
        [("camera", &self.id)]
    }

    fn and<'a>(&'a self, name: &'static str, value: &'a str) -> [(&'static str, &'a str); 2] {
        [("camera", &self.id), (name, value)]
    }
}

/// States, counts and measurements of each camera.
pub(super) fn cameras(page: &mut Page<'_>, app: &App) -> fmt::Result {
    let seen: Vec<_> = app.cameras().iter().map(Seen::of).collect();
    let tracks = |count: fn(&CameraCounts) -> [u64; 2]| {
        seen.iter().flat_map(move |one| {
            let own = TRACKS
                .map(|(kind, name)| (one.and("track", name), count(&one.counts)[kind as usize]));
            let preview = one.preview.iter().map(move |(_, counts)| {
                let [pictures, _] = count(counts);
                (one.and("track", TrackKind::Preview.name()), pictures)
            });
            own.into_iter().chain(preview)
        })
    };
    page.gauge(
        "dayreel_camera_state",
        "1 for the state that the camera is in, 0 for the others",
        seen.iter().flat_map(|one| {
            let is_in = |state| u64::from(one.status.state == state);
            CameraState::ALL.map(|state| (one.and("state", state.name()), is_in(state)))
        }),
    )?;
    page.gauge(
        "dayreel_camera_preview_live",
        "1 while the sub-stream of the camera delivers, 0 while it does not; missing without one",
        seen.iter().filter_map(|one| {
            let (status, _) = one.preview.as_ref()?;
            Some((one.label(), u64::from(status.state == CameraState::Live)))
        }),
    )?;
    page.counter(
        "dayreel_camera_preview_reconnects",
        "Sessions with the sub-stream that were begun after the first",
        seen.iter().filter_map(|one| {
            let (status, _) = one.preview.as_ref()?;
            Some((one.label(), status.reconnects))
        }),
    )?;
    page.gauge(
        "dayreel_camera_last_frame_age_seconds",
        "Time since the last picture arrived",
        seen.iter().filter_map(|one| {
            let age = one.status.last_frame_age?;
            Some((one.label(), age.as_secs_f64()))
        }),
    )?;
    page.gauge(
        "dayreel_camera_clock_error_seconds",
        "How far media time is behind the wall clock",
        seen.iter()
            .map(|one| (one.label(), one.status.clock_error_s)),
    )?;
    page.counter(
        "dayreel_camera_access_units",
        "Access units that arrived",
        tracks(|counts| counts.access_units),
    )?;
    page.counter(
        "dayreel_camera_received_bytes",
        "Bytes of these access units",
        tracks(|counts| counts.bytes),
    )?;
    page.counter(
        "dayreel_camera_reconnects",
        "Sessions that were begun after the first",
        seen.iter().map(|one| (one.label(), one.status.reconnects)),
    )?;
    page.counter(
        "dayreel_camera_dropped_access_units",
        "Access units that a branch could not take: not recorded, not converted in time, or damaged by loss",
        seen.iter().flat_map(|one| {
            let CameraCounts {
                not_recorded,
                not_converted,
                damaged,
                ..
            } = one.counts;
            [
                ("record", not_recorded),
                ("convert", not_converted),
                ("loss", damaged),
            ]
            .map(|(branch, count)| (one.and("branch", branch), count))
        }),
    )?;
    page.counter(
        "dayreel_camera_lost_packets",
        "Packets of the camera that did not arrive",
        seen.iter()
            .map(|one| (one.label(), one.status.lost_packets)),
    )?;
    page.counter(
        "dayreel_camera_unusable_packets",
        "Packets that came twice or are no packets of a track",
        seen.iter()
            .map(|one| (one.label(), one.status.unusable_packets)),
    )?;
    page.counter(
        "dayreel_camera_gaps",
        "Gaps in the recording that are over",
        seen.iter().flat_map(|one| {
            let gaps = one.gaps.iter();
            gaps.map(|(cause, count)| (one.and("cause", cause), *count))
        }),
    )?;
    page.gauge(
        "dayreel_camera_recording_trouble",
        "1 while what arrives cannot be recorded",
        seen.iter().map(|one| {
            let is_in_trouble = one.status.recording_error.is_some();
            (one.label(), u64::from(is_in_trouble))
        }),
    )?;
    page.counter(
        "dayreel_camera_recording_errors",
        "How often recording got into trouble",
        seen.iter().flat_map(|one| {
            let errors = one.counts.recording_errors.iter();
            errors.map(|(code, count)| (one.and("code", code), *count))
        }),
    )?;
    page.durations(
        "dayreel_camera_segment_write_seconds",
        "How long the disk took for a segment of a track and its line in the index",
        seen.iter()
            .map(|one| (one.label(), one.counts.segment_writes)),
    )
}

/// The disk as it was looked at last, some seconds ago.
pub(super) fn disk(page: &mut Page<'_>, app: &App) -> fmt::Result {
    let storage = app.retention().storage();
    let space = storage.space;
    page.gauge(
        "dayreel_disk_free_bytes",
        "Free on the disk of the recordings",
        space.map(|space| (ALONE, space.free_bytes)),
    )?;
    page.gauge(
        "dayreel_disk_size_bytes",
        "Size of the disk of the recordings",
        space.map(|space| (ALONE, space.total_bytes)),
    )?;
    page.gauge(
        "dayreel_disk_min_free_bytes",
        "The oldest recordings are deleted while less is free",
        [(ALONE, storage.min_free_bytes)],
    )?;
    page.gauge(
        "dayreel_disk_fits",
        "1 if what is to be kept will fit, 0 if not; missing while too little is recorded to tell",
        storage.fits().map(|fits| (ALONE, u64::from(fits))),
    )?;
    let forecasts = storage.forecasts.iter();
    let forecasts = forecasts.map(|one| ([("camera", one.camera.as_str())], one));
    page.gauge(
        "dayreel_camera_kept_bytes",
        "What the days of the camera take",
        forecasts
            .clone()
            .map(|(label, one)| (label, one.kept_bytes)),
    )?;
    page.gauge(
        "dayreel_camera_needed_bytes",
        "What the days of the camera will take when as many are kept as shall be",
        forecasts.filter_map(|(label, one)| Some((label, one.needed_bytes()?))),
    )
}
