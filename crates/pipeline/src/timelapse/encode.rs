//! Recorded keyframes ─▶ pictures of a film.
//!
//! ```text
//! keyframe ─ decoder ─ picture ─ scale, letterbox, BT.709 ─ canvas ─┐
//!                                        the same canvas, if wanted ┴ x264enc ─ a group
//! ```
//!
//! Decoder and encoder live for a group: all day long they would hold some 10 MB each for each
//! camera. The encoder's settings and input never change within a day, so all groups have the same
//! parameter sets.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use dayreel_archive::{FilmFormat, Recipe, RecordedPicture};
use gstreamer as gst;
use gstreamer::{glib, prelude::*};
use gstreamer_video as gst_video;
use parking_lot::Mutex;

use super::{Damage, TimelapseError, without};
use crate::frame::{
    Driven, FrameError, KeyframeDecoder, Picture, Recolour, frame_size, new_picture, recolour,
    trim_memory,
};

/// Constant quality of x264: people use 18 to 28.
const QUALITY: u32 = 24;
/// Most kbit/s: noise at night must not make a film of hundreds of megabytes.
const MOST_KBPS: u32 = 8000;
/// Effort of x264: `veryfast` takes a third more CPU for a file that is a tenth smaller.
const SPEED: &str = "superfast";

/// What one slot shows.
#[derive(Clone, Debug)]
pub(super) enum Shown {
    /// This keyframe.
    Keyframe(RecordedPicture),
    /// What the slot before it shows: the camera has made no keyframe since.
    Again,
}

/// Pictures of a film and what they have in common.
pub(super) struct Encoded {
    pub(super) format: FilmFormat,
    pub(super) pictures: Vec<Bytes>,
}

/// Makes a group of `shown`, in the size of `canvas` if the day has one already. `None` if not one
/// of them can be decoded.
///
/// # Errors
/// An element is missing or fails, a file cannot be read and `damage` does not leave that out, or `stop` is set.
pub(super) fn group(
    shown: &[Shown],
    mut canvas: Option<(u32, u32)>,
    recipe: Recipe,
    damage: Damage,
    stop: &AtomicBool,
) -> Result<Option<Encoded>, TimelapseError> {
    let mut film: Option<Film> = None;
    let mut decoder = KeyframeDecoder::default();
    let mut last: Option<gst::Buffer> = None;
    for shown in shown {
        if stop.load(Ordering::Relaxed) {
            return Err(TimelapseError::Stopped);
        }
        if let Shown::Keyframe(keyframe) = shown {
            let picture = decoded(&mut decoder, keyframe).map_err(Into::into);
            last = without(damage, keyframe.taken, picture)?
                .map(|picture| {
                    let size = canvas_of(&picture.info, recipe.width);
                    on_canvas(&picture, *canvas.get_or_insert(size))
                })
                .transpose()?;
        }
        if let (Some(picture), Some(size)) = (&last, canvas) {
            let film = match &mut film {
                Some(film) => film,
                None => film.insert(Film::start(size, recipe.fps)?),
            };
            film.push(picture)?;
        }
    }
    drop((last, decoder));
    let encoded = film.map(Film::finish).transpose();
    trim_memory();
    encoded
}

/// The picture of `keyframe`; `None` if it is damaged.
fn decoded(
    decoder: &mut KeyframeDecoder,
    keyframe: &RecordedPicture,
) -> Result<Option<Picture>, FrameError> {
    match decoder.decode(keyframe) {
        Ok(picture) => Ok(Some(picture)),
        Err(FrameError::Undecodable) => {
            let taken = keyframe.taken.media_to_wall();
            tracing::debug!(%taken, "a keyframe of the timelapse cannot be decoded");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The size of a film whose first picture is of `info`: even, because chroma has half of it.
fn canvas_of(info: &gst_video::VideoInfo, width: u32) -> (u32, u32) {
    let (width, height) = frame_size(info, Some(width));
    (even(width), even(height))
}

fn even(pixels: u32) -> u32 {
    (pixels & !1).max(2)
}

/// Where a picture of `info` is on a canvas: as large as it fits but never enlarged, in the middle.
/// x, y, width, height.
fn place_on(info: &gst_video::VideoInfo, canvas: (u32, u32)) -> (u32, u32, u32, u32) {
    let (mut width, mut height) = frame_size(info, Some(canvas.0));
    if height > canvas.1 {
        let fitting = u64::from(width) * u64::from(canvas.1) / u64::from(height);
        (width, height) = (u32::try_from(fitting).unwrap_or(canvas.0), canvas.1);
    }
    let (width, height) = (even(width).min(canvas.0), even(height).min(canvas.1));
    let offset = |free: u32| free / 4 * 2;
    (
        offset(canvas.0 - width),
        offset(canvas.1 - height),
        width,
        height,
    )
}

/// `picture` on a canvas of that size, in 4:2:0 and the colours of BT.709 in limited range, black
/// around it.
fn on_canvas(picture: &Picture, canvas: (u32, u32)) -> Result<gst::Buffer, glib::BoolError> {
    let info = &picture.info;
    let from = gst_video::VideoFrameRef::from_buffer_ref_readable(&picture.buffer, info)?;
    let colours = info.colorimetry();
    let mut scaled =
        gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, canvas.0, canvas.1)
            // The converter changes neither of these.
            .interlace_mode(info.interlace_mode())
            .fps(info.fps());
    // The same colours, so that it scales plane by plane instead of computing every pixel's colour.
    if info.format_info().is_yuv() {
        scaled = scaled.colorimetry(&colours);
    }
    let scaled = scaled.build()?;
    let (x, y, width, height) = place_on(info, canvas);
    let mut config = gst_video::VideoConverterConfig::new();
    config.set_threads(1);
    config.set_dither_method(gst_video::VideoDitherMethod::None);
    config.set_resampler_method(gst_video::VideoResamplerMethod::Linear);
    config.set_dest_x(x.cast_signed());
    config.set_dest_y(y.cast_signed());
    config.set_dest_width(Some(width.cast_signed()));
    config.set_dest_height(Some(height.cast_signed()));
    config.set_fill_border(true);
    config.set_border_argb(0xff00_0000);
    let converter = gst_video::VideoConverter::new(info, &scaled, Some(config))?;
    let buffer = new_picture(&scaled, |into| converter.frame_ref(&from, into))?;
    match Recolour::to_bt709(scaled.colorimetry()) {
        None => Ok(buffer),
        Some(recolouring) => {
            let from = gst_video::VideoFrameRef::from_buffer_ref_readable(&buffer, &scaled)?;
            recolour(&from, &recolouring)
        }
    }
}

/// An encoder, and what has come out of it.
struct Film {
    encoder: Driven,
    size: (u32, u32),
    fps: u32,
    pushed: u32,
    out: Arc<Mutex<Out>>,
}

#[derive(Default)]
struct Out {
    caps: Option<gst::Caps>,
    units: Vec<gst::Buffer>,
}

impl Film {
    fn start(size: (u32, u32), fps: u32) -> Result<Self, glib::BoolError> {
        let caps = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, size.0, size.1)
            .fps(gst::Fraction::new(fps.cast_signed(), 1))
            .par(gst::Fraction::new(1, 1))
            .colorimetry(&"bt709".parse()?)
            .build()?
            .to_caps()?;
        let encoder = encoder()?;
        let out = Arc::new(Mutex::new(Out::default()));
        let encoder = Driven::start_with(encoder, &caps, {
            let out = Arc::clone(&out);
            move |caps, buffer| {
                let mut out = out.lock();
                out.caps = Some(caps);
                out.units.push(buffer);
            }
        })?;
        Ok(Self {
            encoder,
            size,
            fps,
            pushed: 0,
            out,
        })
    }

    fn push(&mut self, canvas: &gst::Buffer) -> Result<(), TimelapseError> {
        let at = |number: u32| {
            gst::ClockTime::from_nseconds(
                u64::from(number) * 1_000_000_000 / u64::from(self.fps.max(1)),
            )
        };
        // Shares the pixels: only the time is its own.
        let mut picture = canvas.copy();
        if let Some(picture) = picture.get_mut() {
            picture.set_pts(at(self.pushed));
            picture.set_duration(at(self.pushed + 1) - at(self.pushed));
        }
        self.pushed += 1;
        self.encoder.push(picture).map_err(TimelapseError::Flow)
    }

    fn finish(self) -> Result<Encoded, TimelapseError> {
        let Self {
            encoder,
            size,
            pushed,
            out,
            ..
        } = self;
        encoder.finish();
        let out = std::mem::take(&mut *out.lock());
        let broken = || TimelapseError::Flow(gst::FlowError::Error);
        let caps = out.caps.ok_or_else(broken)?;
        let config = caps.structure(0).ok_or_else(broken)?;
        let config = config
            .get::<gst::Buffer>("codec_data")
            .map_err(|_| broken())?;
        let bytes = |buffer: &gst::Buffer| -> Result<Bytes, TimelapseError> {
            // Copied: the encoder's buffers have room for far more.
            Ok(Bytes::copy_from_slice(&buffer.map_readable()?))
        };
        let pictures = out.units.iter().map(bytes).collect::<Result<Vec<_>, _>>()?;
        if pictures.len() != pushed as usize {
            return Err(broken());
        }
        let side = |pixels: u32| u16::try_from(pixels).map_err(|_| broken());
        Ok(Encoded {
            format: FilmFormat {
                config: bytes(&config)?,
                width: side(size.0)?,
                height: side(size.1)?,
            },
            pictures,
        })
    }
}

/// `x264enc ! video/x-h264,stream-format=avc`: left alone, it chooses start codes.
fn encoder() -> Result<gst::Element, glib::BoolError> {
    let encoder = gst::ElementFactory::make("x264enc")
        // One group has one keyframe, its first picture.
        .property("key-int-max", 100_000_u32)
        .property("option-string", "scenecut=0")
        .property_from_str("pass", "qual")
        .property("quantizer", QUALITY)
        .property("bitrate", MOST_KBPS)
        .property_from_str("speed-preset", SPEED)
        // A picture in, a picture out: nothing is held back.
        .property_from_str("tune", "zerolatency")
        .property("threads", 1_u32)
        .property("bframes", 0_u32)
        .property("aud", false)
        .build()?;
    let format = gst::Caps::builder("video/x-h264")
        .field("stream-format", "avc")
        .field("alignment", "au")
        .build();
    let filter = gst::ElementFactory::make("capsfilter")
        .property("caps", format)
        .build()?;
    let both = gst::Bin::new();
    both.add_many([&encoder, &filter])?;
    encoder.link(&filter)?;
    for (element, name) in [(&encoder, "sink"), (&filter, "src")] {
        let pad = element
            .static_pad(name)
            .ok_or_else(|| glib::bool_error!("{} has no pad {name}", element.name()))?;
        both.add_pad(&gst::GhostPad::with_target(&pad)?)?;
    }
    Ok(both.upcast())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::streams::i420;

    #[test]
    fn the_first_picture_gives_the_size_and_is_never_enlarged() {
        assert_eq!(canvas_of(&i420((1920, 1080), (1, 1)), 1280), (1280, 720));
        assert_eq!(canvas_of(&i420((640, 360), (1, 1)), 1280), (640, 360));
        assert_eq!(canvas_of(&i420((2560, 1922), (1, 1)), 1280), (1280, 960));
        assert_eq!(canvas_of(&i420((704, 576), (16, 11)), 1280), (1024, 576));
        assert_eq!(canvas_of(&i420((1001, 777), (1, 1)), 161), (160, 124));
    }

    #[test]
    fn other_shapes_are_put_in_the_middle() {
        let canvas = (1280, 720);
        for (size, place) in [
            ((1920, 1080), (0, 0, 1280, 720)),
            ((640, 360), (320, 180, 640, 360)),
            ((2560, 1920), (160, 0, 960, 720)),
            ((1080, 1920), (438, 0, 404, 720)),
            ((3840, 800), (0, 226, 1280, 266)),
            ((100, 50), (590, 334, 100, 50)),
        ] {
            let (x, y, width, height) = place_on(&i420(size, (1, 1)), canvas);
            assert_eq!((x, y, width, height), place, "{size:?}");
            assert!(x + width <= canvas.0 && y + height <= canvas.1);
        }
    }
}
