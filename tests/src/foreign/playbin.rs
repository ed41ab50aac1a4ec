//! GStreamer's own player, as a viewer would use it: `playbin3` with its HLS demuxer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use dayreel_testcam::{PatternReading, pattern};
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSink;

/// What was shown and heard.
#[derive(Debug)]
pub struct Played {
    /// What the pictures say of themselves, in the order they were shown.
    pub pictures: Vec<PatternReading>,
    /// Bytes of decoded sound that came meanwhile.
    pub audio_bytes: usize,
}

/// Plays `url` until `count` pictures were shown.
///
/// # Errors
/// The player fails, a picture has no pattern, or there are not so many within `deadline`.
pub fn play(url: &str, count: usize, deadline: Duration) -> Result<Played> {
    gst::init()?;
    let until = Instant::now() + deadline;
    let video = sink(
        &gst::Caps::builder("video/x-raw")
            .field("format", "GRAY8")
            .build(),
    );
    let audio = sink(&gst::Caps::builder("audio/x-raw").build());
    let player = gst::ElementFactory::make("playbin3")
        .property("uri", url)
        .property("video-sink", &video)
        .property("audio-sink", &audio)
        .build()?;
    let stop = Stop(&player);
    player.set_state(gst::State::Playing)?;
    let bus = player.bus().context("a player has a bus")?;
    let mut played = Played {
        pictures: Vec::new(),
        audio_bytes: 0,
    };
    while played.pictures.len() < count {
        if let Some(message) = bus.pop_filtered(&[gst::MessageType::Error])
            && let gst::MessageView::Error(error) = message.view()
        {
            bail!("playbin3: {} ({:?})", error.error(), error.debug());
        }
        if Instant::now() > until {
            bail!(
                "{} of {count} pictures in {deadline:?}",
                played.pictures.len()
            );
        }
        if let Some(sample) = video.try_pull_sample(gst::ClockTime::from_mseconds(100)) {
            played.pictures.push(read(&sample)?);
        }
        while let Some(sample) = audio.try_pull_sample(gst::ClockTime::ZERO) {
            played.audio_bytes += sample.buffer().map_or(0, gst::BufferRef::size);
        }
    }
    drop(stop);
    Ok(played)
}

/// Shows in real time and keeps what nobody has taken yet.
fn sink(caps: &gst::Caps) -> AppSink {
    AppSink::builder().caps(caps).sync(true).build()
}

fn read(sample: &gst::Sample) -> Result<PatternReading> {
    let caps = sample.caps().and_then(|caps| caps.structure(0));
    let caps = caps.context("a picture has a size")?;
    let (width, height): (i32, i32) = (caps.get("width")?, caps.get("height")?);
    let (width, height) = (u32::try_from(width)?, u32::try_from(height)?);
    let luma = sample.buffer().context("a picture")?.map_readable()?;
    // GStreamer's rows begin at multiples of four bytes.
    let stride = usize::try_from(width.next_multiple_of(4))?;
    pattern::read(&luma, width, height, stride).context("no pattern in a picture")
}

/// Ends the player, whatever happens.
struct Stop<'a>(&'a gst::Element);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        // What does not stop is dropped with the test.
        let _ = self.0.set_state(gst::State::Null);
    }
}
