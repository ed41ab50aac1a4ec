//! `POST /api/reload`: reads the configuration again.

use actix_web::{
    HttpResponse,
    http::{Method, header},
    web,
};
use dayreel_core::{CameraId, Kind};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use utoipa::ToSchema;

use crate::{
    access::Needs,
    app::App,
    error::ApiError,
    openapi::{Example, says},
    routes::{Routes, at},
};

/// So many may wait; each is done after the other.
const MOST_WAITING: usize = 8;

pub(crate) fn routes(routes: &mut Routes) {
    let of_reload = says("reload", "Reads the configuration again")
        .details("Cameras that are configured as before go on without a break.")
        .json::<Reloaded>("What became of the cameras")
        .refuses(400, "The configuration is wrong; nothing has changed")
        .refuses(409, "Something needs a restart; nothing has changed")
        .refuses(503, "A camera cannot be started yet");
    routes.add(at("/api/reload").on(Method::POST, Needs::ADMIN.changing(), of_reload, reload));
}

/// What became of the cameras.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Reloaded {
    /// Were not there before.
    #[schema(value_type = Vec<String>)]
    pub added: Vec<CameraId>,
    /// Are not there any more. Their recordings stay on the disk.
    #[schema(value_type = Vec<String>)]
    pub removed: Vec<CameraId>,
    /// Were ended and started with other settings.
    #[schema(value_type = Vec<String>)]
    pub restarted: Vec<CameraId>,
    /// Have other settings, and go on without a break.
    #[schema(value_type = Vec<String>)]
    pub changed: Vec<CameraId>,
    /// Were not touched.
    #[schema(value_type = Vec<String>)]
    pub unchanged: Vec<CameraId>,
    /// What the user should know about the configuration.
    pub warnings: Vec<String>,
}

impl Example for Reloaded {
    fn example() -> Self {
        let id = |text: &str| text.parse().into_iter().collect();
        Self {
            added: id("garden"),
            unchanged: id("front-door"),
            ..Self::default()
        }
    }
}

/// Why nothing has changed, or not all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReloaded {
    /// The configuration is wrong: file, line and key of everything. Nothing has changed.
    #[error("{0}")]
    BadConfiguration(String),
    /// Something cannot change while the server runs. Nothing has changed.
    #[error("{0}")]
    RestartRequired(String),
    /// A camera cannot be started, or not yet. The others are as the configuration says.
    #[error("{0}")]
    CameraNotStarted(String),
}

impl From<NotReloaded> for ApiError {
    fn from(refusal: NotReloaded) -> Self {
        let (kind, code) = match refusal {
            NotReloaded::BadConfiguration(_) => (Kind::InvalidArgument, "bad_configuration"),
            NotReloaded::RestartRequired(_) => (Kind::Conflict, "restart_required"),
            NotReloaded::CameraNotStarted(_) => (Kind::Unavailable, "camera_not_started"),
        };
        Self::new(kind, code, refusal.to_string())
    }
}

/// Where the answer goes.
pub type ReloadAnswer = oneshot::Sender<Result<Reloaded, NotReloaded>>;

/// Where the program is asked to read its configuration again. Clones ask the same.
#[derive(Clone, Debug)]
pub struct Reloads(mpsc::Sender<ReloadAnswer>);

impl Reloads {
    /// One end for those who ask, and one for who does it. The latter ends when the former are gone.
    pub fn channel() -> (Self, mpsc::Receiver<ReloadAnswer>) {
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        (Self(sender), receiver)
    }

    /// Asks, and waits until it is done. `None`: the program is about to end.
    pub async fn ask(&self) -> Option<Result<Reloaded, NotReloaded>> {
        let (answer, answered) = oneshot::channel();
        self.0.send(answer).await.ok()?;
        answered.await.ok()
    }
}

async fn reload(app: web::Data<App>) -> Result<HttpResponse, ApiError> {
    let reloads = app.reloads().ok_or_else(|| {
        let message = "there is no configuration to read again";
        ApiError::new(Kind::Conflict, "no_configuration", message)
    })?;
    let closing = || ApiError::new(Kind::Unavailable, "closing", "the server is about to end");
    let reloaded = reloads.ask().await.ok_or_else(closing)??;
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    Ok(response.json(reloaded))
}
