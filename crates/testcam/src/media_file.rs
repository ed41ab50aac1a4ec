//! An MP4 file, read once and looped for ever.
//!
//! ```text
//! filesrc ─ qtdemux ┬ h264parse, h265parse or mpeg4videoparse ─ appsink
//!                   └ aacparse                                ─ appsink
//! ```

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result, bail, ensure};
use gstreamer::{self as gst, prelude::*};
use gstreamer_app as gst_app;
use parking_lot::Mutex;

use crate::{VideoCodec, launch::check_plugins, timeline::time_to_tick};

/// The file is held in memory; a longer one is cut by its owner, not by us.
const MAX_BYTES: usize = 1 << 30;
/// Longest wait for a file to be read.
const MAX_LOAD: gst::ClockTime = gst::ClockTime::from_seconds(120);
const VIDEO_RATE_HZ: u64 = 90_000;

/// The access units of a file, ready to be looped.
pub(crate) struct MediaFile {
    pub(crate) video: FileVideo,
    pub(crate) audio: Option<FileAudio>,
}

/// The pictures of a file.
pub(crate) struct FileVideo {
    pub(crate) codec: VideoCodec,
    pub(crate) caps: gst::Caps,
    /// In decoding order. Never empty; the first is a keyframe.
    pub(crate) units: Vec<FileUnit>,
    /// Length of one loop: from the first picture to the end of the last. Never 0.
    pub(crate) period_90k: u64,
}

/// One access unit with its times from the start of the loop.
pub(crate) struct FileUnit {
    pub(crate) buffer: gst::Buffer,
    /// When it is shown.
    pub(crate) pts_90k: u64,
    /// When it is decoded; ascending.
    pub(crate) due_90k: u64,
}

/// The sound of a file: AAC, taken as gapless.
pub(crate) struct FileAudio {
    pub(crate) caps: gst::Caps,
    /// Never empty.
    pub(crate) units: Vec<gst::Buffer>,
    /// Samples a second.
    pub(crate) rate_hz: u64,
    /// Samples of an access unit. Never 0.
    pub(crate) block: u64,
}

impl MediaFile {
    /// Reads a file.
    ///
    /// # Errors
    /// If it is no MP4, has no H.264, H.265 or MPEG-4, or is over 1 GiB.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        check_plugins("qtdemux h264parse h265parse mpeg4videoparse aacparse appsink")?;
        let Streams { video, audio } =
            read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let video =
            video.with_context(|| format!("no picture that can be sent in {}", path.display()))?;
        Ok(Self {
            video: FileVideo::new(video)?,
            audio: audio.map(FileAudio::new).transpose()?,
        })
    }
}

impl FileVideo {
    fn new(samples: Vec<gst::Sample>) -> Result<Self> {
        let mut units: Vec<_> = samples.iter().filter_map(Raw::of).collect();
        let is_keyframe = |raw: &Raw| !raw.buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let first = units.iter().position(is_keyframe).context("no keyframe")?;
        units.drain(..first);
        let zero = units
            .iter()
            .map(|raw| raw.pts_ns)
            .min()
            .context("no pictures")?;
        let end = units.iter().map(|raw| raw.pts_ns + raw.duration_ns).max();
        let tick = |ns: i64| time_to_tick(u64::try_from(ns).unwrap_or_default(), VIDEO_RATE_HZ);
        let period_90k = tick(end.unwrap_or(zero) - zero);
        ensure!(period_90k > 0, "a file without duration");
        let mut due_90k = 0;
        let first_due = units.first().map_or(0, |raw| raw.due_ns);
        let units = units.into_iter().map(|raw| {
            due_90k = tick(raw.due_ns - first_due).max(due_90k);
            FileUnit {
                buffer: raw.buffer,
                pts_90k: tick(raw.pts_ns - zero),
                due_90k,
            }
        });
        let caps = caps_of(&samples)?;
        let codec = match caps.structure(0).map(|caps| caps.name().as_str()) {
            Some("video/x-h264") => VideoCodec::H264,
            Some("video/x-h265") => VideoCodec::H265,
            _ => VideoCodec::Mpeg4,
        };
        Ok(Self {
            codec,
            units: units.collect(),
            caps,
            period_90k,
        })
    }
}

impl FileAudio {
    fn new(samples: Vec<gst::Sample>) -> Result<Self> {
        let caps = caps_of(&samples)?;
        let rate = caps.structure(0).and_then(|s| s.get::<i32>("rate").ok());
        let rate_hz = u64::try_from(rate.context("AAC without sample rate")?)?;
        let units: Vec<_> = samples
            .iter()
            .filter_map(|sample| sample.buffer_owned())
            .collect();
        let duration = units.first().and_then(|buffer| buffer.duration());
        let duration = duration.context("AAC without duration")?;
        let block = time_to_tick(duration.nseconds(), rate_hz);
        ensure!(block > 0 && rate_hz > 0, "AAC without duration");
        Ok(Self {
            caps,
            units,
            rate_hz,
            block,
        })
    }
}

/// An access unit as the file has it; times in running time, which may begin below zero.
struct Raw {
    buffer: gst::Buffer,
    pts_ns: i64,
    due_ns: i64,
    duration_ns: i64,
}

impl Raw {
    /// `None` for what has no presentation time.
    fn of(sample: &gst::Sample) -> Option<Self> {
        let buffer = sample.buffer_owned()?;
        let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
        let running = |time: gst::ClockTime| {
            let signed = segment.to_running_time_full(time)?;
            let ns = i64::try_from(signed.abs().nseconds()).ok()?;
            Some(if signed.is_negative() { -ns } else { ns })
        };
        let pts_ns = running(buffer.pts()?)?;
        let duration = buffer.duration().unwrap_or_default().nseconds();
        Some(Self {
            due_ns: buffer.dts().and_then(running).unwrap_or(pts_ns),
            pts_ns,
            duration_ns: i64::try_from(duration).ok()?,
            buffer,
        })
    }
}

fn caps_of(samples: &[gst::Sample]) -> Result<gst::Caps> {
    let caps = samples.first().and_then(|sample| sample.caps_owned());
    caps.context("a stream without format")
}

/// What has been read of a file.
#[derive(Default)]
struct Streams {
    video: Option<Vec<gst::Sample>>,
    audio: Option<Vec<gst::Sample>>,
}

/// Reads all access units of the first video and the first AAC stream.
fn read(path: &Path) -> Result<Streams> {
    // Checked here, because GStreamer's words for a missing file are long.
    std::fs::File::open(path)?;
    let pipeline = gst::Pipeline::new();
    let file = gst::ElementFactory::make("filesrc")
        .property("location", path)
        .build()?;
    let demux = gst::ElementFactory::make("qtdemux").build()?;
    pipeline.add_many([&file, &demux])?;
    file.link(&demux)?;
    let streams = Arc::new(Mutex::new(Streams::default()));
    let weak = pipeline.downgrade();
    let found = Arc::clone(&streams);
    demux.connect_pad_added(move |demux, pad| {
        let Some(pipeline) = weak.upgrade() else {
            return;
        };
        if let Err(error) = attach(&pipeline, pad, &found) {
            gst::element_error!(demux, gst::StreamError::Demux, ("{error:#}"));
        }
    });
    pipeline.set_state(gst::State::Playing)?;
    let bus = pipeline.bus().context("a pipeline without bus")?;
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(MAX_LOAD, &kinds);
    pipeline.set_state(gst::State::Null)?;
    match end.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Eos(_)) => Ok(std::mem::take(&mut *streams.lock())),
        Some(gst::MessageView::Error(error)) => bail!("{}", error.error()),
        _ => bail!("not read within {MAX_LOAD}"),
    }
}

/// Collects the access units of one stream, if it is one we want.
fn attach(pipeline: &gst::Pipeline, pad: &gst::Pad, streams: &Arc<Mutex<Streams>>) -> Result<()> {
    let caps = pad.current_caps().context("a stream without format")?;
    let structure = caps.structure(0).context("a stream without format")?;
    let (parser, output, is_video) = match structure.name().as_str() {
        "video/x-h264" => (
            "h264parse",
            "video/x-h264,stream-format=avc,alignment=au",
            true,
        ),
        "video/x-h265" => (
            "h265parse",
            "video/x-h265,stream-format=hvc1,alignment=au",
            true,
        ),
        "video/mpeg" if structure.get("mpegversion") == Ok(4) => {
            ("mpeg4videoparse", "video/mpeg,parsed=true", true)
        }
        "audio/mpeg" if structure.get("mpegversion") == Ok(4) => {
            ("aacparse", "audio/mpeg,stream-format=raw", false)
        }
        _ => return Ok(()),
    };
    {
        let mut streams = streams.lock();
        let slot = streams.slot(is_video);
        if slot.is_some() {
            return Ok(());
        }
        *slot = Some(Vec::new());
    }
    let parser = gst::ElementFactory::make(parser).build()?;
    let streams = Arc::clone(streams);
    let mut bytes = 0;
    let collect = move |sink: &gst_app::AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        bytes += sample.buffer().map_or(0, gst::BufferRef::size);
        if bytes > MAX_BYTES {
            gst::element_error!(sink, gst::ResourceError::NoSpaceLeft, ("over 1 GiB"));
            return Err(gst::FlowError::Error);
        }
        if let Some(samples) = streams.lock().slot(is_video) {
            samples.push(sample);
        }
        Ok(gst::FlowSuccess::Ok)
    };
    let sink = gst_app::AppSink::builder()
        .caps(&output.parse()?)
        .sync(false)
        .async_(false)
        .callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(collect)
                .build(),
        )
        .build();
    pipeline.add_many([&parser, sink.upcast_ref()])?;
    parser.link(&sink)?;
    sink.sync_state_with_parent()?;
    parser.sync_state_with_parent()?;
    let entry = parser.static_pad("sink").context("a parser without sink")?;
    pad.link(&entry)?;
    Ok(())
}

impl Streams {
    fn slot(&mut self, is_video: bool) -> &mut Option<Vec<gst::Sample>> {
        if is_video {
            &mut self.video
        } else {
            &mut self.audio
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_mp4_is_refused_by_name() {
        gst::init().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text.mp4");
        assert!(MediaFile::load(&path).is_err());
        std::fs::write(&path, b"this is no film").unwrap();
        let error = MediaFile::load(&path).err().unwrap();
        assert!(format!("{error:#}").contains("text.mp4"));
    }
}
