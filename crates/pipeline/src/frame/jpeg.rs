//! Decoded picture ─▶ JPEG of a width.
//!
//! Scaling comes first, so that colours and compression cost what the small picture costs. Measured
//! with 1080p: `jpegenc` (libjpeg-turbo) 6 ms from 4:2:0; 19 ms and a file of 2.7 times the size
//! from RGB, as it does not subsample that.

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::glib;
use gstreamer_video as gst_video;
use gstreamer_video::VideoFrameExt;

use super::{
    Frame, FrameError,
    colour::{Plane, Recolour},
    decode::Picture,
    driven::Driven,
};

/// The size, in square pixels, of a frame of `info` that is at most `width` pixels wide.
///
/// Non-square pixels are made square along the width, as players do. Never larger than that.
pub(crate) fn frame_size(info: &gst_video::VideoInfo, width: Option<u32>) -> (u32, u32) {
    let par = info.par();
    let (numer, denom) = match (u64::try_from(par.numer()), u64::try_from(par.denom())) {
        (Ok(numer), Ok(denom)) if numer > 0 && denom > 0 => (numer, denom),
        _ => (1, 1),
    };
    let rounded =
        |value: u64, by: u64| u32::try_from((value + by / 2) / by.max(1)).unwrap_or(u32::MAX);
    // JPEG has 16 bits for each side (ITU-T T.81 §B.2.2).
    let full_width = rounded(u64::from(info.width()) * numer, denom).clamp(1, 65_500);
    let out_width = width.map_or(full_width, |width| width.clamp(1, full_width));
    let out_height = rounded(
        u64::from(info.height()) * u64::from(out_width),
        u64::from(full_width),
    );
    (out_width, out_height.clamp(1, 65_500))
}

/// Scales, converts and compresses `picture` to `size` (width, height) in `quality`, 1 to 100, with
/// `threads` threads.
///
/// # Errors
/// A missing or failing encoder.
pub(super) fn encode(
    picture: &Picture,
    size: (u32, u32),
    quality: u8,
    threads: u32,
) -> Result<Frame, FrameError> {
    let raw = raw_picture(picture, size, threads).map_err(FrameError::Element)?;
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", size.0.cast_signed())
        .field("height", size.1.cast_signed())
        .field("framerate", gst::Fraction::new(0, 1))
        .build();
    let encoder = gst::ElementFactory::make("jpegenc")
        .property("quality", i32::from(quality))
        .build()
        .map_err(FrameError::Element)?;
    let encoder =
        Driven::start(encoder, &caps, gst::ClockTime::MAX).map_err(FrameError::Element)?;
    encoder.push(raw).map_err(FrameError::Flow)?;
    let output = encoder.finish().newest;
    let (_, jpeg) = output.ok_or(FrameError::Flow(gst::FlowError::Error))?;
    let jpeg = jpeg.map_readable().map_err(FrameError::Element)?;
    Ok(Frame {
        // Copied: the encoder's own memory has room for an uncompressed picture.
        jpeg: Bytes::copy_from_slice(&jpeg),
        width: size.0,
        height: size.1,
        taken: picture.taken,
        stale: None,
    })
}

/// `picture` as 4:2:0 of `size` in the colours of JFIF.
fn raw_picture(
    picture: &Picture,
    size: (u32, u32),
    threads: u32,
) -> Result<gst::Buffer, glib::BoolError> {
    let info = &picture.info;
    let from = gst_video::VideoFrameRef::from_buffer_ref_readable(&picture.buffer, info)?;
    if info.format() == gst_video::VideoFormat::I420 && (info.width(), info.height()) == size {
        return recolour(&from, &Recolour::to_jfif(info.colorimetry()));
    }
    let mut scaled = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, size.0, size.1)
        .chroma_site(info.chroma_site())
        // The converter changes neither of these.
        .interlace_mode(info.interlace_mode())
        .fps(info.fps());
    let colours = info.colorimetry();
    // The same colours, so that it scales plane by plane instead of computing every pixel's colour.
    if info.format_info().is_yuv() {
        scaled = scaled.colorimetry(&colours);
    }
    let scaled = scaled.build()?;
    let mut config = gst_video::VideoConverterConfig::new();
    config.set_threads(threads);
    config.set_dither_method(gst_video::VideoDitherMethod::None);
    let converter = gst_video::VideoConverter::new(info, &scaled, Some(config))?;
    let buffer = new_picture(&scaled, |into| converter.frame_ref(&from, into))?;
    let from = gst_video::VideoFrameRef::from_buffer_ref_readable(&buffer, &scaled)?;
    recolour(&from, &Recolour::to_jfif(scaled.colorimetry()))
}

/// `from`, which is I420, in other colours.
pub(crate) fn recolour(
    from: &gst_video::VideoFrameRef<&gst::BufferRef>,
    recolouring: &Recolour,
) -> Result<gst::Buffer, glib::BoolError> {
    let (width, height) = (from.width(), from.height());
    let info =
        gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, width, height).build()?;
    let [y, cb, cr, _] = from.planes_data();
    let strides = strides(from.plane_stride());
    let [y, cb, cr] = [(y, strides[0]), (cb, strides[1]), (cr, strides[2])];
    let from_planes = [y, cb, cr].map(|(data, stride)| Plane { data, stride });
    new_picture(&info, |into| {
        let strides = self::strides(into.plane_stride());
        let [y, cb, cr, _] = into.planes_data_mut();
        let into_planes = [(y, strides[0]), (cb, strides[1]), (cr, strides[2])];
        recolouring.convert(
            width as usize,
            &from_planes,
            &mut into_planes.map(|(data, stride)| Plane { data, stride }),
        );
    })
}

/// Rows of the three planes, in bytes. GStreamer's strides of planar formats are positive.
fn strides(strides: &[i32]) -> [usize; 3] {
    std::array::from_fn(|plane| {
        let stride = strides.get(plane).copied().unwrap_or(0);
        usize::try_from(stride).unwrap_or(0).max(1)
    })
}

/// A new picture of `info`, written by `fill`.
pub(crate) fn new_picture(
    info: &gst_video::VideoInfo,
    fill: impl FnOnce(&mut gst_video::VideoFrameRef<&mut gst::BufferRef>),
) -> Result<gst::Buffer, glib::BoolError> {
    let mut buffer = gst::Buffer::with_size(info.size())?;
    let writable = buffer
        .get_mut()
        .ok_or_else(|| glib::bool_error!("a new buffer is shared"))?;
    fill(&mut gst_video::VideoFrameRef::from_buffer_ref_writable(
        writable, info,
    )?);
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::{
        Ring, RingSettings,
        frame::{
            decode::newest_picture,
            streams::{self, i420},
        },
    };

    fn picture(stream: &streams::Stream) -> Picture {
        let (caps, units) = stream.encode();
        let ring = Ring::new(RingSettings::default());
        for unit in units {
            ring.push(&caps, unit);
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        newest_picture(&ring.open_gop().unwrap(), 2, deadline).unwrap()
    }

    #[test]
    fn frames_keep_their_shape_and_are_never_enlarged() {
        let hd = i420((1920, 1080), (1, 1));
        assert_eq!(frame_size(&hd, None), (1920, 1080));
        assert_eq!(frame_size(&hd, Some(640)), (640, 360));
        assert_eq!(frame_size(&hd, Some(333)), (333, 187));
        assert_eq!(frame_size(&hd, Some(16)), (16, 9));
        assert_eq!(frame_size(&hd, Some(7680)), (1920, 1080));
    }

    #[test]
    fn pixels_that_are_not_square_become_square() {
        assert_eq!(frame_size(&i420((720, 576), (16, 11)), None), (1047, 576));
        assert_eq!(
            frame_size(&i420((720, 576), (16, 11)), Some(512)),
            (512, 282)
        );
        assert_eq!(frame_size(&i420((1440, 1080), (4, 3)), None), (1920, 1080));
        assert_eq!(frame_size(&i420((1920, 1080), (1, 2)), None), (960, 1080));
    }

    #[test]
    fn extreme_shapes_stay_within_a_jpeg() {
        assert_eq!(frame_size(&i420((4096, 16), (1, 1)), Some(16)), (16, 1));
        assert_eq!(frame_size(&i420((4096, 16), (i32::MAX, 1)), None).0, 65_500);
    }

    #[test]
    fn every_size_says_the_same_picture() {
        let stream = streams::Stream {
            size: (642, 362),
            ..streams::Stream::default()
        };
        let picture = picture(&stream);
        for width in [None, Some(641), Some(333), Some(200)] {
            let size = frame_size(&picture.info, width);
            let frame = encode(&picture, size, 85, 2).unwrap();
            assert_eq!(streams::decode(&frame).number(), Some(9), "{size:?}");
        }
        let tiny = encode(&picture, frame_size(&picture.info, Some(16)), 85, 2).unwrap();
        assert_eq!((streams::decode(&tiny).width, tiny.height), (16, 9));
    }

    #[test]
    fn anamorphic_pictures_come_out_wide() {
        let stream = streams::Stream {
            size: (320, 240),
            par: (3, 2),
            ..streams::Stream::default()
        };
        let picture = picture(&stream);
        let frame = encode(&picture, frame_size(&picture.info, None), 85, 2).unwrap();
        assert_eq!((frame.width, frame.height), (480, 240));
        assert_eq!(streams::decode(&frame).number(), Some(9));
    }

    #[test]
    fn colours_are_those_of_jfif() {
        // Expected by the definitions (BT.709-6 §3, BT.601-7 §2.5, T.871 §7).
        for (colours, expected) in [("bt709", [216, 103, 152]), ("bt601", [214, 105, 151])] {
            let stream = streams::Stream {
                size: (320, 240),
                yuv: [200, 108, 148],
                colours,
                pictures: 2,
                ..streams::Stream::default()
            };
            let picture = picture(&stream);
            for width in [None, Some(301)] {
                let frame = encode(&picture, frame_size(&picture.info, width), 85, 2).unwrap();
                let got = streams::decode(&frame).colour();
                for (got, expected) in got.iter().zip(expected) {
                    assert!(
                        got.abs_diff(expected) <= 2,
                        "{got} for {expected}, {colours}"
                    );
                }
            }
        }
    }
}
