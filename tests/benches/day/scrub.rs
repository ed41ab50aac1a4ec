//! Keyframes by themselves in hls.js's I-frame player, all over an hour of 1080p, each asked for when the one before
//! is on the screen.

use anyhow::{Context as _, Result};
use dayreel_tests::{
    make_day::Media,
    players::{Player, Scene, Seen, Step},
};

use crate::as_of_1080p;

const SHOWN: u32 = 80;
const DEADLINE_S: u32 = 240;

pub(crate) fn run() -> Result<()> {
    let media = Media {
        audio: true,
        ..as_of_1080p()
    };
    let scene = Scene::start_with_past(&media, 1.0)?;
    scene.wait_live()?;
    let steps = vec![Step::Start, Step::Scrub { count: SHOWN }];
    let report = scene.play(DEADLINE_S, vec![scene.run(Player::Hls, steps)])?;
    let run = report.first().context("no run")?;
    let pictures = run.steps.iter().find_map(|seen| match seen {
        Seen::Scrub { pictures } => Some(pictures),
        _ => None,
    });
    let pictures = pictures.with_context(|| format!("{:?}", run.complaints()))?;
    let mut took_ms: Vec<_> = pictures.iter().map(|shown| shown.took_ms).collect();
    let per_second = 1000.0 * took_ms.len() as f64 / took_ms.iter().sum::<f64>();
    took_ms.sort_unstable_by(f64::total_cmp);
    let of = |percent: usize| took_ms[(took_ms.len() - 1) * percent / 100];
    println!("| keyframes | median, ms | 90 %, ms | 99 %, ms | a second |");
    println!("| --- | --- | --- | --- | --- |");
    println!(
        "| {} | {:.0} | {:.0} | {:.0} | {per_second:.0} |",
        took_ms.len(),
        of(50),
        of(90),
        of(99)
    );
    Ok(())
}
