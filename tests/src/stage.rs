//! A test camera and a server that records it, and the whole of what the server then shows.

mod day;
mod keyframes;
mod sent;

use std::time::Duration;

use anyhow::{Context, Result};
use dayreel_testcam::{
    AudioCodec, Camera, Gop, Identity, PictureSettings, Settings, Source, VideoCodec,
};

pub use day::{Day, Rendition};
pub use keyframes::Keyframes;
pub use sent::{Match, match_sent};

use crate::{
    client::Client,
    process::{Server, Setup, wait_until},
    rules::{hls, prometheus},
};

/// Id of the camera of a [`Stage`].
pub const CAMERA: &str = "cam";
/// Until a recording of a few seconds is listed.
const RECORD: Duration = Duration::from_secs(60);

/// What a test camera on this machine proves who it is by, if `settings` of it in the configuration
/// speak of TLS.
///
/// # Errors
/// It cannot be made.
pub fn camera_identity(settings: &str) -> Result<Option<Identity>> {
    if !settings.contains("tls") {
        return Ok(None);
    }
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let pem = made.cert.pem() + &made.signing_key.serialize_pem();
    Ok(Some(Identity(pem)))
}

/// A small picture in that codec, a keyframe every second, with sound.
pub fn picture(codec: VideoCodec) -> PictureSettings {
    PictureSettings {
        codec,
        width: 640,
        height: 360,
        gop: Gop::Seconds(1.0),
        bitrate_kbps: 800,
        audio: Some(AudioCodec::Aac),
        ..PictureSettings::default()
    }
}

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
        Self::start_with(picture, segment_s, |_| ())
    }

    /// The same with a server that is set up differently.
    ///
    /// # Errors
    /// Either does not start.
    pub fn start_with(
        picture: PictureSettings,
        segment_s: u32,
        change: impl FnOnce(&mut Setup),
    ) -> Result<Self> {
        let camera = Camera::start(Settings {
            source: Source::Picture(picture),
            ..Settings::default()
        })?;
        let mut setup = Setup::with_cameras([(CAMERA, camera.url().as_str())]);
        setup
            .cameras
            .push_str(&format!("segment_s = {segment_s}\n"));
        change(&mut setup);
        let server = Server::start(setup)?;
        Ok(Self { server, camera })
    }

    /// The same as [`Stage::start`], once `count` segments of each track are listed.
    ///
    /// # Errors
    /// Either does not start, or they are not listed within a minute.
    pub fn recorded(picture: PictureSettings, segment_s: u32, count: usize) -> Result<Self> {
        let has_sound = picture.audio.is_some();
        let stage = Self::start(picture, segment_s)?;
        stage.wait_for_segments("video", count)?;
        if has_sound {
            stage.wait_for_segments("audio", count)?;
        }
        Ok(stage)
    }

    /// What `/metrics` says, which breaks no rule.
    ///
    /// # Errors
    /// It does not answer.
    pub fn scrape(&self) -> Result<prometheus::Scrape> {
        let (scrape, findings) = prometheus::read(&self.server.client().get_text("/metrics")?);
        findings.assert_none("/metrics");
        Ok(scrape)
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
