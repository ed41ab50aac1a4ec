//! `/api/cameras/{cam}/events`: what happened to a camera, in order.

use std::{
    env,
    fs::{self, File},
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, Utc};
use dayreel_testcam::{Camera, Login, LoginMethod, PictureSettings, Settings, Source};
use dayreel_tests::{
    client::Client,
    process::{Server, Setup, wait_until},
    stage::Day,
};
use serde_json::Value;

/// For what takes a camera some seconds.
const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "hunter2";

fn settings(width: u32) -> Settings {
    Settings {
        source: Source::Picture(PictureSettings {
            width,
            ..PictureSettings::small()
        }),
        login: Some(Login {
            user: "admin".into(),
            password: PASSWORD.into(),
            method: LoginMethod::Digest,
        }),
        ..Settings::default()
    }
}

fn events(client: &Client) -> Result<Vec<Value>> {
    let text = client.get_text("/api/cameras/cam/events")?;
    ensure!(!text.contains(PASSWORD), "{text}");
    Ok(serde_json::from_str(&text)?)
}

/// Kind and code of each, as in `state/live`.
fn words(events: &[Value]) -> Vec<String> {
    let word = |event: &Value, name: &str| event[name].as_str().unwrap_or("?").to_owned();
    let both = |event| format!("{}/{}", word(event, "kind"), word(event, "code"));
    events.iter().map(both).collect()
}

/// The events, once `kind/code` is the newest of its kind.
fn until(client: &Client, newest: &str) -> Result<Vec<Value>> {
    let kind = newest.split('/').next().unwrap_or_default();
    let found = wait_until(PATIENCE, || {
        let events = events(client).ok()?;
        let words = words(&events);
        let last = words.iter().rfind(|word| word.starts_with(kind))?;
        (last == newest).then_some(events)
    });
    found.with_context(|| format!("no {newest}: {:?}", events(client)))
}

#[test]
fn what_happens_to_a_camera_is_listed_in_order_without_its_password() -> Result<()> {
    let started = Utc::now();
    let mut camera = Camera::start(settings(160))?;
    let url = camera.url();
    let server = Server::start(Setup::with_cameras([("cam", url.as_str())]))?;
    let client = server.client();
    let begun = until(&client, "span/restart")?;
    let words_at_first = words(&begun);
    ensure!(
        words_at_first.len() == 4
            && words_at_first[0] == "state/connecting"
            && words_at_first[1].starts_with("format/avc1.")
            && words_at_first[2..] == ["state/live", "span/restart"],
        "{words_at_first:?}"
    );

    camera.stop()?;
    until(&client, "state/camera_refused")?;
    camera.restart_with(|changed| changed.source = settings(320).source)?;
    let all = until(&client, "span/camera")?;
    let since = words(&all[begun.len()..]);
    let [lost, .., format, live, span] = &since[..] else {
        anyhow::bail!("{since:?}");
    };
    // Whichever is noticed first: the stream's end or the connection's.
    ensure!(lost.starts_with("state/camera_"), "{since:?}");
    ensure!(format.starts_with("format/avc1."), "{since:?}");
    ensure!(live == "state/live" && span == "span/camera", "{since:?}");
    ensure!(
        since.iter().any(|word| word == "state/camera_refused"),
        "{since:?}"
    );
    let message = |event: &Value| event["message"].as_str().unwrap_or_default().to_owned();
    ensure!(
        all.iter().any(|event| message(event) == "video 320 × 90"),
        "{all:?}"
    );

    let mut last = started - chrono::TimeDelta::milliseconds(1);
    for event in &all {
        let time = |name: &str| -> Result<DateTime<Utc>> {
            let text = event[name].as_str().context("no time")?;
            Ok(DateTime::parse_from_rfc3339(text)?.to_utc())
        };
        ensure!(
            last <= time("time")? && time("time")? <= time("last")?,
            "{all:?}"
        );
        ensure!(event["times"].as_u64() >= Some(1), "{event}");
        ensure!(!message(event).is_empty(), "{event}");
        last = time("time")?;
    }

    let unknown = client.get("/api/cameras/nobody/events")?.expect(404)?;
    ensure!(unknown.json()?["error"]["code"] == "unknown_camera");
    Ok(())
}

/// The sub-stream is a stream of its own: while it is away, the recording goes on as if there were none.
#[test]
fn a_sub_stream_is_recorded_and_comes_and_goes_for_itself() -> Result<()> {
    let main = Camera::start(settings(320))?;
    let mut sub = Camera::start(settings(160))?;
    let server = Server::start(Setup {
        cameras: format!(
            "[[camera]]\nid = \"cam\"\nrtsp = \"{}\"\nrtsp_preview = \"{}\"\nsegment_s = 1\n",
            main.url(),
            sub.url()
        ),
        ..Setup::with_cameras([])
    })?;
    let client = server.client();
    let recorded = |segments: usize| {
        let day = || {
            let day = Day::fetch(&client, "cam", "today").ok()?;
            let preview = day.preview.as_ref()?;
            (preview.segments.len() >= segments).then_some(day)
        };
        wait_until(PATIENCE, day).context("the preview is not recorded")
    };
    let before = recorded(3)?;
    before.check(true)?.assert_none("with a preview");
    let widths = |text: &str| {
        let variants = text
            .lines()
            .filter(|line| line.starts_with("#EXT-X-STREAM-INF:"));
        variants
            .map(|line| line.contains("RESOLUTION=160x90"))
            .collect::<Vec<_>>()
    };
    ensure!(
        widths(&before.multivariant) == [false, true],
        "{}",
        before.multivariant
    );

    let state = |name: &str| {
        wait_until(PATIENCE, || {
            let text = client.get_text("/api/cameras/cam").ok()?;
            let status: Value = serde_json::from_str(&text).ok()?;
            let is_so = status["preview"]["state"] == name && !text.contains(PASSWORD);
            is_so.then_some(status)
        })
        .with_context(|| format!("the preview is not {name}"))
    };
    sub.stop()?;
    let lost = state("reconnecting")?;
    ensure!(
        lost["state"] == "live" && lost["last_error"].is_null(),
        "{lost}"
    );
    let live = |value: u32| format!("dayreel_camera_preview_live{{camera=\"cam\"}} {value}\n");
    ensure!(client.get_text("/metrics")?.contains(&live(0)));
    client.get("/readyz")?.expect(200)?;
    sub.restart()?;
    let back = state("live")?;
    ensure!(
        back["preview"]["video"]["width"] == 160 && back["reconnects"] == 0,
        "{back}"
    );
    ensure!(client.get_text("/metrics")?.contains(&live(1)));
    let count = before.preview.map_or(0, |preview| preview.segments.len());
    let after = recorded(count + 3)?;
    ensure!(
        !after.video.playlist.contains("DISCONTINUITY\n"),
        "{}",
        after.video.playlist
    );
    after.check(true)?.assert_none("with a hole in the preview");
    let preview = after.preview.as_ref().context("no preview")?;
    ensure!(
        preview.media.listed() > preview.segments.len(),
        "{}",
        preview.playlist
    );
    let days = client.get_json("/api/cameras/cam/days")?;
    let spans = days[0]["spans"].as_array().map(Vec::len);
    ensure!(
        spans == Some(1) && days[0]["gaps"] == Value::Array(vec![]),
        "{days}"
    );
    Ok(())
}

/// libnss_wrapper's file of hosts, where `cam.test` is at this address.
fn name_camera(hosts: &Path, address: &str, version: u64) -> Result<()> {
    fs::write(hosts, format!("{address} cam.test\n"))?;
    // It is read again where its time, in seconds, is another.
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + version);
    Ok(File::options()
        .write(true)
        .open(hosts)?
        .set_modified(time)?)
}

/// Routers give a camera another address when it comes back.
#[test]
fn a_name_is_looked_up_for_each_connection() -> Result<()> {
    let mut camera = Camera::start(settings(160))?;
    let folder = tempfile::tempdir()?;
    let hosts = folder.path().join("hosts");
    // Of this machine too, but the camera does not listen there.
    name_camera(&hosts, "127.0.0.2", 0)?;
    let url = camera.url().replace("127.0.0.1", "cam.test");
    ensure!(url.contains("@cam.test:"), "{url}");
    let library = format!("/usr/lib/{}-linux-gnu/libnss_wrapper.so", env::consts::ARCH);
    ensure!(
        Path::new(&library).is_file(),
        "apt-get install libnss-wrapper"
    );
    let mut setup = Setup::with_cameras([("cam", url.as_str())]);
    setup.environment = vec![
        ("LD_PRELOAD".to_owned(), library),
        ("NSS_WRAPPER_HOSTS".to_owned(), hosts.display().to_string()),
    ];
    let server = Server::start(setup)?;
    let client = server.client();
    until(&client, "state/camera_refused")?;
    name_camera(&hosts, "127.0.0.1", 1)?;
    until(&client, "state/live")?;
    name_camera(&hosts, "127.0.0.2", 2)?;
    camera.stop()?;
    until(&client, "state/camera_refused")?;
    camera.restart()?;
    name_camera(&hosts, "127.0.0.1", 3)?;
    until(&client, "state/live")?;
    Ok(())
}

#[test]
fn lines_of_the_log_say_of_which_camera_and_request_they_are() -> Result<()> {
    let camera = Camera::start(settings(160))?;
    let url = camera.url();
    let mut setup = Setup::with_cameras([("cam", url.as_str())]);
    let variables = [
        ("DAYREEL_LOG_FORMAT", "json"),
        ("DAYREEL_LOG", "info,gstreamer=debug"),
        ("GST_DEBUG", "GST_STATES:4"),
    ];
    setup.environment = variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let server = Server::start(setup)?;
    let client = server.client();
    until(&client, "span/restart")?;
    let made = client.request("POST", "/cam/moment/generate/4/0", &[])?;
    let made = made.expect(200)?.json()?;
    let moment = made["url"].as_str().context("no moment")?;
    client.request("DELETE", moment, &[])?.expect(204)?;

    let line = |is_it: &dyn Fn(&Value) -> bool| {
        let found = server.log().wait_for(PATIENCE, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            is_it(&line).then_some(line)
        });
        found.with_context(|| server.log().tail(40))
    };
    let deleted = line(&|line| line["message"] == "deleted a moment")?;
    let request = &deleted["span"];
    ensure!(request["name"] == "request", "{deleted}");
    ensure!(request["method"] == "DELETE", "{deleted}");
    ensure!(request["path"] == moment, "{deleted}");
    ensure!(request["from"] == "127.0.0.1", "{deleted}");
    ensure!(request["number"].as_u64() >= Some(2), "{deleted}");
    let live = line(&|line| line["message"] == "live")?;
    ensure!(live["span"]["name"] == "camera", "{live}");
    ensure!(live["span"]["id"] == "cam", "{live}");
    // GStreamer's own.
    let state = line(&|line| line["category"] == "GST_STATES")?;
    ensure!(state["target"] == "gstreamer", "{state}");
    ensure!(
        state["level"] == "DEBUG" && state["said_as"] == "INFO",
        "{state}"
    );
    ensure!(state["object"].is_string(), "{state}");
    Ok(())
}
