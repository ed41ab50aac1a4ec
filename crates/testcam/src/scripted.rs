//! A camera that answers and sends what a script says: for what real cameras do and no well-written
//! server can be told to do. Not on gst-rtsp-server; one thread for each connection.
//!
//! ```text
//! client ⇄ connection ┬ usual answer ─ rewrites ─▶ client
//!                     └ playing: reel ─ unit edits ─ packets ─ packet edits ─▶ client
//! ```
//! What is sent are access units of real encoders, in a loop, with one unbroken time.

mod capture;
mod connection;
mod login;
mod message;
mod oddity;
mod packets;
mod playing;
mod reel;
mod script;
mod sdp;

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use parking_lot::{Condvar, Mutex};

pub use self::{
    capture::{
        BUNNY, Capture, DAHUA, FOSCAM, HIKVISION, LONGSE_UNAUTHORIZED, REOLINK,
        REOLINK_CONTROL_FIRST, TPLINK_SDP, WITHOUT_CONTENT_TYPE, replay,
    },
    message::{Reply, Request, Then},
    oddity::Oddity,
    packets::{Packet, interleaved},
    reel::{FPS, GOP},
    script::{EditPacket, EditUnit, Feed, Rewrite, Script, ScriptedLogin, Start, Unit},
};
use self::{connection::Connection, sdp::Media};
use crate::{Record, Recording};

/// What a scripted camera can be told while it runs; every connection of the moment obeys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// No media any more; requests are answered.
    FallSilent,
    /// Nothing any more; the connection stays open.
    Hang,
    /// The connection is closed.
    Close,
    /// These bytes are sent between packets.
    Write(Vec<u8>),
    /// RTCP says goodbye for all tracks, which end.
    SayGoodbye,
}

/// A scripted camera. Ends when dropped.
pub struct ScriptedCamera {
    shared: Arc<Shared>,
}

/// What its threads share.
struct Shared {
    script: Arc<Script>,
    address: SocketAddr,
    record: Record,
    state: Mutex<State>,
    /// Told after each change of the state.
    changed: Condvar,
    commands: Mutex<Vec<Command>>,
}

#[derive(Default)]
struct State {
    heard: Vec<Request>,
    is_over: bool,
}

impl ScriptedCamera {
    /// Listens where its script says.
    ///
    /// # Errors
    /// No port, no thread, no encoder.
    pub fn start(script: Script) -> Result<Self> {
        // Encoded before anybody waits for it.
        for Media { content, .. } in sdp::read(&script.sdp) {
            content.map(reel::Reel::of).transpose()?;
        }
        let listener = TcpListener::bind(script.listen)?;
        let record = Record::create(&Recording::default())?.context("no record")?;
        let shared = Arc::new(Shared {
            script: Arc::new(script),
            address: listener.local_addr()?,
            record,
            state: Mutex::default(),
            changed: Condvar::new(),
            commands: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        thread::Builder::new()
            .name("scripted".into())
            .spawn(move || accept(&listener, &accepting))?;
        Ok(Self { shared })
    }

    /// Where its stream is.
    pub fn url(&self) -> String {
        format!("rtsp://{}{}", self.shared.address, self.shared.script.path)
    }

    /// The same with a user and a password, which must need no escapes.
    pub fn url_as(&self, user: &str, password: &str) -> String {
        self.url()
            .replacen("rtsp://", &format!("rtsp://{user}:{password}@"), 1)
    }

    /// What it has sent: access units that show something, with the RTP times they were sent with.
    pub fn record(&self) -> &Record {
        &self.shared.record
    }

    /// What it was asked, in order, and what it was answered.
    pub fn heard(&self) -> Vec<Request> {
        self.shared.state.lock().heard.clone()
    }

    /// Waits until what it has heard is `enough`. Whether it was within `timeout`.
    pub fn wait_until_heard(
        &self,
        timeout: Duration,
        mut enough: impl FnMut(&[Request]) -> bool,
    ) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.state.lock();
        while !enough(&state.heard) {
            if self
                .shared
                .changed
                .wait_until(&mut state, deadline)
                .timed_out()
            {
                return enough(&state.heard);
            }
        }
        true
    }

    /// Tells it to do something. Connections obey within 10 ms.
    pub fn command(&self, command: Command) {
        self.shared.commands.lock().push(command);
    }
}

impl Drop for ScriptedCamera {
    fn drop(&mut self) {
        self.shared.state.lock().is_over = true;
        self.shared.changed.notify_all();
        // Wakes the thread that accepts; if that fails it has ended.
        drop(TcpStream::connect(self.shared.address));
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        self.state.lock().is_over
    }

    /// Notes a request and counts it.
    fn hear(&self, request: &mut Request) {
        let mut state = self.state.lock();
        let same = state
            .heard
            .iter()
            .filter(|heard| heard.method == request.method);
        request.nth = u32::try_from(same.count()).unwrap_or(u32::MAX);
        state.heard.push(request.clone());
        drop(state);
        self.changed.notify_all();
    }

    /// Lets time pass. Whether the camera still runs.
    fn rest(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let mut state = self.state.lock();
        while !state.is_over && Instant::now() < deadline {
            self.changed.wait_until(&mut state, deadline);
        }
        !state.is_over
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (stream, number) in listener.incoming().zip(0..) {
        if shared.is_over() {
            return;
        }
        let Ok(stream) = stream else { continue };
        let connection = Connection::new(Arc::clone(shared), stream, number);
        // No thread: the client sees a closed connection.
        let _ = thread::Builder::new()
            .name(format!("scripted {number}"))
            // The client went away.
            .spawn(move || connection.serve().is_ok());
    }
}
