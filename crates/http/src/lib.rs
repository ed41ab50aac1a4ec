//! The HTTP front end: routes, views and errors of the API, and the web page.
//!
//! No crate but this one knows actix. A file under `routes/` has the handlers of the paths it names
//! at its top.

mod app;
mod day_param;
mod error;
mod file_body;
mod routes;
mod server;
mod time_param;

pub use app::{App, CameraEntry};
pub use error::ApiError;
pub use server::{bind, serve};
