//! Small encoded streams for tests, whose pictures say which they are.

use dayreel_testcam::pattern::{self, PatternReading};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video::VideoFrameExt;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::Frame;

/// Presentation time of the first picture, nanoseconds since the Unix epoch: in November 2026.
pub(crate) const START: gst::ClockTime = gst::ClockTime::from_seconds(1_795_363_385);
/// 25 pictures a second.
pub(crate) const INTERVAL: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// What to encode.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) codec: &'static str,
    pub(crate) size: (u32, u32),
    pub(crate) par: (i32, i32),
    pub(crate) pictures: u32,
    pub(crate) gop: u32,
    pub(crate) b_frames: u32,
    /// Luma and chroma of the part that carries no pattern.
    pub(crate) yuv: [u8; 3],
    /// By how much its luma trembles, from pixel to pixel and picture to picture: a sensor in the dark.
    pub(crate) noise: u8,
    pub(crate) bitrate_kbps: u32,
    /// As GStreamer names them.
    pub(crate) colours: &'static str,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            codec: "h264",
            size: (272, 144),
            par: (1, 1),
            pictures: 10,
            gop: 50,
            b_frames: 0,
            yuv: [100, 128, 128],
            noise: 0,
            bitrate_kbps: 2_048,
            colours: "bt709",
        }
    }
}

/// What is known of a picture of `size` in I420, whose pixels are `par`.
pub(crate) fn i420(size: (u32, u32), par: (i32, i32)) -> gstreamer_video::VideoInfo {
    gst::init().unwrap();
    gstreamer_video::VideoInfo::builder(gstreamer_video::VideoFormat::I420, size.0, size.1)
        .par(gst::Fraction::new(par.0, par.1))
        .build()
        .unwrap()
}

impl Stream {
    /// Encodes it: access units in decode order, and their caps. The pictures are numbered from 0;
    /// in limited range.
    pub(crate) fn encode(&self) -> (gst::Caps, Vec<gst::Buffer>) {
        gst::init().unwrap();
        let (gop, b_frames, bitrate) = (self.gop, self.b_frames, self.bitrate_kbps);
        let encoder = match self.codec {
            "h264" => format!(
                "x264enc bitrate={bitrate} key-int-max={gop} bframes={b_frames} b-adapt=false speed-preset=ultrafast \
                 option-string=scenecut=0 ! h264parse ! video/x-h264,stream-format=avc"
            ),
            _ => format!(
                "x265enc bitrate={bitrate} key-int-max={gop} speed-preset=ultrafast log-level=none \
                 option-string=bframes={b_frames}:b-adapt=0:scenecut=0:rc-lookahead=10:info=0 \
                 ! h265parse ! video/x-h265,stream-format=hvc1"
            ),
        };
        let pipeline = gst::parse::launch(&format!(
            "appsrc name=source format=time ! {encoder},alignment=au ! appsink name=sink sync=false"
        ))
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
        let source = pipeline.by_name("source").unwrap();
        let source = source.downcast::<gst_app::AppSrc>().unwrap();
        let sink = pipeline.by_name("sink").unwrap();
        let sink = sink.downcast::<gst_app::AppSink>().unwrap();
        let info = gstreamer_video::VideoInfo::builder(
            gstreamer_video::VideoFormat::I420,
            self.size.0,
            self.size.1,
        )
        .fps(gst::Fraction::new(25, 1))
        .par(gst::Fraction::new(self.par.0, self.par.1))
        .colorimetry(&self.colours.parse().unwrap())
        .build()
        .unwrap();
        source.set_caps(Some(&info.to_caps().unwrap()));
        source.set_max_bytes(u64::MAX);
        pipeline.set_state(gst::State::Playing).unwrap();
        for number in 0..self.pictures {
            source.push_buffer(self.picture(&info, number)).unwrap();
        }
        source.end_of_stream().unwrap();
        let mut caps = None;
        let mut units = Vec::new();
        while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(60)) {
            caps = sample.caps_owned();
            units.push(sample.buffer_owned().unwrap());
        }
        pipeline.set_state(gst::State::Null).unwrap();
        assert_eq!(
            units.len(),
            self.pictures as usize,
            "every picture came out"
        );
        (caps.unwrap(), units)
    }

    fn picture(&self, info: &gstreamer_video::VideoInfo, number: u32) -> gst::Buffer {
        let mut buffer = gst::Buffer::with_size(info.size()).unwrap();
        let writable = buffer.get_mut().unwrap();
        writable.set_pts(START + INTERVAL * u64::from(number));
        writable.set_duration(INTERVAL);
        let mut frame =
            gstreamer_video::VideoFrameRef::from_buffer_ref_writable(writable, info).unwrap();
        for (plane, level) in (0..).zip(self.yuv) {
            frame.plane_data_mut(plane).unwrap().fill(level);
        }
        if self.noise > 0 {
            let mut random = StdRng::seed_from_u64(number.into());
            for luma in frame.plane_data_mut(0).unwrap() {
                *luma = luma.saturating_add(random.random_range(0..=self.noise));
            }
        }
        let (width, height) = self.size;
        if width >= pattern::MIN_SIZE.0 && height >= pattern::MIN_SIZE.1 {
            let stride = usize::try_from(info.stride()[0]).unwrap();
            let reading = PatternReading {
                frame_number: number,
                wall_ms: 0,
            };
            pattern::write(
                reading,
                frame.plane_data_mut(0).unwrap(),
                width,
                height,
                stride,
            );
            // The pattern is grey, whatever the colour of the rest.
            for plane in 1..3_u32 {
                let stride = usize::try_from(info.stride()[plane as usize]).unwrap();
                let rows = (height * pattern::HEIGHT.0 / pattern::HEIGHT.1).div_ceil(2) as usize;
                frame.plane_data_mut(plane).unwrap()[..rows * stride].fill(128);
            }
        }
        drop(frame);
        buffer
    }
}

/// The number of the picture with the latest presentation time among `units`.
pub(crate) fn newest_number(units: &[gst::Buffer]) -> u32 {
    let newest = units.iter().filter_map(|unit| unit.pts()).max().unwrap();
    u32::try_from((newest - START).nseconds() / INTERVAL.nseconds()).unwrap()
}

/// A JPEG's samples as they are in the file, decoded by another library.
pub(crate) struct Decoded {
    pub(crate) width: u32,
    pub(crate) height: u32,
    frame: gstreamer_video::VideoFrame<gstreamer_video::video_frame::Readable>,
}

/// Decodes `frame`, checking that the file has the size that is promised.
pub(crate) fn decode(frame: &Frame) -> Decoded {
    let pipeline = gst::parse::launch("appsrc name=source ! avdec_mjpeg ! appsink name=sink")
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
    let source = pipeline.by_name("source").unwrap();
    let source = source.downcast::<gst_app::AppSrc>().unwrap();
    let sink = pipeline.by_name("sink").unwrap();
    let sink = sink.downcast::<gst_app::AppSink>().unwrap();
    let caps = gst::Caps::builder("image/jpeg")
        .field("width", frame.width.cast_signed())
        .field("height", frame.height.cast_signed())
        .field("framerate", gst::Fraction::new(1, 1))
        .field("parsed", true)
        .build();
    source.set_caps(Some(&caps));
    pipeline.set_state(gst::State::Playing).unwrap();
    source
        .push_buffer(gst::Buffer::from_slice(frame.jpeg.clone()))
        .unwrap();
    source.end_of_stream().unwrap();
    let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(10));
    let sample = sample.expect("the JPEG decodes");
    pipeline.set_state(gst::State::Null).unwrap();
    let info = gstreamer_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
    let buffer = sample.buffer_owned().unwrap();
    assert_eq!((info.width(), info.height()), (frame.width, frame.height));
    Decoded {
        width: info.width(),
        height: info.height(),
        frame: gstreamer_video::VideoFrame::from_buffer_readable(buffer, &info).unwrap(),
    }
}

impl Decoded {
    /// The number in the picture, `None` if it cannot be read.
    pub(crate) fn number(&self) -> Option<u32> {
        let stride = usize::try_from(self.frame.plane_stride()[0]).unwrap();
        let luma = self.frame.plane_data(0).unwrap();
        pattern::read(luma, self.width, self.height, stride).map(|reading| reading.frame_number)
    }

    /// Y, Cb, Cr of the pixel at three quarters of width and height.
    pub(crate) fn colour(&self) -> [u8; 3] {
        [0, 1, 2].map(|plane| {
            let stride = usize::try_from(self.frame.plane_stride()[plane as usize]).unwrap();
            let x = self.frame.comp_width(plane) as usize * 3 / 4;
            let y = self.frame.comp_height(plane) as usize * 3 / 4;
            self.frame.plane_data(plane).unwrap()[y * stride + x]
        })
    }
}
