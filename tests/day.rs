//! Days of 24 hours: what is said of them and what is sent of them. (Players in them: `players.rs`.)

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use dayreel_tests::{
    client::{Answer, Client},
    foreign::{Input, Limit, Stream, packets, probe},
    make_day::{CAMERA, Media, Served},
    process::wait_until,
    rules::{
        dash,
        hls::{self, reader::Segment},
    },
    stage::Day,
};
use serde_json::Value;

/// A refresh may cost so much, bytes.
const REFRESH_BYTES: usize = 2048;
/// For one reading by ffmpeg.
const READ: Duration = Duration::from_secs(180);

/// Tests take turns: each fills the machine.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // One that failed leaves nothing behind.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sound() -> Media {
    Media {
        audio: true,
        ..Media::default()
    }
}

fn document(day: &str, file: &str) -> String {
    format!("/{CAMERA}/stream/{day}/{file}")
}

#[test]
fn a_day_so_far_obeys_every_rule_and_refreshes_cost_little() -> Result<()> {
    let _turn = turn();
    let served = Served::start(sound(), 24.0)?;
    let client = served.server.client();
    let day = Day::fetch(&client, CAMERA, "today")?;
    day.check(true)?.assert_none("24 hours of today");
    let elapsed = served.period.to - served.today().start();
    let listed = i64::try_from(day.video.media.segments.len())?;
    ensure!(
        (elapsed.num_seconds() / 4 - listed).abs() <= 1,
        "{listed} segments in {elapsed}"
    );
    for (track, old) in [("video", Some(&day.video)), ("audio", day.audio.as_ref())] {
        let old = &old.context("a track is missing")?.playlist;
        let path = document("today", &format!("{track}.m3u8?_HLS_skip=YES"));
        let delta = client.get_text(&path)?;
        ensure!(delta.len() < REFRESH_BYTES, "{} bytes", delta.len());
        hls::delta::check(old, &delta, old).assert_none(&format!("{track}'s delta"));
    }
    let manifest = client.get_gzip(&document("today", "manifest.mpd"))?;
    ensure!(manifest.body.len() < REFRESH_BYTES, "{}", day.manifest);
    for track in ["video", "audio"] {
        let index = folder(&served, "today")?.join(format!("{track}.m3u8"));
        hls::index::check_file(&index)?
            .1
            .assert_none(&format!("{track}'s index"));
    }
    Ok(())
}

#[test]
fn a_window_is_the_last_seconds_of_today() -> Result<()> {
    let _turn = turn();
    let served = Served::start(sound(), 1.0)?;
    let client = served.server.client();
    let today = client.get_text(&document("today", "video.m3u8"))?;
    let (today, _) = hls::reader::read(&today);
    for (seconds, segments) in [(60, 15), (1, 3)] {
        let window = Day::fetch_window(&client, CAMERA, seconds)?;
        window
            .check(true)?
            .assert_none(&format!("{seconds} s of today"));
        let (listed, whole) = (&window.video.media.segments, &today.segments);
        ensure!(listed.len() == segments, "{} segments", listed.len());
        let uris = |segments: &[Segment]| -> Vec<String> {
            segments.iter().map(|segment| segment.uri.clone()).collect()
        };
        ensure!(uris(whole).ends_with(&uris(listed)));
        let audio = window.audio.context("the camera has sound")?;
        let keyframes = &window.keyframes.playlist;
        for text in [&window.video.playlist, &audio.playlist, keyframes] {
            ensure!(text.len() < REFRESH_BYTES, "{} bytes: {text}", text.len());
        }
        let manifest = document("today", &format!("manifest.mpd?window={seconds}"));
        let manifest = client.get_gzip(&manifest)?.expect(200)?;
        ensure!(manifest.body.len() < REFRESH_BYTES, "{}", window.manifest);
    }
    let requests = [
        "today/playlist.m3u8?window=0",
        "today/video.m3u8?window=3601",
        "today/audio.m3u8?window=-1",
        "today/keyframes.m3u8?window=-1",
        "today/manifest.mpd?window=",
        "today/video.m3u8?window=a+minute",
        "today/video.m3u8?window=1&window=2",
        "today/video.m3u8?window=60&_HLS_skip=NO",
    ];
    let base = format!("/{CAMERA}/stream/");
    let said = client.refusals(&base, requests.map(|path| ("GET", path)))?;
    let expected = include_str!("golden/window-refusals.txt");
    ensure!(
        said == expected,
        "not as in golden/window-refusals.txt:\n{said}"
    );
    Ok(())
}

#[test]
fn a_day_of_irregular_segments_obeys_every_rule() -> Result<()> {
    let _turn = turn();
    let media = Media {
        irregular: true,
        ..Media::default()
    };
    let served = Served::start(media, 24.0)?;
    let client = served.server.client();
    let day = Day::fetch(&client, CAMERA, "today")?;
    day.check(true)?.assert_none("24 irregular hours of today");
    let delta = client.get_text(&document("today", "video.m3u8?_HLS_skip=YES"))?;
    ensure!(delta.len() < REFRESH_BYTES, "{} bytes", delta.len());
    let zipped = client.get_gzip(&document("today", "manifest.mpd"))?;
    ensure!(zipped.text()?.contains("<MPD ") && zipped.body.len() * 3 < day.manifest.len());
    Ok(())
}

#[test]
fn yesterday_is_finished_under_its_date_and_its_weekday() -> Result<()> {
    let _turn = turn();
    let served = Served::start(sound(), 48.0)?;
    let client = served.server.client();
    let yesterday = served.today().before(1);
    let date = yesterday.to_string();
    let day = Day::fetch(&client, CAMERA, &date)?;
    day.check(false)?.assert_none("yesterday");
    ensure!(day.video.media.segments.len() == 24 * 900, "not 24 hours");
    ensure!(day.video.playlist.ends_with("#EXT-X-ENDLIST\n"));
    let manifest = dash::manifest::check(&day.manifest, dash::manifest::Expected::FINISHED).0;
    ensure!(manifest.context("no MPD")?.0.mpdtype.as_deref() == Some("static"));

    let weekday = yesterday.weekday_number().to_string();
    for file in [
        "playlist.m3u8",
        "video.m3u8",
        "audio.m3u8",
        "keyframes.m3u8",
        "manifest.mpd",
    ] {
        let by_date = client.get(&document(&date, file))?.expect(200)?;
        let by_weekday = client.get(&document(&weekday, file))?.expect(200)?;
        ensure!(by_date.body == by_weekday.body, "{file}");
        let tag = by_date.header("etag").context("no ETag")?;
        let again = client.request("GET", &document(&date, file), &[("if-none-match", tag)])?;
        ensure!(again.expect(304)?.body.is_empty(), "{file}");
        // RFC 9110 §8.8.3: other bytes have another.
        let gzipped = client.get_gzip(&document(&date, file))?.expect(200)?;
        ensure!(gzipped.header("content-encoding") == Some("gzip"), "{file}");
        ensure!(gzipped.header("etag") != Some(tag), "{file}");
    }
    json_error(client.get(&document(&date, "video.m3u8?window=60"))?, 400)?;
    // A weekday that is not kept, a day to come.
    let other = (yesterday.weekday_number() + 4) % 7;
    for day in [other.to_string(), served.today().next().to_string()] {
        json_error(client.get(&document(&day, "video.m3u8"))?, 404)?;
    }
    foreign_readers(&served, &date)
}

/// So many segments ffmpeg reads at once: the time it takes grows with their square.
const READ_AT_ONCE: usize = 120;

/// Every picture of the day that is over, from its folder, by a program that knows nothing of us.
fn foreign_readers(served: &Served, date: &str) -> Result<()> {
    let folder = folder(served, date)?;
    for track in ["video", "audio"] {
        let file = folder.join(format!("{track}-12.mp4"));
        let streams = probe(&file.display().to_string(), READ)?;
        ensure!(streams["streams"][0]["codec_type"] == track, "{streams}");
        let duration = streams["format"]["duration"].as_str().context("none")?;
        ensure!(duration.parse::<f64>()? > 3590.0, "{duration} s in an hour");
    }
    let limit = Limit {
        packets: None,
        deadline: READ,
    };
    let mut read_90k = Vec::new();
    for index in parts_of_index(&fs::read_to_string(folder.join("video.m3u8"))?)? {
        // Beside the files, which it names.
        let part = tempfile::Builder::new()
            .suffix(".m3u8")
            .tempfile_in(&folder)?;
        fs::write(part.path(), index)?;
        let path = part.path().display().to_string();
        let read = packets(Input::Hls(&path), Stream::Video, limit)?.packets;
        read_90k.extend(read.iter().map(|packet| packet.dts_90k));
    }
    let fps = i64::from(served.media.fps);
    let due = 24 * 3600 * usize::try_from(fps)?;
    ensure!(read_90k.len() == due, "{} of {due}", read_90k.len());
    let mut steps = read_90k.windows(2).map(|pair| pair[1] - pair[0]);
    ensure!(steps.all(|step| step == 90_000 / fps));
    Ok(())
}

/// Indexes of [`READ_AT_ONCE`] segments each, of an index of a day that is over.
fn parts_of_index(index: &str) -> Result<Vec<String>> {
    let last_of_header = "#EXT-X-INDEPENDENT-SEGMENTS\n";
    let (header, segments) = index.split_once(last_of_header).context("no header")?;
    let end = "#EXT-X-ENDLIST\n";
    let segments = segments.strip_suffix(end).context("no end")?;
    let mut parts = vec![];
    let (mut part, mut count, mut map) = (String::new(), 0, "");
    for line in segments.split_inclusive('\n') {
        if count == READ_AT_ONCE {
            parts.push(std::mem::take(&mut part));
            count = 0;
        }
        if line.starts_with("#EXT-X-MAP:") {
            map = line;
        } else if part.is_empty() {
            part.push_str(map);
        }
        part.push_str(line);
        count += usize::from(!line.starts_with('#'));
    }
    parts.push(part);
    let whole = |part: String| [header, last_of_header, &part, end].concat();
    Ok(parts.into_iter().map(whole).collect())
}

#[test]
fn segments_are_served_as_files_are() -> Result<()> {
    let _turn = turn();
    let served = Served::start(Media::default(), 24.0)?;
    let client = served.server.client();
    let playlist = client.get_text(&document("today", "video.m3u8"))?;
    let (media, _) = hls::reader::read(&playlist);
    let uris = [0, media.segments.len() / 2, media.segments.len() - 1];
    for uri in uris.map(|nth| media.segments[nth].uri.replace("..", "")) {
        one_segment(&client, &format!("/{CAMERA}/stream{uri}"))?;
        one_segment(
            &client,
            &format!("/{CAMERA}/stream{}", uri.replace("/v-", "/k-")),
        )?;
    }
    let start_90k = hls::media::start_90k(&media.segments[0].uri).context("no start")?;
    for name in [
        format!("v-{}.m4s", start_90k + 1),
        format!("v-{}.m4s", start_90k - 30 * 86_400 * 90_000),
        format!("v-{}.m4s", u64::MAX),
        format!("a-{start_90k}.m4s"),
        "v-0.m4s".to_owned(),
        "v-99999999999999999999999.m4s".to_owned(),
        "v-0123456789abcdef.mp4".to_owned(),
        format!("k-{}.m4s", start_90k + 1),
        format!("k-{}.m4s", start_90k - 30 * 86_400 * 90_000),
        format!("k-{}.m4s", u64::MAX),
        format!("k-{start_90k}.part.m4s"),
        "k-0.m4s".to_owned(),
        "k-.m4s".to_owned(),
        "k-0123456789abcdef.mp4".to_owned(),
        "v-.m4s".to_owned(),
    ] {
        json_error(client.get(&format!("/{CAMERA}/stream/{name}"))?, 404)?;
    }
    Ok(())
}

/// Everything that may be asked of one file.
fn one_segment(client: &Client, path: &str) -> Result<()> {
    let whole = client.get(path)?.expect(200)?;
    let length = whole.body.len();
    let header = |answer: &Answer, name: &str| answer.header(name).unwrap_or("").to_owned();
    ensure!(header(&whole, "content-type") == "video/mp4");
    ensure!(header(&whole, "accept-ranges") == "bytes");
    ensure!(header(&whole, "cache-control").contains("immutable"));
    let tag = header(&whole, "etag");
    ensure!(
        tag.starts_with('"') && tag.ends_with('"') && tag.len() > 2,
        "{tag}"
    );

    let head = client.head(path)?.expect(200)?;
    ensure!(head.body.is_empty() && header(&head, "etag") == tag);
    ensure!(header(&head, "content-length") == length.to_string());

    let last = length - 1;
    for (range, bytes) in [
        ("0-0".to_owned(), 0..1),
        ("100-".to_owned(), 100..length),
        ("-7".to_owned(), length - 7..length),
        (format!("10-{}", length * 2), 10..length),
        (format!("0-{last}"), 0..length),
    ] {
        let part = client.get_range(path, &range)?.expect(206)?;
        ensure!(part.body == whole.body[bytes.clone()], "{range}");
        let said = format!("bytes {}-{}/{length}", bytes.start, bytes.end - 1);
        ensure!(header(&part, "content-range") == said, "{range}");
    }
    let outside = client.get_range(path, &format!("{length}-"))?;
    ensure!(header(&outside, "content-range") == format!("bytes */{length}"));
    json_error(outside, 416)?;

    let known = client.request("GET", path, &[("if-none-match", &tag)])?;
    let known = known.expect(304)?;
    ensure!(known.body.is_empty() && header(&known, "etag") == tag);
    for (condition, status) in [(tag.as_str(), 206), ("\"other\"", 200)] {
        let headers = [("range", "bytes=0-9"), ("if-range", condition)];
        client.request("GET", path, &headers)?.expect(status)?;
    }
    // DELETE and POST are nobody's here.
    json_error(client.request("DELETE", path, &[])?, 405)
}

#[test]
fn memory_stays_bounded_while_twenty_clients_download() -> Result<()> {
    /// Clients, and what each may cost the server: pieces on their way, not segments.
    const CLIENTS: usize = 20;
    const CLIENT_BYTES: u64 = 2 * 1024 * 1024;
    let _turn = turn();
    // Segments of 6 MB.
    let media = Media {
        width: 320,
        height: 180,
        fps: 25,
        segment_s: 12,
        bitrate_kbps: Some(4000),
        ..Media::default()
    };
    let served = Served::start(media, 0.2)?;
    let client = served.server.client();
    let (media, _) = hls::reader::read(&client.get_text(&document("today", "video.m3u8"))?);
    let paths: Vec<String> = media
        .segments
        .iter()
        .map(|segment| format!("/{CAMERA}/stream{}", segment.uri.replace("..", "")))
        .collect();
    ensure!(paths.len() > CLIENTS, "{} segments", paths.len());
    let whole = client.get(&paths[0])?.expect(200)?.body.len();
    ensure!(whole > 4_000_000, "segments of {whole} bytes prove nothing");

    let before = peak_bytes(served.server.pid()?)?;
    // Twenty that ask and then do not read, twenty that read everything.
    let mut idle = Vec::new();
    for path in paths.iter().take(CLIENTS) {
        let mut stream = TcpStream::connect(served.server.address())?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        let mut status = [0; 15];
        stream.read_exact(&mut status)?;
        ensure!(status.starts_with(b"HTTP/1.1 200"), "{status:?}");
        idle.push(stream);
    }
    let lengths: Vec<Result<usize>> = thread::scope(|scope| {
        let read = |nth: usize| {
            let (client, paths) = (&client, &paths);
            scope.spawn(move || {
                let mut bytes = 0;
                for path in paths.iter().cycle().skip(nth).take(10) {
                    bytes += client.get(path)?.expect(200)?.body.len();
                }
                Ok(bytes)
            })
        };
        let readers: Vec<_> = (0..CLIENTS).map(read).collect();
        let ended = readers.into_iter().map(|reader| reader.join());
        ended
            .map(|ended| ended.unwrap_or_else(|_| anyhow::bail!("a reader panicked")))
            .collect()
    });
    for length in lengths {
        ensure!(length? > 40_000_000);
    }
    let grown = peak_bytes(served.server.pid()?)?.saturating_sub(before);
    let bound = 2 * u64::try_from(CLIENTS)? * CLIENT_BYTES;
    ensure!(grown < bound, "{grown} bytes more than before, not {bound}");
    Ok(())
}

/// The most memory a process ever had, bytes (proc(5), VmHWM).
fn peak_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kilobytes.context("no VmHWM")?.trim().parse::<u64>()? * 1024)
}

#[test]
fn days_are_listed_and_their_folders_can_go() -> Result<()> {
    let _turn = turn();
    let served = Served::start(Media::default(), 48.0)?;
    let client = served.server.client();
    let path = format!("/api/cameras/{CAMERA}/days");
    let listed = client.get_json(&path)?;
    let days = listed.as_array().context("no list")?;
    ensure!(days.len() == 3, "{listed}");
    let yesterday = served.today().before(1).to_string();
    ensure!(days[1]["date"] == yesterday.as_str(), "{listed}");
    ensure!(
        days[1]["today"] == false && days[2]["today"] == true,
        "{listed}"
    );
    for day in days {
        let lists = |name: &str| day[name].as_array().map_or(&[][..], Vec::as_slice);
        // Nobody sends any more: today ends with a gap that lasts.
        let is_past = |gap: &&Value| gap["open"] != true;
        let gaps = lists("gaps").iter().filter(is_past).count();
        ensure!((lists("spans").len(), gaps) == (1, 0), "{day}");
        ensure!(day["bytes"].as_u64() > Some(0), "{day}");
    }
    fs::remove_dir_all(folder(&served, &yesterday)?)?;
    let gone = wait_until(READ, || {
        let days = client.get_json(&path).ok()?;
        (days.as_array()?.len() == 2).then_some(())
    });
    gone.context("yesterday is still listed")?;
    json_error(client.get(&document(&yesterday, "video.m3u8"))?, 404)
}

/// The folder of a day of [`CAMERA`].
fn folder(served: &Served, day: &str) -> Result<PathBuf> {
    let name = match day {
        "today" => served.today().to_string(),
        date => date.to_owned(),
    };
    let folder = served.server.days_dir(CAMERA).join(name);
    ensure!(Path::is_dir(&folder), "{} is missing", folder.display());
    Ok(folder)
}

/// Whether it is an error of that status that says in JSON what it is.
fn json_error(answer: Answer, status: u16) -> Result<()> {
    let body = answer.expect(status)?.json()?;
    let said = |field: &str| {
        body["error"][field]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    };
    ensure!(said("code") && said("message"), "{body}");
    Ok(())
}
