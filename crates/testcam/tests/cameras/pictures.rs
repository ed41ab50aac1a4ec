//! The pattern in pictures that went through encoders.

use dayreel_testcam::{
    Camera, Look, PatternReading, PictureSettings, Settings, Source, VideoCodec, pattern,
};
use gstreamer::{self as gst, prelude::*};
use gstreamer_app as gst_app;
use gstreamer_video::{self as gst_video, prelude::*};

/// Pictures looked at per camera.
const PICTURES: usize = 30;

/// Watches a camera through `filter`, which ends in raw video of a format with luma first or RGB.
fn readings(settings: PictureSettings, decoder: &str, filter: &str) -> Vec<Option<PatternReading>> {
    let camera = Camera::start(Settings {
        name: "A camera with a long name".into(),
        source: Source::Picture(settings),
        ..Settings::default()
    })
    .unwrap();
    let pipeline = gst::parse::launch(&format!(
        "rtspsrc location={} protocols=tcp latency=0 ! {decoder} ! {filter} \
         ! appsink name=sink sync=false",
        camera.url()
    ))
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let sink = pipeline
        .by_name("sink")
        .unwrap()
        .downcast::<gst_app::AppSink>()
        .unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let read = |_| {
        let sample = sink
            .try_pull_sample(gst::ClockTime::from_seconds(60))
            .expect("a picture");
        let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
        let frame =
            gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer().unwrap(), &info)
                .unwrap();
        let (pixels, stride) = (frame.plane_data(0).unwrap(), frame.plane_stride()[0]);
        let stride = usize::try_from(stride).unwrap();
        if info.is_rgb() {
            pattern::read_rgb(pixels, info.width(), info.height(), stride, 4)
        } else {
            pattern::read(pixels, info.width(), info.height(), stride)
        }
    };
    let readings = (0..PICTURES).map(read).collect();
    pipeline.set_state(gst::State::Null).unwrap();
    readings
}

/// Asserts that every picture is read and that they follow each other.
fn check(settings: PictureSettings, decoder: &str, filter: &str) {
    let before_ms = chrono::Utc::now().timestamp_millis();
    let readings = readings(settings, decoder, filter);
    let after_ms = chrono::Utc::now().timestamp_millis();
    let readings: Vec<_> = readings
        .into_iter()
        .map(|reading| reading.expect(filter))
        .collect();
    for pair in readings.windows(2) {
        assert_eq!(pair[1].frame_number, pair[0].frame_number + 1);
        assert!(pair[1].wall_ms >= pair[0].wall_ms);
    }
    for reading in readings {
        let wall_ms = i64::try_from(reading.wall_ms).unwrap();
        assert!((before_ms..=after_ms).contains(&wall_ms));
    }
}

const H264: &str = "rtph264depay ! avdec_h264";
const H265: &str = "rtph265depay ! h265parse ! avdec_h265";

#[test]
fn low_bit_rates_keep_the_pattern() {
    for look in [Look::Street, Look::Garden] {
        let settings = PictureSettings {
            look,
            bitrate_kbps: 200,
            ..PictureSettings::default()
        };
        check(settings, H264, "videoconvert ! video/x-raw,format=I420");
    }
}

#[test]
fn the_smallest_picture_keeps_the_pattern() {
    let settings = PictureSettings {
        width: 160,
        height: 90,
        bitrate_kbps: 60,
        ..PictureSettings::default()
    };
    check(
        settings.clone(),
        H264,
        "videoconvert ! video/x-raw,format=I420",
    );
    let settings = PictureSettings {
        codec: VideoCodec::H265,
        ..settings
    };
    check(settings, H265, "videoconvert ! video/x-raw,format=I420");
}

#[test]
fn bad_jpegs_of_small_copies_keep_the_pattern() {
    let filter = "videoscale ! video/x-raw,width=240,height=136 ! jpegenc quality=25 ! jpegdec \
                  ! videoconvert ! video/x-raw,format=I420";
    check(PictureSettings::default(), H264, filter);
}

#[test]
fn enlarged_rgb_pictures_keep_the_pattern() {
    let settings = PictureSettings {
        width: 320,
        height: 180,
        bitrate_kbps: 300,
        ..PictureSettings::default()
    };
    let filter = "videoconvert ! videoscale ! video/x-raw,format=RGBx,width=1366,height=768";
    check(settings, H264, filter);
}
