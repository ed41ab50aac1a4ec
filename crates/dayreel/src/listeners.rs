//! Whoever is told what happens: webhooks, and a broker.

use std::sync::Arc;

use anyhow::Result;
use dayreel_config::{Settings, WebhookEvent};
use dayreel_http::App;
use dayreel_pipeline::CameraStatus;
use serde::Serialize;
use tokio::{runtime::Handle, sync::watch};

use crate::{mqtt::Mqtt, webhooks::Webhooks};

/// What happened.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Event {
    /// No two events have the same.
    pub(crate) id: String,
    pub(crate) event: &'static str,
    /// RFC 3339, UTC.
    pub(crate) time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) camera: Option<String>,
    /// The day that is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) date: Option<String>,
    /// Path of the moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// In words.
    pub(crate) message: String,
}

/// All of them. Clones are the same.
#[derive(Clone)]
pub(crate) struct Listeners {
    webhooks: Webhooks,
    mqtt: Mqtt,
    /// Whether there are any.
    any: Arc<watch::Sender<bool>>,
}

impl Listeners {
    /// None yet. A broker is talked to on `runtime`, and what it orders is done by `app`.
    pub(crate) fn new(app: Arc<App>, runtime: Handle) -> Self {
        Self {
            webhooks: Webhooks::default(),
            mqtt: Mqtt::new(app, runtime),
            any: Arc::new(watch::Sender::new(false)),
        }
    }

    /// From now on those of `settings` are told.
    ///
    /// # Errors
    /// The system has no threads left, or TLS does not work.
    pub(crate) fn change(&self, settings: &Settings) -> Result<()> {
        let webhooks = self.webhooks.change(&settings.webhooks);
        let mqtt = self.mqtt.change(settings.mqtt.as_ref());
        self.any
            .send_replace(!self.webhooks.is_empty() || self.mqtt.is_on());
        webhooks.and(mqtt)
    }

    /// Ready when there are any.
    pub(crate) async fn any(&self) {
        // It cannot be closed: this is its sender.
        let _ = self.any.subscribe().wait_for(|any| *any).await;
    }

    /// Ready when there are none.
    pub(crate) async fn none(&self) {
        let _ = self.any.subscribe().wait_for(|any| !*any).await;
    }

    /// How the cameras are. Does not wait.
    pub(crate) fn show(&self, cameras: &[CameraStatus]) {
        self.mqtt.show(cameras);
    }

    /// Something has happened. Does not wait.
    pub(crate) fn tell(&self, kind: WebhookEvent, event: Event) {
        let event = Arc::new(event);
        self.webhooks.tell(kind, &event);
        self.mqtt.tell(kind, event);
    }

    /// Says goodbye to those who would miss us. Takes a second at most.
    pub(crate) async fn end(&self) {
        self.mqtt.end().await;
    }
}
