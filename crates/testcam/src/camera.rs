//! A camera: start it, stop it, start it again.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gstreamer as gst;
use url::Url;

use crate::{
    Record, SentUnit, Settings, Track,
    run::{Counters, Programme},
    server::{self, Server},
};

/// An RTSP camera. Dropped: all its sockets and threads are gone.
///
/// All clients see the same stream. The encoder runs while at least one is connected; when the
/// first comes after all had left, a new [run](SentUnit::run) begins with new random RTP offsets,
/// while the frame numbers go on, also over [`Camera::stop`] and [`Camera::restart`].
pub struct Camera {
    settings: Settings,
    counters: Counters,
    record: Option<Record>,
    server: Option<Server>,
    /// The port of the first start.
    port: u16,
}

impl Camera {
    /// Starts a camera. It listens when this returns.
    ///
    /// # Errors
    /// If a setting is out of range, a GStreamer plugin is missing (one line that names the Debian
    /// package), the file cannot be used, or the port is taken.
    pub fn start(settings: Settings) -> Result<Self> {
        let record = Record::create(&settings.recording)?;
        let port = settings.port;
        let mut camera = Self {
            settings,
            counters: Counters::default(),
            record,
            server: None,
            port,
        };
        camera.restart()?;
        Ok(camera)
    }

    /// Goes away: closes all sockets without a word and ends all threads. Nothing happens if it
    /// is stopped already.
    ///
    /// # Errors
    /// If a streaming thread does not end within 10 s.
    pub fn stop(&mut self) -> Result<()> {
        self.server.take().map_or(Ok(()), Server::stop)
    }

    /// Comes back on the same port; stops before if it has to.
    ///
    /// # Errors
    /// As [`Camera::start`], or if somebody has taken the port meanwhile.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        gst::init().context("GStreamer does not start")?;
        self.settings.check()?;
        let programme = Programme::new(&self.settings, self.counters.clone(), self.record.clone())?;
        let server = Server::start(&self.settings, self.port, programme)?;
        self.port = server.port()?;
        self.server = Some(server);
        Ok(())
    }

    /// Comes back on the same port with another source, login or transport. Address, port and
    /// recording stay as they were.
    ///
    /// # Errors
    /// As [`Camera::restart`]; the camera is stopped then.
    pub fn restart_with(&mut self, change: impl FnOnce(&mut Settings)) -> Result<()> {
        self.stop()?;
        let (address, recording) = (self.settings.address, self.settings.recording.clone());
        change(&mut self.settings);
        self.settings.address = address;
        self.settings.recording = recording;
        self.restart()
    }

    /// What it was last started with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether it listens.
    pub fn is_listening(&self) -> bool {
        self.server.is_some()
    }

    /// Whether anybody watches, that is, the encoder runs.
    pub fn is_watched(&self) -> bool {
        self.server.as_ref().is_some_and(Server::is_running)
    }

    /// Waits until nobody watches any more: the last client has left and the encoder has ended.
    /// Whether that was within `timeout`.
    pub fn wait_until_unwatched(&self, timeout: Duration) -> bool {
        let server = self.server.as_ref();
        server.is_none_or(|server| server.wait_for_end(timeout))
    }

    /// The port it listens on, also while it is stopped.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of the stream, with user and password if it asks for any.
    pub fn url(&self) -> String {
        match &self.settings.login {
            Some(login) => self.url_as(&login.user, &login.password),
            None => self.url_without_login(),
        }
    }

    /// The URL of the stream with another user and password, percent-encoded.
    pub fn url_as(&self, user: &str, password: &str) -> String {
        let plain = self.url_without_login();
        let Ok(mut url) = Url::parse(&plain) else {
            return plain;
        };
        // They fail for URLs without a host only.
        let _ = url.set_username(user);
        let _ = url.set_password(Some(password));
        url.into()
    }

    /// The URL of the stream without user and password, fit to be printed.
    pub fn url_without_login(&self) -> String {
        let address = SocketAddr::new(server::reachable(self.settings.address), self.port);
        let scheme = match self.settings.identity {
            Some(_) => "rtsps",
            None => "rtsp",
        };
        format!("{scheme}://{address}{}", self.settings.path)
    }

    /// What it has sent so far, over all runs and restarts; `None` if nothing is recorded. Clones
    /// stay valid after the camera is gone.
    pub fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// The access units of one stream sent so far and still kept, oldest first.
    ///
    /// # Errors
    /// If nothing is recorded.
    pub fn sent(&self, track: Track) -> Result<Vec<SentUnit>> {
        ensure!(self.record.is_some(), "this camera does not record");
        Ok(self
            .record
            .as_ref()
            .map(|record| record.units(track))
            .unwrap_or_default())
    }
}

/// Cameras may be handed from thread to thread.
const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Camera>();
};

impl std::fmt::Debug for Camera {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Camera")
            .field("url", &self.url_without_login())
            .field("is_listening", &self.is_listening())
            .finish_non_exhaustive()
    }
}
