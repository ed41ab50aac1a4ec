//! A test camera and a server that records it, and the whole of what the server then shows.

mod day;
mod sent;

use std::time::Duration;

use anyhow::{Context, Result};
use dayreel_testcam::{Camera, PictureSettings, Settings, Source};

pub use day::{Day, Rendition};
pub use sent::{Match, match_sent};

use crate::{
    client::Client,
    process::{Server, Setup, wait_until},
    rules::hls,
};

/// Id of the camera of a [`Stage`].
pub const CAMERA: &str = "cam";
/// Until a recording of a few seconds is listed.
const RECORD: Duration = Duration::from_secs(60);

/// One camera, one server.
#[derive(Debug)]
pub struct Stage {
    /// The server goes first when a stage is dropped: a camera that ends would be an error to it.
    pub server: Server,
    /// What it watches.
    pub camera: Camera,
}

impl Stage {
    /// Starts a camera that shows `picture`, and a server that records it in segments of
    /// `segment_s` seconds.
    ///
    /// # Errors
    /// Either does not start.
    pub fn start(picture: PictureSettings, segment_s: u32) -> Result<Self> {
        let camera = Camera::start(Settings {
            source: Source::Picture(picture),
            ..Settings::default()
        })?;
        let mut setup = Setup::with_cameras([(CAMERA, camera.url().as_str())]);
        setup
            .cameras
            .push_str(&format!("segment_s = {segment_s}\n"));
        let server = Server::start(setup)?;
        Ok(Self { server, camera })
    }

    /// Waits until today's playlist of that track (`video`, `audio`) lists `count` segments.
    ///
    /// # Errors
    /// It does not within a minute; the server's last lines are in the error.
    pub fn wait_for_segments(&self, track: &str, count: usize) -> Result<hls::reader::Media> {
        let client = self.server.client();
        let listed = wait_until(RECORD, || {
            listed(&client, track).filter(|list| list.segments.len() >= count)
        });
        listed.with_context(|| {
            format!(
                "no {count} segments of {track}:\n{}",
                self.server.log().tail(40)
            )
        })
    }
}

/// Today's playlist of a track, if there is one yet.
fn listed(client: &Client, track: &str) -> Option<hls::reader::Media> {
    let answer = client
        .get(&format!("/{CAMERA}/stream/today/{track}.m3u8"))
        .ok()?;
    let text = answer.expect(200).ok()?.text().ok()?;
    Some(hls::reader::read(&text).0)
}
