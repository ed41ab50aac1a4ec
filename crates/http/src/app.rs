//! What every handler can reach.

use std::{collections::BTreeMap, sync::Arc};

use dayreel_archive::{CameraArchive, Retention};
use dayreel_core::{CameraId, Clock, WallTime};
use dayreel_pipeline::{
    Camera,
    frame::{FrameMaker, FrameSettings, PastFrames},
    moment::MomentMaker,
};
use parking_lot::RwLock;
use tokio::sync::broadcast;

use crate::{
    access::{Caller, Gate},
    crowd::Crowd,
    error::ApiError,
    metrics::{MqttCounts, RequestMetrics},
    routes::Reloads,
};

/// A camera as the front end sees it: what is recorded, and the running pipeline.
pub struct CameraEntry {
    archive: Arc<CameraArchive>,
    camera: Arc<Camera>,
    preview: Option<Arc<Camera>>,
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
            past_frames: PastFrames::new(Arc::clone(&archive), Arc::clone(camera.ring()), frames),
            archive,
            camera,
            preview: None,
            moments,
        }
    }

    /// The same with the pipeline of its sub-stream.
    #[must_use]
    pub fn with_preview(self, preview: Option<Arc<Camera>>) -> Self {
        Self { preview, ..self }
    }

    pub(crate) const fn archive(&self) -> &Arc<CameraArchive> {
        &self.archive
    }

    pub(crate) const fn camera(&self) -> &Arc<Camera> {
        &self.camera
    }

    /// The pipeline of its sub-stream.
    pub(crate) const fn preview(&self) -> Option<&Arc<Camera>> {
        self.preview.as_ref()
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

/// A moment that has been made.
#[derive(Clone, Debug)]
pub struct MomentNotice {
    /// Of which camera.
    pub camera: CameraId,
    /// Path of the clip.
    pub url: String,
    /// What it was called.
    pub label: Option<String>,
}

/// Notices that wait for a listener.
const NOTICES: usize = 64;

/// The cameras, by their ids.
type Cameras = BTreeMap<CameraId, Arc<CameraEntry>>;

/// What every handler can reach. Shared by all workers.
pub struct App {
    /// Replaced as a whole when the configuration is read again. Locked to take a reference only.
    cameras: RwLock<Arc<Cameras>>,
    clock: Arc<dyn Clock>,
    retention: Arc<Retention>,
    reloads: Option<Reloads>,
    gate: Gate,
    started: WallTime,
    requests: RequestMetrics,
    /// Of the broker that there is now. Locked to take a reference only.
    mqtt: RwLock<Option<Arc<MqttCounts>>>,
    moments: broadcast::Sender<MomentNotice>,
    exports: Crowd,
    waits: Crowd,
}

impl App {
    /// The front end of these cameras, whose recordings `retention` deletes, for those whom `gate` lets
    /// in. `reloads`: where it can be asked to read the configuration again, if there is one.
    pub fn new(
        cameras: impl IntoIterator<Item = Arc<CameraEntry>>,
        clock: Arc<dyn Clock>,
        retention: Arc<Retention>,
        gate: Gate,
        reloads: Option<Reloads>,
    ) -> Self {
        Self {
            cameras: RwLock::new(Arc::new(by_id(cameras))),
            started: clock.now(),
            requests: RequestMetrics::default(),
            mqtt: RwLock::default(),
            moments: broadcast::Sender::new(NOTICES),
            exports: Crowd::of_exports(),
            waits: Crowd::of_waits(),
            clock,
            retention,
            gate,
            reloads,
        }
    }

    /// From now on these are the cameras. Requests that are being answered go on with those they
    /// began with.
    pub fn show(&self, cameras: impl IntoIterator<Item = Arc<CameraEntry>>) {
        *self.cameras.write() = Arc::new(by_id(cameras));
    }

    /// Who is let in.
    pub const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The path of the server that `path` is, as clients may ask for it: behind a proxy, too.
    pub(crate) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.gate.base().prefix())
    }

    /// What is made from now on.
    pub fn moments_made(&self) -> broadcast::Receiver<MomentNotice> {
        self.moments.subscribe()
    }

    pub(crate) fn moment_made(&self, notice: MomentNotice) {
        // An error is that nobody listens.
        let _ = self.moments.send(notice);
    }

    /// Counts the exports that are being sent.
    pub(crate) const fn exports(&self) -> &Crowd {
        &self.exports
    }

    /// Counts the requests that wait for what is being recorded.
    pub(crate) const fn waits(&self) -> &Crowd {
        &self.waits
    }

    pub(crate) fn retention(&self) -> &Retention {
        &self.retention
    }

    pub(crate) const fn reloads(&self) -> Option<&Reloads> {
        self.reloads.as_ref()
    }

    /// The cameras as they are now.
    pub(crate) fn cameras(&self) -> Arc<Cameras> {
        Arc::clone(&self.cameras.read())
    }

    /// Those of them that `caller` may see, in the order of their ids.
    pub(crate) fn cameras_of(&self, caller: &Caller) -> Vec<Arc<CameraEntry>> {
        let cameras = self.cameras();
        let seen = cameras.iter().filter(|(id, _)| caller.sees(id));
        seen.map(|(_, entry)| Arc::clone(entry)).collect()
    }

    /// When it began to serve.
    pub(crate) const fn started(&self) -> WallTime {
        self.started
    }

    /// What is counted of requests.
    pub(crate) const fn requests(&self) -> &RequestMetrics {
        &self.requests
    }

    /// From now on this is what is counted of the broker, if there is one.
    pub fn show_mqtt(&self, counts: Option<Arc<MqttCounts>>) {
        *self.mqtt.write() = counts;
    }

    pub(crate) fn mqtt(&self) -> Option<Arc<MqttCounts>> {
        self.mqtt.read().clone()
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The camera called `id`, or 404 with the cameras there are.
    pub(crate) fn camera(&self, id: &str) -> Result<Arc<CameraEntry>, ApiError> {
        let cameras = self.cameras();
        let known = id
            .parse::<CameraId>()
            .ok()
            .and_then(|id| cameras.get(&id).cloned());
        known.ok_or_else(|| self.unknown_camera(&Caller::Anybody))
    }

    /// 404 with the cameras that `caller` may see.
    pub(crate) fn unknown_camera(&self, caller: &Caller) -> ApiError {
        let cameras = self.cameras();
        let seen = cameras.keys().filter(|id| caller.sees(id));
        let ids: Vec<_> = seen.map(CameraId::as_str).collect();
        let message = format!("there is no such camera; there are: {}", ids.join(", "));
        ApiError::not_found("unknown_camera", message)
    }
}

fn by_id(cameras: impl IntoIterator<Item = Arc<CameraEntry>>) -> Cameras {
    let by_id = |entry: Arc<CameraEntry>| (entry.archive.id().clone(), entry);
    cameras.into_iter().map(by_id).collect()
}
