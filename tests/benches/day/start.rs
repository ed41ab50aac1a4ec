//! Start-up with seven days of recordings: from exec to the first served playlist.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use dayreel_tests::make_day::{Media, Served};

use crate::{connection::Connection, documents::median_ms};

/// Of which the median is taken.
const STARTS: usize = 5;

pub(crate) fn run() -> Result<()> {
    println!(
        "| cameras | days | listening ms | first playlist ms | days, first ms | days, then ms |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for cameras in [&["a"][..], &["a", "b", "c", "d"]] {
        let media = Media {
            chunk: None,
            ..Media::default()
        };
        let mut served = Served::with_cameras(cameras, media, 7.0 * 24.0)?;
        let (mut listening, mut playlist, mut first) = (Vec::new(), Vec::new(), Vec::new());
        let mut then = Vec::new();
        for _ in 0..STARTS {
            let ended = served.server.stop()?;
            ensure!(ended.success(), "{ended}");
            let begun = Instant::now();
            served.server.restart()?;
            listening.push(begun.elapsed());
            let mut connection = Connection::to(served.server.address());
            let cost = connection.get("/a/stream/today/video.m3u8", None)?;
            ensure!(cost.status == 200, "status {}", cost.status);
            playlist.push(begun.elapsed());
            first.push(connection.get("/api/cameras/a/days", None)?);
            then.push(connection.get("/api/cameras/a/days", None)?);
        }
        println!(
            "| {} | 7 | {:.0} | {:.0} | {:.1} | {:.1} |",
            cameras.len(),
            middle_ms(&mut listening),
            middle_ms(&mut playlist),
            median_ms(&first, |cost| cost.total),
            median_ms(&then, |cost| cost.total),
        );
    }
    Ok(())
}

fn middle_ms(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times
        .get(times.len() / 2)
        .map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}
