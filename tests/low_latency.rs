//! Low latency: every part of HLS when it is recorded, for who waits for it; segments of DASH while they grow.

use std::{
    collections::{BTreeMap, HashMap},
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use dayreel_testcam::VideoCodec;
use dayreel_tests::{
    client::{Answer, Client},
    followers::{PartsFollower, PatchFollower},
    process::wait_until,
    rules::{
        dash::{manifest, schema, update},
        hls::low_latency::{self, LowLatency},
    },
    stage::{CAMERA, Stage, picture},
};

/// Until something is as it should be.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many requests of one client may wait.
const WAITS_OF_ONE: usize = 128;
const TOO_MANY: usize = 10;
/// Segments that are followed, of 2 s each.
const FOLLOWED: u64 = 4;

fn path(track: &str, query: &str) -> String {
    format!("/{CAMERA}/stream/today/{track}.m3u8{query}")
}

/// Two seconds in a segment: pictures with a keyframe every second, and sound.
fn recorded() -> Result<Stage> {
    Stage::recorded(picture(VideoCodec::H264), 2, 3)
}

fn media(client: &Client, uri: &str) -> Result<Vec<u8>> {
    let name = uri.strip_prefix("../").context("not in the folder above")?;
    let path = format!("/{CAMERA}/stream/{name}");
    let answer = client.get(&path)?.expect(200)?;
    let cache = answer.header("cache-control").unwrap_or_default();
    ensure!(cache.contains("immutable"), "{uri}: {cache}");
    Ok(answer.body)
}

/// Follows a playlist as players do, and asks for each part before it is there. Returns the bytes of each part, and
/// the playlist at the end.
fn follow(
    client: &Client,
    track: &str,
    skip: &'static str,
) -> Result<(HashMap<String, Vec<u8>>, LowLatency)> {
    let mut bytes = HashMap::new();
    let (mut follower, findings) = PartsFollower::start(client, path(track, ""), skip, 1)?;
    findings.assert_none(track);
    let end = follower.list.newest().0 + FOLLOWED;
    while follower.list.newest().0 < end {
        if let Some(hint) = follower.list.hint.clone() {
            let part = media(client, &hint)?;
            bytes.insert(hint, part);
        }
        let findings = follower.reload(client)?.context("nothing is recorded")?;
        findings.assert_none(track);
    }
    Ok((bytes, follower.list))
}

/// Follows a track, and compares what was followed with the segments.
fn parts_are_segments(client: &Client, track: &str, skip: &'static str) -> Result<()> {
    let (bytes, list) = follow(client, track, skip)?;
    let mut compared = 0;
    for segment in &list.segments {
        let parts = segment.parts.iter().map(|part| bytes.get(&part.uri));
        let Some(parts) = parts
            .collect::<Option<Vec<_>>>()
            .filter(|parts| !parts.is_empty())
        else {
            continue;
        };
        let together: Vec<u8> = parts.into_iter().flatten().copied().collect();
        ensure!(together == media(client, &segment.uri)?, "{}", segment.uri);
        compared += 1;
    }
    ensure!(compared >= 2, "{compared} segments of {track} compared");
    // Parts that left the playlist are still there.
    for (uri, part) in &bytes {
        ensure!(media(client, uri)? == *part, "{uri} has changed");
    }
    Ok(())
}

#[test]
fn who_follows_gets_each_part_and_together_they_are_the_segments() -> Result<()> {
    let stage = recorded()?;
    let client = stage.server.client();
    thread::scope(|scope| {
        let all = [("video", ""), ("video", "&_HLS_skip=YES"), ("audio", "")];
        let all = all.map(|(track, skip)| {
            let client = &client;
            scope.spawn(move || parts_are_segments(client, track, skip))
        });
        all.into_iter()
            .try_for_each(|one| one.join().expect("a follower panicked"))
    })
}

/// DASH: what is listed before it is complete is sent as it grows, and is in the end what is recorded.
#[test]
fn segments_are_sent_while_they_are_recorded() -> Result<()> {
    // What is expected of the sound, too, is known after three of its segments.
    let stage = Stage::recorded(picture(VideoCodec::H264), 2, 4)?;
    let client = stage.server.client();
    let mpd = mpd("latency=low");
    let expected = manifest::Expected::TODAY;
    let text = client.get_text(&mpd)?;
    schema::validate(&text)?.assert_valid("low-latency manifest");
    let (told, findings) = manifest::check(&text, expected);
    findings.assert_none(&text);
    for needed in [
        "<Latency ",
        "availabilityTimeComplete=\"false\"",
        "<ProducerReferenceTime ",
    ] {
        ensure!(text.contains(needed), "no {needed} in {text}");
    }
    let told = told.context("no MPD")?;
    ensure!(told.1.len() == 2, "{} tracks", told.1.len());
    thread::scope(|scope| {
        let newest = told.1.iter().filter_map(|track| track.segments.last());
        let all: Vec<_> = newest
            .map(|segment| scope.spawn(|| grows(&stage, &segment.url)))
            .collect();
        all.into_iter()
            .try_for_each(|one| one.join().expect("a follower panicked"))
    })?;
    let text = client.get_text(&mpd)?;
    let (later, findings) = manifest::check(&text, expected);
    findings.assert_none(&text);
    update::check(&told, &later.context("no MPD")?).assert_none(&text);
    for (query, day) in [
        ("latency=high", "today"),
        ("latency=", "today"),
        ("latency=low", "1999-01-01"),
    ] {
        let path = format!("/{CAMERA}/stream/{day}/manifest.mpd?{query}");
        let status = if day == "today" { 400 } else { 404 };
        client.get(&path)?.expect(status)?;
    }
    Ok(())
}

/// The MPD without its times of publication.
fn listed(text: &str) -> String {
    let mut listed = text.to_owned();
    for (start, end) in [
        ("publishTime=\"", "\""),
        ("<PatchLocation>", "<"),
        ("direct:2014\"", "/>"),
    ] {
        let from = listed.find(start).map_or(0, |at| at + start.len());
        let len = listed[from..].find(end).unwrap_or(0);
        listed.replace_range(from..from + len, "");
    }
    listed
}

fn folder() -> String {
    format!("/{CAMERA}/stream/today/")
}

fn mpd(query: &str) -> String {
    format!("{}manifest.mpd?{query}", folder())
}

/// DASH: who asks for patches only has what the MPD says, also after a break.
#[test]
fn patches_make_the_mpd_that_is_sent_whole() -> Result<()> {
    let mut stage = Stage::recorded(picture(VideoCodec::H264), 2, 4)?;
    let client = stage.server.client();
    let start = |query| PatchFollower::start(&client, &folder(), query);
    let mut followed = [start("latency=low")?, start("")?];
    let breaks = |text: &str| text.matches("<Period ").count();
    let at_first = followed.each_ref().map(|one| breaks(&one.text));
    for is_after_break in [false, true] {
        if is_after_break {
            stage.camera.restart_with(|_| ())?;
        }
        let mut refreshes = 0;
        let ended = wait_until(PATIENCE, || {
            refreshes += 1;
            let all = followed.iter_mut().try_for_each(|one| {
                one.refresh(&client)?.assert_none(&one.text);
                anyhow::Ok(())
            });
            let broken = || {
                followed
                    .iter()
                    .zip(at_first)
                    .all(|(one, first)| breaks(&one.text) > first)
            };
            match all {
                Ok(()) if refreshes < 40 || (is_after_break && !broken()) => None,
                all => Some(all),
            }
        });
        ended.context("no break is listed")??;
        for (one, query) in followed.iter_mut().zip(["latency=low", ""]) {
            // Between the two requests something may be recorded.
            let is_same = wait_until(PATIENCE, || {
                let whole = client.get_text(&mpd(query)).ok()?;
                one.refresh(&client).ok()?.assert_none(&one.text);
                (listed(&one.text) == listed(&whole)).then_some(())
            });
            is_same.with_context(|| format!("not what is sent whole: {}", one.text))?;
        }
    }
    for one in &followed {
        schema::validate(&one.text)?.assert_valid("patched manifest");
        let (patches, wholes) = (one.patches, one.wholes);
        ensure!(
            patches > 10 * wholes,
            "{patches} patches, {wholes} whole MPDs"
        );
        ensure!(one.longest_bytes < 2_500, "{} bytes", one.longest_bytes);
    }
    for query in [
        "since=",
        "since=1",
        "since=1-1-1.0-1.0",
        "window=60&since=1-1-1.0-1.0-0.0",
    ] {
        client.get(&mpd(query))?.expect(400)?;
    }
    // One that nobody was given is not wrong, but no patch tells what is new.
    let patch = client.get_text(&mpd("since=1-1-1.0-1.0-0.0"))?;
    ensure!(!patch.contains("sel="), "{patch}");
    ensure!(
        !client
            .get_text(&mpd("window=60"))?
            .contains("PatchLocation")
    );
    Ok(())
}

/// dash.js asked for it again and again, and gave up after sixteen times.
#[test]
fn regression_a_segment_that_was_listed_and_never_began_was_not_found() -> Result<()> {
    let mut stage = Stage::recorded(picture(VideoCodec::H264), 2, 4)?;
    let client = stage.server.client();
    let last = || {
        let text = client.get_text(&mpd("latency=low")).ok()?;
        let (told, _) = manifest::check(&text, manifest::Expected::TODAY);
        let listed = told?.1.into_iter().flat_map(|track| track.segments);
        let names = listed.filter_map(|one| Some(one.url.rsplit('/').next()?.to_owned()));
        names.filter(|name| name.starts_with("v-")).max()
    };
    // It is listed until the camera has been silent for as long as a segment, which may be before it has stopped.
    let camera = &mut stage.camera;
    let name = thread::scope(|scope| {
        let stopped = scope.spawn(|| camera.stop());
        let mut name = last();
        while !stopped.is_finished() {
            name = name.max(last());
        }
        stopped.join().expect("the camera panicked")?;
        anyhow::Ok(name.max(last()))
    })?;
    let name = name.context("nothing is listed")?;
    let path = format!("/{CAMERA}/stream/{name}");
    // Meanwhile it might still come, and is refused.
    let nothing = wait_until(PATIENCE, || {
        let is_nothing = |answer: &Answer| answer.body == b"\0\0\0\x14stypmsdh\0\0\0\0msdh";
        client.get(&path).ok().filter(is_nothing)
    });
    let nothing = nothing.with_context(|| format!("{name}: {:?}", client.get(&path)))?;
    ensure!(
        nothing.expect(200)?.header("cache-control") == Some("no-store"),
        "{name}"
    );
    // Of this one nobody was told.
    let start = name.trim_start_matches("v-").trim_end_matches(".m4s");
    let far = start.parse::<u64>()? + 20 * 90_000;
    client
        .get(&format!("/{CAMERA}/stream/v-{far}.m4s"))?
        .expect(404)?;
    Ok(())
}

/// Asks for a segment that is the next to begin: it comes bit by bit.
fn grows(stage: &Stage, url: &str) -> Result<()> {
    let name = url.rsplit('/').next().context("no name")?;
    let path = format!("/{CAMERA}/stream/{name}");
    let mut connection = TcpStream::connect(stage.server.address())?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: dayreel\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let mut head = [0; 4096];
    let first_bytes = connection.read(&mut head)?;
    let head = String::from_utf8_lossy(&head[..first_bytes]).to_lowercase();
    let begun = Instant::now();
    ensure!(head.starts_with("http/1.1 200"), "{name}: {head}");
    ensure!(
        head.contains("transfer-encoding: chunked"),
        "{name}: {head}"
    );
    // Beside it, as anybody does.
    let client = stage.server.client();
    let growing = client.get(&path)?.expect(200)?.body;
    let mut rest = Vec::new();
    connection.read_to_end(&mut rest)?;
    // Five parts come after the first, a third of a second each.
    ensure!(
        begun.elapsed() > Duration::from_millis(500),
        "{name} came at once"
    );
    let complete = client.get(&path)?.expect(200)?;
    ensure!(
        complete.header("content-length").is_some(),
        "{name} still grows"
    );
    ensure!(
        complete.body == growing,
        "{name} is another when it is complete"
    );
    Ok(())
}

#[test]
fn a_reload_that_asks_for_too_much_or_nonsense_is_refused_at_once() -> Result<()> {
    let stage = recorded()?;
    let client = stage.server.client();
    let (list, _) = low_latency::read(&client.get_text(&path("video", ""))?);
    let (newest, _) = list.newest();
    let far = newest + 9;
    let next = newest + 1;
    for (query, what) in [
        ("?_HLS_part=0".to_owned(), "both or none"),
        ("?_HLS_msn=".to_owned(), "whole number"),
        ("?_HLS_msn=-1".to_owned(), "whole number"),
        ("?_HLS_msn=%2B1".to_owned(), "whole number"),
        ("?_HLS_msn=1e3".to_owned(), "whole number"),
        ("?_HLS_msn=99999999999999999999".to_owned(), "whole number"),
        (format!("?_HLS_msn={next}&_HLS_part=x"), "whole number"),
        (format!("?_HLS_msn={far}"), "too far ahead"),
        (format!("?_HLS_msn={next}&_HLS_part=99"), "too far ahead"),
    ] {
        let asked = Instant::now();
        let answer = client.get(&path("video", &query))?.expect(400)?.json()?;
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        ensure!(message.contains(what), "{query}: {answer}");
        // Half of what it would have waited for.
        ensure!(asked.elapsed() < Duration::from_secs(3), "{query} waited");
    }
    // What is there is sent as ever.
    for query in ["?_HLS_msn=0", "?_HLS_msn=0&_HLS_part=99"] {
        client.get(&path("video", query))?.expect(200)?;
    }
    Ok(())
}

/// A stage whose camera is away, and the path of a playlist that waits for six seconds and in vain.
fn silent() -> Result<(Stage, String)> {
    let mut stage = recorded()?;
    let client = stage.server.client();
    stage.camera.stop()?;
    // When its session has ended, nothing more is recorded.
    let ended = wait_until(PATIENCE, || {
        let text = client.get_text(&path("video", "")).ok()?;
        let list = low_latency::read(&text).0;
        list.open.is_empty().then_some(list)
    });
    let (newest, _) = ended.context("the session has not ended")?.newest();
    Ok((stage, path("video", &format!("?_HLS_msn={}", newest + 1))))
}

/// A connection on which `path` is asked for.
fn asking(stage: &Stage, path: &str) -> Result<TcpStream> {
    let mut connection = TcpStream::connect(stage.server.address())?;
    connection.set_read_timeout(Some(PATIENCE))?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: dayreel\r\n\r\n")?;
    Ok(connection)
}

/// Its place was taken for as long as it would have waited.
#[test]
fn regression_who_hung_up_went_on_waiting() -> Result<()> {
    let (stage, path) = silent()?;
    let mut connection = asking(&stage, &path)?;
    // Half of it, so that the end of the wait can be read.
    connection.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    ensure!(answer.contains("hung_up"), "{answer}");
    Ok(())
}

/// Each takes a place, which is free again when it has been answered.
#[test]
fn who_waits_for_too_much_at_once_is_refused() -> Result<()> {
    let (stage, path) = silent()?;
    let client = stage.server.client();
    let connections = (0..WAITS_OF_ONE + TOO_MANY).map(|_| asking(&stage, &path));
    // Before the first answer is read, all have asked.
    let connections = connections.collect::<Result<Vec<_>>>()?;
    let mut answers = BTreeMap::new();
    for mut connection in connections {
        let mut status = [0; "HTTP/1.1 503".len()];
        connection.read_exact(&mut status)?;
        *answers
            .entry(String::from_utf8(status.into())?)
            .or_insert(0) += 1;
    }
    let expected = [("HTTP/1.1 429", TOO_MANY), ("HTTP/1.1 503", WAITS_OF_ONE)];
    let expected = expected.map(|(status, count)| (status.to_owned(), count));
    ensure!(answers == BTreeMap::from(expected), "{answers:?}");
    client.get(&path)?.expect(503)?;
    Ok(())
}

/// RFC 8216bis §6.2.5.2: after three target durations.
#[test]
fn who_waits_for_a_camera_that_is_away_is_told_so() -> Result<()> {
    let mut stage = recorded()?;
    let client = stage.server.client();
    stage.camera.stop()?;
    let (list, _) = low_latency::read(&client.get_text(&path("video", ""))?);
    // What was on its way has been recorded when nothing more comes.
    let awaited = |list: &LowLatency| {
        let (segment, part) = list.newest();
        path("video", &format!("?_HLS_msn={segment}&_HLS_part={part}"))
    };
    let mut path = awaited(&list);
    let refused = loop {
        let answer = client.get(&path)?;
        if answer.status != 200 {
            break answer.expect(503)?;
        }
        path = awaited(&low_latency::read(&answer.text()?).0);
    };
    ensure!(refused.header("retry-after").is_some());
    ensure!(refused.json()?["error"]["code"] == "not_recorded_yet");
    Ok(())
}
