//! Access units made once by real encoders, and sent for ever by scripted cameras.
//!
//! ```text
//! videotestsrc ─ encoder ─ appsink      audiotestsrc ─ encoder ─ appsink
//! ```

use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, ensure};
use gstreamer::{self as gst, prelude::*};
use gstreamer_app as gst_app;
use parking_lot::Mutex;

use crate::{
    AudioCodec, Gop, PictureSettings, VideoCodec,
    launch::{audio_encoder, check_plugins, video_encoder},
    normal_form::{carries_picture, split_length_prefixed},
    parameter_sets,
};

/// Frames a second of every reel.
pub const FPS: u32 = 20;
/// Frames from one keyframe to the next.
pub const GOP: u32 = 10;
/// Frames of a reel: whole GOPs.
const FRAMES: u32 = 80;
/// Bytes of G.711 in a packet: 20 ms.
const G711_BLOCK: u32 = 160;
/// Samples in an access unit of AAC-LC (ISO/IEC 14496-3 §4.5.1.1).
const AAC_BLOCK: u32 = 1024;

/// What a reel is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// 160×90, or 320×180.
    Video { codec: VideoCodec, is_large: bool },
    /// AAC-LC.
    Aac { rate_hz: u32, channels: u32 },
    /// 8 kHz, mono.
    G711 { codec: AudioCodec },
}

/// The reels of this process.
type Made = Vec<(Content, Arc<Reel>)>;

/// A few seconds of access units that can be sent in a loop: the first is a keyframe.
#[derive(Debug)]
pub(crate) struct Reel {
    /// SPS, PPS (and VPS) that the pictures need; none for sound.
    pub(crate) sets: Vec<Vec<u8>>,
    /// Never empty.
    pub(crate) units: Vec<ReelUnit>,
    /// Samples in a second by RTP's clock, and in an access unit.
    pub(crate) clock_rate_hz: u32,
    pub(crate) unit_ticks: u32,
}

/// One access unit: a picture as its slices, or sound as one piece.
#[derive(Clone, Debug)]
pub(crate) struct ReelUnit {
    pub(crate) pieces: Vec<Vec<u8>>,
    pub(crate) is_keyframe: bool,
}

impl Reel {
    /// The reel of `content`. Made once in a process.
    ///
    /// # Errors
    /// GStreamer has no encoder for it.
    pub(crate) fn of(content: Content) -> Result<Arc<Self>> {
        static REELS: OnceLock<Mutex<Made>> = OnceLock::new();
        let mut reels = REELS.get_or_init(Mutex::default).lock();
        if let Some((_, reel)) = reels.iter().find(|(known, _)| *known == content) {
            return Ok(Arc::clone(reel));
        }
        gst::init().context("GStreamer does not start")?;
        let reel = Arc::new(match content {
            Content::Video { codec, is_large } => video(codec, is_large)?,
            Content::Aac { rate_hz, channels } => sound(AudioCodec::Aac, rate_hz, channels)?,
            Content::G711 { codec } => sound(codec, 8_000, 1)?,
        });
        reels.push((content, Arc::clone(&reel)));
        Ok(reel)
    }

    /// The unit of this number, counted over all loops.
    pub(crate) fn unit(&self, number: u64) -> &ReelUnit {
        let length = u64::try_from(self.units.len()).unwrap_or(u64::MAX);
        &self.units[usize::try_from(number % length).unwrap_or_default()]
    }
}

fn video(codec: VideoCodec, is_large: bool) -> Result<Reel> {
    ensure!(
        matches!(codec, VideoCodec::H264 | VideoCodec::H265),
        "no script sends {codec:?}"
    );
    let (width, height) = if is_large { (320, 180) } else { (160, 90) };
    let settings = PictureSettings {
        codec,
        width,
        height,
        fps: FPS,
        gop: Gop::Frames(GOP),
        bitrate_kbps: 400,
        ..PictureSettings::default()
    };
    // The snow in this pattern makes each picture one of its own, of more than one packet.
    let samples = encode(&format!(
        "videotestsrc pattern=smpte num-buffers={FRAMES} \
         ! video/x-raw,format=I420,width={width},height={height},framerate={FPS}/1 ! {}",
        video_encoder(&settings)
    ))?;
    let caps = samples.first().and_then(|sample| sample.caps_owned());
    let caps = caps.context("pictures without format")?;
    let structure = caps.structure(0).context("pictures without format")?;
    let codec_data = structure.get::<gst::Buffer>("codec_data")?;
    let codec_data = codec_data.map_readable()?;
    let sets = parameter_sets::of_codec_data(&codec_data, codec)?;
    let unit = |sample: &gst::Sample| {
        let buffer = sample.buffer().context("a sample without bytes")?;
        let bytes = buffer.map_readable()?;
        let slices = split_length_prefixed(&bytes)?;
        let slices = slices.into_iter().filter(|nal| carries_picture(nal, codec));
        Ok(ReelUnit {
            pieces: slices.map(<[u8]>::to_vec).collect(),
            is_keyframe: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
        })
    };
    let units: Vec<_> = samples.iter().map(unit).collect::<Result<_>>()?;
    ensure!(
        units
            .iter()
            .zip(0..)
            .all(|(unit, at)| unit.is_keyframe == (at % GOP == 0)),
        "keyframes are not where they should be"
    );
    ensure!(
        units.len() == usize::try_from(FRAMES)?,
        "pictures are missing"
    );
    Ok(Reel {
        sets: sets.into_iter().map(<[u8]>::to_vec).collect(),
        units,
        clock_rate_hz: 90_000,
        unit_ticks: 90_000 / FPS,
    })
}

fn sound(codec: AudioCodec, rate_hz: u32, channels: u32) -> Result<Reel> {
    ensure!(
        matches!(
            codec,
            AudioCodec::Aac | AudioCodec::Alaw | AudioCodec::Mulaw
        ),
        "no script sends {codec:?}"
    );
    let block = if codec == AudioCodec::Aac {
        AAC_BLOCK
    } else {
        G711_BLOCK
    };
    let blocks = 4 * rate_hz / block;
    let samples = encode(&format!(
        "audiotestsrc wave=pink-noise volume=0.1 num-buffers={blocks} samplesperbuffer={block} \
         ! audio/x-raw,format=S16LE,rate={rate_hz},channels={channels} ! {}",
        audio_encoder(codec)
    ))?;
    let unit = |sample: &gst::Sample| {
        let buffer = sample.buffer().context("a sample without bytes")?;
        Ok(ReelUnit {
            pieces: vec![buffer.map_readable()?.to_vec()],
            is_keyframe: true,
        })
    };
    let units: Vec<_> = samples.iter().map(unit).collect::<Result<_>>()?;
    ensure!(!units.is_empty(), "no sound is made");
    Ok(Reel {
        sets: vec![],
        units,
        clock_rate_hz: rate_hz,
        unit_ticks: block,
    })
}

/// Everything that comes out of a pipeline.
fn encode(launch: &str) -> Result<Vec<gst::Sample>> {
    check_plugins(launch)?;
    let pipeline = gst::parse::launch(&format!("{launch} ! appsink name=sink sync=false"))?;
    let pipeline = pipeline
        .downcast::<gst::Pipeline>()
        .ok()
        .context("no pipeline")?;
    let sink = pipeline.by_name("sink").and_downcast::<gst_app::AppSink>();
    let sink = sink.context("a pipeline without sink")?;
    pipeline.set_state(gst::State::Playing)?;
    let samples = std::iter::from_fn(|| sink.pull_sample().ok()).collect();
    let failed = pipeline
        .bus()
        .and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
    pipeline.set_state(gst::State::Null)?;
    ensure!(failed.is_none(), "{launch}: {failed:?}");
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn reels_have_distinct_units_of_many_packets() {
        for codec in [VideoCodec::H264, VideoCodec::H265] {
            let reel = Reel::of(Content::Video {
                codec,
                is_large: false,
            })
            .unwrap();
            assert!(reel.sets.len() >= 2, "{codec:?}");
            let distinct: HashSet<_> = reel.units.iter().map(|unit| &unit.pieces).collect();
            assert_eq!(distinct.len(), 80);
            let key = reel.unit(80).pieces.iter().map(Vec::len).max();
            assert!(key > Some(1_000), "{codec:?} {key:?}");
        }
        let aac = Reel::of(Content::Aac {
            rate_hz: 16_000,
            channels: 1,
        })
        .unwrap();
        assert!(aac.units.len() >= 60, "{}", aac.units.len());
        let alaw = Reel::of(Content::G711 {
            codec: AudioCodec::Alaw,
        })
        .unwrap();
        assert!(alaw.units.iter().all(|unit| unit.pieces[0].len() == 160));
    }
}
