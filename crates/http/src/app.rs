//! What every handler can reach.

use std::{collections::BTreeMap, sync::Arc};

use dayreel_archive::{CameraArchive, Retention};
use dayreel_core::{CameraId, Clock};
use dayreel_pipeline::{
    Camera,
    frame::{FrameMaker, FrameSettings, PastFrames},
    moment::MomentMaker,
};

use crate::error::ApiError;

/// A camera as the front end sees it: what is recorded, and the running pipeline.
pub struct CameraEntry {
    archive: Arc<CameraArchive>,
    camera: Arc<Camera>,
    frames: FrameMaker,
    past_frames: PastFrames,
    moments: MomentMaker,
}

impl CameraEntry {
    /// A running camera and its recordings.
    pub fn new(
        archive: Arc<CameraArchive>,
        camera: Arc<Camera>,
        frames: FrameSettings,
        moments: MomentMaker,
    ) -> Self {
        Self {
            frames: FrameMaker::with_settings(Arc::clone(camera.ring()), frames),
            past_frames: PastFrames::new(Arc::clone(&archive)),
            archive,
            camera,
            moments,
        }
    }

    pub(crate) const fn archive(&self) -> &Arc<CameraArchive> {
        &self.archive
    }

    pub(crate) const fn camera(&self) -> &Arc<Camera> {
        &self.camera
    }

    pub(crate) const fn frames(&self) -> &FrameMaker {
        &self.frames
    }

    pub(crate) const fn past_frames(&self) -> &PastFrames {
        &self.past_frames
    }

    pub(crate) const fn moments(&self) -> &MomentMaker {
        &self.moments
    }

    /// Why nothing comes from the camera, in words.
    pub(crate) fn why_offline(&self) -> String {
        let status = self.camera.status();
        let state = status.state.name();
        match status.last_error {
            Some(error) => format!("the camera is {state}: {error}"),
            None => format!("the camera is {state}"),
        }
    }
}

/// What every handler can reach. Shared by all workers.
pub struct App {
    cameras: BTreeMap<CameraId, CameraEntry>,
    clock: Arc<dyn Clock>,
    retention: Arc<Retention>,
}

impl App {
    /// The front end of these cameras, whose recordings `retention` deletes.
    pub fn new(
        cameras: Vec<CameraEntry>,
        clock: Arc<dyn Clock>,
        retention: Arc<Retention>,
    ) -> Self {
        let by_id = |entry: CameraEntry| (entry.archive.id().clone(), entry);
        Self {
            cameras: cameras.into_iter().map(by_id).collect(),
            clock,
            retention,
        }
    }

    pub(crate) fn retention(&self) -> &Retention {
        &self.retention
    }

    pub(crate) fn cameras(&self) -> impl Iterator<Item = (&CameraId, &CameraEntry)> {
        self.cameras.iter()
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The camera called `id`, or 404 with the cameras there are.
    pub(crate) fn camera(&self, id: &str) -> Result<&CameraEntry, ApiError> {
        let known = id
            .parse::<CameraId>()
            .ok()
            .and_then(|id| self.cameras.get(&id));
        known.ok_or_else(|| {
            let ids: Vec<_> = self.cameras.keys().map(CameraId::as_str).collect();
            let message = format!("there is no such camera; there are: {}", ids.join(", "));
            ApiError::not_found("unknown_camera", message)
        })
    }
}
