//! 200 players at the live edge of full days of four cameras that record meanwhile: how long each kind of
//! request takes, what a player costs, and whether a picture is lost. They follow whole segments, parts or MPEG-TS;
//! directly, or through nginx as the README has it.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use chrono::Utc;
use dayreel_core::CameraId;
use dayreel_testcam::{Camera, Format, Settings, Source, Track, VideoCodec};
use dayreel_tests::{
    make_day::{Media, Period, make, zone_late_in_the_day},
    process::{Nginx, Server, Setup, Usage, Used, run_within, wait_until},
    stage::{Day, match_sent},
};
use flate2::read::GzDecoder;

use crate::connection::{Connection, Cost, gzip};

const PLAYERS: usize = 200;
const CAMERAS: [&str; 4] = ["a", "b", "c", "d"];
/// Of each of the runs.
const RUN: Duration = Duration::from_secs(40);
/// How long the server is looked at that nobody watches.
const IDLE: Duration = Duration::from_secs(20);
/// Target duration of a segment: players ask so often for what is new.
const SEGMENT: Duration = Duration::from_secs(4);
const FPS: u32 = 25;
/// The address of the first of the players; those of the others follow.
const FIRST_CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// Until cameras are live.
const PATIENCE: Duration = Duration::from_secs(120);
/// What following the camera's clock may move an access unit at once.
const OFF_BY_90K: u64 = 180;

/// What players follow.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Whole segments of today.
    Segments,
    /// Low-latency HLS: each part, when it is there.
    Parts,
    /// The live view in MPEG-TS.
    Ts,
}

/// Latencies by kind of request.
type Latencies = BTreeMap<&'static str, Vec<Cost>>;

pub(crate) fn run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clip = make_clip(folder.path().join("clip.mp4"))?;
    let cameras = CAMERAS
        .iter()
        .map(|_| {
            Camera::start(Settings {
                source: Source::File(clip.clone()),
                ..Settings::default()
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let server = served(&cameras)?;
    println!(
        "{PLAYERS} players of {} cameras, 1080p25 at 4 Mbit/s, {} s; load of the machine before: {}",
        cameras.len(),
        RUN.as_secs(),
        fs::read_to_string("/proc/loadavg")?.trim()
    );
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"))?;
    let nginx = Nginx::caching(server.address(), &readme)?;
    let idle = idle(&server)?;
    println!("watched by nobody: {:.1} % of a core", percent(&idle, IDLE));
    for (how, address, way) in [
        ("segments", server.address(), Way::Segments),
        ("segments, nginx", nginx.address, Way::Segments),
        ("parts", server.address(), Way::Parts),
        ("parts, nginx", nginx.address, Way::Parts),
        ("MPEG-TS", server.address(), Way::Ts),
    ] {
        let before = requests(&server)?;
        let (used, latencies) = usage(&server, Duration::ZERO, || watch(address, way))?;
        let asked = requests(&server)? - before;
        print(how, &latencies);
        let all = percent(&used, RUN);
        println!(
            "\n{asked:.0} requests reached the server; {all:.1} % of a core, {:.3} % for each player\n",
            (all - percent(&idle, IDLE)) / PLAYERS as f64
        );
        for (id, camera) in CAMERAS.iter().zip(&cameras) {
            println!("{id}: {}", check(&server, id, camera)?);
        }
    }
    println!(
        "load at the end: {}",
        fs::read_to_string("/proc/loadavg")?.trim()
    );
    Ok(())
}

/// What the server uses in [`IDLE`] when what its start began is done: as much as in the time before, to a twentieth.
fn idle(server: &Server) -> Result<Used> {
    let mut before = usage(server, IDLE, || Ok(()))?.0;
    for _ in 0..10 {
        let now = usage(server, IDLE, || Ok(()))?.0;
        if now.cpu_ns.abs_diff(before.cpu_ns) * 20 <= before.cpu_ns {
            return Ok(now);
        }
        before = now;
    }
    anyhow::bail!("what the server uses that nobody watches does not settle")
}

/// What the server uses while `work` is done, and for so long after it.
fn usage<T>(
    server: &Server,
    after: Duration,
    work: impl FnOnce() -> Result<T>,
) -> Result<(Used, T)> {
    let pid = server.pid()?;
    let before = Usage::of(pid)?;
    let done = work()?;
    thread::sleep(after);
    Ok((Usage::of(pid)?.since(&before), done))
}

/// Of one core, over `time`.
fn percent(used: &Used, time: Duration) -> f64 {
    used.cpu_ns as f64 / time.as_nanos() as f64 * 100.0
}

/// 10 s with the noise of a sensor.
fn make_clip(clip: PathBuf) -> Result<PathBuf> {
    let mut ffmpeg = std::process::Command::new("ffmpeg");
    ffmpeg
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i"])
        .arg(format!(
            "testsrc2=size=1920x1080:rate={FPS},noise=alls=12:allf=t"
        ))
        .args(["-t", "10", "-pix_fmt", "yuv420p", "-c:v", "libx264"])
        .args(["-x264-params", "threads=1:sliced-threads=0"])
        .args(["-preset", "ultrafast", "-tune", "zerolatency"])
        .args(["-b:v", "4M", "-maxrate", "4M", "-bufsize", "2M"])
        .args(["-g", &(2 * FPS).to_string(), "-sc_threshold", "0"])
        .arg(&clip);
    let made = run_within(ffmpeg, Duration::from_secs(240), "apt-get install ffmpeg")?;
    ensure!(made.status.success(), "ffmpeg: {made:?}");
    Ok(clip)
}

/// A server of a day that is nearly over, whose cameras go on with it.
fn served(cameras: &[Camera]) -> Result<Server> {
    let now = Utc::now();
    let zone = zone_late_in_the_day(now);
    let urls: Vec<_> = cameras.iter().map(Camera::url).collect();
    let mut setup = Setup::with_cameras(
        CAMERAS
            .iter()
            .zip(&urls)
            .map(|(id, url)| (*id, url.as_str())),
    );
    setup.server = format!(
        "timezone = \"{}\"\ntrusted_proxies = [\"127.0.0.1\"]\n",
        zone.name()
    );
    // It chooses its folder, so it is started once before there is anything in it.
    let mut server = Server::start(setup)?;
    let ended = server.stop()?;
    ensure!(ended.success(), "the empty server: {ended}");
    fs::remove_dir_all(server.data_dir())?;
    fs::create_dir(server.data_dir())?;
    let ids = CAMERAS.iter().map(|id| id.parse::<CameraId>());
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    let period = Period::ending(now, 22.5, 1);
    make(&server.data_dir(), &ids, zone, period, &Media::default())?;
    server.restart()?;
    let client = server.client();
    let all_live = || {
        let list = client.get_json("/api/cameras").ok()?;
        let list = list.as_array()?;
        let live = list.iter().filter(|camera| {
            let recorded = camera["recorded_today_s"].as_f64().unwrap_or_default();
            camera["state"] == "live" && recorded > 3600.0
        });
        (live.count() == cameras.len()).then_some(())
    };
    wait_until(PATIENCE, all_live).context("not all cameras are live")?;
    Ok(server)
}

/// All players, each on its own connection, beginning one after the other within a segment.
fn watch(address: SocketAddr, way: Way) -> Result<Latencies> {
    let over = AtomicBool::new(false);
    let results = thread::scope(|scope| {
        let over = &over;
        let players: Vec<_> = (0..PLAYERS)
            .map(|nth| scope.spawn(move || play(address, way, nth, over)))
            .collect();
        thread::sleep(RUN);
        over.store(true, Ordering::Relaxed);
        let ended = players.into_iter().map(|player| player.join());
        ended.collect::<Vec<_>>()
    });
    let mut all = Latencies::new();
    for result in results {
        for (kind, costs) in result.map_err(|_| anyhow::anyhow!("a player panicked"))?? {
            all.entry(kind).or_default().extend(costs);
        }
    }
    Ok(all)
}

/// One player, until it is `over`.
fn play(address: SocketAddr, way: Way, nth: usize, over: &AtomicBool) -> Result<Latencies> {
    let phase = SEGMENT.mul_f64(nth as f64 / PLAYERS as f64);
    thread::sleep(phase);
    let client_address = Ipv4Addr::from_bits(FIRST_CLIENT.to_bits() + u32::try_from(nth)?);
    let mut viewer = Viewer {
        // One client alone may not wait for so many parts.
        connection: Connection::to(address).on_behalf_of(client_address.into()),
        latencies: Latencies::new(),
    };
    let camera = format!("/{}", CAMERAS[nth % CAMERAS.len()]);
    match way {
        Way::Segments => viewer.follow_segments(&camera, over)?,
        Way::Parts => viewer.follow_parts(&camera, over)?,
        Way::Ts => viewer.follow_ts(&camera, over)?,
    }
    Ok(viewer.latencies)
}

/// A player's connection, and what it has waited.
struct Viewer {
    connection: Connection,
    latencies: Latencies,
}

impl Viewer {
    fn ask(&mut self, kind: &'static str, path: &str) -> Result<String> {
        let mut body = Vec::new();
        let gzip = gzip();
        let is_text = path.contains(".m3u8");
        let cost = self
            .connection
            .get_into(path, is_text.then_some(&gzip), |piece| {
                if is_text {
                    body.extend_from_slice(piece);
                }
            })?;
        ensure!(cost.status == 200, "{path}: {}", cost.status);
        self.latencies.entry(kind).or_default().push(cost);
        let mut text = String::new();
        match body.starts_with(&[0x1f, 0x8b]) {
            true => GzDecoder::new(&body[..]).read_to_string(&mut text)?,
            false => std::io::Cursor::new(body).read_to_string(&mut text)?,
        };
        Ok(text)
    }

    /// What hls.js does: the whole list once, then what is new in it, and each new segment.
    fn follow_segments(&mut self, camera: &str, over: &AtomicBool) -> Result<()> {
        let stream = format!("{camera}/stream");
        let folder = format!("{stream}/today");
        self.ask("multivariant playlist", &format!("{folder}/playlist.m3u8"))?;
        let mut list = self.ask("whole day, first", &format!("{folder}/video.m3u8"))?;
        let mut known = uris(&list).nth_back(3).context("no segments")?.to_owned();
        let mut due = Instant::now();
        loop {
            for uri in after(uris(&list), &mut known) {
                // `../v-….m4s`: the same in each day's folder.
                self.ask("segment", &format!("{stream}{}", uri.replace("..", "")))?;
            }
            due += SEGMENT;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if over.load(Ordering::Relaxed) {
                return Ok(());
            }
            let path = format!("{folder}/video.m3u8?_HLS_skip=YES");
            list = self.ask("what is new", &path)?;
        }
    }

    /// The same with low latency: each reload waits for the next part.
    fn follow_parts(&mut self, camera: &str, over: &AtomicBool) -> Result<()> {
        let stream = format!("{camera}/stream");
        let folder = format!("{stream}/today");
        self.ask("multivariant playlist", &format!("{folder}/playlist.m3u8"))?;
        let mut list = self.ask("whole day, first", &format!("{folder}/video.m3u8"))?;
        let mut known = parts(&list).next_back().context("no parts")?.to_owned();
        while !over.load(Ordering::Relaxed) {
            let (media, part) = next_part(&list)?;
            let query = format!("_HLS_msn={media}&_HLS_part={part}&_HLS_skip=YES");
            let path = format!("{folder}/video.m3u8?{query}");
            list = self.ask("the next part is listed", &path)?;
            for uri in after(parts(&list), &mut known) {
                self.ask("part", &format!("{stream}{}", uri.replace("..", "")))?;
            }
        }
        Ok(())
    }

    /// What an old television does.
    fn follow_ts(&mut self, camera: &str, over: &AtomicBool) -> Result<()> {
        let folder = format!("{camera}/live");
        let mut known = String::new();
        let mut due = Instant::now();
        while !over.load(Ordering::Relaxed) {
            let list = self.ask("playlist", &format!("{folder}/playlist.m3u8"))?;
            for uri in after(uris(&list), &mut known) {
                self.ask("segment", &format!("{folder}/{uri}"))?;
            }
            due += SEGMENT / 2;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }
}

/// What comes after `known`, which is the last of them then.
fn after<'l>(uris: impl DoubleEndedIterator<Item = &'l str>, known: &mut String) -> Vec<String> {
    let new = uris.rev().take_while(|uri| uri != known);
    let mut new: Vec<String> = new.map(str::to_owned).collect();
    new.reverse();
    if let Some(last) = new.last() {
        known.clone_from(last);
    }
    new
}

/// The number of the segment that is being recorded, and of its part that comes next.
fn next_part(list: &str) -> Result<(u64, usize)> {
    let number = |tag: &str| -> Option<u64> {
        let rest = list.split_once(tag)?.1;
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        rest[..digits].parse().ok()
    };
    let first = number("#EXT-X-MEDIA-SEQUENCE:").context("no media sequence")?;
    let skipped = number("SKIPPED-SEGMENTS=").unwrap_or(0);
    let complete = list.matches("#EXTINF").count();
    let open = list.rsplit_once("#EXTINF").map_or(list, |(_, open)| open);
    let media = first + skipped + u64::try_from(complete)?;
    Ok((media, open.matches("#EXT-X-PART:").count()))
}

fn parts(list: &str) -> impl DoubleEndedIterator<Item = &str> {
    list.lines()
        .filter_map(|line| line.strip_prefix("#EXT-X-PART:")?.split('"').nth(1))
}

fn uris(list: &str) -> impl DoubleEndedIterator<Item = &str> {
    list.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Requests that the server has answered, of all kinds.
fn requests(server: &Server) -> Result<f64> {
    let text = server.client().get_text("/metrics")?;
    let lines = text
        .lines()
        .filter(|line| line.starts_with("dayreel_http_requests_total{"));
    let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(counts.sum())
}

fn print(how: &str, latencies: &Latencies) {
    println!(
        "\n| {how} | requests | bytes each | first byte: median | 95 % | 99 % | whole: median | 95 % | 99 % | slowest |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (kind, costs) in latencies {
        let sorted = |of: fn(&Cost) -> Duration| {
            let mut times: Vec<_> = costs.iter().map(of).collect();
            times.sort_unstable();
            times
        };
        let (first, total) = (sorted(|cost| cost.first_byte), sorted(|cost| cost.total));
        let at = |times: &[Duration], percent: usize| {
            let nth = (times.len() * percent / 100).min(times.len().saturating_sub(1));
            times[nth].as_secs_f64() * 1e3
        };
        let bytes: u64 = costs.iter().map(|cost| cost.bytes).sum();
        let bytes = bytes / costs.len().max(1) as u64;
        print!("| {kind} | {} | {bytes}", costs.len());
        for times in [&first, &total] {
            for percent in [50, 95, 99] {
                print!(" | {:.1}", at(times, percent));
            }
        }
        println!(" | {:.1} |", at(&total, 100));
    }
}

/// Every access unit that the camera has sent and that is listed is there, in order.
fn check(server: &Server, id: &str, camera: &Camera) -> Result<String> {
    let client = server.client();
    // What came before is made, not sent.
    let recorded = Day::fetch_window(&client, id, u32::try_from(RUN.as_secs())?)?;
    let sent = camera.sent(Track::Video)?;
    let received = recorded.video.packets();
    let format = Format::LengthPrefixed(VideoCodec::H264);
    let found = match_sent(&sent, &received, format, OFF_BY_90K)?;
    let status = client.get_json(&format!("/api/cameras/{id}"))?;
    ensure!(
        status["dropped_frames"] == 0 && status["reconnects"] == 0,
        "{status}"
    );
    Ok(format!(
        "{} access units of the last {} s, none lost; dropped_frames 0, reconnects 0",
        found.received,
        RUN.as_secs()
    ))
}
