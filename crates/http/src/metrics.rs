//! Metrics: requests are counted as they are answered, everything else is read when it is asked for.
//!
//! Labels are cameras of the configuration and words of a fixed set, never what a client sends.
//! Nothing here looks at recordings: an answer costs the same at any length of the day.

mod cameras;
mod mqtt;
mod page;
mod process;
mod requests;

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, prometheus_text},
    registry::Registry,
};

pub use mqtt::MqttCounts;
pub(crate) use requests::{RequestMetrics, count_request};

use crate::app::App;
use page::Page;

/// All metrics of `app`, in the Prometheus text format.
///
/// # Errors
/// Never so far: they are written into memory.
pub(crate) fn exposition(app: Arc<App>) -> Result<String, fmt::Error> {
    let mut text = String::new();
    prometheus_text::encode(&mut text, app.requests().registry())?;
    let mut snapshot = Registry::default();
    snapshot.register_collector(Box::new(Snapshot(app)));
    prometheus_text::encode(&mut text, &snapshot)?;
    Ok(text)
}

/// What is read when it is asked for.
struct Snapshot(Arc<App>);

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Snapshot")
    }
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page::new(encoder);
        page.gauge(
            "dayreel_build_info",
            "Always 1; its label is the version of the program",
            [([("version", env!("CARGO_PKG_VERSION"))], 1_u64)],
        )?;
        cameras::cameras(&mut page, &self.0)?;
        cameras::disk(&mut page, &self.0)?;
        mqtt::mqtt(&mut page, self.0.mqtt().as_deref())?;
        process::process(&mut page, self.0.started())
    }
}
