//! A connection to the broker after the other.

use std::{
    collections::{BTreeSet, HashMap},
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use dayreel_config::{Mqtt as Settings, WebhookEvent};
use dayreel_core::{CameraId, WallTime};
use dayreel_http::{ApiError, App, MomentOrder, MqttCounts};
use dayreel_pipeline::{
    TlsSettings,
    frame::{Frame, Look},
};
use rumqttc::{
    AsyncClient, Broker, ConnectReturnCode, ConnectionError, Event as MqttEvent, EventLoop,
    LastWill, MqttOptions, Outgoing, Packet, Publish, PublishOptions, QoS, TlsConfiguration,
    Transport,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{self, timeout},
};

use super::{
    AllShown, Farewell, Shown,
    discovery::device,
    topics::{Heard, Topics},
};
use crate::listeners::Event;

/// The broker says "offline" for us when it has heard nothing for one and a half of it.
const KEEP_ALIVE_S: u16 = 30;

/// Pauses between attempts, doubled from the one to the other.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Messages that wait to be sent. What finds no room is sent later, pictures with the next.
const UNSENT: usize = 64;

/// Most bytes of a message to us: an order is short.
const MAX_INCOMING: usize = 64 << 10;
/// And from us: a picture.
const MAX_OUTGOING: usize = 16 << 20;

/// Orders that are carried out at once. More are refused.
const MOST_ORDERS: usize = 8;

/// Pictures on a dashboard are small.
const LOOK: Look = Look {
    width: Some(1280),
    quality: 80,
};

/// Everything that the task needs.
pub(super) struct Link {
    pub(super) settings: Settings,
    pub(super) topics: Topics,
    pub(super) tls: Option<TlsSettings>,
    pub(super) app: Arc<App>,
    pub(super) counts: Arc<MqttCounts>,
    pub(super) shown: watch::Receiver<AllShown>,
    pub(super) events: mpsc::Receiver<(WebhookEvent, Arc<Event>)>,
    pub(super) end: oneshot::Receiver<Farewell>,
    pub(super) moments: Moments,
}

/// The latest moment of each camera since the start, as JSON, for a broker that was away or has forgotten it.
pub(super) type Moments = HashMap<String, Vec<u8>>;

/// Why a connection is over.
enum Over {
    /// It was to end.
    Ended,
    /// It was lost, or never came about.
    Lost {
        error: ConnectionError,
        was_connected: bool,
    },
}

/// What was begun and is done.
enum Done {
    /// An order for a camera, as it was called.
    Order(String, Result<(), ApiError>),
    Picture(CameraId, Result<Frame, ApiError>),
}

impl Link {
    /// Until it is told to end.
    pub(super) async fn run(mut self) {
        let mut failures = 0_u32;
        loop {
            let Over::Lost {
                error,
                was_connected,
            } = self.session().await
            else {
                self.counts.ended();
                return;
            };
            self.counts.failed();
            if was_connected {
                failures = 0;
            }
            failures += 1;
            let (first, most) = PAUSES;
            let pause = first
                .saturating_mul(1 << (failures - 1).min(16))
                .min(most)
                .mul_f64(rand::random_range(0.8..1.2));
            // As with cameras: the first, second, fourth and so on.
            if failures.is_power_of_two() {
                tracing::warn!(
                    broker = %self.settings.url, failures,
                    "no connection to the broker: {}; again in {:.0} s",
                    self.in_words(&error), pause.as_secs_f64()
                );
            }
            tokio::select! {
                () = time::sleep(pause) => {}
                _ = &mut self.end => return,
            }
            // They are hints, and old ones now; but what the broker keeps is told when it is back.
            while let Ok((kind, event)) = self.events.try_recv() {
                if let Some(camera) = camera_of_moment(kind, &event)
                    && let Ok(json) = serde_json::to_vec(&*event)
                {
                    self.moments.insert(camera.clone(), json);
                }
            }
        }
    }

    fn in_words(&self, error: &ConnectionError) -> String {
        let refused = self.tls.as_ref().and_then(TlsSettings::take_refused);
        match (error, refused) {
            (_, Some(fingerprint)) => format!(
                "its certificate is from no authority that this system knows, or not for this name; \
                 if it is the right one, write tls_fingerprint = \"{fingerprint}\" in [mqtt]"
            ),
            (
                ConnectionError::ConnectionRefused(
                    ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
                ),
                _,
            ) => "it refuses the user or the password of [mqtt]".to_owned(),
            _ => error.to_string(),
        }
    }

    fn options(&self) -> MqttOptions {
        let broker = Broker::tcp(self.settings.url.host(), self.settings.url.port());
        let mut options = MqttOptions::new(self.topics.client(), broker);
        let will = LastWill::new(self.topics.status(), "offline", QoS::AtLeastOnce, true);
        options
            .set_last_will(will)
            .set_keep_alive(KEEP_ALIVE_S)
            .set_max_packet_size(MAX_INCOMING, MAX_OUTGOING);
        if let Some(tls) = &self.tls {
            let config = TlsConfiguration::Rustls(Arc::clone(tls.config()));
            options.set_transport(Transport::tls_with_config(config));
        }
        if let Some(login) = &self.settings.login {
            match login.password() {
                Some(password) => options.set_credentials(login.user(), password.to_owned()),
                None => options.set_username(login.user()),
            };
        }
        options
    }

    /// One connection. Nothing of it is taken over by the next: that one says all anew.
    async fn session(&mut self) -> Over {
        let (client, connection) = AsyncClient::builder(self.options())
            .capacity(UNSENT)
            .build();
        let (packets, mut incoming) = mpsc::channel(1);
        let mut driving = pin!(drive(connection, packets, &self.counts));
        let mut session = Session::new(
            &self.settings,
            &self.topics,
            &self.app,
            &self.counts,
            &mut self.moments,
            client,
        );
        // A state that was shown before is one to be told, too.
        self.shown.mark_changed();
        let mut tick = time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            let is_on = session.is_connected;
            tokio::select! {
                farewell = &mut self.end => {
                    if is_on {
                        session.say_goodbye(farewell.unwrap_or(Farewell::Stay));
                        // An error is what is due.
                        let _ = timeout(super::GOODBYE / 2, &mut driving).await;
                    }
                    return Over::Ended;
                }
                error = &mut driving => {
                    return Over::Lost { error, was_connected: is_on };
                }
                Some(packet) = incoming.recv() => session.hear(packet),
                // What found no room is told with the next tick.
                _ = tick.tick(), if is_on => session.step(&self.shown.borrow()),
                Ok(()) = self.shown.changed(), if is_on => {
                    session.step(&self.shown.borrow_and_update());
                }
                Some((kind, event)) = self.events.recv(), if is_on => session.tell(kind, &event),
                Some(done) = session.begun.join_next(), if !session.begun.is_empty() => {
                    if let Ok(done) = done {
                        session.finish(done);
                    }
                }
            }
        }
    }
}

/// Keeps a connection going, and passes on what is of interest. Returns why it is over.
async fn drive(
    mut connection: EventLoop,
    packets: mpsc::Sender<Packet>,
    counts: &MqttCounts,
) -> ConnectionError {
    loop {
        match connection.poll().await {
            Ok(MqttEvent::Incoming(packet @ (Packet::ConnAck(_) | Packet::Publish(_)))) => {
                // It is received as long as this runs.
                let _ = packets.send(packet).await;
            }
            Ok(MqttEvent::Outgoing(Outgoing::Publish(_))) => counts.published(),
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

/// What the broker knows by one connection.
struct Session<'l> {
    topics: &'l Topics,
    app: &'l Arc<App>,
    counts: &'l MqttCounts,
    moments: &'l mut Moments,
    snapshot_interval: Option<Duration>,
    client: AsyncClient,
    is_connected: bool,
    /// By topic, what was said last of what is said again only if it has changed.
    said: HashMap<String, Vec<u8>>,
    /// Cameras that the broker keeps something of.
    kept: BTreeSet<CameraId>,
    /// When a picture of each camera was begun, and when the one that was sent was taken.
    pictures: HashMap<CameraId, (Instant, Option<WallTime>)>,
    begun: JoinSet<Done>,
    orders: usize,
    is_picture_begun: bool,
}

impl<'l> Session<'l> {
    fn new(
        settings: &'l Settings,
        topics: &'l Topics,
        app: &'l Arc<App>,
        counts: &'l MqttCounts,
        moments: &'l mut Moments,
        client: AsyncClient,
    ) -> Self {
        tracing::debug!(broker = %settings.url, "connecting to the broker");
        Self {
            topics,
            app,
            counts,
            moments,
            snapshot_interval: settings.snapshot_interval,
            client,
            is_connected: false,
            said: HashMap::new(),
            kept: BTreeSet::new(),
            pictures: HashMap::new(),
            begun: JoinSet::new(),
            orders: 0,
            is_picture_begun: false,
        }
    }

    /// Whether there was room for it.
    fn publish(&self, topic: &str, payload: impl Into<Bytes>, options: PublishOptions) -> bool {
        let sent = self.client.try_publish(topic, payload.into(), options);
        if sent.is_err() {
            self.counts.unsent();
        }
        sent.is_ok()
    }

    /// The broker keeps it for those who come later.
    fn keep(&self, topic: &str, payload: impl Into<Bytes>) -> bool {
        self.publish(topic, payload, PublishOptions::at_least_once().retained())
    }

    fn hear(&mut self, packet: Packet) {
        match packet {
            Packet::ConnAck(_) => {
                self.is_connected = true;
                self.counts.connected();
                tracing::info!("connected to the MQTT broker");
                // The queue is empty, so there is room.
                let [orders, states] = self.topics.filters();
                let _ = self.client.try_subscribe(orders, QoS::AtLeastOnce);
                let _ = self.client.try_subscribe(states, QoS::AtMostOnce);
                self.keep(&self.topics.status(), "online");
            }
            Packet::Publish(message) => self.hear_message(&message),
            _ => {}
        }
    }

    fn hear_message(&mut self, message: &Publish) {
        let Ok(topic) = std::str::from_utf8(&message.topic) else {
            return;
        };
        match self.topics.heard(topic) {
            // What this or an earlier run has left there. The next step clears what is of no camera.
            Some(Heard::State(camera)) if message.retain && !message.payload.is_empty() => {
                self.kept.extend(camera.parse::<CameraId>());
            }
            // One that waits there is not meant for now, whenever now is.
            Some(Heard::MakeMoment(camera)) if message.retain => tracing::warn!(
                camera,
                "an order by MQTT is passed over: it is retained; send it without that"
            ),
            Some(Heard::MakeMoment(camera)) => self.begin_order(camera, &message.payload),
            _ => {}
        }
    }

    fn begin_order(&mut self, camera: &str, payload: &[u8]) {
        let refusal = match parse_order(payload) {
            Ok(order) if self.orders < MOST_ORDERS => {
                self.orders += 1;
                let (app, camera) = (Arc::clone(self.app), camera.to_owned());
                self.begun.spawn(async move {
                    let made = app.make_moment(&camera, order).await;
                    Done::Order(camera, made)
                });
                return;
            }
            Ok(_) => refusal("too_many_orders", "too many moments are ordered at once"),
            Err(message) => refusal("bad_order", &message),
        };
        self.refuse(camera, &refusal);
    }

    /// `refusal`: JSON with `error.message`.
    fn refuse(&self, camera: &str, refusal: &serde_json::Value) {
        let message = &refusal["error"]["message"];
        tracing::warn!(camera, "an order by MQTT is refused: {message}");
        let topic = self.topics.error(camera);
        self.publish(&topic, refusal.to_string(), PublishOptions::at_least_once());
    }

    fn finish(&mut self, done: Done) {
        match done {
            Done::Order(camera, made) => {
                self.orders -= 1;
                // One that is made is told by the event.
                if let Err(error) = made {
                    self.refuse(&camera, &serde_json::json!(error));
                }
            }
            Done::Picture(camera, picture) => {
                self.is_picture_begun = false;
                match picture {
                    Ok(frame) => self.show_picture(&camera, frame),
                    Err(error) => tracing::debug!(%camera, %error, "no picture for the broker"),
                }
            }
        }
    }

    fn show_picture(&mut self, camera: &CameraId, frame: Frame) {
        let Some((_, sent)) = self.pictures.get_mut(camera) else {
            // It is gone.
            return;
        };
        if frame.stale.is_some() || *sent == Some(frame.taken) {
            return;
        }
        *sent = Some(frame.taken);
        let options = PublishOptions::at_most_once().retained();
        self.publish(&self.topics.snapshot(camera), frame.jpeg, options);
    }

    fn tell(&mut self, kind: WebhookEvent, event: &Event) {
        let Ok(json) = serde_json::to_vec(event) else {
            return;
        };
        if let Some(camera) = camera_of_moment(kind, event) {
            self.say_once(self.topics.moment(camera), json.clone());
            self.moments.insert(camera.clone(), json.clone());
        }
        self.publish(&self.topics.event(), json, PublishOptions::at_least_once());
    }

    /// Says what is new, and clears what is gone.
    fn step(&mut self, shown: &AllShown) {
        let Some(cameras) = shown else {
            return;
        };
        for camera in cameras.iter() {
            self.say(camera);
        }
        let is_gone = |id: &&CameraId| cameras.iter().all(|camera| camera.id != **id);
        let gone: Vec<_> = self.kept.iter().filter(is_gone).cloned().collect();
        for id in gone {
            self.clear(&id);
        }
        self.begin_picture(cameras);
    }

    fn say(&mut self, camera: &Shown) {
        self.kept.insert(camera.id.clone());
        let mut due = Vec::new();
        if let Some(topic) = self.topics.discovery(&camera.id) {
            let has_snapshot = self.snapshot_interval.is_some();
            let device = device(self.topics, &camera.id, has_snapshot);
            due.push((topic, device.to_string().into_bytes()));
        }
        if let Ok(state) = serde_json::to_vec(camera) {
            due.push((self.topics.state(&camera.id), state));
        }
        if self.snapshot_interval.is_none() {
            // What was there before.
            due.push((self.topics.snapshot(&camera.id), Vec::new()));
        }
        if let Some(moment) = self.moments.get(camera.id.as_str()) {
            due.push((self.topics.moment(camera.id.as_str()), moment.clone()));
        }
        for (topic, payload) in due {
            self.say_once(topic, payload);
        }
    }

    /// What was said last there is not said again.
    fn say_once(&mut self, topic: String, payload: Vec<u8>) {
        if self.said.get(&topic) != Some(&payload) && self.keep(&topic, payload.clone()) {
            self.said.insert(topic, payload);
        }
    }

    /// Nothing is kept of that camera any more, as far as there is room to say so.
    fn clear(&mut self, id: &CameraId) {
        let topics = self.topics.kept(id);
        if topics.iter().all(|topic| self.keep(topic, Bytes::new())) {
            self.kept.remove(id);
        }
        for topic in &topics {
            self.said.remove(topic);
        }
        self.pictures.remove(id);
        self.moments.remove(id.as_str());
    }

    /// The picture that has been due for longest, one at a time.
    fn begin_picture(&mut self, cameras: &[Shown]) {
        let Some(interval) = self.snapshot_interval else {
            return;
        };
        let now = Instant::now();
        let live = cameras.iter().filter(|camera| camera.state == "live");
        let begun = |id: &CameraId| self.pictures.get(id).map(|(begun, _)| *begun);
        let next = live
            .map(|camera| (begun(&camera.id), &camera.id))
            .filter(|(begun, _)| begun.is_none_or(|begun| now - begun >= interval))
            .min_by_key(|(begun, _)| *begun);
        let Some((_, id)) = next.filter(|_| !self.is_picture_begun) else {
            return;
        };
        let sent = self.pictures.get(id).and_then(|(_, sent)| *sent);
        self.pictures.insert(id.clone(), (now, sent));
        self.is_picture_begun = true;
        let (app, id) = (Arc::clone(self.app), id.clone());
        self.begun.spawn(async move {
            let picture = app.picture_of_now(id.as_str(), LOOK).await;
            Done::Picture(id, picture)
        });
    }

    fn say_goodbye(&mut self, farewell: Farewell) {
        if farewell == Farewell::Clear {
            for id in self.kept.clone() {
                self.clear(&id);
            }
        }
        // The will is dropped by a goodbye (MQTT 3.1.1 §3.14.4).
        self.keep(&self.topics.status(), "offline");
        let _ = self.client.try_disconnect_with_timeout(super::GOODBYE / 2);
    }
}

/// The camera of a moment that was made, which the broker keeps.
fn camera_of_moment(kind: WebhookEvent, event: &Event) -> Option<&String> {
    let camera = event.camera.as_ref();
    camera.filter(|_| kind == WebhookEvent::MomentMade)
}

/// `PRESS` or nothing, as of a button, or JSON with `length`, `delay` and `label`.
fn parse_order(payload: &[u8]) -> Result<MomentOrder, String> {
    match payload.trim_ascii() {
        b"" | b"PRESS" => Ok(MomentOrder::default()),
        json => serde_json::from_slice(json).map_err(|error| {
            let example = "{\"length\": 5, \"delay\": 0, \"label\": \"cat\"}";
            format!("write PRESS, nothing, or JSON such as {example}: {error}")
        }),
    }
}

fn refusal(code: &str, message: &str) -> serde_json::Value {
    serde_json::json!({"error": {"code": code, "message": message}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_press_or_json() {
        let read = |text: &str| {
            let order = parse_order(text.as_bytes());
            order.map(|order| (order.length, order.delay, order.label))
        };
        for press in ["", "PRESS", " PRESS\n", "{}"] {
            assert_eq!(read(press), Ok((None, None, None)), "{press}");
        }
        let said = r#"{"length": 7, "label": "cat"}"#;
        assert_eq!(read(said), Ok((Some(7), None, Some("cat".to_owned()))));
        for bad in [
            "press",
            "[]",
            "5",
            r#"{"length": -1}"#,
            r#"{"lenght": 5}"#,
            "\u{0}",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
