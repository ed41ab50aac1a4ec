//! The end of a day, with the real binary, a clock that libfaketime moves to just before it, and
//! players that watch `today` over it; and the folder of a day behind a server that knows nothing
//! of us.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dayreel_tests::client::Client;
use dayreel_tests::players::scene::{CAMERA, Midnight, Scene};
use dayreel_tests::players::verdict::{landings, none, pictures, read};
use dayreel_tests::players::{Place, Player, Run, RunReport, Seen, Step};
use dayreel_tests::process::{Nginx, wait_until};
use dayreel_tests::rules::hls;
use dayreel_tests::stage::Day;

/// From the start of the server to midnight: the camera is found, some segments are recorded, the
/// players are there.
const BEFORE: Duration = Duration::from_secs(96);
/// Recorded before the camera was away for a moment, and in all before the players come, s.
const RECORDED_S: [u32; 2] = [4, 36];
/// Played after midnight, ms.
const AFTER_MS: i64 = 20_000;
/// A player that waits longer has lost the picture, ms: two segments. Our page opens the new day in HLS, which takes it
/// a second, and three on a busy machine; it has no more than that in its buffer.
const LONGEST_WAIT_MS: u64 = 8000;
/// Bounds each player's run, in s.
const DEADLINE_S: u32 = 240;
/// For so long nothing is recorded while the server is away.
const GAP: Duration = Duration::from_millis(500);

#[test]
fn who_watches_today_goes_on_over_midnight() -> Result<()> {
    let (mut scene, midnight) = Scene::start_before_midnight(BEFORE)?;
    // The new day goes on in the second Period, not in the first of a day.
    scene.wait_recorded(RECORDED_S[0])?;
    scene.camera.restart_with(|_| ())?;
    scene.wait_recorded(RECORDED_S[1])?;
    let number = midnight.day.weekday_number();
    let client = scene.server.client();
    let own_number = format!("/{CAMERA}/stream/{number}/playlist.m3u8");
    let refused = client.get(&own_number)?.expect(404)?.json()?;
    let message = refused["error"]["message"].as_str().unwrap_or_default();
    ensure!(message.ends_with("kept: today"), "{refused}");

    // At midnight the manifest of `today` becomes that of the new day; the page must not let dash.js see
    // how that of the old one turns static, which left it without a picture until the page had opened the
    // new day.
    let steps = over(&midnight);
    let mut runs: Vec<_> = [
        Player::Hls,
        Player::ShakaHls,
        Player::Dash,
        Player::ShakaDash,
    ]
    .map(|player| scene.run(player, steps.clone()))
    .into();
    runs.extend(["hls", "dash"].map(|engine| scene.page(engine, steps.clone())));
    let mut problems = Vec::new();
    for run in &scene.play(DEADLINE_S, runs)? {
        problems.extend(run.complaints());
        problems.extend(shown(run, &midnight)?);
        problems.extend(waits(run));
    }
    none(&problems)?;
    both_days(&client, &midnight)
}

/// Whoever had to wait for long lost the picture. Of Shaka the picture tells: its wait at a gap, which is before the
/// players began, ends for the browser when it next stops.
fn waits(run: &RunReport) -> Vec<String> {
    let stalls = run.steps.iter().filter_map(|step| match step {
        Seen::PlayUntil { stalls, .. } => Some(stalls),
        _ => None,
    });
    let long = stalls.filter(|stalls| {
        let mut waits = stalls.waits.iter();
        let waited = waits.any(|wait| wait.duration_ms > LONGEST_WAIT_MS);
        let stood_still = stalls.longest_freeze_ms > LONGEST_WAIT_MS;
        stood_still || (waited && !run.name.starts_with("shaka"))
    });
    long.map(|stalls| format!("{}: {stalls:?}", run.name))
        .collect()
}

/// Plays from before midnight to some seconds after it.
fn over(midnight: &Midnight) -> Vec<Step> {
    vec![
        Step::Start,
        Step::picture("before"),
        Step::PlayUntil {
            wall_ms: midnight.wall_ms() + AFTER_MS,
            deadline_s: 180,
        },
        Step::picture("after"),
    ]
}

/// Whether the pictures before and after midnight are those of the times the player says.
fn shown(run: &RunReport, midnight: &Midnight) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let mut said = Vec::new();
    for picture in run.pictures() {
        // The camera's clock is the real one.
        let made_ms = read(picture)?.wall_ms.cast_signed() + midnight.ahead_ms;
        let said_ms = picture.wall_ms.context("the player knows no wall time")?;
        said.push(said_ms);
        if (made_ms as f64 - said_ms).abs() > 1500.0 && run.name != "shaka-hls" {
            problems.push(format!("{}: shows {made_ms}, says {said_ms}", run.name));
        }
    }
    let at_ms = midnight.wall_ms() as f64;
    if !matches!(said[..], [before, after] if before < at_ms && after > at_ms) {
        problems.push(format!(
            "{}: pictures of {said:?}, not around {at_ms}",
            run.name
        ));
    }
    for step in &run.steps {
        if let Seen::PlayUntil {
            stalls, took_ms, ..
        } = step
        {
            eprintln!("{}: over midnight in {took_ms} ms, {stalls:?}", run.name);
        }
    }
    Ok(problems)
}

/// Yesterday is over under all its names, today is live, and the segment over midnight is in both.
fn both_days(client: &Client, midnight: &Midnight) -> Result<()> {
    let number = midnight.day.weekday_number().to_string();
    let text = |day: &str, file: &str| client.get_text(&format!("/{CAMERA}/stream/{day}/{file}"));
    let date = midnight.day.to_string();
    let today = hls::reader::read(&text("today", "video.m3u8")?).0;
    ensure!(!today.end_list, "today is over");
    for name in [&number, &date] {
        let over = hls::reader::read(&text(name, "video.m3u8")?).0;
        ensure!(over.end_list, "{name} is not over");
        let (last, first) = (over.segments.last(), today.segments.first());
        let (last, first) = last.zip(first).context("no segments")?;
        ensure!(
            last.uri == first.uri,
            "{name}: {} and {}",
            last.uri,
            first.uri
        );
        let next = over.media_sequence + over.segments.len() as u64;
        ensure!(today.media_sequence == next - 1, "{}", today.media_sequence);
        ensure!(text(name, "manifest.mpd")?.contains("type=\"static\""));
        Day::fetch(client, CAMERA, name)?
            .check(false)?
            .assert_none(name);
    }
    ensure!(text("today", "manifest.mpd")?.contains("type=\"dynamic\""));
    Day::fetch(client, CAMERA, "today")?
        .check(true)?
        .assert_none("today");
    let days = client.get_json(&format!("/api/cameras/{CAMERA}/days"))?;
    let days = days.as_array().context("no list")?;
    let today: Vec<_> = days.iter().map(|day| day["today"].as_bool()).collect();
    ensure!(today == [Some(false), Some(true)], "{days:?}");
    let gaps = days.iter().map(|day| day["gaps"].as_array().map(Vec::len));
    ensure!(gaps.eq([Some(1), Some(0)]), "{days:?}");
    Ok(())
}

/// What is missing is listed with its cause, which the day index keeps.
#[test]
fn gaps_of_a_restart_and_of_a_camera_that_is_away_have_their_causes() -> Result<()> {
    let mut scene = Scene::start()?;
    scene.wait_turn();
    scene.wait_recorded(8)?;
    scene.server.kill()?;
    scene.server.restart_after(GAP)?;
    scene.wait_recorded(16)?;
    scene.camera.stop()?;
    let path = format!("/api/cameras/{CAMERA}");
    let client = scene.server.client();
    let state = || {
        client
            .get_json(&path)
            .ok()
            .filter(|state| state["state"] == "reconnecting")
    };
    wait_until(Duration::from_secs(60), state).context("the camera is still there")?;
    let open = || {
        let days = client.get_json(&format!("{path}/days")).ok()?;
        let last = days.as_array()?.last()?["gaps"].as_array()?.last()?.clone();
        (last["open"] == true && last["cause"].is_string()).then_some(last)
    };
    let open = wait_until(Duration::from_secs(30), open).context("no gap is open")?;
    scene.camera.restart()?;
    let gaps = || {
        let days = client.get_json(&format!("{path}/days")).ok()?;
        let gaps = days.as_array()?.last()?["gaps"].as_array()?.clone();
        (gaps.len() == 2 && gaps[1]["open"] == false).then_some(gaps)
    };
    let listed = || client.get_json(&format!("{path}/days"));
    let gaps = wait_until(Duration::from_secs(90), gaps)
        .with_context(|| format!("there are no two gaps: {:?}", listed()))?;
    let causes: Vec<_> = gaps.iter().map(|gap| gap["cause"].as_str()).collect();
    ensure!(causes[0] == Some("restart"), "{gaps:?}");
    // A camera that ends sends a farewell or resets the connection; then it cannot be reached.
    ensure!(
        causes[1] == Some("camera") || causes[1] == Some("network"),
        "{gaps:?}"
    );
    ensure!(gaps.iter().all(|gap| gap["open"] == false), "{gaps:?}");
    // What was on its way when the camera was lost may have been recorded since.
    let start = |gap: &serde_json::Value| gap["start"].as_str().map(str::to_owned);
    ensure!(start(&gaps[1]) >= start(&open), "{gaps:?}, {open}");
    scene.server.kill()?;
    scene.server.restart()?;
    let kept = client.get_json(&format!("{path}/days"))?;
    let kept = &kept[0]["gaps"];
    for (nth, gap) in gaps.iter().enumerate() {
        ensure!(kept[nth] == *gap, "{kept} {gap}");
    }
    Ok(())
}

#[test]
fn a_day_folder_plays_from_a_static_file_server() -> Result<()> {
    let mut scene = Scene::start()?;
    scene.wait_recorded(16)?;
    let (from_ms, to_ms) = scene.spans()?[0];
    ensure!(scene.server.stop()?.success());
    let nginx = Nginx::start(&scene.server.days_dir(CAMERA))?;
    let days = std::fs::read_dir(scene.server.days_dir(CAMERA))?;
    let days: Vec<_> = days.collect::<Result<_, _>>()?;
    ensure!(days.len() == 1, "{days:?}");
    let folder = days[0].file_name();
    let folder = folder.to_str().context("no date")?;
    let steps = vec![
        Step::Start,
        Step::Seek {
            to: Place::WallMs(from_ms + 1_000),
        },
        Step::picture("early"),
        Step::Seek {
            to: Place::WallMs(to_ms - 6_000),
        },
        Step::picture("late"),
    ];
    let runs = ["playlist.m3u8", "video.m3u8"].map(|file| {
        let url = format!("http://{}/{folder}/{file}", nginx.address);
        let mut run = Run::new(Player::Hls, url, steps.clone());
        run.name = file.replace(".m3u8", "");
        run
    });
    let mut problems = Vec::new();
    for run in &scene.play(DEADLINE_S, runs.into())? {
        problems.extend(run.complaints());
        problems.extend(landings(run));
        problems.extend(pictures(run, 2)?);
    }
    none(&problems)
}
