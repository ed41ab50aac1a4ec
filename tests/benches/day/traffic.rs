//! Bytes per second to 50 players that read the segments of an hour, against nginx with byte
//! ranges of the same hour file.

use std::{
    fs,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use dayreel_tests::{
    make_day::{CAMERA, Served},
    process::Nginx,
    rules::hls,
};

use crate::{
    as_of_1080p,
    connection::{Connection, Header},
};

const PLAYERS: usize = 50;
/// Of each run; server and rival take turns.
const RUN: Duration = Duration::from_secs(5);
const TURNS: usize = 5;
/// Ticks of `/proc/pid/stat` in a second (`CLK_TCK`, the same on every Linux).
const TICKS_PER_SECOND: f64 = 100.0;

/// What players ask: path and a further header.
type Request = (String, Option<Header>);

/// What a run brought.
#[derive(Clone, Copy)]
struct Rate {
    bytes_per_s: f64,
    /// CPU time of the server, ms per GB sent.
    cpu_ms_per_gb: f64,
}

pub(crate) fn run() -> Result<()> {
    let served = Served::start(as_of_1080p(), 2.0)?;
    let (ours, theirs) = requests(&served)?;
    let nginx = Nginx::start(&served.server.data_dir())?;
    let pid = served.server.pid()?;
    // Once without counting: the files are in memory from here on.
    measure(nginx.address, &theirs, &nginx.pids()?)?;
    println!(
        "| {PLAYERS} players | MB/s | CPU ms/GB | nginx MB/s | CPU ms/GB | ratio | ratio of CPU |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let mut ratios = Vec::with_capacity(TURNS);
    for turn in 0..TURNS {
        let own = measure(served.server.address(), &ours, &[pid])?;
        let rival = measure(nginx.address, &theirs, &nginx.pids()?)?;
        println!(
            "| {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} |",
            turn + 1,
            own.bytes_per_s / 1e6,
            own.cpu_ms_per_gb,
            rival.bytes_per_s / 1e6,
            rival.cpu_ms_per_gb,
            own.bytes_per_s / rival.bytes_per_s,
            own.cpu_ms_per_gb / rival.cpu_ms_per_gb,
        );
        ratios.push(own.bytes_per_s / rival.bytes_per_s);
    }
    ratios.sort_unstable_by(f64::total_cmp);
    println!("\nmedian ratio {:.2}", ratios[TURNS / 2]);
    Ok(())
}

/// The segments of the hour file that is complete, as the server and as nginx has them.
fn requests(served: &Served) -> Result<(Vec<Request>, Vec<Request>)> {
    let date = served.today().to_string();
    let folder = served.server.days_dir(CAMERA).join(&date);
    let (index, _) = hls::index::check_file(&folder.join("video.m3u8"))?;
    // The second hour file of three: a whole hour.
    let mut files: Vec<&str> = index.segments.iter().map(|s| s.uri.as_str()).collect();
    files.dedup();
    let file = *files.get(1).context("no whole hour")?;
    let playlist = format!("/{CAMERA}/stream/today/video.m3u8");
    let (listed, _) = hls::reader::read(&served.server.client().get_text(&playlist)?);
    ensure!(listed.segments.len() == index.segments.len());
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for (on_disk, listed) in index.segments.iter().zip(&listed.segments) {
        if on_disk.uri != file {
            continue;
        }
        let path = format!("/{CAMERA}/stream{}", listed.uri.replace("..", ""));
        ours.push((path, None));
        let (offset, length) = on_disk.byte_range.context("no byte range")?;
        let range = ("range", format!("bytes={offset}-{}", offset + length - 1));
        theirs.push((format!("/{CAMERA}/days/{date}/{file}"), Some(range)));
    }
    Ok((ours, theirs))
}

/// Lets all players read for [`RUN`], each from another place on.
fn measure(address: SocketAddr, requests: &[Request], pids: &[u32]) -> Result<Rate> {
    let bytes = AtomicU64::new(0);
    let over = AtomicBool::new(false);
    let before = cpu_s(pids)?;
    let begun = Instant::now();
    let player = |nth: usize| -> Result<()> {
        let mut connection = Connection::to(address);
        let first = nth * requests.len() / PLAYERS;
        for (path, header) in requests.iter().cycle().skip(first) {
            if over.load(Ordering::Relaxed) {
                break;
            }
            let cost = connection.get(path, header.as_ref())?;
            ensure!(cost.status < 300, "{path}: {}", cost.status);
            bytes.fetch_add(cost.bytes, Ordering::Relaxed);
        }
        Ok(())
    };
    let ended = thread::scope(|scope| {
        let player = &player;
        let players: Vec<_> = (0..PLAYERS)
            .map(|nth| scope.spawn(move || player(nth)))
            .collect();
        thread::sleep(RUN);
        over.store(true, Ordering::Relaxed);
        let ended = players.into_iter().map(|player| player.join());
        ended.collect::<Vec<_>>()
    });
    let elapsed_s = begun.elapsed().as_secs_f64();
    for result in ended {
        result.map_err(|_| anyhow::anyhow!("a player panicked"))??;
    }
    let sent = bytes.into_inner() as f64;
    Ok(Rate {
        bytes_per_s: sent / elapsed_s,
        cpu_ms_per_gb: (cpu_s(pids)? - before) * 1e3 / (sent / 1e9),
    })
}

/// User and system time of processes so far (proc(5), fields 14 and 15).
fn cpu_s(pids: &[u32]) -> Result<f64> {
    let mut ticks = 0.0;
    for pid in pids {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name may hold anything, but it ends with the last parenthesis.
        let (_, fields) = stat.rsplit_once(") ").context("stat")?;
        for field in fields.split(' ').skip(11).take(2) {
            ticks += field.parse::<f64>()?;
        }
    }
    Ok(ticks / TICKS_PER_SECOND)
}
