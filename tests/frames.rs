//! Frames: of now, of a camera that went away, of the past.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use dayreel_core::WallTime;
use dayreel_testcam::{Camera, Gop, PictureSettings, Settings, Source};
use dayreel_tests::{
    client::Answer,
    make_day::{CAMERA, Media, Served},
    numbers,
    process::{Server, Setup, wait_until},
};

/// For what takes a camera some seconds.
const PATIENCE: Duration = Duration::from_secs(60);

fn time_of(answer: &Answer) -> Result<WallTime> {
    let text = answer.header("x-frame-time").context("no X-Frame-Time")?;
    Ok(DateTime::parse_from_rfc3339(text)?.to_utc())
}

fn number_of(answer: &Answer) -> Result<u32> {
    ensure!(answer.header("content-type") == Some("image/jpeg"));
    Ok(numbers::in_picture(&answer.body)?.frame_number)
}

fn rfc3339(time: WallTime) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[test]
fn every_time_of_the_past_shows_its_picture() -> Result<()> {
    let media = Media {
        fps: 25,
        ..Media::default()
    };
    let served = Served::start(media, 3.0)?;
    let client = served.server.client();
    let first = served.period.from + TimeDelta::seconds(8);
    let last = served.period.to - TimeDelta::seconds(8);
    for step in 0..24 {
        // Odd steps, so that every place in a segment and in a picture comes up.
        let at = first + (last - first) / 24 * step + TimeDelta::milliseconds(i64::from(step) * 17);
        let due = served.media.number_at(at);
        let path = format!("/{CAMERA}/frame/{}", rfc3339(at));
        let exact = client.get(&path)?.expect(200)?;
        ensure!(number_of(&exact)? == due, "{at}: not picture {due}");
        let taken = time_of(&exact)?;
        // X-Frame-Time is rounded to milliseconds.
        let late = at - taken;
        ensure!(
            late > TimeDelta::milliseconds(-1) && late < TimeDelta::milliseconds(41),
            "{late}"
        );

        // The time of day is the same picture.
        let local = at.with_timezone(&served.zone).format("%H:%M:%S%.3f");
        if served.today().contains(at) {
            let of_today = client
                .get(&format!("/{CAMERA}/frame/{local}"))?
                .expect(200)?;
            ensure!(of_today.body == exact.body, "{local} is not {at}");
            ensure!(of_today.header("cache-control") == Some("no-cache"));
        }

        // One keyframe every 4 s.
        let nearest = client
            .get(&format!("{path}?nearest=keyframe&width=136"))?
            .expect(200)?;
        let taken = time_of(&nearest)?;
        ensure!(
            (taken - at).abs() <= TimeDelta::milliseconds(2001),
            "{taken} for {at}"
        );
        ensure!(number_of(&nearest)? == served.media.number_at(taken + TimeDelta::milliseconds(1)));
        ensure!(served.media.number_at(taken + TimeDelta::milliseconds(1)) % 100 == 0);
        ensure!(numbers::width_of_picture(&nearest.body)? == 136);
    }

    let path = format!("/{CAMERA}/frame/{}", rfc3339(first));
    let whole = client.get(&path)?.expect(200)?;
    let tag = whole.header("etag").context("no ETag")?;
    ensure!(
        whole
            .header("cache-control")
            .is_some_and(|text| text.contains("immutable"))
    );
    let known = client
        .request("GET", &path, &[("if-none-match", tag)])?
        .expect(304)?;
    ensure!(known.body.is_empty() && known.header("etag") == Some(tag));
    let head = client.head(&path)?.expect(200)?;
    ensure!(head.body.is_empty() && head.header("etag") == Some(tag));
    ensure!(head.header("content-length") == Some(&*whole.body.len().to_string()));
    let narrow = client.get(&format!("{path}?width=100"))?.expect(200)?;
    ensure!(narrow.header("etag") != Some(tag));
    ensure!(numbers::width_of_picture(&narrow.body)? == 100);
    let coarse = client.get(&format!("{path}?quality=20"))?.expect(200)?;
    ensure!(coarse.header("etag") != Some(tag) && coarse.body.len() < whole.body.len());

    // Before the first, and of a day nobody kept.
    let early = served.period.from - TimeDelta::seconds(5);
    let refused = client.get(&format!("/{CAMERA}/frame/{}", rfc3339(early)))?;
    let error = refused.expect(404)?.json()?;
    ensure!(error["error"]["code"] == "not_recorded", "{error}");
    let message = error["error"]["message"].as_str().unwrap_or_default();
    ensure!(message.contains("the next begins"), "{error}");
    let refused = client.get(&format!("/{CAMERA}/frame/2001-02-03T04:05:06Z"))?;
    let error = refused.expect(404)?.json()?;
    let message = error["error"]["message"].as_str().unwrap_or_default();
    ensure!(
        message.starts_with("nothing is kept of 2001-02-0"),
        "{error}"
    );
    Ok(())
}

#[test]
fn everything_wrong_is_refused_with_what_is_allowed() -> Result<()> {
    let server = Server::start(Setup::without_camera(CAMERA))?;
    let client = server.client();
    let paths = [
        "?width=0",
        "?width=15",
        "?width=7681",
        "?width=-1",
        "?width=1e3",
        "?width=",
        "?width=many",
        "?width=99999999999999999999",
        "?width=100&width=200",
        "?quality=0",
        "?quality=101",
        "?quality=85.5",
        "?quality=best",
        "?width=100&quality=256",
        "?nearest=keyframe",
        "?nearest=",
        "/now",
        "/12:00",
        "/24:00:00",
        "/12:60:00",
        "/12:00:60",
        "/-1:00:00",
        "/12:00:00Z",
        "/2026-11-22",
        "/2026-02-30T12:00:00Z",
        "/2026-13-01T12:00:00Z",
        "/2026-11-22T12:00",
        "/2026-11-22T12:00:00%2B25:00",
        "/1795363385",
        "/2001-01-01T00:00:00Z?nearest=picture",
        "/2001-01-01T00:00:00Z?nearest=",
        "/2001-01-01T00:00:00Z?width=1",
        "/2001-01-01T00:00:00Z?nearest=keyframe&quality=0",
        "/2001-01-01T00:00:00Z",
        "/2001-01-01T00:00:00+14:00?nearest=keyframe&width=16&quality=1",
        "/12:00:00/more",
    ];
    let requests = paths.map(|path| ("GET", path));
    let said = client.refusals(&format!("/{CAMERA}/frame"), requests)?;
    let future = client.get(&format!("/{CAMERA}/frame/2999-01-01T00:00:00Z"))?;
    let future = future.expect(400)?.text()?;
    ensure!(future.contains("is in the future; it is 20"), "{future}");
    let expected = include_str!("golden/frame-refusals.txt");
    ensure!(said == expected, "said:\n{said}\nexpected:\n{expected}");
    Ok(())
}

fn small_camera() -> Result<Camera> {
    Camera::start(Settings {
        source: Source::Picture(PictureSettings {
            width: 320,
            height: 180,
            gop: Gop::Seconds(1.0),
            bitrate_kbps: 400,
            ..PictureSettings::default()
        }),
        ..Settings::default()
    })
}

/// Waits until `seconds` are recorded.
fn wait_for_recorded(server: &Server, seconds: f64) -> Result<()> {
    let client = server.client();
    let recorded = wait_until(PATIENCE, || {
        let state = client.get_json(&format!("/api/cameras/{CAMERA}")).ok()?;
        (state["recorded_today_s"].as_f64()? >= seconds).then_some(())
    });
    recorded.with_context(|| format!("not recorded:\n{}", server.log().tail(40)))
}

#[test]
fn the_newest_seconds_are_shown_before_their_segment_is_complete() -> Result<()> {
    let camera = small_camera()?;
    let server = Server::start(Setup::with_cameras([(CAMERA, camera.url().as_str())]))?;
    let client = server.client();
    wait_for_recorded(&server, 1.0)?;
    let mut seen = Vec::new();
    // From 1.5 s ago to half a second from now, which a client's clock may be ahead.
    for step in 0..50 {
        let at = Utc::now() + TimeDelta::milliseconds(500 - 40 * step);
        let path = format!("/{CAMERA}/frame/{}", rfc3339(at));
        let frame = client.get(&path)?.expect(200)?;
        let late = at - time_of(&frame)?;
        // Times are rounded to milliseconds; a camera's pictures are not always 40 ms apart.
        ensure!(
            late > TimeDelta::milliseconds(-2) && late < TimeDelta::milliseconds(82),
            "{late}"
        );
        number_of(&frame)?;
        seen.push((path, frame));
    }
    let state = client.get_json(&format!("/api/cameras/{CAMERA}"))?;
    let recorded_s = state["recorded_today_s"].as_f64().context("recorded")?;
    // A segment is longer than what was asked for: now all of it is complete.
    wait_for_recorded(&server, recorded_s + 8.0)?;
    for (path, before) in seen {
        let recorded = client.get(&path)?.expect(200)?;
        ensure!(recorded.header("etag") == before.header("etag"), "{path}");
        ensure!(recorded.body == before.body, "another picture: {path}");
    }
    Ok(())
}

#[test]
fn the_last_picture_of_a_camera_that_is_away_is_there_after_a_restart() -> Result<()> {
    let camera = small_camera()?;
    let mut setup = Setup::with_cameras([(CAMERA, camera.url().as_str())]);
    setup.cameras.push_str("frame_max_age_s = 20\n");
    let mut server = Server::start(setup)?;
    wait_for_recorded(&server, 2.0)?;
    drop(camera);
    ensure!(server.stop()?.success());
    server.restart()?;
    let client = server.client();
    let path = format!("/{CAMERA}/frame/");
    let last = client.get(&format!("{path}?width=280"))?.expect(200);
    let last = last.with_context(|| server.log().tail(40))?;
    number_of(&last)?;
    // Media time is a second ahead at most.
    ensure!(time_of(&last)? < Utc::now() + TimeDelta::seconds(1));
    let age = last.header("x-frame-stale").context("not marked")?;
    age.strip_suffix(" s").context("no unit")?.parse::<u64>()?;
    let refused = wait_until(PATIENCE, || client.get(&path).ok()?.expect(503).ok());
    let refused = refused.context("shown for ever")?;
    ensure!(refused.header("retry-after").is_some());
    let message = refused.json()?["error"]["message"].take();
    let message = message.as_str().context("no message")?;
    ensure!(
        message.starts_with("the camera has delivered no picture for 2"),
        "{message}"
    );
    Ok(())
}

#[test]
fn the_last_picture_of_a_camera_that_is_away_is_marked_and_then_refused() -> Result<()> {
    let camera = small_camera()?;
    let mut setup = Setup::with_cameras([(CAMERA, camera.url().as_str())]);
    // Marked from 10 s on.
    setup.cameras.push_str("frame_max_age_s = 13\n");
    let server = Server::start(setup)?;
    let client = server.client();
    let path = format!("/{CAMERA}/frame/");
    let live = wait_until(PATIENCE, || client.get(&path).ok()?.expect(200).ok());
    let live = live.with_context(|| format!("no frame:\n{}", server.log().tail(40)))?;
    number_of(&live)?;
    ensure!(live.header("x-frame-stale").is_none());
    ensure!(live.header("cache-control") == Some("no-cache"));
    let tag = live.header("etag").context("no ETag")?;
    ensure!(tag.starts_with("\"f-"), "{tag}");
    let small = client
        .get(&format!("{path}?width=160&quality=40"))?
        .expect(200)?;
    ensure!(small.body.len() < live.body.len());

    drop(camera);
    let stale = wait_until(PATIENCE, || {
        let answer = client.get(&path).ok()?.expect(200).ok()?;
        answer.header("x-frame-stale").is_some().then_some(answer)
    });
    let stale = stale.context("never marked as stale")?;
    let age = stale.header("x-frame-stale").unwrap_or_default();
    let seconds: u64 = age.strip_suffix(" s").context("no unit")?.parse()?;
    ensure!((10..=13).contains(&seconds), "{age}");
    number_of(&stale)?;
    let tag = stale.header("etag").context("no ETag")?;
    client
        .request("GET", &path, &[("if-none-match", tag)])?
        .expect(304)?;

    let refused = wait_until(PATIENCE, || client.get(&path).ok()?.expect(503).ok());
    let refused = refused.context("shown for ever")?;
    ensure!(refused.header("retry-after").is_some());
    let error = refused.json()?;
    let message = error["error"]["message"].as_str().unwrap_or_default();
    ensure!(
        message.starts_with("the camera has delivered no picture for 1"),
        "{error}"
    );
    Ok(())
}
