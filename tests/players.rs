//! Real players on a real day: hls.js, dash.js, Shaka Player and our own page in headless Chromium.
//!
//! The camera's pictures say which they are and when they were made, so that "it plays" means: the
//! picture on the screen is the one the player says it shows. `DAYREEL_PLAYERS_OUT=folder` keeps
//! the pictures and screenshots.

use std::{collections::BTreeSet, thread, time::Duration};

use anyhow::{Context, Result};
use chrono::Utc;
use dayreel_testcam::Source;
use dayreel_tests::clip;
use dayreel_tests::foreign::probe;
use dayreel_tests::make_day::{LOOP_S, Media};
use dayreel_tests::players::scene::{CAMERA, FPS};
use dayreel_tests::players::verdict::{
    ages_ms, landings, none, numbering, pictures, progress, read, sideways, stalls,
};
use dayreel_tests::players::{Place, Player, Run, Scene, Seen, Step, Viewport};

/// The players of others.
const FOREIGN: [Player; 4] = [
    Player::Hls,
    Player::Dash,
    Player::ShakaHls,
    Player::ShakaDash,
];
/// How long the live edge is followed, in s.
const WATCH_S: u32 = 30;
/// For so long nothing is recorded.
const GAP: Duration = Duration::from_millis(500);
/// How far back our page's bar is dragged, in s.
const DRAGGED_BACK_S: f64 = 20.0;
/// Nobody reaches for the bar before the picture has settled. Shaka 5.2.12 once loaded nothing more when it was sought a
/// second after its start on a busy machine.
const SETTLES: Step = Step::Watch { seconds: 3 };
/// Bounds each player's run, in s.
const DEADLINE_S: u32 = 180;

#[test]
fn players_follow_today_and_find_its_pictures() -> Result<()> {
    let scene = Scene::start()?;
    // Shaka's window of live HLS is as long as the playlist was when it came.
    scene.wait_recorded(24)?;
    let steps = vec![
        Step::Start,
        Step::Watch { seconds: WATCH_S },
        Step::Seek { to: Place::Start },
        Step::picture("start"),
        Step::Seek {
            to: Place::Fraction(0.5),
        },
        Step::picture("middle"),
        Step::Seek { to: Place::Live },
        Step::Watch { seconds: 3 },
    ];
    let runs = FOREIGN.map(|player| scene.run(player, steps.clone()));
    let mut problems = Vec::new();
    for run in &scene.play(DEADLINE_S, runs.into())? {
        problems.extend(run.complaints());
        problems.extend(stalls(run));
        problems.extend(progress(run, WATCH_S));
        problems.extend(landings(run));
        problems.extend(pictures(run, 2)?);
        // Where Shaka's clock of live HLS may be off, it cannot tell how many pictures went by.
        if run.name != "shaka-hls" {
            problems.extend(numbering(run, FPS)?);
        }
    }
    none(&problems)
}

/// Nearer than a segment is long, which who waits for whole ones cannot be.
#[test]
fn dash_js_follows_segments_that_grow() -> Result<()> {
    const SEGMENT_MS: f64 = 4000.0;
    const SIZE: (u32, u32) = (272, 144);
    let scene = Scene::start()?;
    // Three segments are equally long.
    scene.wait_recorded(16)?;
    let steps = vec![
        Step::Start,
        Step::Glance {
            seconds: 10,
            every_ms: 500,
            width: SIZE.0,
            height: SIZE.1,
        },
        Step::Watch { seconds: 20 },
    ];
    let mut run = scene.run(Player::Dash, steps);
    run.url.push_str("?latency=low");
    let mut problems = Vec::new();
    for run in &scene.play(DEADLINE_S, vec![run])? {
        problems.extend(run.complaints());
        problems.extend(stalls(run));
        problems.extend(progress(run, 20));
        let ages_ms = ages_ms(run, SIZE)?;
        let median_ms = ages_ms[ages_ms.len() / 2];
        if median_ms > SEGMENT_MS {
            problems.push(format!("{}: {median_ms} ms behind", run.name));
        }
    }
    none(&problems)
}

#[test]
fn players_list_the_preview_and_play_it() -> Result<()> {
    let (scene, _preview) = Scene::start_with_preview(320)?;
    scene.wait_recorded(12)?;
    let steps = vec![Step::Start, Step::Qualities];
    let runs = [Player::Hls, Player::Dash].map(|player| scene.run(player, steps.clone()));
    let mut problems = Vec::new();
    for run in &scene.play(DEADLINE_S, runs.into())? {
        problems.extend(run.complaints());
        let widths = run.steps.iter().find_map(|seen| match seen {
            Seen::Qualities { widths } => Some(BTreeSet::from_iter(widths)),
            _ => None,
        });
        if widths != Some(BTreeSet::from([&320, &1280])) {
            problems.push(format!("{}: qualities {widths:?}", run.name));
        }
    }
    none(&problems)
}

/// Of a day of 23 hours: each keyframe is the picture of its time, whichever way the pointer goes.
#[test]
fn hls_js_shows_keyframes_by_themselves() -> Result<()> {
    const SHOWN: u32 = 40;
    let media = Media {
        audio: true,
        ..Media::default()
    };
    let scene = Scene::start_late_in_the_day(&media)?;
    scene.wait_live()?;
    let steps = vec![Step::Start, Step::Scrub { count: SHOWN }];
    let runs = vec![scene.run(Player::Hls, steps)];
    let loop_ms = f64::from(LOOP_S) * 1000.0;
    let mut problems = Vec::new();
    let mut took_ms = Vec::new();
    for run in &scene.play(DEADLINE_S, runs)? {
        problems.extend(run.complaints());
        let shown = run.steps.iter().filter_map(|seen| match seen {
            Seen::Scrub { pictures } => Some(pictures),
            _ => None,
        });
        for scrubbed in shown.flatten() {
            took_ms.push(scrubbed.took_ms);
            let shown_ms = read(&scrubbed.picture)?.wall_ms as f64;
            let said_ms = scrubbed.picture.wall_ms.context("no wall time")?;
            let late_ms = (shown_ms - said_ms).rem_euclid(loop_ms);
            if late_ms.min(loop_ms - late_ms) > 1000.0 / f64::from(media.fps) {
                problems.push(format!("{shown_ms}, not {said_ms}"));
            }
        }
    }
    if took_ms.len() != SHOWN as usize {
        problems.push(format!("{} keyframes", took_ms.len()));
    }
    took_ms.sort_unstable_by(f64::total_cmp);
    println!("ms each: {took_ms:.0?}");
    none(&problems)
}

/// As a person does it: the form, opened at a picture, downloads what is before that.
#[test]
fn the_page_downloads_a_part_of_the_day() -> Result<()> {
    let scene = Scene::start()?;
    scene.wait_recorded(24)?;
    let steps = vec![
        Step::Start,
        Step::click(".export summary"),
        Step::Download {
            selector: ".export [type=submit]".to_owned(),
            name: "part.mp4".to_owned(),
        },
        Step::find(".export p:not([hidden])"),
        Step::screenshot("page"),
        Step::Overflow,
    ];
    let mut phone = scene.page("hls", steps.clone());
    phone.name = "phone".to_owned();
    phone.viewport = Viewport::PHONE;
    let runs = vec![scene.page("hls", steps), phone];
    let mut problems = Vec::new();
    for run in &scene.play(DEADLINE_S, runs)? {
        problems.extend(run.complaints());
        problems.extend(sideways(run));
        let said = run.steps.iter().find_map(|seen| match seen {
            Seen::Find { text, .. } => Some(text.as_str()),
            _ => None,
        });
        if !said.is_some_and(|said| said.starts_with("The download begins: ")) {
            problems.push(format!("{}: {said:?}", run.name));
        }
        let downloaded = run.steps.iter().find_map(|seen| match seen {
            Seen::Download { file, called } => Some((file, called)),
            _ => None,
        });
        let Some((file, called)) = downloaded else {
            problems.push(format!("{}: nothing was downloaded", run.name));
            continue;
        };
        let shown = clip::pictures(file)?;
        let (first, last) = shown.first().zip(shown.last()).context("no pictures")?;
        let is_all = last.frame_number - first.frame_number + 1 == u32::try_from(shown.len())?;
        // It begins with what there is of the minute before the picture.
        if !is_all || shown.len() < 10 * FPS as usize || !called.starts_with(&format!("{CAMERA}_"))
        {
            problems.push(format!("{}: {called}: {} pictures", run.name, shown.len()));
        }
    }
    none(&problems)
}

#[test]
fn players_cross_the_gap_of_a_restart() -> Result<()> {
    let mut scene = Scene::start()?;
    scene.wait_recorded(8)?;
    scene.server.kill()?;
    scene.server.restart_after(GAP)?;
    cross_the_gap(&scene)
}

/// The picture is smaller behind the gap: another init segment, in DASH another Period.
#[test]
fn players_cross_a_change_of_the_picture() -> Result<()> {
    let mut scene = Scene::start()?;
    scene.wait_recorded(8)?;
    scene.camera.restart_with(|settings| {
        if let Source::Picture(picture) = &mut settings.source {
            (picture.width, picture.height) = (640, 360);
        }
    })?;
    cross_the_gap(&scene)
}

/// Lets players seek to before the only gap of the day, and play on over it.
fn cross_the_gap(scene: &Scene) -> Result<()> {
    scene.wait_recorded(20)?;
    let spans = scene.spans()?;
    assert_eq!(spans.len(), 2, "{spans:?}");
    let steps = vec![
        Step::Start,
        SETTLES,
        Step::Seek {
            to: Place::WallMs(spans[0].1 - 3000),
        },
        Step::picture("before"),
        Step::PlayUntil {
            wall_ms: spans[1].0 + 1000,
            deadline_s: 30,
        },
        Step::picture("after"),
    ];
    // dash.js waits at a gap for as long as it lasted, also long after it; our page takes it over.
    let mut runs: Vec<_> = FOREIGN
        .map(|player| scene.run(player, steps.clone()))
        .into();
    runs.push(scene.page("hls", steps.clone()));
    runs.push(scene.page("dash", steps));
    let mut problems = Vec::new();
    for run in &scene.play(DEADLINE_S, runs)? {
        problems.extend(run.complaints());
        // Shaka, with all behind the gap in its buffer, may take what is before it for a gap too.
        if !run.name.starts_with("shaka") {
            problems.extend(landings(run));
        }
        problems.extend(pictures(run, 2)?);
    }
    none(&problems)
}

/// A new Period tells it that there is more behind the gap.
#[test]
fn regression_dash_js_stood_still_when_the_camera_had_been_away() -> Result<()> {
    const ID: &str = "leaving";
    let mut camera = Scene::camera()?;
    let scene = Scene::start_with(|setup| {
        let url = camera.url();
        setup
            .cameras
            .push_str(&format!("[[camera]]\nid = \"{ID}\"\nrtsp = \"{url}\"\n"));
    })?;
    scene.wait_turn();
    scene.wait_recorded_of(ID, 16)?;
    let steps = vec![
        Step::Start,
        Step::PlayUntil {
            wall_ms: Utc::now().timestamp_millis() + 45_000,
            deadline_s: 75,
        },
        Step::picture("after"),
    ];
    let mut run = scene.run(Player::Dash, steps);
    run.url = scene
        .server
        .url(&format!("/{ID}/stream/today/manifest.mpd"));
    let runs = vec![run];
    let reports = thread::scope(|scope| {
        let played = scope.spawn(|| scene.play(DEADLINE_S, runs));
        // It has begun by then.
        scene.wait_recorded_of(ID, 30)?;
        camera.restart_with(|_| ())?;
        played.join().expect("the players panicked")
    })?;
    let mut problems = Vec::new();
    for run in &reports {
        problems.extend(run.complaints());
        problems.extend(pictures(run, 1)?);
    }
    none(&problems)
}

/// While a player goes to where it begins, it forgets any other place it is sent to.
#[test]
fn regression_a_seek_before_the_first_picture_was_lost() -> Result<()> {
    let scene = Scene::start()?;
    scene.wait_recorded(20)?;
    let to = Place::WallMs(scene.spans()?[0].0);
    let steps = vec![Step::Seek { to }, Step::picture("sought")];
    let runs = ["hls", "dash"].map(|engine| scene.page(engine, steps.clone()));
    let mut problems = Vec::new();
    for run in &scene.play(DEADLINE_S, runs.into())? {
        problems.extend(run.complaints());
        problems.extend(landings(run));
        problems.extend(pictures(run, 1)?);
    }
    none(&problems)
}

#[test]
fn players_seek_in_a_whole_day() -> Result<()> {
    let media = Media {
        audio: true,
        ..Media::default()
    };
    let scene = Scene::start_late_in_the_day(&media)?;
    scene.wait_live()?;
    let (from_ms, to_ms) = scene.spans()?[0];
    let seek = |share: i64| Step::Seek {
        to: Place::WallMs(from_ms + (to_ms - from_ms) * share / 100),
    };
    let steps = vec![
        Step::Start,
        SETTLES,
        seek(75),
        Step::picture("at-75"),
        seek(2),
        Step::picture("at-2"),
        seek(50),
        Step::picture("at-50"),
    ];
    let mut runs: Vec<_> = FOREIGN
        .map(|player| scene.run(player, steps.clone()))
        .into();
    runs.push(scene.page("hls", steps.clone()));
    runs.push(scene.page("dash", steps));
    let loop_ms = f64::from(LOOP_S) * 1000.0;
    let mut problems = Vec::new();
    for run in &scene.play(DEADLINE_S, runs)? {
        problems.extend(run.complaints());
        problems.extend(landings(run));
        for picture in run.pictures() {
            // The wall time in the pattern is the position in a loop of pictures.
            let shown_ms = read(picture)?.wall_ms as f64;
            let said_ms = picture.wall_ms.context("the player knows no wall time")?;
            let late_ms = (shown_ms - said_ms).rem_euclid(loop_ms);
            // Shaka dates HLS by the sound at times, whose first segment of the day may begin up to
            // a segment before the picture's.
            let slack_ms = match run.name.as_str() {
                "shaka-hls" => f64::from(media.segment_s) * 1000.0,
                _ => 1000.0 / f64::from(media.fps),
            };
            if late_ms.min(loop_ms - late_ms) > slack_ms {
                problems.push(format!("{}: {shown_ms}, not {said_ms}", run.name));
            }
        }
        if run.pictures().count() != 3 {
            problems.push(format!("{}: pictures are missing", run.name));
        }
    }
    none(&problems)
}

/// A moment needs no player: with and without sound it plays from its first picture to its last, and shows
/// no other.
#[test]
fn moments_play_in_a_plain_video() -> Result<()> {
    const LENGTH_S: u32 = 4;
    const MUTE: &str = "mute";
    // One of its own: gst-rtsp-server refuses the sound of a stream that began without.
    let mute = Scene::camera()?;
    let scene = Scene::start_with(|setup| {
        let url = mute.url();
        setup.cameras += &format!("[[camera]]\nid = \"{MUTE}\"\nrtsp = \"{url}\"\naudio = false\n");
    })?;
    for id in [CAMERA, MUTE] {
        scene.wait_recorded_of(id, 8)?;
    }
    let client = scene.server.client();
    let steps = vec![
        Step::Start,
        Step::Watch { seconds: 2 },
        Step::Seek { to: Place::Start },
        Step::picture("first"),
        Step::Seek { to: Place::Live },
        Step::picture("last"),
    ];
    let mut runs = vec![];
    let mut problems = vec![];
    for id in [CAMERA, MUTE] {
        let made = client.get_json(&format!("/{id}/moment/generate/{LENGTH_S}/0"))?;
        let url = made["url"].as_str().context("no URL")?;
        let file = scene.file(id, &client.get(url)?.expect(200)?.body)?;
        let streams = probe(&file.display().to_string(), Duration::from_secs(30))?;
        let tracks = streams["streams"].as_array().map(Vec::len);
        if tracks != Some(if id == MUTE { 1 } else { 2 }) {
            problems.push(format!("{id}: {tracks:?} tracks"));
        }
        let mut run = Run::new(Player::File, scene.server.url(url), steps.clone());
        run.name = id.to_owned();
        runs.push((run, clip::pictures(&file)?));
    }
    let (runs, shown): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
    for (run, shown) in scene.play(DEADLINE_S, runs)?.iter().zip(shown) {
        problems.extend(run.complaints());
        problems.extend(stalls(run));
        problems.extend(progress(run, 2));
        let seen = run
            .pictures()
            .map(|picture| Ok(read(picture)?.frame_number));
        let seen = seen.collect::<Result<Vec<_>>>()?;
        let due = [shown.first(), shown.last()].map(|shown| shown.map(|shown| shown.frame_number));
        if seen.iter().copied().map(Some).ne(due) || shown.len() < 90 {
            problems.push(format!("{}: {seen:?} instead of {due:?}", run.name));
        }
    }
    none(&problems)
}

#[test]
fn the_page_plays_and_fits_desks_and_phones() -> Result<()> {
    let scene = Scene::start()?;
    scene.wait_recorded(36)?;
    let earliest_ms = scene.spans()?[0].0;
    let look = vec![
        Step::Start,
        Step::Watch { seconds: 5 },
        Step::picture("live"),
        Step::screenshot("page"),
        Step::Overflow,
    ];
    let use_it = vec![
        Step::click(".bar .segmented button:last-child"),
        // The bar now spans 10 min with the live picture in its middle.
        Step::Drag {
            selector: ".slider".to_owned(),
            from: 0.5,
            to: 0.5 - DRAGGED_BACK_S / 600.0,
        },
        Step::Watch { seconds: 2 },
        Step::picture("dragged"),
        Step::screenshot("page-dragged"),
        Step::Seek {
            to: Place::WallMs(earliest_ms),
        },
        Step::picture("earliest"),
        Step::click(".live-button"),
        Step::Watch { seconds: 3 },
        Step::picture("live-again"),
    ];
    let all = [look.clone(), use_it].concat();
    let mut phone = scene.page("hls", look);
    phone.name = "phone".to_owned();
    phone.viewport = Viewport::PHONE;
    let list = |name: &str, viewport| {
        let look = vec![
            Step::find(&format!("a[href*='/{CAMERA}/']")),
            Step::screenshot("page"),
            Step::Overflow,
        ];
        let mut run = Run::new(Player::Page, scene.server.url("/"), look);
        run.name = name.to_owned();
        run.viewport = viewport;
        run
    };
    let runs = vec![
        scene.page("hls", all.clone()),
        scene.page("dash", all),
        phone,
        list("list", Viewport::DESKTOP),
        list("list-phone", Viewport::PHONE),
    ];
    let mut problems = Vec::new();
    for run in &scene.play(DEADLINE_S, runs)? {
        let expected = match run.name.as_str() {
            "page-hls" | "page-dash" => 4,
            "phone" => 1,
            _ => 0,
        };
        problems.extend(run.complaints());
        problems.extend(sideways(run));
        problems.extend(landings(run));
        problems.extend(pictures(run, expected)?);
        if let [live, dragged, ..] = &run.pictures().collect::<Vec<_>>()[..] {
            let made_s = |picture| read(picture).map(|reading| reading.wall_ms as f64 / 1000.0);
            let back_s = made_s(live)? - made_s(dragged)?;
            // It played on for some seconds before and after the drag; a step of the bar is 0.7 s.
            if !(0.0..=DRAGGED_BACK_S + 2.0).contains(&back_s) {
                problems.push(format!("{}: dragged back by {back_s} s", run.name));
            }
        }
    }
    none(&problems)
}
