//! What is said to the MQTT broker, if there is one.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::page::{ALONE, Page};

/// How the broker of the configuration has been talked to. Its task writes it, `/metrics` reads it.
#[derive(Debug, Default)]
pub struct MqttCounts {
    is_connected: AtomicBool,
    published: AtomicU64,
    unsent: AtomicU64,
    failures: AtomicU64,
}

impl MqttCounts {
    /// It takes what is said from now on.
    pub fn connected(&self) {
        self.is_connected.store(true, Ordering::Relaxed);
    }

    /// The connection is over, as it was to be.
    pub fn ended(&self) {
        self.is_connected.store(false, Ordering::Relaxed);
    }

    /// The connection was lost, or never came about.
    pub fn failed(&self) {
        self.ended();
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// A message was sent.
    pub fn published(&self) {
        self.published.fetch_add(1, Ordering::Relaxed);
    }

    /// A message found no room.
    pub fn unsent(&self) {
        self.unsent.fetch_add(1, Ordering::Relaxed);
    }
}

/// No values where there is no broker.
pub(super) fn mqtt(page: &mut Page<'_>, counts: Option<&MqttCounts>) -> fmt::Result {
    let read = |count: &AtomicU64| (ALONE, count.load(Ordering::Relaxed));
    page.gauge(
        "dayreel_mqtt_connected",
        "Whether the MQTT broker takes what is said (1) or not (0)",
        counts.map(|counts| {
            let is_connected = counts.is_connected.load(Ordering::Relaxed);
            (ALONE, u64::from(is_connected))
        }),
    )?;
    page.counter(
        "dayreel_mqtt_published_messages",
        "Messages that were sent to the MQTT broker",
        counts.map(|counts| read(&counts.published)),
    )?;
    page.counter(
        "dayreel_mqtt_unsent_messages",
        "Messages that were not sent, or later, since the MQTT broker took those before them too slowly",
        counts.map(|counts| read(&counts.unsent)),
    )?;
    page.counter(
        "dayreel_mqtt_failures",
        "Connections to the MQTT broker that were lost or never came about",
        counts.map(|counts| read(&counts.failures)),
    )
}
