//! The cameras on an MQTT broker, and through it in Home Assistant.
//!
//! One task talks to the broker. What it is shown is the newest state of all cameras, whatever it has
//! missed; what happens waits in a short queue. So a broker that is away or slow delays nothing here, and
//! when it is back it is told how things are, not how they were.

mod discovery;
mod session;
mod topics;

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use dayreel_config::{Mqtt as Settings, WebhookEvent};
use dayreel_core::CameraId;
use dayreel_http::{App, MqttCounts};
use dayreel_pipeline::{CameraStatus, TlsSettings};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

use self::{session::Link, topics::Topics};
use crate::listeners::Event;

/// Events that wait for the broker. More are left out.
const QUEUE: usize = 64;

/// The broker has so long for the goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// One camera as the broker is told of it: what changes seldom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Shown {
    #[serde(skip)]
    id: CameraId,
    state: &'static str,
    /// RFC 3339, UTC.
    since: String,
    last_error: Option<String>,
    reconnects: u64,
}

/// The cameras, once they have been looked at.
type AllShown = Option<Arc<[Shown]>>;

/// What becomes of that which the broker keeps, when it is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    /// It stays, as of somebody who is away.
    Stay,
    /// It goes.
    Clear,
}

/// The broker, if there is one. Clones are the same.
#[derive(Clone)]
pub(crate) struct Mqtt(Arc<Inner>);

struct Inner {
    app: Arc<App>,
    runtime: Handle,
    shown: watch::Sender<AllShown>,
    running: Mutex<Option<Running>>,
}

/// The task that talks to a broker.
struct Running {
    settings: Settings,
    events: mpsc::Sender<(WebhookEvent, Arc<Event>)>,
    end: oneshot::Sender<Farewell>,
    task: JoinHandle<()>,
}

impl Shown {
    fn of(status: &CameraStatus) -> Self {
        Self {
            id: status.id.clone(),
            state: status.state.name(),
            since: status
                .since
                .to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            last_error: status.last_error.as_ref().map(ToString::to_string),
            reconnects: status.reconnects,
        }
    }
}

impl Mqtt {
    /// None yet.
    pub(crate) fn new(app: Arc<App>, runtime: Handle) -> Self {
        Self(Arc::new(Inner {
            app,
            runtime,
            shown: watch::Sender::new(None),
            running: Mutex::default(),
        }))
    }

    /// Whether there is a broker to be told.
    pub(crate) fn is_on(&self) -> bool {
        self.0.running.lock().is_some()
    }

    /// From now on it is this one.
    ///
    /// # Errors
    /// TLS does not work on this machine.
    pub(crate) fn change(&self, settings: Option<&Settings>) -> Result<()> {
        let mut running = self.0.running.lock();
        if running.as_ref().map(|running| &running.settings) == settings {
            return Ok(());
        }
        let tls = settings
            .filter(|settings| settings.url.is_encrypted())
            .map(|settings| TlsSettings::new(settings.trust))
            .transpose()
            .context("TLS to the broker does not work")?;
        let before = running.take().map(|before| {
            let farewell = before.farewell(settings);
            // An error is that it has ended.
            let _ = before.end.send(farewell);
            before.task
        });
        let Some(settings) = settings else {
            self.0.shown.send_replace(None);
            self.0.app.show_mqtt(None);
            return Ok(());
        };
        let counts = Arc::new(MqttCounts::default());
        self.0.app.show_mqtt(Some(Arc::clone(&counts)));
        let (events, waiting) = mpsc::channel(QUEUE);
        let (end, ended) = oneshot::channel();
        let link = Link {
            topics: Topics::new(settings),
            settings: settings.clone(),
            tls,
            app: Arc::clone(&self.0.app),
            counts,
            shown: self.0.shown.subscribe(),
            events: waiting,
            end: ended,
            moments: HashMap::new(),
        };
        let task = self.0.runtime.spawn(async move {
            // Both have one name for the broker, which would end the first without its goodbye.
            if let Some(before) = before {
                let _ = timeout(GOODBYE, before).await;
            }
            link.run().await;
        });
        let settings = settings.clone();
        *running = Some(Running {
            settings,
            events,
            end,
            task,
        });
        Ok(())
    }

    /// How the cameras are.
    pub(crate) fn show(&self, cameras: &[CameraStatus]) {
        if !self.is_on() {
            return;
        }
        let cameras: Arc<[Shown]> = cameras.iter().map(Shown::of).collect();
        self.0.shown.send_if_modified(|shown| {
            let is_new = shown.as_ref() != Some(&cameras);
            *shown = Some(cameras);
            is_new
        });
    }

    /// Something has happened. What finds the queue full is left out: it is a hint.
    pub(crate) fn tell(&self, kind: WebhookEvent, event: Arc<Event>) {
        if let Some(running) = &*self.0.running.lock() {
            let _ = running.events.try_send((kind, event));
        }
    }

    /// Says goodbye.
    pub(crate) async fn end(&self) {
        let running = self.0.running.lock().take();
        if let Some(running) = running {
            let _ = running.end.send(Farewell::Stay);
            let _ = timeout(GOODBYE, running.task).await;
        }
    }
}

impl Running {
    /// What another broker, or other topics, would leave behind here goes.
    fn farewell(&self, next: Option<&Settings>) -> Farewell {
        let places = |settings: &Settings| {
            let Settings {
                url,
                topic_prefix,
                discovery_prefix,
                ..
            } = settings.clone();
            (url, topic_prefix, discovery_prefix)
        };
        match next.map(places) == Some(places(&self.settings)) {
            true => Farewell::Stay,
            false => Farewell::Clear,
        }
    }
}
