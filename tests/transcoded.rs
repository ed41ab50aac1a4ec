//! MJPEG and MPEG-4 cameras are recorded as H.264: every picture once, at its time.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, SecondsFormat};
use dayreel_core::MediaTime;
use dayreel_testcam::{Camera, PictureSettings, Settings, Source, VideoCodec};
use dayreel_tests::{
    client::Client,
    clip,
    foreign::{Packet, probe},
    make_day, numbers,
    process::{Server, Setup, run_within, wait_until},
    stage::Day,
};

/// Until enough is recorded, and for each reading by ffmpeg.
const DEADLINE: Duration = Duration::from_secs(90);
/// Width and height: multiples of 8, as RTP has them for JPEG (RFC 2435 §3.1.5).
const SIZE: (u32, u32) = (320, 184);
/// Of the looped film.
const FILM_PICTURES: u32 = 100;
/// The media clock follows the wall clock by up to 2000 ppm: of one picture of 15 fps, and of all.
/// Half a picture of 25 fps would be 1800.
const FOLLOWED_90K: u64 = 13;
const FOLLOWED_IN_ALL_90K: u64 = 1_700;

/// A camera, and what is to be seen of it.
struct Shown {
    id: &'static str,
    codec: &'static str,
    camera: Camera,
    fps: u32,
    /// Pictures are numbered up to this, and then from 0 on.
    numbers: u32,
}

fn generated(codec: VideoCodec, fps: u32) -> Result<Camera> {
    let (width, height) = SIZE;
    camera(Source::Picture(PictureSettings {
        codec,
        width,
        height,
        fps,
        bitrate_kbps: 500,
        ..PictureSettings::default()
    }))
}

fn camera(source: Source) -> Result<Camera> {
    Camera::start(Settings {
        source,
        ..Settings::default()
    })
}

/// A film of MPEG-4 with B-frames, which come after the picture they are shown before.
fn reordered(folder: &Path) -> Result<Camera> {
    let (width, height) = SIZE;
    let raw = folder.join("raw.yuv");
    let numbers = 0..FILM_PICTURES;
    let pictures: Vec<_> = numbers
        .flat_map(|number| make_day::picture(width, height, number, 0))
        .collect();
    fs::write(&raw, pictures)?;
    let film = folder.join("reordered.mp4");
    let size = format!("{width}x{height}");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg
        .args(["-nostdin", "-loglevel", "error", "-f", "rawvideo"])
        .args(["-pix_fmt", "yuv420p", "-s", &size, "-r", "25", "-i"])
        .arg(&raw)
        .args(["-c:v", "mpeg4", "-bf", "2", "-g", "25", "-q:v", "4"])
        .arg(&film);
    let made = run_within(ffmpeg, DEADLINE, "apt-get install ffmpeg")?;
    ensure!(made.status.success(), "{made:?}");
    camera(Source::File(film))
}

#[test]
fn mjpeg_and_mpeg4_are_recorded_as_h264_every_picture_once_at_its_time() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let cameras = [
        Shown {
            id: "mjpeg",
            codec: "MJPEG",
            camera: generated(VideoCodec::Mjpeg, 15)?,
            fps: 15,
            numbers: u32::MAX,
        },
        Shown {
            id: "mpeg4",
            codec: "MPEG-4",
            camera: generated(VideoCodec::Mpeg4, 25)?,
            fps: 25,
            numbers: u32::MAX,
        },
        Shown {
            id: "reordered",
            codec: "MPEG-4",
            camera: reordered(folder.path())?,
            fps: 25,
            numbers: FILM_PICTURES,
        },
    ];
    let urls: Vec<_> = cameras
        .iter()
        .map(|shown| (shown.id, shown.camera.url()))
        .collect();
    let urls = urls.iter().map(|(id, url)| (*id, url.as_str()));
    let server = Server::start(Setup::with_cameras(urls))?;
    let client = server.client();
    for shown in &cameras {
        let id = shown.id;
        let day = recorded(&client, id).with_context(|| server.log().tail(40))?;
        let status = client.get_json(&format!("/api/cameras/{id}"))?;
        let video = &status["video"];
        ensure!(
            status["state"] == "live"
                && status["dropped_frames"] == 0
                && video["converted_from"] == shown.codec
                && (video["codec"].as_str()).is_some_and(|codec| codec.starts_with("avc1."))
                && (video["width"] == SIZE.0 && video["height"] == SIZE.1)
                && video["gop_s"] == 2.0,
            "{id}: {status}"
        );
        day.check(true)?.assert_none(id);
        let film = folder.path().join("film.mp4");
        write(&day, &film)?;
        let packets = day.video.packets();
        let numbers = check_pictures(shown, &packets, &film).context(id)?;
        check_frames(&client, shown, &packets, &numbers).context(id)?;
        check_moment(&client, shown, folder.path()).context(id)?;
    }
    Ok(())
}

/// ITU-T T.871 says full range; what browsers are sure to show right is the limited range of BT.709.
#[test]
fn the_full_range_of_jpeg_becomes_the_limited_range_of_bt709() -> Result<()> {
    let camera = generated(VideoCodec::Mjpeg, 25)?;
    let server = Server::start(Setup::with_cameras([("mjpeg", camera.url().as_str())]))?;
    let day = recorded(&server.client(), "mjpeg").with_context(|| server.log().tail(40))?;
    let folder = tempfile::tempdir()?;
    let film = folder.path().join("film.mp4");
    write(&day, &film)?;
    let said = probe(&film.display().to_string(), DEADLINE)?;
    let stream = &said["streams"][0];
    ensure!(
        stream["color_range"] == "tv" && stream["color_space"] == "bt709",
        "{stream}"
    );
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg
        .args(["-nostdin", "-loglevel", "error", "-i"])
        .arg(&film);
    ffmpeg.args([
        "-frames:v",
        "1",
        "-pix_fmt",
        "yuv420p",
        "-f",
        "rawvideo",
        "-",
    ]);
    let luma = run_within(ffmpeg, DEADLINE, "apt-get install ffmpeg")?.stdout;
    // The middles of the first cells of the pattern's rows 0 and 1: levels 235 and 16 of 255.
    let level = |row: usize| f64::from(luma[(row * 184 / 20 + 4) * 320 + 4]);
    for (row, full) in [(0, 235.0), (1, 16.0)] {
        let due = 16.0 + full * 219.0 / 255.0;
        ensure!((level(row) - due).abs() < 3.0, "{} for {due}", level(row));
    }
    Ok(())
}

/// The camera's day with at least three segments.
fn recorded(client: &Client, id: &str) -> Result<Day> {
    let enough = || {
        let day = Day::fetch(client, id, "today").ok()?;
        (day.video.segments.len() >= 3).then_some(day)
    };
    wait_until(DEADLINE, enough).with_context(|| format!("{id} is not recorded"))
}

fn write(day: &Day, film: &Path) -> Result<()> {
    ensure!(day.video.inits.len() == 1, "one format");
    let inits = day.video.inits.values().flatten();
    let bytes = inits.chain(day.video.segments.iter().flatten());
    Ok(fs::write(film, bytes.copied().collect::<Vec<_>>())?)
}

/// Numbers in the pictures go up by one, and times by what the camera says. Returns the numbers.
fn check_pictures(shown: &Shown, packets: &[Packet], film: &Path) -> Result<Vec<u32>> {
    let numbers: Vec<_> = clip::pictures(film)?
        .iter()
        .map(|picture| picture.frame_number)
        .collect();
    ensure!(numbers.len() == packets.len(), "{} pictures", numbers.len());
    check_numbers(shown, &numbers)?;
    let step_90k = 90_000 / i64::from(shown.fps);
    for (nth, pair) in (1..).zip(packets.windows(2)) {
        let step = pair[1].pts_90k - pair[0].pts_90k;
        ensure!(
            step.abs_diff(step_90k) <= FOLLOWED_90K,
            "{step} ticks to picture {nth}"
        );
        let whole = pair[1].pts_90k - packets[0].pts_90k;
        ensure!(
            whole.abs_diff(nth * step_90k) <= FOLLOWED_IN_ALL_90K,
            "{whole} ticks to picture {nth}"
        );
    }
    Ok(numbers)
}

fn check_numbers(shown: &Shown, numbers: &[u32]) -> Result<()> {
    for pair in numbers.windows(2) {
        ensure!(pair[1] == (pair[0] + 1) % shown.numbers, "{pair:?}");
    }
    Ok(())
}

/// Frames of now and of then show the right pictures.
fn check_frames(client: &Client, shown: &Shown, packets: &[Packet], numbers: &[u32]) -> Result<()> {
    let id = shown.id;
    for at in [0, packets.len() / 2, packets.len() - 1] {
        // In the middle of the picture, because the address has milliseconds only.
        let middle = packets[at].pts_90k + 45_000 / i64::from(shown.fps);
        let time = MediaTime::from_ticks(u64::try_from(middle)?).media_to_wall();
        let time = time.to_rfc3339_opts(SecondsFormat::Millis, true);
        let frame = client.get(&format!("/{id}/frame/{time}"))?.expect(200)?;
        let number = numbers::in_picture(&frame.body)?.frame_number;
        ensure!(number == numbers[at], "{number} for {}", numbers[at]);
    }
    let now = client.get(&format!("/{id}/frame/"))?.expect(200)?;
    let made = numbers::in_picture(&now.body)?;
    if made.wall_ms > 0 {
        let taken = now.header("x-frame-time").context("no X-Frame-Time")?;
        let taken_ms = DateTime::parse_from_rfc3339(taken)?.timestamp_millis();
        let made_ms = i64::try_from(made.wall_ms)?;
        ensure!(
            (taken_ms - made_ms).abs() < 2_000,
            "{taken}, made {made_ms}"
        );
    }
    Ok(())
}

fn check_moment(client: &Client, shown: &Shown, folder: &Path) -> Result<()> {
    let made = client.get_json(&format!("/{}/moment/generate/4/0", shown.id))?;
    let url = made["url"].as_str().with_context(|| made.to_string())?;
    let file = folder.join("moment.mp4");
    fs::write(&file, client.get(url)?.expect(200)?.body)?;
    let pictures = clip::pictures(&file)?;
    let numbers: Vec<_> = pictures
        .iter()
        .map(|picture| picture.frame_number)
        .collect();
    let due = usize::try_from(4 * shown.fps)?;
    ensure!(
        numbers.len().abs_diff(due) <= 1,
        "{} pictures",
        numbers.len()
    );
    check_numbers(shown, &numbers)
}
