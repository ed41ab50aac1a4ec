//! An export of an hour of 1080p, written by curl, against `cp` of the hour file.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use chrono::TimeDelta;
use dayreel_tests::{
    make_day::{CAMERA, Served},
    process::run_within,
};

use crate::as_of_1080p;

const TURNS: usize = 5;
const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) fn run() -> Result<()> {
    let served = Served::start(as_of_1080p(), 2.1)?;
    let to = served.period.to - TimeDelta::minutes(2);
    let from = to - TimeDelta::hours(1);
    let time = |time: chrono::DateTime<chrono::Utc>| time.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let path = format!("/{CAMERA}/export?from={}&to={}", time(from), time(to));
    let url = served.server.url(&path);
    // Of the same size as what is exported, on the same file system.
    let folder = served.server.data_dir().join("bench");
    fs::create_dir(&folder)?;
    let (exported, copied) = (folder.join("export.mp4"), folder.join("copy.mp4"));
    curl(&url, &exported)?;
    let source = folder.join("source.mp4");
    fs::copy(&exported, &source)?;
    let before = peak_bytes(served.server.pid()?)?;
    println!("| an hour | MB | first byte, ms | MB/s | `cp`, MB/s | ratio |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut ratios = Vec::new();
    for turn in 1..=TURNS {
        let (first, own) = curl(&url, &exported)?;
        let begun = Instant::now();
        let mut cp = Command::new("cp");
        cp.args([&source, &copied]);
        ensure!(run_within(cp, DEADLINE, "cp")?.status.success());
        let rival = begun.elapsed().as_secs_f64();
        let megabytes = fs::metadata(&exported)?.len() as f64 / 1e6;
        println!(
            "| {turn} | {megabytes:.0} | {:.1} | {:.0} | {:.0} | {:.2} |",
            first * 1e3,
            megabytes / own,
            megabytes / rival,
            rival / own
        );
        ratios.push(rival / own);
        for file in [&exported, &copied] {
            fs::remove_file(file)?;
        }
    }
    ratios.sort_unstable_by(f64::total_cmp);
    let after = peak_bytes(served.server.pid()?)?;
    println!(
        "\nmedian ratio {:.2}; the server's peak of memory {:.1} MB, {:.1} MB after the first export",
        ratios[TURNS / 2],
        after / 1e6,
        before / 1e6
    );
    Ok(())
}

/// Downloads `url` to `file`: s to the first byte and to the last.
fn curl(url: &str, file: &Path) -> Result<(f64, f64)> {
    let mut curl = Command::new("curl");
    curl.args(["-sf", "-w", "%{time_starttransfer} %{time_total}", "-o"]);
    curl.arg(file).arg(url);
    let output = run_within(curl, DEADLINE, "apt-get install curl")?;
    ensure!(output.status.success(), "curl: {}", output.status);
    let said = String::from_utf8(output.stdout)?;
    let (first, total) = said.split_once(' ').context("two times")?;
    Ok((first.parse()?, total.parse()?))
}

/// The most memory that the process has had, in bytes.
fn peak_bytes(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.context("VmHWM")?.parse::<f64>()? * 1024.0)
}
