//! Real players in a real browser: hands a plan to `players/play.mjs` and reads back what it saw.
//!
//! hls.js, dash.js and Shaka run with the settings they ship with, in headless Chromium, from a
//! page of another origin. The harness judges nothing; [`verdict`] does.

pub mod plan;
pub mod report;
mod run;
pub mod scene;
pub mod verdict;

pub use plan::{Place, Plan, Player, Run, Step, Viewport};
pub use report::{Picture, Report, RunReport, Sample, Seen};
pub use run::play;
pub use scene::Scene;
