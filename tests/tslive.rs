//! The live view in MPEG-TS, as old players see it.

use std::{
    io::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use dayreel_testcam::{Gop, PictureSettings, VideoCodec};
use dayreel_tests::{
    foreign::{self, Input, Limit, Stream, packets, probe},
    numbers,
    process::wait_until,
    rules::hls::{media, reader::Media, reload},
    stage::{CAMERA, Stage, picture},
};

/// For one thing to happen.
const PATIENCE: Duration = Duration::from_secs(60);
const PLAYLIST: &str = "/cam/live/playlist.m3u8";
const LIMIT: Limit = Limit {
    packets: None,
    deadline: PATIENCE,
};

/// The playlist once it lists what pleases `enough`. Every one that is read obeys the rules, and is
/// what may follow the one before.
fn playlist(stage: &Stage, mut enough: impl FnMut(&Media) -> bool) -> Result<Media> {
    let client = stage.server.client();
    let mut before: Option<Media> = None;
    let found = wait_until(PATIENCE, || {
        let answer = client.get(PLAYLIST).ok()?;
        if answer.status == 503 {
            assert!(answer.header("retry-after").is_some());
            return None;
        }
        let text = answer.expect(200).ok()?.text().ok()?;
        let (media, findings) = media::check_ts(&text);
        findings.assert_none(&text);
        if let Some(before) = &before {
            reload::check(before, &media).assert_none(&text);
        }
        before = Some(media.clone());
        Some(media).filter(|media| enough(media))
    });
    found.with_context(|| format!("no such playlist:\n{}", stage.server.log().tail(30)))
}

fn segment(stage: &Stage, uri: &str) -> Result<Vec<u8>> {
    let path = format!("/{CAMERA}/live/{uri}");
    Ok(stage.server.client().get(&path)?.expect(200)?.body)
}

fn file(bytes: &[u8]) -> Result<tempfile::NamedTempFile> {
    let mut file = tempfile::NamedTempFile::with_suffix(".ts")?;
    file.write_all(bytes)?;
    Ok(file)
}

fn now_ms() -> Result<u64> {
    Ok(u64::try_from(
        SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis(),
    )?)
}

/// Every picture once and in order, each segment on its own decodable and as long as it says, sound
/// in all of them.
#[test]
fn every_picture_comes_in_order_with_sound() -> Result<()> {
    let codecs = [VideoCodec::H264, VideoCodec::H265];
    // Pictures in another order than they are shown in come later than they are decoded.
    for (codec, b_frames) in codecs
        .into_iter()
        .flat_map(|codec| [(codec, 0), (codec, 2)])
    {
        let settings = PictureSettings {
            b_frames,
            ..picture(codec)
        };
        let stage = Stage::start(settings, 2)?;
        let first = playlist(&stage, |media| media.segments.len() >= 2)?;
        let last = first.media_sequence + 5;
        let mut all = Vec::new();
        let mut numbers_seen = Vec::new();
        for number in first.media_sequence..last {
            let listed = playlist(&stage, |media| {
                media.media_sequence + media.segments.len() as u64 > number
            })?;
            let index = usize::try_from(number.saturating_sub(listed.media_sequence))?;
            let entry = listed
                .segments
                .get(index)
                .context("the segment is listed")?;
            let bytes = segment(&stage, &entry.uri)?;
            let alone = file(&bytes)?;
            let pictures = numbers::in_file(alone.path())?;
            let seen_ms = pictures.last().copied().flatten().map(|last| last.wall_ms);
            eprintln!(
                "{codec:?}, {b_frames} B-frames, {number}: {} pictures, {} bytes, the last is {} ms old",
                pictures.len(),
                bytes.len(),
                now_ms()?.saturating_sub(seen_ms.unwrap_or(0))
            );
            let due_ns = pictures.len() as u64 * 40_000_000;
            ensure!(
                entry.duration_ns.abs_diff(due_ns) < 40_000_000,
                "{} pictures in {} ns",
                pictures.len(),
                entry.duration_ns
            );
            let sound = packets(Input::File(alone.path()), Stream::Audio, LIMIT)?.packets;
            ensure!(!sound.is_empty(), "no sound in {}", entry.uri);
            numbers_seen.extend(pictures);
            all.extend(bytes);
        }
        numbers::ensure_in_order(&numbers_seen, numbers_seen.len())?;
        // As one stream, too: what a television reads.
        let whole = file(&all)?;
        let video = packets(Input::File(whole.path()), Stream::Video, LIMIT)?;
        ensure!(video.complaints.is_empty(), "{}", video.complaints);
        let mut shown: Vec<_> = video.packets.iter().map(|packet| packet.pts_90k).collect();
        shown.sort_unstable();
        for pair in shown.windows(2) {
            ensure!(pair[1] - pair[0] <= 3_610, "{pair:?}");
        }
        let streams = probe(&whole.path().display().to_string(), PATIENCE)?;
        ensure!(streams["format"]["format_name"] == "mpegts", "{streams}");
    }
    Ok(())
}

/// The pictures that are shown before a keyframe refer to the GOP before: who follows the stream sees all of them, and who
/// begins with a segment all from its keyframe on.
#[test]
fn pictures_of_an_open_gop_are_all_there() -> Result<()> {
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        let settings = PictureSettings {
            b_frames: 2,
            open_gop: true,
            // With a B-frame more it would end with another.
            gop: Gop::Frames(24),
            ..picture(codec)
        };
        let stage = Stage::start(settings, 2)?;
        let first = playlist(&stage, |media| media.segments.len() >= 2)?.media_sequence;
        let (mut all, mut with_leading) = (Vec::new(), 0);
        for number in first..first + 4 {
            let listed = playlist(&stage, |media| {
                media.media_sequence + media.segments.len() as u64 > number
            })?;
            let index = usize::try_from(number.saturating_sub(listed.media_sequence))?;
            let entry = listed.segments.get(index).context("it is listed")?;
            let bytes = segment(&stage, &entry.uri)?;
            let leading = shown_from_the_keyframe_on(&bytes);
            let leading = leading.with_context(|| format!("{codec:?} {number}"))?;
            with_leading += usize::from(leading > 0);
            all.extend(bytes);
        }
        shown_from_the_keyframe_on(&all).with_context(|| format!("{codec:?}"))?;
        // The camera's first GOPs may begin with IDR pictures.
        ensure!(with_leading >= 2, "{codec:?}: {with_leading}");
    }
    Ok(())
}

/// Every picture but those before the first keyframe is shown, one after the other. Returns how many are before it.
fn shown_from_the_keyframe_on(stream: &[u8]) -> Result<usize> {
    let stream = file(stream)?;
    let units = packets(Input::File(stream.path()), Stream::Video, LIMIT)?.packets;
    let keyframe = units.first().context("no picture")?.pts_90k;
    let mut times: Vec<_> = units.iter().map(|unit| unit.pts_90k).collect();
    times.sort_unstable();
    for pair in times.windows(2) {
        ensure!((1..=3_610).contains(&(pair[1] - pair[0])), "{pair:?}");
    }
    let due = times.iter().filter(|time| **time >= keyframe).count();
    numbers::ensure_in_order(&numbers::in_cut_file(stream.path())?, due)?;
    Ok(times.len() - due)
}

/// How long ago the listed segments ended.
fn behind_ms(media: &Media) -> Result<i64> {
    let first = media
        .segments
        .first()
        .and_then(|first| first.program_date_time);
    let listed_ns: u64 = media
        .segments
        .iter()
        .map(|segment| segment.duration_ns)
        .sum();
    let end_ms =
        first.context("no date")?.timestamp_millis() + i64::try_from(listed_ns / 1_000_000)?;
    Ok(i64::try_from(now_ms()?)? - end_ms)
}

/// A keyframe every 4 s: as long is a segment.
fn rare_keyframes() -> PictureSettings {
    PictureSettings {
        gop: Gop::Seconds(4.0),
        ..picture(VideoCodec::H264)
    }
}

/// The last segment that is listed.
fn newest(media: &Media) -> Option<String> {
    media.segments.last().map(|segment| segment.uri.clone())
}

/// splitmuxsink ends a segment when it has the whole GOP behind it.
#[test]
fn regression_a_segment_was_listed_a_keyframe_interval_late() -> Result<()> {
    let stage = Stage::recorded(rare_keyframes(), 2, 3)?;
    let first = newest(&playlist(&stage, |_| true)?);
    let next = playlist(&stage, |media| newest(media) != first)?;
    let behind_ms = behind_ms(&next)?;
    ensure!(behind_ms < 2000, "{behind_ms} ms behind");
    Ok(())
}

/// Many players stay as far behind as they began.
#[test]
fn regression_the_first_playlist_was_ten_seconds_behind() -> Result<()> {
    let stage = Stage::recorded(picture(VideoCodec::H264), 2, 6)?;
    let asked_ms = now_ms()?;
    let media = playlist(&stage, |_| true)?;
    let waited_ms = now_ms()? - asked_ms;
    let behind_ms = behind_ms(&media)?;
    // Half a segment of 1 s may not be listed yet; media time is a second off at most.
    ensure!(behind_ms < 2500, "{behind_ms} ms behind");
    // The ring holds several segments.
    ensure!(waited_ms < 4000, "after {waited_ms} ms");
    Ok(())
}

/// Who asked again half a segment later was as late, and had nothing left to play.
#[test]
fn who_asks_when_a_segment_is_about_to_come_gets_it() -> Result<()> {
    let stage = Stage::recorded(rare_keyframes(), 2, 3)?;
    let before = playlist(&stage, |_| true)?;
    let due = || behind_ms(&before).is_ok_and(|behind_ms| behind_ms > 3200);
    wait_until(PATIENCE, || due().then_some(())).context("time stands still")?;
    let next = playlist(&stage, |_| true)?;
    let behind_ms = behind_ms(&next)?;
    ensure!(newest(&before) != newest(&next), "{behind_ms} ms behind");
    Ok(())
}

/// Nothing was taken for the present, so that who came later did not wait for the first segment.
#[test]
fn regression_who_asked_before_the_first_picture_made_others_impatient() -> Result<()> {
    let mut stage = Stage::start(rare_keyframes(), 2)?;
    ensure!(stage.server.stop()?.success());
    stage.camera.stop()?;
    stage.server.restart()?;
    let client = stage.server.client();
    let ask = || client.get(PLAYLIST);
    ensure!(ask()?.expect(503)?.text()?.contains("sends no pictures"));
    stage.camera.restart()?;
    let answer = wait_until(PATIENCE, || match ask() {
        Ok(answer) if answer.status == 503 => {
            let text = answer.text().unwrap_or_default();
            assert!(text.contains("sends no pictures"), "{text}");
            None
        }
        answer => Some(answer),
    });
    let text = answer.context("no live view")??.expect(200)?.text()?;
    ensure!(text.contains("#EXTINF"), "{text}");
    Ok(())
}

/// ffmpeg and GStreamer's player open it by its address, and show pictures in order, with sound.
#[test]
fn players_open_it() -> Result<()> {
    let stage = Stage::start(picture(VideoCodec::H264), 2)?;
    playlist(&stage, |media| media.segments.len() >= 2)?;
    let url = stage.server.url(PLAYLIST);
    let limit = Limit {
        packets: Some(150),
        ..LIMIT
    };
    let read = packets(Input::Hls(&url), Stream::Video, limit)?;
    ensure!(read.packets.len() == 150, "{} packets", read.packets.len());
    let played = foreign::play(&url, 100, PATIENCE)?;
    for pair in played.pictures.windows(2) {
        ensure!(pair[1].frame_number == pair[0].frame_number + 1, "{pair:?}");
    }
    ensure!(played.audio_bytes > 0, "no sound");
    Ok(())
}

/// What HTTP clients rely on.
#[test]
fn addresses_answer_as_http_wants_it() -> Result<()> {
    let stage = Stage::start(picture(VideoCodec::H264), 2)?;
    let listed = playlist(&stage, |media| !media.segments.is_empty())?;
    let client = stage.server.client();
    let answer = client.get(PLAYLIST)?.expect(200)?;
    ensure!(answer.header("content-type") == Some("application/vnd.apple.mpegurl"));
    ensure!(answer.header("cache-control") == Some("no-cache"));
    ensure!(answer.header("access-control-allow-origin") == Some("*"));
    ensure!(client.head(PLAYLIST)?.expect(200)?.body.is_empty());
    let newest = listed.segments.last().context("a segment is listed")?;
    let path = format!("/{CAMERA}/live/{}", newest.uri);
    let whole = client.get(&path)?.expect(200)?;
    ensure!(whole.header("content-type") == Some("video/mp2t"));
    ensure!(
        whole.body.len() % 188 == 0 && whole.body[0] == 0x47,
        "no TS"
    );
    let part = client.get_range(&path, "188-375")?.expect(206)?;
    ensure!(part.body == whole.body[188..376]);
    let length = whole.body.len().to_string();
    ensure!(client.head(&path)?.expect(200)?.header("content-length") == Some(length.as_str()));
    client.get_range(&path, "99999999-")?.expect(416)?;
    for path in [
        "/cam/live/1.ts",
        "/cam/live/01.ts",
        "/cam/live/..%2f..%2fetc",
        "/cam/live/x",
        "/nobody/live/playlist.m3u8",
    ] {
        let answer = client.get(path)?.expect(404)?;
        ensure!(answer.json()?["error"]["code"].is_string(), "{path}");
    }
    client.request("POST", PLAYLIST, &[])?.expect(405)?;
    Ok(())
}

/// The camera reboots: the playlist stands, goes on with a discontinuity, and loses no number. While
/// it is away, who comes new is told to come again.
#[test]
fn a_camera_that_reboots_is_a_discontinuity() -> Result<()> {
    let mut stage = Stage::start(picture(VideoCodec::H264), 2)?;
    let before = playlist(&stage, |media| media.segments.len() >= 3)?;
    stage.camera.stop()?;
    stage.camera.restart()?;
    let breaks = |media: &Media| {
        let listed = media
            .segments
            .iter()
            .filter(|segment| segment.discontinuities > 0);
        media.discontinuity_sequence + listed.count() as u64
    };
    let after = playlist(&stage, |media| breaks(media) > breaks(&before))?;
    ensure!(after.media_sequence <= before.media_sequence + before.segments.len() as u64);
    Ok(())
}

/// Nothing can be written: the live view goes on with new pictures, and the recording by itself once
/// the disk is there again.
#[test]
fn it_goes_on_while_nothing_can_be_recorded() -> Result<()> {
    let stage = Stage::start(picture(VideoCodec::H264), 1)?;
    stage.wait_for_segments("video", 2)?;
    let client = stage.server.client();
    let trouble_is = |code: serde_json::Value| {
        let asked = wait_until(PATIENCE, || {
            let camera = client.get_json(&format!("/api/cameras/{CAMERA}")).ok()?;
            (camera["recording_error_code"] == code).then_some(())
        });
        asked.with_context(|| format!("recording_error_code never was {code}"))
    };
    let (data, away) = (
        stage.server.data_dir(),
        stage.server.data_dir().with_extension("away"),
    );
    std::fs::rename(&data, &away)?;
    std::fs::create_dir(&data)?;
    trouble_is("disk_missing".into())?;
    let gone_ms = now_ms()?;
    let before = playlist(&stage, |media| !media.segments.is_empty())?;
    let end = before.media_sequence + before.segments.len() as u64;
    let after = playlist(&stage, |media| {
        media.media_sequence + media.segments.len() as u64 >= end + 6
    })?;
    let newest = after.segments.last().context("a segment is listed")?;
    let pictures = numbers::in_file(file(&segment(&stage, &newest.uri)?)?.path())?;
    let first = pictures.first().copied().flatten().context("a picture")?;
    ensure!(first.wall_ms > gone_ms, "{first:?} is older than {gone_ms}");
    ensure!(
        std::fs::read_dir(&data)?.next().is_none(),
        "something was written"
    );
    std::fs::remove_dir(&data)?;
    std::fs::rename(&away, &data)?;
    trouble_is(serde_json::Value::Null)
}
