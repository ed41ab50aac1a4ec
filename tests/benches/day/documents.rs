//! Playlists and manifests of `today`: after an hour, and late in the day.

use std::time::Duration;

use anyhow::{Result, ensure};
use dayreel_tests::make_day::{CAMERA, Media, Served};

use crate::connection::{Connection, Cost, gzip};

/// Of which the median is taken.
const REQUESTS: usize = 51;

pub(crate) fn run() -> Result<()> {
    println!("| recorded | segments | document | bytes | first byte ms | all ms | cold ms |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (hours, irregular) in [(1.0, false), (24.0, false), (24.0, true)] {
        let media = Media {
            audio: true,
            irregular,
            chunk: None,
            ..Media::default()
        };
        let mut served = Served::start(media, hours)?;
        let kind = if irregular { "irregular" } else { "regular" };
        let gzip = gzip();
        for (document, name, header) in [
            ("video.m3u8", "playlist", None),
            ("video.m3u8", "playlist, gzip", Some(&gzip)),
            ("video.m3u8?_HLS_skip=YES", "delta update", None),
            ("manifest.mpd", "MPD", None),
            ("manifest.mpd", "MPD, gzip", Some(&gzip)),
            ("playlist.m3u8", "multivariant", None),
        ] {
            // The first request after a start pays for what is made once.
            let ended = served.server.stop()?;
            ensure!(ended.success(), "{ended}");
            served.server.restart()?;
            let path = format!("/{CAMERA}/stream/today/{document}");
            let mut connection = Connection::to(served.server.address());
            let cold = connection.get(&path, header)?;
            let mut costs = Vec::with_capacity(REQUESTS);
            for _ in 0..REQUESTS {
                let cost = connection.get(&path, header)?;
                ensure!(cost.status == 200, "{path}: {}", cost.status);
                costs.push(cost);
            }
            println!(
                "| {hours} h {kind} | {} | {name} | {} | {:.2} | {:.2} | {:.2} |",
                served.made.segments,
                cold.bytes,
                median_ms(&costs, |cost| cost.first_byte),
                median_ms(&costs, |cost| cost.total),
                cold.first_byte.as_secs_f64() * 1e3,
            );
        }
    }
    Ok(())
}

pub(crate) fn median_ms(costs: &[Cost], of: impl Fn(&Cost) -> Duration) -> f64 {
    let mut times: Vec<Duration> = costs.iter().map(of).collect();
    times.sort_unstable();
    times
        .get(times.len() / 2)
        .map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}
