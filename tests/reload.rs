//! The configuration is read again while the server runs.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use dayreel_testcam::{
    Camera, Format, Gop, Login, LoginMethod, PictureSettings, Settings, Source, Track, VideoCodec,
};
use dayreel_tests::{
    client::{Answer, Client},
    process::{Server, Setup, wait_until},
    stage::{Day, match_sent},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// For what takes a camera some seconds.
const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "hunter2";
/// The picture's normal form.
const FORMAT: Format = Format::LengthPrefixed(VideoCodec::H264);
/// What following the camera's clock may move an access unit at once: far less than one is long.
const OFF_BY_90K: u64 = 180;

fn camera(width: u32) -> Result<Camera> {
    Camera::start(Settings {
        source: Source::Picture(PictureSettings {
            width,
            height: 180,
            gop: Gop::Seconds(1.0),
            bitrate_kbps: 300,
            ..PictureSettings::default()
        }),
        login: Some(Login {
            user: "admin".into(),
            password: PASSWORD.into(),
            method: LoginMethod::Digest,
        }),
        ..Settings::default()
    })
}

/// `[[camera]]` of each id, URL and further lines.
fn tables(cameras: &[(&str, &Camera, &str)]) -> String {
    let table = |(id, camera, more): &(&str, &Camera, &str)| {
        let rtsp = camera.url();
        format!("[[camera]]\nid = \"{id}\"\nrtsp = \"{rtsp}\"\nsegment_s = 1\n{more}\n")
    };
    cameras.iter().map(table).collect()
}

/// Writes another file for the server to read: `[server]` as it was, with `change`, and `cameras`.
fn write(server: &Server, change: impl Fn(&str) -> String, cameras: &str) -> Result<()> {
    let path = server.config_path();
    let text = fs::read_to_string(&path)?;
    let head = text.split("[[camera]]").next().context("no [server]")?;
    Ok(fs::write(path, format!("{}\n{cameras}", change(head)))?)
}

fn reload(client: &Client) -> Result<Answer> {
    let answer = client.request("POST", "/api/reload", &[])?;
    ensure!(!answer.text()?.contains(PASSWORD), "{}", answer.text()?);
    Ok(answer)
}

fn status(client: &Client, id: &str) -> Result<Value> {
    client.get_json(&format!("/api/cameras/{id}"))
}

fn live(client: &Client, id: &str) -> Result<Value> {
    let is_live = || {
        let status = status(client, id).ok()?;
        (status["state"] == "live" && status["video"]["width"].is_u64()).then_some(status)
    };
    wait_until(PATIENCE, is_live).with_context(|| format!("{id} is not live"))
}

/// Today, once it has `count` segments.
fn day(client: &Client, id: &str, count: usize) -> Result<Day> {
    let enough = || {
        let day = Day::fetch(client, id, "today").ok()?;
        (day.video.segments.len() >= count).then_some(day)
    };
    wait_until(PATIENCE, enough).with_context(|| format!("{id} has no {count} segments"))
}

/// Not one access unit that the camera sent since the first recorded is missing.
fn check_nothing_is_lost(client: &Client, id: &str, camera: &Camera) -> Result<usize> {
    let recorded = Day::fetch(client, id, "today")?;
    let more = day(client, id, recorded.video.segments.len() + 3)?;
    more.check(true)?.assert_none(id);
    let sent = camera.sent(Track::Video)?;
    ensure!(
        sent.iter().all(|unit| unit.run == 0),
        "it was connected again"
    );
    let received = more.video.packets();
    match_sent(&sent, &received, FORMAT, OFF_BY_90K)?;
    let status = status(client, id)?;
    ensure!(
        status["reconnects"] == 0 && status["dropped_frames"] == 0,
        "{status}"
    );
    Ok(received.len())
}

#[test]
fn what_is_the_same_is_not_touched_and_the_rest_follows_the_file() -> Result<()> {
    let [stays, goes, moves, comes] = [camera(320)?, camera(320)?, camera(320)?, camera(160)?];
    let server = Server::start(Setup {
        cameras: tables(&[
            ("stays", &stays, ""),
            ("goes", &goes, ""),
            ("moves", &moves, ""),
        ]),
        ..Setup::with_cameras([])
    })?;
    let client = server.client();
    for id in ["stays", "goes", "moves"] {
        live(&client, id)?;
        day(&client, id, 2)?;
    }
    let events = client.get_text("/api/cameras/stays/events")?;
    let of_moved = || client.get_json("/api/cameras/moves/events");
    let moved_before = of_moved()?.as_array().context("no events")?.clone();

    let cameras = tables(&[
        ("comes", &comes, ""),
        ("moves", &comes, ""),
        ("stays", &stays, ""),
    ]);
    write(&server, str::to_owned, &cameras)?;
    let answer = reload(&client)?.expect(200)?.json()?;
    let due = json!({
        "added": ["comes"], "removed": ["goes"], "restarted": ["moves"], "changed": [],
        "unchanged": ["stays"],
    });
    for (key, ids) in due.as_object().context("an object")? {
        ensure!(answer[key] == *ids, "{answer}");
    }

    // The one that was removed: nobody watches it, its recordings are closed, its page is gone.
    ensure!(goes.wait_until_unwatched(PATIENCE), "it is still watched");
    let gone = client.get("/api/cameras/goes")?.expect(404)?.json()?;
    ensure!(gone["error"]["code"] == "unknown_camera", "{gone}");
    client
        .get("/goes/stream/today/playlist.m3u8")?
        .expect(404)?;
    let list = client.get_json("/api/cameras")?;
    let ids: Vec<_> = (list.as_array().into_iter().flatten())
        .map(|one| &one["id"])
        .collect();
    ensure!(ids == ["comes", "moves", "stays"], "{ids:?}");

    // The new one, and the one with another address, which records into the same day.
    ensure!(live(&client, "comes")?["video"]["width"] == 160);
    ensure!(live(&client, "moves")?["video"]["width"] == 160);
    let before = Day::fetch(&client, "moves", "today")?.video.segments.len();
    let moved = day(&client, "moves", before + 2)?;
    moved.check(true)?.assert_none("moves");
    ensure!(moved.video.inits.len() == 2, "two formats in one day");
    let all = of_moved()?;
    let all = all.as_array().context("no events")?;
    ensure!(
        all.starts_with(&moved_before) && all.len() > moved_before.len(),
        "{all:?}"
    );
    ensure!(moves.wait_until_unwatched(PATIENCE), "it is still watched");

    // And the one that is the same.
    let received = check_nothing_is_lost(&client, "stays", &stays)?;
    eprintln!("{received} access units in one piece over the reload");
    ensure!(client.get_text("/api/cameras/stays/events")? == events);

    Ok(())
}

/// A camera called `stays` and a server that records it.
fn recorded() -> Result<(Camera, Server)> {
    let stays = camera(320)?;
    let server = Server::start(Setup {
        cameras: tables(&[("stays", &stays, "")]),
        ..Setup::with_cameras([])
    })?;
    let client = server.client();
    live(&client, "stays")?;
    day(&client, "stays", 2)?;
    Ok((stays, server))
}

#[test]
fn what_is_only_kept_or_shown_changes_without_a_break() -> Result<()> {
    let (stays, server) = recorded()?;
    let client = server.client();
    let more = "days_to_keep = 2\nframe_max_age_s = 7\ntimelapse = false\n";
    write(&server, str::to_owned, &tables(&[("stays", &stays, more)]))?;

    // This time by signal.
    let pid = Pid::from_raw(server.pid()?.cast_signed()).context("no pid")?;
    kill_process(pid, Signal::HUP)?;
    let said = |line: &str| {
        line.contains("has been read again")
            .then(|| line.to_owned())
    };
    let line = server
        .log()
        .wait_for(PATIENCE, said)
        .context("nothing was said")?;
    ensure!(line.contains(" changed=\"stays\""), "{line}");
    let is_taken_up = || {
        let storage = client.get_json("/api/storage").ok()?;
        (storage["cameras"][0]["days_to_keep"] == 2).then_some(())
    };
    wait_until(PATIENCE, is_taken_up).context("days_to_keep is as before")?;
    check_nothing_is_lost(&client, "stays", &stays)?;

    let again = reload(&client)?.expect(200)?.json()?;
    ensure!(again["unchanged"] == json!(["stays"]), "{again}");
    Ok(())
}

#[test]
fn a_wrong_file_changes_nothing_and_says_why() -> Result<()> {
    let (stays, server) = recorded()?;
    let client = server.client();
    let good = tables(&[("stays", &stays, "")]);
    let refused = |status: u16, code: &str| -> Result<String> {
        let error = reload(&client)?.expect(status)?.json()?;
        ensure!(error["error"]["code"] == code, "{error}");
        let message = error["error"]["message"].as_str();
        Ok(message.context("no message")?.to_owned())
    };

    let wrong = tables(&[("stays", &stays, "days_to_keep = 70")]);
    write(&server, str::to_owned, &wrong)?;
    let message = refused(400, "bad_configuration")?;
    let place = format!("{}:", server.config_path().display());
    ensure!(
        message.starts_with(&place) && message.contains("camera.stays.days_to_keep: "),
        "{message}"
    );
    write(&server, str::to_owned, "[[camera]]\nid = \"x\"\nrtsp = ")?;
    refused(400, "bad_configuration")?;
    write(
        &server,
        |head| head.replace("127.0.0.1", "127.0.0.2"),
        &good,
    )?;
    let message = refused(409, "restart_required")?;
    ensure!(message.contains("listen (127.0.0.1:"), "{message}");
    write(
        &server,
        |head| head.replace("127.0.0.2", "127.0.0.1"),
        &good,
    )?;
    let elsewhere = |head: &str| head.replace("/data\"", "/elsewhere\"");
    write(&server, elsewhere, &good)?;
    let message = refused(409, "restart_required")?;
    ensure!(message.contains("data_dir ("), "{message}");
    ensure!(!server.data_dir().with_file_name("elsewhere").exists());
    fs::remove_file(server.config_path())?;
    refused(400, "bad_configuration")?;

    client.get("/api/reload")?.expect(405)?;
    check_nothing_is_lost(&client, "stays", &stays)?;
    Ok(())
}
