//! Clients that take what they can: the camera is recorded meanwhile, and others are answered.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use dayreel_testcam::PictureSettings;
use dayreel_tests::{
    process::{latest_day, run_within, wait_until},
    stage::{CAMERA, Stage},
};

/// Until something has been recorded, or a connection has been closed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Until what is not answered has been closed: 90 s, and the time to see it.
const UNANSWERED: Duration = Duration::from_secs(150);
/// Another client's answer.
const ANSWER: Duration = Duration::from_secs(20);
/// A sixth of the files are connections; a quarter of these is what one client gets.
const FILES: u32 = 1024;
const OF_ONE: usize = 42;

fn stage() -> Result<Stage> {
    let stage = Stage::start_with(PictureSettings::small(), 1, |setup| {
        setup.open_files = Some(FILES);
    })?;
    stage.wait_for_segments("video", 2)?;
    Ok(stage)
}

/// Segments of today's index.
fn recorded(stage: &Stage) -> Option<usize> {
    let index = latest_day(&stage.server.days_dir(CAMERA))?.join("video.m3u8");
    Some(fs::read_to_string(index).ok()?.matches("#EXTINF").count())
}

/// The camera is recorded, without a picture lost.
fn goes_on(stage: &Stage) -> Result<()> {
    let before = recorded(stage).context("no index")?;
    wait_until(PATIENCE, || (recorded(stage)? >= before + 4).then_some(()))
        .with_context(|| format!("not recorded:\n{}", stage.server.log().tail(40)))?;
    let state = another(stage, "/api/cameras/cam")?;
    let state: serde_json::Value = serde_json::from_str(&state)?;
    ensure!(
        state["state"] == "live" && state["reconnects"] == 0 && state["dropped_frames"] == 0,
        "{state}"
    );
    Ok(())
}

/// What a client with another address is answered.
fn another(stage: &Stage, path: &str) -> Result<String> {
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--fail",
        "--interface",
        "127.0.0.2",
    ])
    .arg(stage.server.url(path));
    let output = run_within(curl, ANSWER, "apt-get install curl")?;
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

fn connect(address: SocketAddr, send: &[u8]) -> Result<TcpStream> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    // One that was closed at once may say so here.
    let _ = connection.write_all(send);
    Ok(connection)
}

/// Whether the other end is still there. Reads what has come: a 408 may stand before the end.
fn is_open(mut connection: &TcpStream) -> Result<bool> {
    connection.set_nonblocking(true)?;
    let open = loop {
        match connection.read(&mut [0; 512]) {
            Ok(0) => break false,
            Ok(_) => {}
            Err(error) => break error.kind() == std::io::ErrorKind::WouldBlock,
        }
    };
    connection.set_nonblocking(false)?;
    Ok(open)
}

#[test]
fn a_thousand_idle_connections_of_one_client_are_few() -> Result<()> {
    let stage = stage()?;
    let address = stage.server.address();
    let idle: Vec<_> = (0..1000)
        .map(|_| connect(address, b""))
        .collect::<Result<_>>()?;
    let open = || {
        let open = idle
            .iter()
            .filter(|one| is_open(one).unwrap_or(true))
            .count();
        (open <= OF_ONE).then_some(())
    };
    wait_until(PATIENCE, open).context("the server keeps them all")?;
    ensure!(another(&stage, "/healthz")?.contains("ok"));
    goes_on(&stage)?;
    // Nothing was asked for: they are closed, too.
    let all_closed = || {
        let open = idle.iter().any(|one| is_open(one).unwrap_or(true));
        (!open).then_some(())
    };
    wait_until(PATIENCE, all_closed).context("idle connections are kept")?;
    // Who has gone may come again.
    stage.server.client().get("/healthz")?.expect(200)?;
    Ok(())
}

#[test]
fn requests_that_never_end_are_ended() -> Result<()> {
    let stage = stage()?;
    let begun = Instant::now();
    let mut slow: Vec<_> = (0..OF_ONE)
        .map(|_| {
            connect(
                stage.server.address(),
                b"GET /healthz HTTP/1.1\r\nhost: loc",
            )
        })
        .collect::<Result<_>>()?;
    ensure!(another(&stage, "/healthz")?.contains("ok"));
    // A letter now and then does not help.
    for one in &mut slow {
        let _ = one.write_all(b"a");
        let mut answer = String::new();
        // It says 408, or just closes.
        let _ = one.read_to_string(&mut answer);
        ensure!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
            "{answer}"
        );
    }
    ensure!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    goes_on(&stage)
}

/// Not the first of their connection, which actix sees to.
#[test]
fn later_requests_and_bodies_that_never_end_are_ended() -> Result<()> {
    let stage = stage()?;
    let address = stage.server.address();
    let whole = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let head = format!("{whole}GET /healthz HTTP/1.1\r\nhost: loc");
    let form = "content-type: application/x-www-form-urlencoded\r\ncontent-length: 100";
    let body = format!("{whole}POST /login HTTP/1.1\r\nhost: localhost\r\n{form}\r\n\r\nname=");
    let slow = [
        connect(address, head.as_bytes())?,
        connect(address, body.as_bytes())?,
    ];
    let begun = Instant::now();
    let mut slowly = slow.iter();
    let all_closed = || {
        // A letter now and then does not help.
        let mut one = slowly.next().or_else(|| {
            slowly = slow.iter();
            slowly.next()
        })?;
        let _ = one.write(b"a");
        let open = slow.iter().any(|one| is_open(one).unwrap_or(true));
        (!open).then_some(())
    };
    wait_until(UNANSWERED, all_closed).context("they are kept")?;
    ensure!(begun.elapsed() > Duration::from_secs(60), "it did not wait");
    goes_on(&stage)
}

#[test]
fn a_flood_of_ranges_is_answered_and_stops_nobody() -> Result<()> {
    let stage = stage()?;
    let address = stage.server.address();
    let playlist = stage
        .server
        .client()
        .get_text("/cam/stream/today/video.m3u8")?;
    let name = playlist.lines().find(|line| line.ends_with(".m4s"));
    let name = name
        .context("no segment")?
        .rsplit('/')
        .next()
        .unwrap_or_default();
    let many = (0..500)
        .map(|n| format!("{n}-{n}"))
        .collect::<Vec<_>>()
        .join(",");
    let ranges = [
        "0-",
        "0-0",
        "-1",
        "5-99999999999",
        "99999999999-",
        &many,
        "9-1",
    ];
    let mut flood: Vec<_> = (0..OF_ONE - 8)
        .map(|_| connect(address, b""))
        .collect::<Result<_>>()?;
    for round in 0..40 {
        let range = ranges[round % ranges.len()];
        let request = format!(
            "GET /cam/stream/{name} HTTP/1.1\r\nhost: localhost\r\nrange: bytes={range}\r\n\r\n"
        );
        for one in &mut flood {
            // Not read: answers pile up until the server waits for us.
            one.set_nonblocking(true)?;
            let _ = one.write(request.as_bytes());
        }
    }
    ensure!(another(&stage, "/healthz")?.contains("ok"));
    goes_on(&stage)?;
    drop(flood);
    let answer = stage
        .server
        .client()
        .get_range(&format!("/cam/stream/{name}"), "0-9")?;
    ensure!(
        answer.status == 206 && answer.body.len() == 10,
        "{}",
        answer.status
    );
    let memory = fs::read_to_string(format!("/proc/{}/status", stage.server.pid()?))?;
    let kib = memory.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 = kib
        .context("no VmHWM")?
        .trim()
        .trim_end_matches(" kB")
        .parse()?;
    ensure!(kib < 400 << 10, "{kib} KiB at most");
    Ok(())
}
