//! A server that is killed or stopped while it records, and started again, and a machine that sleeps:
//! the day goes on.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use chrono::Utc;
use dayreel_testcam::{AudioCodec, Format, Gop, PictureSettings, Track, VideoCodec};
use dayreel_tests::{
    foreign::{Input, Limit, Stream, packets},
    players::scene::fake_clock,
    process::{binary, latest_day, run_within, wait_until},
    rules::hls,
    stage::{CAMERA, Day, Rendition, Stage, match_sent},
};

/// The picture's normal form.
const FORMAT: Format = Format::LengthPrefixed(VideoCodec::H264);
/// For so long nothing is recorded.
const GAP: Duration = Duration::from_millis(500);
/// How often a server is killed in one test.
const KILLS: usize = 20;
/// It is killed so many ms after its start at most: before, while and after its first segments.
const LATEST_KILL_MS: u64 = 3000;
/// For programs that read what is left.
const READ: Duration = Duration::from_secs(60);
/// What a kill may cost, µs: the open chunk, and what was on its way.
const MAX_LOSS_US: i64 = 1_000_000;

fn recorded() -> Result<Stage> {
    Stage::recorded(
        PictureSettings {
            width: 320,
            height: 180,
            gop: Gop::Seconds(1.0),
            bitrate_kbps: 400,
            audio: Some(AudioCodec::Aac),
            ..PictureSettings::default()
        },
        1,
        4,
    )
}

/// Fetches today, and checks it and the index on disk.
fn checked_day(stage: &Stage) -> Result<Day> {
    let day = Day::fetch(&stage.server.client(), CAMERA, "today")?;
    day.check(true)?.assert_none("today");
    let folder = latest_day(&stage.server.days_dir(CAMERA)).context("no day is recorded")?;
    for track in ["video", "audio"] {
        let (_, findings) = hls::index::check_file(&folder.join(format!("{track}.m3u8")))?;
        findings.assert_none(&format!("the {track} index"));
    }
    Ok(day)
}

/// Waits until the restarted server has recorded again, and returns the day: everything listed
/// before is still there, then one discontinuity, then the new span.
fn day_goes_on(stage: &Stage, before: &Day) -> Result<(Day, usize)> {
    // Recovery may have added the segment that was open.
    let listed = before.video.media.segments.len();
    stage.wait_for_segments("video", listed + 4)?;
    stage.wait_for_segments("audio", listed + 4)?;
    let after = checked_day(stage)?;
    hls::reload::check(&before.video.media, &after.video.media).assert_none("the video's reload");
    let sound = |day: &Day| day.audio.clone().context("the camera has sound");
    let (old, new) = (sound(before)?, sound(&after)?);
    hls::reload::check(&old.media, &new.media).assert_none("the audio's reload");
    for rendition in [&after.video, &new] {
        ensure!(
            breaks(rendition).len() == 1,
            "discontinuities at {:?}",
            breaks(rendition)
        );
    }
    let break_at = breaks(&after.video)[0];
    let kept = after.video.read_segments().0;
    let kept = kept[..break_at]
        .iter()
        .map(|segment| segment.samples.len())
        .sum();
    Ok((after, kept))
}

/// Segments that stand after a discontinuity.
fn breaks(rendition: &Rendition) -> Vec<usize> {
    let segments = rendition.media.segments.iter().enumerate();
    segments
        .filter(|(_, segment)| segment.discontinuities > 0)
        .map(|(at, _)| at)
        .collect()
}

/// The access units of both spans are what the camera sent; returns when the last one before the
/// break was sent, in µs since the Unix epoch.
fn last_before_break(stage: &Stage, day: &Day, kept: usize) -> Result<i64> {
    let sent = stage.camera.sent(Track::Video)?;
    let received = day.video.packets();
    let (first, second) = received.split_at(kept);
    let found = match_sent(&sent, first, FORMAT, 1).context("before the break")?;
    ensure!(found.before == 0, "{found:?}");
    let found = match_sent(&sent[kept..], second, FORMAT, 1).context("after the break")?;
    eprintln!("after the break: {found:?}");
    Ok(sent[kept - 1].sent_us)
}

#[test]
fn a_kill_costs_less_than_a_second() -> Result<()> {
    let mut stage = recorded()?;
    let before = checked_day(&stage)?;
    let killed_us = Utc::now().timestamp_micros();
    stage.server.kill()?;
    stage.server.restart_after(GAP)?;
    let (after, kept) = day_goes_on(&stage, &before)?;
    let loss_us = killed_us - last_before_break(&stage, &after, kept)?;
    eprintln!("lost by the kill: {} ms", loss_us / 1000);
    ensure!(loss_us < MAX_LOSS_US, "{loss_us} µs lost");
    Ok(())
}

/// The same codec configuration is the same init segment: players keep their decoders.
#[test]
fn the_same_camera_keeps_its_init_segments() -> Result<()> {
    let mut stage = recorded()?;
    let before = checked_day(&stage)?;
    stage.server.kill()?;
    stage.server.restart_after(GAP)?;
    let (after, _) = day_goes_on(&stage, &before)?;
    for rendition in [Some(&after.video), after.audio.as_ref()] {
        let inits = &rendition.context("the camera has sound")?.inits;
        ensure!(inits.len() == 1, "{:?}", inits.keys());
    }
    Ok(())
}

#[test]
fn a_stop_writes_everything_and_ends_with_0() -> Result<()> {
    let mut stage = recorded()?;
    let before = checked_day(&stage)?;
    let stopped_us = Utc::now().timestamp_micros();
    let status = stage.server.stop()?;
    ensure!(status.code() == Some(0), "{status}");
    stage.server.restart_after(GAP)?;
    let (after, kept) = day_goes_on(&stage, &before)?;
    let loss_us = stopped_us - last_before_break(&stage, &after, kept)?;
    eprintln!("lost by the stop: {} ms", loss_us / 1000);
    ensure!(loss_us < MAX_LOSS_US, "{loss_us} µs lost");
    Ok(())
}

/// ffmpeg plays the playlist of such a day over the gap: every access unit of both spans.
#[test]
fn a_foreign_reader_crosses_the_gap() -> Result<()> {
    let mut stage = recorded()?;
    let before = checked_day(&stage)?;
    stage.server.kill()?;
    stage.server.restart_after(GAP)?;
    let (after, _) = day_goes_on(&stage, &before)?;
    let due = after.video.packets();
    let playlist = stage
        .server
        .url(&format!("/{CAMERA}/stream/today/playlist.m3u8"));
    let limit = Limit {
        packets: Some(due.len()),
        deadline: Duration::from_secs(60),
    };
    let received = packets(Input::Hls(&playlist), Stream::Video, limit)?.packets;
    ensure!(
        received.len() == due.len(),
        "{} of {}",
        received.len(),
        due.len()
    );
    for (index, (received, due)) in received.iter().zip(&due).enumerate() {
        ensure!(received.data == due.data, "access unit {index} differs");
        ensure!(
            received.dts_90k == due.dts_90k,
            "access unit {index}: {}",
            received.dts_90k
        );
    }
    Ok(())
}

/// Whatever it is at: while it starts, mends, connects, and within segments. What is left is mended
/// by `verify` and by the next start in turn, and ffmpeg reads it before anybody has.
#[test]
fn kills_at_random_moments_leave_days_that_go_on() -> Result<()> {
    let mut stage = recorded()?;
    let mut listed = checked_day(&stage)?.video.media.segments.len();
    for kill in 0..KILLS {
        let moment = Duration::from_millis(random() % LATEST_KILL_MS);
        let at = Instant::now() + moment;
        wait_until(moment + READ, || (Instant::now() >= at).then_some(()));
        stage.server.kill()?;
        let context = || format!("kill {kill}, {moment:?} after the start");
        readable(&stage, listed).with_context(context)?;
        let mended_by_hand = kill % 2 == 0;
        if mended_by_hand {
            verify(&stage, &["--repair"]).with_context(context)?;
            verify(&stage, &[]).with_context(context)?;
        }
        stage.server.restart()?;
        if !mended_by_hand {
            verify(&stage, &[]).with_context(context)?;
        }
        // What was listed stays listed.
        let media = stage.wait_for_segments("video", listed)?;
        listed = media.segments.len();
    }
    stage.wait_for_segments("video", listed + 2)?;
    ensure!(stage.server.stop()?.success());
    verify(&stage, &[])?;
    stage.server.restart()?;
    checked_day(&stage)?;
    Ok(())
}

/// What viewers saw is in the index, and ffmpeg reads the hour files, which end anywhere.
fn readable(stage: &Stage, segments: usize) -> Result<()> {
    let folder = latest_day(&stage.server.days_dir(CAMERA)).context("no day is recorded")?;
    let index = folder.join("video.m3u8");
    let limit = Limit {
        packets: None,
        deadline: READ,
    };
    let mut files: Vec<_> = std::fs::read_dir(&folder)?.collect::<Result<_, _>>()?;
    files.retain(|file| {
        let name = file.file_name();
        let name = name.to_string_lossy();
        name.starts_with("video-") && name.ends_with(".mp4")
    });
    let mut found = 0;
    for file in &files {
        found += packets(Input::File(&file.path()), Stream::Video, limit)?
            .packets
            .len();
    }
    let listed = std::fs::read_to_string(index)?.matches("#EXTINF").count();
    // A viewer sees a segment just before its line is written.
    ensure!(
        listed + 1 >= segments,
        "{listed} of {segments} segments are in the index"
    );
    ensure!(found >= listed, "{found} access units in {listed} segments");
    Ok(())
}

/// `dayreel verify` finds all sound, or has mended it.
fn verify(stage: &Stage, options: &[&str]) -> Result<()> {
    let mut command = Command::new(binary());
    command.arg("verify").args(options);
    command.arg("--data").arg(stage.server.data_dir());
    let output = run_within(command, READ, "")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.code() == Some(0), "{options:?}: {said}");
    Ok(())
}

/// Suspended, a machine's steady clock stands and its wall clock does not: media time follows the
/// latter, so what was slept through is a gap.
#[test]
fn a_machine_that_sleeps_leaves_a_gap_of_the_clock() -> Result<()> {
    const SLEPT_S: f64 = 300.0;
    let folder = tempfile::tempdir()?;
    let clock = folder.path().join("clock");
    std::fs::write(&clock, "+0s\n")?;
    let mut environment = fake_clock()?;
    let file = clock.display().to_string();
    environment.extend([
        ("FAKETIME_TIMESTAMP_FILE".to_owned(), file),
        // Seconds for which it need not look into the file.
        ("FAKETIME_CACHE_DURATION".to_owned(), "1".to_owned()),
    ]);
    let stage = Stage::start_with(PictureSettings::small(), 1, |setup| {
        setup.environment = environment;
    })?;
    let listed = stage.wait_for_segments("video", 4)?.segments.len();
    std::fs::write(&clock, format!("+{SLEPT_S}s\n"))?;
    stage.wait_for_segments("video", listed + 6)?;
    let client = stage.server.client();
    let days = client.get_json(&format!("/api/cameras/{CAMERA}/days"))?;
    let gaps = days[0]["gaps"].as_array().context("no gaps")?;
    ensure!(gaps.len() == 1 && gaps[0]["cause"] == "clock", "{days}");
    let length_s = gaps[0]["duration_s"].as_f64().context("no length")?;
    ensure!((length_s - SLEPT_S).abs() < 3.0, "{days}");
    let state = client.get_json(&format!("/api/cameras/{CAMERA}"))?;
    ensure!(
        state["state"] == "live" && state["reconnects"] == 0,
        "{state}"
    );
    Day::fetch(&client, CAMERA, "today")?
        .check(true)?
        .assert_none("today");
    Ok(())
}

/// Another number at each call.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
