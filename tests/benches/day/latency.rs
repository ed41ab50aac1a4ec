//! From the camera to the screen: how old the picture is that a browser shows at the live edge, read from
//! the clock that is in the picture. Beside it ffmpeg, which makes HLS of the same camera as it does by
//! itself, with segments of two seconds.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use dayreel_testcam::{AudioCodec, Camera, Gop, PictureSettings, Settings, Source};
use dayreel_tests::{
    players::{Player, Run, RunReport, Scene, Seen, Step, scene::CAMERA, verdict::ages_ms},
    process::{Nginx, wait_until},
};

/// How long each player is watched, s.
const WATCH_S: u32 = 60;
/// How often the screen is looked at.
const EVERY_MS: u32 = 500;
/// Size of the pictures that are looked at: the clock needs no more.
const SIZE: (u32, u32) = (272, 144);
/// Recorded before the players come, s: what is expected of a camera is known after some segments.
const RECORDED_S: u32 = 30;
const DEADLINE_S: u32 = 180;

pub(crate) fn run() -> Result<()> {
    println!(
        "{WATCH_S} s each, two players at once; load of the machine before: {}",
        fs::read_to_string("/proc/loadavg")?.trim()
    );
    println!("| keyframe every | player | median, s | 5 % | 95 % | longest freeze, s |");
    println!("| --- | --- | ---: | ---: | ---: | ---: |");
    for gop_s in [1.0, 4.0] {
        of_gop(gop_s)?;
    }
    Ok(())
}

fn of_gop(gop_s: f64) -> Result<()> {
    let scene = Scene::of_camera(Camera::start(Settings {
        source: Source::Picture(PictureSettings {
            width: 1280,
            height: 720,
            gop: Gop::Seconds(gop_s),
            audio: Some(AudioCodec::Aac),
            ..PictureSettings::default()
        }),
        ..Settings::default()
    })?)?;
    scene.wait_recorded(RECORDED_S)?;
    let steps = vec![
        Step::Start,
        Step::Glance {
            seconds: WATCH_S,
            every_ms: EVERY_MS,
            width: SIZE.0,
            height: SIZE.1,
        },
        Step::Watch { seconds: 10 },
    ];
    let run = |player| scene.run(player, steps.clone());
    let mut ts = run(Player::HlsPlain);
    ts.name = "MPEG-TS-in-hls.js".to_owned();
    ts.url = scene.server.url(&format!("/{CAMERA}/live/playlist.m3u8"));
    let mut growing = run(Player::Dash);
    growing.name = "dash.js-low-latency".to_owned();
    growing.url.push_str("?latency=low");
    for runs in [
        vec![run(Player::Hls), growing],
        vec![run(Player::HlsCatchingUp), run(Player::Dash)],
        vec![run(Player::HlsPlain), ts],
        vec![
            scene.page("hls", steps.clone()),
            scene.page("dash", steps.clone()),
        ],
    ] {
        let runs: Vec<_> = runs.into_iter().filter(is_wanted).collect();
        if runs.is_empty() {
            continue;
        }
        for report in scene.play(DEADLINE_S, runs)? {
            print_row(gop_s, &report)?;
        }
    }
    let mut rival = run(Player::Hls);
    rival.name = "ffmpeg-in-hls.js".to_owned();
    if !is_wanted(&rival) {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let mut ffmpeg = hls_of_ffmpeg(&scene.camera, folder.path())?;
    let nginx = Nginx::start(folder.path())?;
    let playlist = folder.path().join("live.m3u8");
    let begun = || {
        fs::read_to_string(&playlist)
            .ok()
            .filter(|text| text.matches("#EXTINF").count() >= 4)
    };
    wait_until(Duration::from_secs(60), begun).context("ffmpeg wrote no playlist")?;
    rival.url = format!("http://{}/live.m3u8", nginx.address);
    let reports = scene.play(DEADLINE_S, vec![rival]);
    ffmpeg.kill()?;
    ffmpeg.wait()?;
    reports?
        .iter()
        .try_for_each(|report| print_row(gop_s, report))
}

/// Whether it is among the players that were named, or none was.
fn is_wanted(run: &Run) -> bool {
    let mut named = std::env::args()
        .skip_while(|word| word != "latency")
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .peekable();
    named.peek().is_none() || named.any(|name| name == run.name)
}

/// As its documentation shows it for live streams.
fn hls_of_ffmpeg(camera: &Camera, folder: &Path) -> Result<Child> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg
        .args(["-nostdin", "-loglevel", "error", "-rtsp_transport", "tcp"])
        .args(["-i", &camera.url(), "-c", "copy", "-f", "hls"])
        .args(["-hls_time", "2", "-hls_segment_type", "fmp4"])
        .args(["-hls_flags", "delete_segments+program_date_time"])
        .arg("live.m3u8")
        .current_dir(folder)
        .stdin(Stdio::null());
    ffmpeg.spawn().context("apt install ffmpeg")
}

fn print_row(gop_s: f64, run: &RunReport) -> Result<()> {
    if let Some(error) = &run.error {
        println!("| {gop_s} s | {} | {error} | | | |", run.name);
        return Ok(());
    }
    let ages_ms = ages_ms(run, SIZE)?;
    let at = |share: usize| ages_ms[(ages_ms.len() - 1) * share / 100] / 1000.0;
    let freeze = run.steps.iter().find_map(|step| match step {
        Seen::Watch(watch) => Some(watch.stalls.longest_freeze_ms),
        _ => None,
    });
    println!(
        "| {gop_s} s | {} | {:.2} | {:.2} | {:.2} | {:.1} |",
        run.name,
        at(50),
        at(5),
        at(95),
        freeze.unwrap_or_default() as f64 / 1000.0
    );
    Ok(())
}
