//! Sound that players do not know is recorded as AAC, in time with the picture.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use dayreel_testcam::{
    AudioCodec, Camera, Gop, PictureSettings, Settings, Source, VideoCodec, pattern,
};
use dayreel_tests::{
    client::Client,
    process::{Server, Setup, latest_day, run_within, wait_until},
    stage::Day,
};

/// Id, codec of the sound, and what the API and the playlist say of the recording: source, sample
/// rate; codec of the picture, which may be encoded again, too.
const CAMERAS: [(&str, AudioCodec, &str, u64, VideoCodec); 6] = [
    (
        "mulaw",
        AudioCodec::Mulaw,
        "G.711 µ-law",
        16_000,
        VideoCodec::H264,
    ),
    (
        "alaw",
        AudioCodec::Alaw,
        "G.711 A-law",
        16_000,
        VideoCodec::H264,
    ),
    ("g726", AudioCodec::G726, "G.726", 16_000, VideoCodec::H264),
    ("l16", AudioCodec::L16, "L16", 16_000, VideoCodec::H264),
    ("opus", AudioCodec::Opus, "Opus", 48_000, VideoCodec::H264),
    (
        "mjpeg",
        AudioCodec::Mulaw,
        "G.711 µ-law",
        16_000,
        VideoCodec::Mjpeg,
    ),
];
/// Pixels of the pictures; multiples of 8 for MJPEG.
const SIZE: (u32, u32) = (160, 96);
/// The camera's pips are within 25 ms of the full second; the median of them, on a busy machine.
const IN_TIME_MS: f64 = 40.0;
/// Until enough is recorded, and for each reading by ffmpeg.
const DEADLINE: Duration = Duration::from_secs(60);

fn camera(audio: AudioCodec, codec: VideoCodec) -> Result<Camera> {
    let (width, height) = SIZE;
    Camera::start(Settings {
        source: Source::Picture(PictureSettings {
            codec,
            width,
            height,
            gop: Gop::Seconds(1.0),
            bitrate_kbps: 200,
            audio: Some(audio),
            ..PictureSettings::default()
        }),
        ..Settings::default()
    })
}

#[test]
fn sound_that_players_do_not_know_becomes_aac_in_time_with_the_picture() -> Result<()> {
    let cameras: Vec<_> = CAMERAS
        .iter()
        .map(|(id, audio, .., video)| Ok((*id, camera(*audio, *video)?)))
        .collect::<Result<_>>()?;
    let urls: Vec<_> = cameras
        .iter()
        .map(|(id, camera)| (*id, camera.url()))
        .collect();
    let server = Server::start(Setup::with_cameras(
        urls.iter().map(|(id, url)| (*id, url.as_str())),
    ))?;
    let client = server.client();
    for (id, _, source, rate_hz, _) in CAMERAS {
        let day = recorded(&client, id).with_context(|| server.log().tail(40))?;
        let status = client.get_json(&format!("/api/cameras/{id}"))?;
        let audio = &status["audio"];
        ensure!(
            audio["codec"] == "mp4a.40.2"
                && audio["converted_from"] == source
                && audio["sample_rate_hz"] == rate_hz
                && status["ignored_tracks"] == serde_json::json!([]),
            "{id}: {status}"
        );
        day.check(true)?.assert_none(id);
        let folder = latest_day(&server.days_dir(id)).context("no day is recorded")?;
        let picture_ms = picture_delay_ms(&day, &folder)?;
        let late_ms: Vec<_> = pips_ms(&day, &folder, rate_hz)?
            .iter()
            .map(|pip_ms| (pip_ms - picture_ms + 500.0).rem_euclid(1000.0) - 500.0)
            .collect();
        eprintln!("{id}: pips come {late_ms:.0?} ms after their pictures");
        ensure!(late_ms.len() >= 4, "{id}: {late_ms:?}");
        ensure!(
            median(late_ms.clone()).abs() < IN_TIME_MS,
            "{id}: {late_ms:?}"
        );
    }
    Ok(())
}

/// The camera's day with at least two segments of both tracks.
fn recorded(client: &Client, id: &str) -> Result<Day> {
    let enough = || {
        let day = Day::fetch(client, id, "today").ok()?;
        let audio = day.audio.as_ref()?;
        (day.video.segments.len() >= 2 && audio.segments.len() >= 2).then_some(day)
    };
    wait_until(DEADLINE, enough).with_context(|| format!("{id} records no picture with sound"))
}

/// How long after they were made pictures stand in media time, ms. The first is made before the camera
/// plays, and on a busy machine any may be late.
fn picture_delay_ms(day: &Day, folder: &Path) -> Result<f64> {
    let (width, height) = SIZE;
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-loglevel", "error", "-i"]);
    ffmpeg.arg(hour_file(folder, "video")?);
    ffmpeg.args(["-fps_mode", "passthrough"]);
    ffmpeg.args(["-f", "rawvideo", "-pix_fmt", "gray", "-"]);
    let luma = run_within(ffmpeg, DEADLINE, "apt-get install ffmpeg")?.stdout;
    let stride = usize::try_from(width)?;
    let pictures = luma.chunks_exact(stride * usize::try_from(height)?);
    let packets = day.video.packets();
    let delays = pictures.zip(&packets).map(|(picture, packet)| {
        let made = pattern::read(picture, width, height, stride).context("no pattern")?;
        Ok(milliseconds(packet.pts_90k) - made.wall_ms as f64)
    });
    Ok(median(delays.collect::<Result<_>>()?))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Where in media time the pips begin, ms.
fn pips_ms(day: &Day, folder: &Path, rate_hz: u64) -> Result<Vec<f64>> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-loglevel", "error", "-i"]);
    ffmpeg.arg(hour_file(folder, "audio")?);
    ffmpeg.args(["-f", "s16le", "-ac", "1", "-"]);
    let samples = run_within(ffmpeg, DEADLINE, "apt-get install ffmpeg")?.stdout;
    let audio = day.audio.as_ref().context("no sound")?.packets();
    let begin_ms = milliseconds(audio[0].dts_90k);
    // Blocks of 2 ms: loud is half of a pip, 9000, quiet is the chord below it, 1200.
    let block_ms = 2.0;
    let block_bytes = usize::try_from(2 * rate_hz * 2 / 1000)?;
    let loud: Vec<_> = samples
        .chunks_exact(block_bytes)
        .map(|block| {
            let sample = |pair: &[u8]| i16::from_le_bytes([pair[0], pair[1]]).unsigned_abs();
            block.chunks_exact(2).map(sample).max() > Some(4500)
        })
        .collect();
    // Each after a quiet half of a second.
    let quiet = 250;
    let pips = (quiet..loud.len())
        .filter(|block| loud[*block] && loud[block - quiet..*block].iter().all(|loud| !loud));
    Ok(pips
        .map(|block| begin_ms + block as f64 * block_ms)
        .collect())
}

fn hour_file(folder: &Path, track: &str) -> Result<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            name.starts_with(track) && name.ends_with(".mp4")
        })
        .collect();
    files.sort();
    files
        .into_iter()
        .next()
        .with_context(|| format!("no hour file of {track}"))
}

fn milliseconds(ticks_90k: i64) -> f64 {
    ticks_90k as f64 / 90.0
}
