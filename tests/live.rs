//! The live day of a real camera: every document obeys its rules, and every access unit arrives
//! unchanged, whichever way a foreign reader takes.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use dayreel_testcam::{Format, Track, VideoCodec};
use dayreel_tests::{
    foreign::{self, Input, Limit, Packet, Stream, packets, probe},
    process::{latest_day, wait_until},
    rules::{Findings, dash, hls},
    stage::{CAMERA, Day, Rendition, Stage, match_sent, picture},
};

/// What a test records before it looks, s: more than a delta update keeps of segments of 1 s. Some
/// 10 s after its start the server may begin to follow the camera's clock; three quarters of this
/// are exact.
const RECORDED_S: u32 = 8;
/// What rounding to ticks may change of the time between two access units.
const ROUNDED_90K: u64 = 1;
/// And how far one may be moved at once where the server follows the camera's clock: the sound
/// follows the picture, from which it may lie up to a second apart.
const FOLLOWED_90K: u64 = 180;
/// For one reading by ffmpeg.
const READ: Duration = Duration::from_secs(60);

fn recorded(codec: VideoCodec, segment_s: u32) -> Result<Stage> {
    let segments = usize::try_from(RECORDED_S / segment_s)?;
    Stage::recorded(picture(codec), segment_s, segments)
}

/// Today's documents, all media they list, reloads and delta updates, for both codecs with sound.
#[test]
fn documents_and_segments_obey_every_rule() -> Result<()> {
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        let stage = recorded(codec, 1)?;
        let client = stage.server.client();
        let day = Day::fetch(&client, CAMERA, "today")?;
        let sound = day.audio.as_ref().context("the camera has sound")?;
        day.check(true)?.assert_none(&format!("today in {codec:?}"));

        let listed = day.video.media.segments.len();
        stage.wait_for_segments("video", listed + 2)?;
        let later = Day::fetch(&client, CAMERA, "today")?;
        later.check(true)?.assert_none("today, later");
        hls::reload::check(&day.video.media, &later.video.media).assert_none("the video's reload");
        let later_sound = later.audio.as_ref().context("the camera has sound")?;
        hls::reload::check(&sound.media, &later_sound.media).assert_none("the audio's reload");
        let read = |text: &str| dash::manifest::check(text, dash::manifest::Expected::TODAY).0;
        let manifests = read(&day.manifest).zip(read(&later.manifest));
        let (before, after) = manifests.context("both manifests can be read")?;
        dash::update::check(&before, &after).assert_none("the manifest's update");
        for (track, old) in [("video", &day.video), ("audio", sound)] {
            delta_rules(&stage, track, &old.playlist)?.assert_none(&format!("{track}'s delta"));
        }
        index_rules(&stage)?;
    }
    Ok(())
}

/// The delta update and the full playlist of the same moment: asked again if one grew between.
fn delta_rules(stage: &Stage, track: &str, old: &str) -> Result<Findings> {
    let client = stage.server.client();
    let path = format!("/{CAMERA}/stream/today/{track}.m3u8");
    let same_moment = wait_until(READ, || {
        let full = client.get_text(&path).ok()?;
        let delta = client.get_text(&format!("{path}?_HLS_skip=YES")).ok()?;
        let again = client.get_text(&path).ok()?;
        (full == again && delta.contains("#EXT-X-SKIP:")).then_some((delta, full))
    });
    let (delta, full) = same_moment.context("no delta update")?;
    Ok(hls::delta::check(old, &delta, &full))
}

/// The index on disk, and the hour file that grows beside it.
fn index_rules(stage: &Stage) -> Result<()> {
    let day = day_folder(stage)?;
    for track in ["video", "audio"] {
        let (media, findings) = hls::index::check_file(&day.join(format!("{track}.m3u8")))?;
        findings.assert_none(&format!("the {track} index"));
        let recorded_s = media.duration_ns() / 1_000_000_000;
        ensure!(
            recorded_s + 1 >= u64::from(RECORDED_S),
            "{recorded_s} s of {track}"
        );
    }
    for file in hour_files(stage, "video")? {
        let streams = probe(&file.display().to_string(), READ)?;
        let kind = &streams["streams"][0]["codec_type"];
        ensure!(kind == "video", "{}: {streams}", file.display());
    }
    Ok(())
}

/// Media time is Unix time: a segment's `tfdt` is when its first access unit was made.
#[test]
fn media_time_is_unix_time() -> Result<()> {
    let stage = recorded(VideoCodec::H264, 1)?;
    let day = Day::fetch(&stage.server.client(), CAMERA, "today")?;
    let sent = stage.camera.sent(Track::Video)?;
    let received = day.video.read_segments().0;
    let start_90k = received.first().and_then(|segment| segment.start);
    let first = sent.iter().find(|unit| unit.is_keyframe);
    let (start_90k, first) = start_90k
        .zip(first)
        .context("something was sent and received")?;
    let sent_90k = u64::try_from(first.sent_us)? * 9 / 100;
    // What a network and a receiver may add; an hour or a time zone it is not.
    ensure!(
        start_90k.abs_diff(sent_90k) < 2 * 90_000,
        "sent at {sent_90k}, listed at {start_90k}"
    );
    Ok(())
}

/// Nothing lost, nothing changed: every access unit sent equals what ffmpeg gets back through HLS,
/// through DASH, from the hour files and from the index on disk.
#[test]
fn every_h264_access_unit_arrives_unchanged() -> Result<()> {
    every_access_unit_arrives_unchanged(VideoCodec::H264)
}

/// As above.
#[test]
fn every_h265_access_unit_arrives_unchanged() -> Result<()> {
    every_access_unit_arrives_unchanged(VideoCodec::H265)
}

fn every_access_unit_arrives_unchanged(codec: VideoCodec) -> Result<()> {
    // ffmpeg's DASH demuxer (5.1) rounds to whole seconds when it takes up an updated manifest, and
    // reads shorter segments twice.
    let stage = recorded(codec, 2)?;
    let day = Day::fetch(&stage.server.client(), CAMERA, "today")?;
    let tracks = [
        (
            Stream::Video,
            Track::Video,
            Format::LengthPrefixed(codec),
            Some(&day.video),
        ),
        (Stream::Audio, Track::Audio, Format::Raw, day.audio.as_ref()),
    ];
    for (stream, track, format, rendition) in tracks {
        let rendition = rendition.with_context(|| format!("no {stream:?}"))?;
        let samples = rendition
            .read_segments()
            .0
            .iter()
            .map(|segment| segment.samples.len())
            .sum();
        for (way, received) in readings(&stage, stream, rendition, samples)? {
            let sent = stage.camera.sent(track)?;
            let (early, later) = received.split_at((samples * 3 / 4).min(received.len()));
            let exact = match_sent(&sent, early, format, ROUNDED_90K)
                .with_context(|| format!("{stream:?} by {way}"))?;
            // A camera begins with a keyframe when somebody comes: nothing is lost before it.
            ensure!(exact.before == 0, "{stream:?} by {way}: {exact:?}");
            let rest = match_sent(&sent[early.len()..], later, format, FOLLOWED_90K)
                .with_context(|| format!("{stream:?} by {way}, later"))?;
            ensure!(
                rest.before == 0 && received.len() >= samples,
                "{stream:?} by {way}: {rest:?}"
            );
            eprintln!("{stream:?} by {way}: {} access units", received.len());
        }
    }
    Ok(())
}

/// GStreamer's player opens the live playlist and shows every picture once, with sound.
#[test]
fn gstreamers_player_plays_today() -> Result<()> {
    let stage = recorded(VideoCodec::H264, 1)?;
    let url = stage
        .server
        .url(&format!("/{CAMERA}/stream/today/playlist.m3u8"));
    let played = foreign::play(&url, 60, READ)?;
    for pair in played.pictures.windows(2) {
        ensure!(pair[1].frame_number == pair[0].frame_number + 1, "{pair:?}");
    }
    ensure!(played.audio_bytes > 0, "no sound");
    Ok(())
}

/// At least the first `count` access units of a track, read in five ways.
fn readings(
    stage: &Stage,
    stream: Stream,
    rendition: &Rendition,
    count: usize,
) -> Result<Vec<(&'static str, Vec<Packet>)>> {
    let live = Limit {
        packets: Some(count),
        deadline: READ,
    };
    let whole = Limit {
        packets: None,
        deadline: READ,
    };
    let track = match stream {
        Stream::Video => "video",
        Stream::Audio => "audio",
    };
    let playlist = stage
        .server
        .url(&format!("/{CAMERA}/stream/today/playlist.m3u8"));
    let manifest = stage
        .server
        .url(&format!("/{CAMERA}/stream/today/manifest.mpd"));
    let index = day_folder(stage)?
        .join(format!("{track}.m3u8"))
        .display()
        .to_string();
    let mut files = Vec::new();
    for file in hour_files(stage, track)? {
        files.extend(packets(Input::File(&file), stream, whole)?.packets);
    }
    Ok(vec![
        ("HLS", packets(Input::Hls(&playlist), stream, live)?.packets),
        (
            "DASH",
            packets(Input::Dash(&manifest), stream, live)?.packets,
        ),
        (
            "the index on disk",
            packets(Input::Hls(&index), stream, live)?.packets,
        ),
        ("the hour files", files),
        ("the boxes of the segments", rendition.packets()),
    ])
}

fn day_folder(stage: &Stage) -> Result<PathBuf> {
    latest_day(&stage.server.days_dir(CAMERA)).context("no day is recorded")
}

/// The files of a track in the order they were written.
fn hour_files(stage: &Stage, track: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(day_folder(stage)?)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with(&format!("{track}-")) && name.ends_with(".mp4") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
