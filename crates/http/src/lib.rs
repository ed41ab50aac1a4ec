//! The HTTP front end: routes, views and errors of the API, and the web page.
//!
//! No crate but this one knows actix. A file under `routes/` has the handlers of the paths it names
//! at its top.

mod access;
mod app;
mod crowd;
mod date_param;
mod day_param;
mod error;
mod file_body;
mod idle;
mod metrics;
mod number_param;
mod openapi;
mod packed;
mod routes;
mod saved_as;
mod server;
mod time_param;
mod tls;

pub use access::{Gate, NoGate};
pub use app::{App, CameraEntry, MomentNotice};
pub use error::ApiError;
pub use metrics::MqttCounts;
pub use routes::{MomentOrder, NotReloaded, ReloadAnswer, Reloaded, Reloads};
pub use server::{bind, serve};
pub use tls::{Certificate, CertificateError};
