//! Moments of real cameras: every picture that was asked for and no other, and what is said when
//! that is not possible.

use std::{
    collections::HashMap,
    fs,
    io::Write,
    net::TcpStream,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use dayreel_testcam::{
    AudioCodec, Camera, Fingerprint, Format, Gop, PatternReading, PictureSettings, Settings,
    Source, Track, VideoCodec,
};
use dayreel_tests::{
    client::{Answer, Client},
    clip::{Edits, pictures, pictures_with, pips_with},
    foreign::{Input, Limit, Packet, Stream, packets, probe},
    process::{Server, Setup, wait_until},
    stage::{CAMERA, Day, Stage},
};
use serde_json::Value;

/// For anything that a camera or a server needs some seconds for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How far sound and picture may be apart: 40 ms.
const IN_SYNC_S: f64 = 0.040;
const IN_SYNC_90K: i64 = 3_600;
/// The test camera's pip may be so far from the full second, s.
const PIP_TOLERANCE_S: f64 = 0.025;

/// A camera of the matrix.
struct Case {
    id: &'static str,
    codec: VideoCodec,
    gop: Gop,
    fps: u32,
    b_frames: u32,
}

const fn case(id: &'static str, codec: VideoCodec, gop_s: f64, fps: u32) -> Case {
    Case {
        id,
        codec,
        gop: Gop::Seconds(gop_s),
        fps,
        b_frames: 0,
    }
}

/// Both codecs with every GOP, all kinds of rates, and pictures out of order.
fn cases() -> Vec<Case> {
    use VideoCodec::{H264, H265};
    vec![
        case("h264-short", H264, 0.5, 25),
        case("h264-usual", H264, 2.0, 60),
        case("h264-long", H264, 10.0, 15),
        case("h265-short", H265, 0.5, 30),
        case("h265-usual", H265, 2.0, 10),
        case("h265-long", H265, 10.0, 25),
        Case {
            b_frames: 2,
            ..case("h264-reordered", H264, 2.0, 25)
        },
    ]
}

fn picture(case: &Case) -> PictureSettings {
    PictureSettings {
        codec: case.codec,
        width: 320,
        height: 180,
        fps: case.fps,
        gop: case.gop,
        bitrate_kbps: 400,
        b_frames: case.b_frames,
        audio: Some(AudioCodec::Aac),
        ..PictureSettings::default()
    }
}

fn camera(picture: PictureSettings) -> Result<Camera> {
    Camera::start(Settings {
        source: Source::Picture(picture),
        ..Settings::default()
    })
}

/// A moment as it was answered, and when it was asked for.
struct Made {
    asked: (DateTime<Utc>, DateTime<Utc>),
    length_s: u32,
    delay_s: u32,
    answer: Value,
    file: PathBuf,
}

impl Made {
    fn new(
        client: &Client,
        folder: &Path,
        camera: &str,
        (length_s, delay_s): (u32, u32),
    ) -> Result<Self> {
        let before = Utc::now();
        let path = format!("/{camera}/moment/generate/{length_s}/{delay_s}");
        let answer = client.get(&path)?.expect(200)?.json()?;
        let asked = (before, Utc::now());
        let url = text(&answer, "url")?;
        let mp4 = client.get(url)?.expect(200)?;
        ensure!(
            answer["bytes"].as_u64() == Some(mp4.body.len() as u64),
            "{answer}"
        );
        let file = folder.join(format!(
            "{}.mp4",
            url.trim_start_matches('/').replace('/', "_")
        ));
        fs::write(&file, &mp4.body)?;
        Ok(Self {
            asked,
            length_s,
            delay_s,
            answer,
            file,
        })
    }

    /// When it was asked for, as its file says, to the millisecond below.
    fn time(&self) -> Result<DateTime<Utc>> {
        let streams = probe(&self.file.display().to_string(), PATIENCE)?;
        let said = streams["format"]["tags"]["description"].as_str();
        let said: Value = serde_json::from_str(said.context("no description")?)?;
        Ok(DateTime::parse_from_rfc3339(text(&said, "time")?)?.to_utc())
    }
}

fn text<'v>(value: &'v Value, name: &str) -> Result<&'v str> {
    value[name]
        .as_str()
        .with_context(|| format!("no {name}: {value}"))
}

/// What a server has recorded of a camera.
struct Recorded {
    /// Presentation time, 1/90000 s, and number of every picture, in the order of time.
    pictures: Vec<(i64, u32)>,
    /// Presentation time and content of every access unit of the sound.
    sound: Vec<(i64, Fingerprint)>,
}

fn recorded(client: &Client, id: &str, camera: &Camera, codec: VideoCodec) -> Result<Recorded> {
    let sent = camera.sent(Track::Video)?;
    let numbers: HashMap<_, _> = sent.iter().map(|unit| (unit.sha256, unit.number)).collect();
    let day = Day::fetch(client, id, "today")?;
    let mut pictures = Vec::new();
    for packet in day.video.packets() {
        let print = packet.fingerprint(Format::LengthPrefixed(codec))?;
        let number = numbers.get(&print).context("a picture that was not sent")?;
        pictures.push((packet.pts_90k, *number));
    }
    pictures.sort_unstable();
    let sound = day.audio.context("no sound")?;
    Ok(Recorded {
        pictures,
        sound: prints(&sound.packets())?,
    })
}

fn prints(packets: &[Packet]) -> Result<Vec<(i64, Fingerprint)>> {
    let print = |packet: &Packet| Ok((packet.pts_90k, packet.fingerprint(Format::Raw)?));
    packets.iter().map(print).collect()
}

fn ticks(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros() * 9 / 100
}

/// Lengths of 4 to 20 s and delays of 0 to 10 s, in all cameras of the matrix.
fn asked_of(index: usize) -> Vec<(u32, u32)> {
    let mixed = (4..=20_u32).map(|length_s| (length_s, length_s * 7 % 11));
    let corners = [(4, 0), (20, 0), (4, 10), (20, 10), (5, 0)];
    let all: Vec<_> = mixed.chain(corners).collect();
    all.into_iter().skip(index).step_by(cases().len()).collect()
}

#[test]
fn every_picture_that_was_asked_for_and_no_other() -> Result<()> {
    let cases = cases();
    let cameras = cases.iter().map(|case| camera(picture(case)));
    let cameras = cameras.collect::<Result<Vec<_>>>()?;
    let urls: Vec<_> = cameras.iter().map(Camera::url).collect();
    let listed = cases
        .iter()
        .zip(&urls)
        .map(|(case, url)| (case.id, url.as_str()));
    let server = Server::start(Setup::with_cameras(listed))?;
    let client = server.client();
    // What the longest and latest moment reaches back to, with the longest GOP before it.
    for case in &cases {
        let held = wait_until(PATIENCE, || {
            let state = client.get_json(&format!("/api/cameras/{}", case.id)).ok()?;
            (state["recorded_today_s"].as_f64()? >= 40.0).then_some(())
        });
        held.with_context(|| format!("{}: nothing is recorded", case.id))?;
    }
    let folder = tempfile::tempdir()?;
    let made: Vec<Result<Vec<Made>>> = thread::scope(|scope| {
        let asking: Vec<_> = cases
            .iter()
            .enumerate()
            .map(|(index, case)| {
                let (client, folder) = (&client, folder.path());
                scope.spawn(move || {
                    let asked = asked_of(index).into_iter();
                    asked
                        .map(|asked| Made::new(client, folder, case.id, asked))
                        .collect()
                })
            })
            .collect();
        let panicked = || Err(anyhow::anyhow!("a thread panicked"));
        asking
            .into_iter()
            .map(|asked| asked.join().unwrap_or_else(|_| panicked()))
            .collect()
    });
    for ((case, camera), made) in cases.iter().zip(&cameras).zip(made) {
        let made = made.with_context(|| case.id)?;
        let until = made
            .iter()
            .map(|made| made.asked.1)
            .max()
            .context("nothing was asked")?;
        let covers = wait_until(PATIENCE, || {
            let recorded = recorded(&client, case.id, camera, case.codec).ok()?;
            let last = recorded.pictures.last()?.0.min(recorded.sound.last()?.0);
            (last > ticks(until)).then_some(recorded)
        });
        let recorded = covers.with_context(|| format!("{}: not recorded", case.id))?;
        for made in &made {
            exact(case, made, &recorded).with_context(|| {
                format!(
                    "{}, {} s until {} s before",
                    case.id, made.length_s, made.delay_s
                )
            })?;
        }
    }
    Ok(())
}

/// Holds a moment against what was recorded beside it.
fn exact(case: &Case, made: &Made, recorded: &Recorded) -> Result<()> {
    let time = made.time()?;
    let (before, after) = made.asked;
    ensure!(
        before - TimeDelta::milliseconds(1) <= time && time <= after,
        "asked for at {time}, between {before} and {after}"
    );
    for cut in ["starts_late", "ends_early"] {
        ensure!(made.answer[cut].is_null(), "{}", made.answer);
    }
    let end = ticks(time) - i64::from(made.delay_s) * 90_000;
    let start = end - i64::from(made.length_s) * 90_000;
    // The time is known to the millisecond: a picture in that millisecond may be in or not.
    let within = |from: i64, to: i64| -> Vec<u32> {
        let pictures = recorded.pictures.iter();
        let within = pictures.filter(|(pts, _)| (from..to).contains(pts));
        within.map(|(_, number)| *number).collect()
    };
    let shown: Vec<u32> = pictures(&made.file)?
        .iter()
        .map(|seen| seen.frame_number)
        .collect();
    let expected = [
        within(start, end),
        within(start + 90, end + 90),
        within(start, end + 90),
        within(start + 90, end),
    ];
    ensure!(
        expected.contains(&shown),
        "{:?} … {:?} ({}) instead of {:?} … {:?} ({})",
        shown.first(),
        shown.last(),
        shown.len(),
        expected[0].first(),
        expected[0].last(),
        expected[0].len()
    );
    let duration_s = made.answer["duration_s"].as_f64().context("no duration")?;
    let picture_s = 1.0 / f64::from(case.fps);
    ensure!(
        (duration_s - f64::from(made.length_s)).abs() < picture_s,
        "{duration_s} s"
    );
    let first = shown.first().context("no picture")?;
    let mut pictures = recorded.pictures.iter();
    let first = pictures
        .find(|(_, number)| number == first)
        .context("not recorded")?;
    as_recorded(made, first.0, &recorded.sound)?;
    pip_at_full_seconds(made, Edits::Obeyed, case.fps, IN_SYNC_S)
}

/// The sound lies to the picture that begins at `start_90k` as it does in the recording.
fn as_recorded(made: &Made, start_90k: i64, recorded: &[(i64, Fingerprint)]) -> Result<()> {
    let whole = Limit {
        packets: None,
        deadline: PATIENCE,
    };
    let heard = packets(Input::File(&made.file), Stream::Audio, whole)?.packets;
    let heard = prints(&heard)?;
    let seconds = usize::try_from(made.length_s)?;
    ensure!(
        heard.len() >= seconds * 46,
        "{} access units of sound",
        heard.len()
    );
    // The sound repeats itself every 32 s: of all that are the same, the nearest.
    let off_90k = |begin: &[(i64, Fingerprint)]| {
        let pairs = || begin.iter().zip(&heard);
        let same = pairs().all(|(recorded, heard)| recorded.1 == heard.1);
        let off = pairs().map(|(recorded, heard)| (recorded.0 - start_90k - heard.0).abs());
        off.max().filter(|_| same)
    };
    let off_90k = recorded.windows(heard.len()).filter_map(off_90k).min();
    let off_90k = off_90k.context("other sound")?;
    ensure!(off_90k <= IN_SYNC_90K, "{off_90k} ticks out of sync");
    Ok(())
}

/// The pip begins with the full second of the clock in the picture, to `tolerance_s` more than the
/// camera's own.
fn pip_at_full_seconds(made: &Made, edits: Edits, fps: u32, tolerance_s: f64) -> Result<()> {
    let seen = pictures_with(&made.file, edits)?;
    let heard = pips_with(&made.file, edits)?;
    ensure!(
        heard.len() + 1 >= usize::try_from(made.length_s)?,
        "{} pips in {} s",
        heard.len(),
        made.length_s
    );
    let first_ms = seen.first().context("no picture")?.wall_ms;
    for at_s in heard {
        let index = at_s * f64::from(fps);
        // The clock where the pip is heard: of the picture that is seen then, and since.
        let shown = seen
            .iter()
            .zip(0_u32..)
            .take_while(|(_, nth)| f64::from(*nth) <= index);
        let (picture, nth) = shown.last().context("no picture at a pip")?;
        let wall_s = f64::from(u32::try_from(picture.wall_ms - first_ms)?) / 1000.0
            + f64::from(u32::try_from(first_ms % 1000)?) / 1000.0
            + (at_s - f64::from(nth) / f64::from(fps));
        let off_s = wall_s - wall_s.round();
        ensure!(
            off_s.abs() <= tolerance_s + PIP_TOLERANCE_S,
            "a pip {:.1} ms from the full second, {at_s:.3} s in",
            off_s * 1000.0
        );
    }
    Ok(())
}

/// Sound of every kind is AAC in a moment; and who ignores its edit list sees the pictures since the
/// keyframe before, in sync to an access unit of sound.
#[test]
fn edit_lists_and_converted_sound_are_in_sync_in_players_of_either_kind() -> Result<()> {
    for (sound, rate_hz) in [(AudioCodec::Aac, 48_000), (AudioCodec::Mulaw, 16_000)] {
        let camera = camera(PictureSettings {
            audio: Some(sound),
            gop: Gop::Seconds(2.0),
            ..small(VideoCodec::H264)
        })?;
        let server = Server::start(Setup::with_cameras([(CAMERA, camera.url().as_str())]))?;
        let client = server.client();
        let held = wait_until(PATIENCE, || {
            let state = client.get_json(&format!("/api/cameras/{CAMERA}")).ok()?;
            (state["recorded_today_s"].as_f64()? >= 8.0).then_some(())
        });
        held.context("nothing is recorded")?;
        let folder = tempfile::tempdir()?;
        for asked in [(5, 0), (4, 1)] {
            let made = Made::new(&client, folder.path(), CAMERA, asked)?;
            let streams = probe(&made.file.display().to_string(), PATIENCE)?;
            let streams = streams["streams"].as_array().context("no streams")?;
            let audio = streams.iter().find(|one| one["codec_type"] == "audio");
            let audio = audio.context("no sound")?;
            let rate = audio["sample_rate"].as_str().map(str::parse::<u32>);
            ensure!(
                audio["codec_name"] == "aac" && rate == Some(Ok(rate_hz)),
                "{audio}"
            );
            let numbers = |edits| -> Result<Vec<u32>> {
                let seen = pictures_with(&made.file, edits)?;
                Ok(seen.iter().map(|seen| seen.frame_number).collect())
            };
            let (shown, all) = (numbers(Edits::Obeyed)?, numbers(Edits::Ignored)?);
            ensure!(all.ends_with(&shown), "{shown:?} is not the end of {all:?}");
            ensure!(
                all.len() - shown.len() < 50,
                "more than a GOP before: {all:?}"
            );
            pip_at_full_seconds(&made, Edits::Obeyed, 25, IN_SYNC_S)?;
            let unit_s = 1024.0 / f64::from(rate_hz);
            pip_at_full_seconds(&made, Edits::Ignored, 25, IN_SYNC_S + unit_s)
                .with_context(|| format!("{sound:?}, edit list ignored"))?;
        }
    }
    Ok(())
}

const GOLDEN: &str = include_str!("golden/moment-refusals.txt");

/// Every wrong number, word, date and combination, and what is said to it.
#[test]
fn what_is_wrong_is_refused_with_what_is_allowed() -> Result<()> {
    let server = Server::start(Setup::with_cameras([(CAMERA, "rtsp://127.0.0.1:9/cam")]))?;
    let client = server.client();
    let long = format!("generate/?label={}", "a".repeat(81));
    let cases = [
        ("GET", "generate/3/0"),
        ("GET", "generate/21/0"),
        ("GET", "generate/5/11"),
        ("POST", "generate/0/0"),
        ("POST", "generate/-5/0"),
        ("GET", "generate/5/-1"),
        ("GET", "generate/+5/0"),
        ("GET", "generate/5.0/0"),
        ("GET", "generate/5s/0"),
        ("GET", "generate/five/0"),
        ("GET", "generate/5/now"),
        ("GET", "generate/99999999999999999999/0"),
        ("GET", "generate/5"),
        ("GET", "generate//5"),
        ("GET", "generate/5/0/0"),
        ("GET", "generate/%00/0"),
        ("GET", long.as_str()),
        ("GET", "generate/?label=a%0Ab"),
        ("GET", "generate/?label=%FF"),
        ("GET", "generate/?lable=cat"),
        ("GET", "generate/5/0?length=7"),
        ("GET", "generate/5/0?label=a&label=b"),
        ("HEAD", "generate/"),
        ("PUT", "generate/5/0"),
        ("DELETE", "generate/"),
        ("GET", "gif"),
        ("DELETE", "gif"),
        ("POST", "list"),
        ("DELETE", "list"),
        ("GET", "list/2026"),
        ("GET", "list/2026/11/22/17/3"),
        ("GET", "list/2026/11/22/17/3/5/0"),
        ("GET", "list/1969/11/22/17/3/5"),
        ("GET", "list/2026/0/22/17/3/5"),
        ("GET", "list/2026/13/22/17/3/5"),
        ("GET", "list/2026/11/32/17/3/5"),
        ("GET", "list/2026/11/31/17/3/5"),
        ("GET", "list/2026/2/29/17/3/5"),
        ("GET", "list/2026/11/22/24/3/5"),
        ("GET", "list/2026/11/22/17/60/5"),
        ("GET", "list/2026/11/22/17/3/60"),
        ("GET", "list/2026/11/22/17/3/5-1"),
        ("GET", "list/2026/11/22/17/3/5-x"),
        ("GET", "list/2026/nov/22/17/3/5"),
        ("GET", "list/2026/11/22/17/3/5"),
        ("DELETE", "list/2026/11/22/17/3/5"),
        ("DELETE", "list/2026/11/22/17/3/5.mp4"),
        ("POST", "list/2026/11/22/17/3/5"),
        ("GET", "list/../../../../etc/passwd"),
        ("GET", "list/%2e%2e/%2e%2e/%2e%2e/etc/1/1"),
    ];
    let said = client.refusals(&format!("/{CAMERA}/moment/"), cases)?;
    let said = said.replace(&"a".repeat(81), "a…");
    let other = client.get("/other/moment/list")?.expect(404)?.json()?;
    ensure!(other["error"]["code"] == "unknown_camera");
    // Nothing has come from the camera: later it may.
    let offline = client
        .get(&format!("/{CAMERA}/moment/generate/"))?
        .expect(503)?;
    ensure!(
        offline.header("retry-after").is_some() && offline.json()?["error"]["code"] == "no_moment"
    );
    ensure!(client.get_json(&format!("/{CAMERA}/moment/list"))? == serde_json::json!([]));
    ensure!(
        said == GOLDEN,
        "not as in golden/moment-refusals.txt:\n{said}"
    );
    Ok(())
}

fn small(codec: VideoCodec) -> PictureSettings {
    PictureSettings {
        codec,
        width: 320,
        height: 180,
        gop: Gop::Seconds(1.0),
        bitrate_kbps: 400,
        ..PictureSettings::default()
    }
}

fn staged() -> Result<Stage> {
    let stage = Stage::start(small(VideoCodec::H264), 1)?;
    stage.wait_for_segments("video", 5)?;
    Ok(stage)
}

/// `/cam/moment/` and `path`.
fn moment(path: &str) -> String {
    format!("/{CAMERA}/moment/{path}")
}

fn listed(client: &Client) -> Result<Vec<Value>> {
    let list = client.get_json(&moment("list"))?;
    Ok(list.as_array().context("no list")?.clone())
}

/// From the request to the deletion, over a restart.
#[test]
fn a_moment_is_kept_shown_and_deleted() -> Result<()> {
    let mut stage = staged()?;
    let client = stage.server.client();
    for purpose in ["sec-purpose", "purpose", "x-moz"] {
        let ahead = [(purpose, "prefetch;prerender")];
        let refused = client
            .request("GET", &moment("generate/"), &ahead)?
            .expect(400)?;
        ensure!(refused.json()?["error"]["code"] == "prefetch_refused");
    }
    ensure!(listed(&client)?.is_empty(), "made in advance");

    let label = "label=K%C3%A4the%20%26%20%22Co%22%2F..";
    let answer = client.request("POST", &moment(&format!("generate/4/0/?{label}")), &[])?;
    let answer = answer.expect(200)?;
    ensure!(answer.header("cache-control") == Some("no-store"));
    let made = answer.json()?;
    ensure!(made["label"] == "K\u{e4}the & \"Co\"/..", "{made}");
    ensure!(made["gif_url"] == moment("gif").as_str(), "{made}");
    let second = client.get_json(&moment("generate"))?;
    ensure!(
        (&second["length_s"], &second["delay_s"]) == (&5.into(), &0.into()),
        "{second}"
    );

    stage.server.stop()?;
    stage.server.restart()?;
    let client = stage.server.client();
    let kept = listed(&client)?;
    ensure!(kept.len() == 2, "{kept:?}");
    for (made, kept) in [&made, &second].into_iter().zip(&kept) {
        for (name, value) in kept.as_object().context("no object")? {
            ensure!(made[name] == *value, "{name}: {made} is kept as {kept}");
        }
        shown(&client, kept)?;
    }
    let gif = client.get(&moment("gif"))?.expect(200)?;
    ensure!(gif.header("content-type") == Some("image/gif") && gif.body.starts_with(b"GIF89a"));
    ensure!(gif.header("cache-control") == Some("no-cache") && gif.header("etag").is_some());

    let url = text(&second, "url")?;
    client.request("DELETE", url, &[])?.expect(204)?;
    for (method, path) in [("GET", url), ("DELETE", url), ("GET", &moment("gif"))] {
        client.request(method, path, &[])?.expect(404)?;
    }
    ensure!(listed(&client)? == [kept[0].clone()]);
    Ok(())
}

/// A kept moment is served as a file should be.
fn shown(client: &Client, moment: &Value) -> Result<()> {
    let url = text(moment, "url")?;
    let whole = client.get(url)?.expect(200)?;
    ensure!(whole.header("content-type") == Some("video/mp4"));
    let called = whole.header("content-disposition").context("no name")?;
    ensure!(
        called.starts_with(&format!("inline; filename=\"{CAMERA}_")),
        "{called}"
    );
    let part = client.get_range(url, "4-7")?.expect(206)?;
    ensure!(part.body == b"ftyp" && whole.body[4..8] == *b"ftyp");
    let length = whole.body.len().to_string();
    let head = client.head(url)?.expect(200)?;
    ensure!(head.body.is_empty() && head.header("content-length") == Some(length.as_str()));
    let tag = whole.header("etag").context("no ETag")?;
    client
        .request("GET", url, &[("if-none-match", tag)])?
        .expect(304)?;
    let padded: Vec<_> = url.split('/').map(|part| format!("{part:0>2}")).collect();
    let padded = padded.join("/").replacen("00/", "/", 1);
    ensure!(
        client.get(&padded)?.expect(200)?.body == whole.body,
        "{padded}"
    );
    Ok(())
}

/// The camera was away, and came back with another codec: a clip is of one side only, and says so.
#[test]
fn a_moment_ends_or_starts_at_a_gap_and_at_a_change_of_codec() -> Result<()> {
    for (codec, word) in [
        (VideoCodec::H264, "gap"),
        (VideoCodec::H265, "format_change"),
    ] {
        let mut stage = staged()?;
        let client = stage.server.client();
        let last = stage
            .camera
            .sent(Track::Video)?
            .last()
            .context("nothing sent")?
            .number;
        stage
            .camera
            .restart_with(|settings| settings.source = Source::Picture(small(codec)))?;
        let later = wait_until(PATIENCE, || {
            let sent = stage.camera.sent(Track::Video).ok()?;
            let again = sent.iter().filter(|unit| unit.run > 0).count();
            (again > 25).then_some(())
        });
        later.context("nobody came back to the camera")?;
        // Before the request there are some 5 s of the one and 1 s of the other.
        let answer = client.get_json(&moment("generate/20/0"))?;
        let cuts = [&answer["starts_late"], &answer["ends_early"]];
        ensure!(cuts.iter().any(|cut| **cut == word), "{word}: {answer}");
        let duration_s = answer["duration_s"].as_f64().context("no duration")?;
        ensure!(duration_s < 19.0, "{answer}");
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("moment.mp4");
        fs::write(&file, client.get(text(&answer, "url")?)?.expect(200)?.body)?;
        let seen = pictures(&file)?;
        let side = |seen: &PatternReading| seen.frame_number <= last + 25;
        ensure!(
            seen.iter().all(side) || !seen.iter().any(side),
            "pictures of both sides"
        );
        for pair in seen.windows(2) {
            ensure!(pair[1].frame_number == pair[0].frame_number + 1, "{pair:?}");
        }
    }
    Ok(())
}

/// Sends a request and returns the connection without reading the answer.
fn ask(stage: &Stage, path: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(stage.server.address())?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes())?;
    Ok(stream)
}

#[test]
fn a_moment_is_made_although_the_client_goes_away() -> Result<()> {
    let stage = staged()?;
    let client = stage.server.client();
    drop(ask(&stage, &moment("generate/4/0"))?);
    let made = wait_until(PATIENCE, || {
        listed(&client).ok().filter(|list| list.len() == 1)
    });
    made.context("it was not made")?;
    let gif = wait_until(PATIENCE, || {
        client.get(&moment("gif")).ok()?.expect(200).ok()
    });
    gif.context("it has no GIF")?;
    Ok(())
}

#[test]
fn moments_that_are_being_made_at_the_end_are_kept() -> Result<()> {
    let mut stage = staged()?;
    let asked: Result<Vec<_>> = (0..6)
        .map(|_| ask(&stage, &moment("generate/5/0")))
        .collect();
    let _connections = asked?;
    // All have been understood when a later request is answered.
    let mut kept = 0;
    let begun = wait_until(PATIENCE, || {
        kept = listed(&stage.server.client()).ok()?.len();
        (kept > 0).then_some(())
    });
    begun.context("none was begun")?;
    let before = Instant::now();
    ensure!(stage.server.stop()?.success());
    let took = before.elapsed();
    ensure!(took < Duration::from_secs(5), "it took {took:?}");
    stage.server.restart()?;
    let after = listed(&stage.server.client())?;
    ensure!(
        after.len() == 6,
        "{} of 6 are kept, {kept} before the end",
        after.len()
    );
    Ok(())
}

/// A hundred at once: so many are made, the rest is told to come later, and frames go on.
#[test]
fn a_hundred_at_once_are_bounded() -> Result<()> {
    let stage = staged()?;
    let client = stage.server.client();
    let answers: Vec<Result<Answer>> = thread::scope(|scope| {
        let asking: Vec<_> = (0..100)
            .map(|_| scope.spawn(|| client.get(&moment("generate/4/0"))))
            .collect();
        let panicked = || Err(anyhow::anyhow!("a thread panicked"));
        asking
            .into_iter()
            .map(|asked| asked.join().unwrap_or_else(|_| panicked()))
            .collect()
    });
    let mut urls = Vec::new();
    for answer in answers {
        let answer = answer?;
        match answer.status {
            200 => urls.push(text(&answer.json()?, "url")?.to_owned()),
            429 => {
                ensure!(answer.header("retry-after").is_some(), "does not say when");
                ensure!(answer.json()?["error"]["code"] == "too_many_moments");
            }
            status => anyhow::bail!("{status}"),
        }
    }
    let made = urls.len();
    urls.sort();
    urls.dedup();
    ensure!(
        (32..100).contains(&made) && urls.len() == made,
        "{made} made, {} URLs",
        urls.len()
    );
    ensure!(listed(&client)?.len() == made);
    Ok(())
}
