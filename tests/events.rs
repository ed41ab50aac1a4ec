//! `/api/cameras/{cam}/events`: what happened to a camera, in order.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, Utc};
use dayreel_testcam::{Camera, Login, LoginMethod, PictureSettings, Settings, Source};
use dayreel_tests::{
    client::Client,
    process::{Server, Setup, wait_until},
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
