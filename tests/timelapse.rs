//! Timelapses: made of a day's recordings by the server and by the command, listed, served, refused.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use chrono::{Datelike as _, NaiveDate, TimeDelta};
use dayreel_core::Day;
use dayreel_tests::{
    client::Answer,
    foreign::probe,
    make_day::{CAMERA, Media, Served},
    numbers,
    process::{Server, Setup, binary, run_within, wait_until},
};

/// Not a multiple of the loop of [`Media`], so that neighbours differ.
const INTERVAL_S: u32 = 47;
const SETTINGS: &str = "timelapse_interval_s = 47\n";
/// How often a server is killed while a film grows.
const KILLS: usize = 6;
/// Pictures that are written at once.
const GROUP_PICTURES: usize = 30;
/// For a film of a whole day.
const PATIENCE: Duration = Duration::from_secs(120);

fn film_path(served: &Served, date: NaiveDate) -> PathBuf {
    let name = date.format("%Y/%m/%d.mp4").to_string();
    let camera = served.server.data_dir().join(CAMERA);
    camera.join("timelapse").join(name)
}

fn url(date: NaiveDate) -> String {
    let (year, month, day) = (date.year(), date.month(), date.day());
    format!("/{CAMERA}/timelapse/{year}/{month}/{day}")
}

/// The numbers of a whole day: of the last keyframe before the middle of each interval.
fn due(served: &Served, day: Day) -> Vec<u32> {
    let interval = TimeDelta::seconds(INTERVAL_S.into());
    let middles = (0..).map(|slot| day.start() + interval * slot + interval / 2);
    let within = middles.take_while(|middle| *middle < day.end());
    let keyframes = served.media.segment_s * served.media.fps;
    within
        .map(|middle| served.media.number_at(middle) / keyframes * keyframes)
        .collect()
}

/// What `dayreel timelapse` says of `date`: exit code, stdout, stderr.
fn command(served: &Served, camera: &str, date: &str) -> Result<(Option<i32>, String, String)> {
    let mut command = Command::new(binary());
    command
        .args(["timelapse", "--camera", camera, "--date", date])
        .arg("--config")
        .arg(served.server.config_path())
        .env("DAYREEL_LOG", "error");
    let output = run_within(command, PATIENCE, "cargo build")?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    Ok((
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    ))
}

#[test]
fn a_day_that_ended_while_nothing_ran_becomes_a_film() -> Result<()> {
    let mut served = Served::with_settings(Media::default(), 48.0, SETTINGS)?;
    let yesterday = served.today().before(1);
    let date = yesterday.date();
    let list = format!("/{CAMERA}/timelapse/");
    let client = served.server.client();
    ensure!(
        client.get_json(&list)? == serde_json::json!([]),
        "nothing is finished yet"
    );

    // The server had begun yesterday's when the power went.
    served.server.kill()?;
    let begun = film_path(&served, date).with_extension("growing.mp4");
    fs::create_dir_all(begun.parent().context("no folder")?)?;
    fs::write(&begun, b"torn")?;
    served.server.restart()?;
    let client = served.server.client();
    let listed = wait_until(PATIENCE, || {
        let films = client.get_json(&list).ok()?;
        films
            .as_array()
            .is_some_and(|films| !films.is_empty())
            .then_some(films)
    });
    let films = listed.with_context(|| format!("no film:\n{}", served.server.log().tail(30)))?;
    let film = &films[0];
    ensure!(
        film["date"] == date.to_string() && film["url"] == url(date),
        "{films}"
    );
    let due = due(&served, yesterday);
    let duration_s = film["duration_s"].as_f64().context("no duration")?;
    ensure!(
        (duration_s - due.len() as f64 / 30.0).abs() < 0.002,
        "{film}"
    );
    ensure!(!begun.exists(), "the growing part is still there");

    let whole = client.get(&url(date))?.expect(200)?;
    ensure!(film["bytes"] == whole.body.len(), "{film}");
    served_as_a_file(&served, date, &whole)?;
    standard_mp4(&served, date, &due)?;

    // The film of today grows: what is recorded of it is in it, but nobody sees it.
    let today = served.today().date();
    let growing = film_path(&served, today).with_extension("growing.mp4");
    let has_grown = wait_until(PATIENCE, || {
        fs::metadata(&growing).ok().filter(|file| file.len() > 1000)
    });
    has_grown.context("today does not grow")?;
    let refused = client.get(&url(today))?.expect(404)?.json()?;
    let message = refused["error"]["message"].as_str().unwrap_or_default();
    ensure!(
        message.ends_with("can be seen when the day is over"),
        "{refused}"
    );

    // Lost, and made again by the command while the server runs.
    fs::remove_file(film_path(&served, date))?;
    client.get(&url(date))?.expect(404)?;
    let (code, stdout, stderr) = command(&served, CAMERA, &date.to_string())?;
    ensure!(code == Some(0), "{code:?} {stderr}");
    ensure!(
        stdout == film_path(&served, date).display().to_string(),
        "{stdout}"
    );
    let again = client.get(&url(date))?.expect(200)?;
    ensure!(
        again.body == whole.body,
        "another film of the same recordings"
    );
    ensure!(again.header("etag") != whole.header("etag"));

    for (camera, date, code, message) in [
        (
            "no-such",
            "2026-11-21",
            2,
            "there is no camera \"no-such\"; there are: cam",
        ),
        (
            CAMERA,
            &*today.to_string(),
            2,
            "is not over: its timelapse grows until midnight",
        ),
        (CAMERA, "2001-02-03", 1, "nothing is kept of 2001-02-03"),
        (CAMERA, "2026-02-30", 2, "invalid value '2026-02-30'"),
    ] {
        let (got, _, stderr) = command(&served, camera, date)?;
        ensure!(
            got == Some(code) && stderr.contains(message),
            "{camera} {date}: {got:?} {stderr}"
        );
    }
    Ok(())
}

/// Whatever is being written: what stands in the growing part stays, but for the pictures that were being
/// written, and the next start goes on behind them.
#[test]
fn kills_while_a_film_grows_cost_the_last_pictures_at_most() -> Result<()> {
    let mut served = Served::with_settings(Media::default(), 22.0, SETTINGS)?;
    let today = served.today();
    let growing = film_path(&served, today.date()).with_extension("growing.mp4");
    let begins = (served.period.from - today.start()).num_seconds() / i64::from(INTERVAL_S);
    let due: Vec<u32> = due(&served, today)
        .into_iter()
        .skip(usize::try_from(begins)?)
        .collect();
    let len = || fs::metadata(&growing).map_or(0, |file| file.len());
    let recorded_s = (served.period.to - served.period.from).num_seconds();
    let all = usize::try_from(recorded_s / i64::from(INTERVAL_S))? - 2 * GROUP_PICTURES;
    let (mut before, mut shown, mut kills) = (vec![], 0, 0);
    while kills < KILLS && shown < all {
        let grows = wait_until(PATIENCE, || (len() > before.len() as u64).then_some(()));
        grows.with_context(|| format!("it does not grow after {kills} kills"))?;
        served.server.kill()?;
        let left = fs::read(&growing)?;
        let read = numbers::in_torn_file(&growing)?;
        let read: Vec<_> = read.iter().map(|seen| seen.frame_number).collect();
        eprintln!("kill {kills}: {} pictures of {shown} before", read.len());
        ensure!(
            read.len() + GROUP_PICTURES >= shown,
            "{} of {shown} pictures are left",
            read.len()
        );
        // The first slot may lie before what is recorded.
        let fits = (0..2).any(|first| due[first..].starts_with(&read));
        ensure!(fits, "{read:?}\ninstead of\n{due:?}");
        (before, shown, kills) = (left, read.len(), kills + 1);
        served.server.restart()?;
    }
    ensure!(kills > 1, "it was done after {kills} kills");
    // To the end of what is recorded, in the same file.
    let done = wait_until(PATIENCE, || {
        let read = numbers::in_torn_file(&growing).ok()?;
        (read.len() >= all).then_some(read.len())
    });
    done.with_context(|| format!("less than {all} pictures"))?;
    Ok(())
}

/// HEAD, Range, tags, names; `3` and `03`.
fn served_as_a_file(served: &Served, date: NaiveDate, whole: &Answer) -> Result<()> {
    let client = served.server.client();
    let path = url(date);
    ensure!(whole.header("content-type") == Some("video/mp4"));
    ensure!(whole.header("accept-ranges") == Some("bytes"));
    let name = format!("inline; filename=\"{CAMERA}-{date}.mp4\"");
    ensure!(
        whole.header("content-disposition") == Some(&*name),
        "{whole:?}"
    );
    let tag = whole.header("etag").context("no ETag")?;
    let head = client.head(&path)?.expect(200)?;
    ensure!(head.body.is_empty() && head.header("etag") == Some(tag));
    ensure!(head.header("content-length") == Some(&*whole.body.len().to_string()));
    // RFC 9110 §14.2: only GET has ranges.
    let ranged = client.request("HEAD", &path, &[("range", "bytes=0-9")])?;
    ensure!(ranged.expect(200)?.header("content-length") == head.header("content-length"));
    let part = client.get_range(&path, "100-199")?.expect(206)?;
    ensure!(part.body == whole.body[100..200]);
    client
        .request("GET", &path, &[("if-none-match", tag)])?
        .expect(304)?;
    client.get_range(&path, "999999999-")?.expect(416)?;
    let zeros = date
        .format(&format!("/{CAMERA}/timelapse/%Y/%m/%d/"))
        .to_string();
    ensure!(client.get(&zeros)?.expect(200)?.body == whole.body);
    client.request("POST", &path, &[])?.expect(405)?;
    Ok(())
}

/// One H.264 stream of even pictures, whose `moov` comes first; ffmpeg has nothing to complain about.
fn standard_mp4(served: &Served, date: NaiveDate, due: &[u32]) -> Result<()> {
    let path = film_path(served, date);
    let bytes = fs::read(&path)?;
    let position = |name: &[u8]| bytes.windows(4).position(|word| word == name);
    ensure!(position(b"ftyp") == Some(4) && position(b"moov") < position(b"mdat"));
    ensure!(position(b"moof").is_none() && position(b"mvex").is_none());
    let facts = probe(&path.display().to_string(), PATIENCE)?;
    let streams = facts["streams"].as_array().context("no streams")?;
    ensure!(
        streams.len() == 1 && streams[0]["codec_name"] == "h264",
        "{facts}"
    );
    ensure!(streams[0]["avg_frame_rate"] == "30/1", "{facts}");
    ensure!(streams[0]["pix_fmt"] == "yuv420p", "{facts}");
    let read = numbers::in_file(&path)?;
    let read: Vec<_> = read
        .iter()
        .flatten()
        .map(|reading| reading.frame_number)
        .collect();
    let differs = read.iter().zip(due).position(|(read, due)| read != due);
    ensure!(
        read.len() == due.len() && differs.is_none(),
        "{} of {}, first wrong: {differs:?}",
        read.len(),
        due.len()
    );
    Ok(())
}

#[test]
fn everything_wrong_is_refused_with_what_is_allowed() -> Result<()> {
    let mut setup = Setup::without_camera(CAMERA);
    setup.cameras.push_str("timelapse = false\n");
    let server = Server::start(setup)?;
    let client = server.client();
    ensure!(client.get_json(&format!("/{CAMERA}/timelapse"))? == serde_json::json!([]));
    let paths = [
        "/2026",
        "/2026/11",
        "/1969/11/3",
        "/26/11/3",
        "/10000/11/3",
        "/-2026/11/3",
        "/year/11/3",
        "/2026/0/3",
        "/2026/13/3",
        "/2026/Nov/3",
        "/2026/11/0",
        "/2026/11/31",
        "/2026/2/29",
        "/2024/2/30",
        "/2026/11/3.mp4",
        "/2026/11/today",
        "/2001/2/3",
        "/2001/02/03",
        "/2001/02/03/more",
        "/2001/../2001/02/03",
    ];
    let requests = paths.map(|path| ("GET", path));
    let said = client.refusals(&format!("/{CAMERA}/timelapse"), requests)?;
    let future = client.get(&format!("/{CAMERA}/timelapse/2999/1/1"))?;
    let future = future.expect(404)?.text()?;
    ensure!(
        future.contains("2999-01-01 is in the future; today is 20"),
        "{future}"
    );
    client.get("/no-such-camera/timelapse/")?.expect(404)?;
    let expected = include_str!("golden/timelapse-refusals.txt");
    ensure!(said == expected, "said:\n{said}\nexpected:\n{expected}");
    Ok(())
}
