//! A day that is deleted while people watch it, hour by hour and then as a whole: what they ask for
//! is there, or it is said that it is no longer kept.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use dayreel_tests::{
    client::{Answer, Client},
    make_day::{CAMERA, Media, Served},
    process::wait_until,
    rules::hls,
};

/// The server looks every 10 s for what is to go; so does a reload.
const PATIENCE: Duration = Duration::from_secs(90);

/// How often a viewer got what it asked for, and how often it was told that it is gone.
#[derive(Debug, Default)]
struct Seen {
    there: u32,
    gone: u32,
}

impl Seen {
    /// Takes up an answer; says whether it has a body to look into.
    ///
    /// # Errors
    /// It is neither 200 nor a clean 404.
    fn take(&mut self, path: &str, answer: &Answer) -> Result<bool> {
        if answer.status == 200 {
            ensure!(!answer.body.is_empty(), "{path}: nothing");
            self.there += 1;
            return Ok(true);
        }
        let error = answer.json().with_context(|| path.to_owned())?;
        let code = error["error"]["code"].as_str().unwrap_or_default();
        let is_clean = matches!(code, "unknown_day" | "unknown_segment" | "expired");
        ensure!(
            answer.status == 404 && is_clean,
            "{path}: {} {error}",
            answer.status
        );
        self.gone += 1;
        Ok(false)
    }
}

/// Reads `day` again and again as a player does: its documents, and then segments of it from
/// beginning to end.
fn watch(client: &Client, day: &str, track: &str, over: &AtomicBool) -> Result<Seen> {
    let folder = format!("/{CAMERA}/stream/{day}");
    let mut seen = Seen::default();
    while !over.load(Ordering::Relaxed) {
        for file in ["playlist.m3u8", "manifest.mpd"] {
            let path = format!("{folder}/{file}");
            seen.take(&path, &client.get(&path)?)?;
        }
        let path = format!("{folder}/{track}.m3u8");
        let answer = client.get(&path)?;
        if !seen.take(&path, &answer)? {
            continue;
        }
        let (playlist, _) = hls::reader::read(&answer.text()?);
        // The first is the next to go.
        let many = playlist.segments.len().div_ceil(8).max(1);
        for segment in playlist.segments.iter().step_by(many) {
            let name = segment.uri.rsplit('/').next().unwrap_or_default();
            let path = format!("/{CAMERA}/stream/{name}");
            seen.take(&path, &client.get(&path)?)?;
        }
    }
    Ok(seen)
}

/// Changes the settings of the camera while the server runs.
fn set(served: &Served, from: &str, to: &str) -> Result<()> {
    let path = served.server.config_path();
    let text = fs::read_to_string(&path)?;
    ensure!(text.contains(from), "{text}");
    fs::write(&path, text.replace(from, to))?;
    let reloaded = served.server.client().request("POST", "/api/reload", &[])?;
    reloaded.expect(200).map(drop)
}

#[test]
fn who_watches_a_day_that_expires_is_told() -> Result<()> {
    let media = Media {
        audio: true,
        bitrate_kbps: Some(100),
        ..Media::default()
    };
    let settings = "days_to_keep = 6\n";
    let served = Served::with_settings(media, 47.0, settings)?;
    let yesterday = served.today().before(1);
    let date = yesterday.to_string();
    let weekday = yesterday.weekday_number().to_string();
    let client = served.server.client();
    let kept_bytes = || client.get_json("/api/storage").ok()?["cameras"][0]["kept_bytes"].as_u64();
    let kept_bytes = wait_until(PATIENCE, kept_bytes).context("the server has not looked yet")?;

    let over = AtomicBool::new(false);
    let viewers = [(&date, "video"), (&weekday, "video"), (&date, "audio")];
    let seen = thread::scope(|scope| -> Result<Vec<Seen>> {
        let watching = viewers.map(|(day, track)| {
            let (client, over) = (served.server.client(), &over);
            scope.spawn(move || watch(&client, day, track, over))
        });
        let done = expire(&served, &client, &date, kept_bytes);
        over.store(true, Ordering::Relaxed);
        let seen = watching.map(|viewer| viewer.join());
        done?;
        let seen = seen
            .into_iter()
            .map(|seen| seen.ok().context("a viewer panicked")?);
        seen.collect()
    })?;
    for (seen, viewer) in seen.iter().zip(viewers) {
        eprintln!("{viewer:?}: {seen:?}");
        ensure!(seen.there > 20 && seen.gone > 0, "{viewer:?}: {seen:?}");
    }
    for line in served.server.log().lines() {
        let is_bad = line.contains("ERROR") || line.contains("panicked");
        ensure!(!is_bad, "{line}");
    }
    Ok(())
}

/// First the oldest hours go, then the day.
fn expire(served: &Served, client: &Client, date: &str, kept_bytes: u64) -> Result<()> {
    let list = format!("/{CAMERA}/stream/{date}/video.m3u8");
    let listed = |answer: Answer| hls::reader::read(&answer.text().unwrap_or_default()).0;
    let before = listed(client.get(&list)?.expect(200)?).segments.len();
    let most = kept_bytes / 4 * 3;
    set(
        served,
        "days_to_keep = 6\n",
        &format!("days_to_keep = 6\nmax_bytes = {most}\n"),
    )?;
    wait_until(PATIENCE, || {
        let left = listed(client.get(&list).ok()?.expect(200).ok()?);
        (left.segments.len() < before / 2 + before / 8).then_some(())
    })
    .context("the oldest hours stay")?;
    set(served, "days_to_keep = 6\n", "days_to_keep = 0\n")?;
    wait_until(PATIENCE, || {
        (client.get(&list).ok()?.status == 404).then_some(())
    })
    .context("the day stays")
}
