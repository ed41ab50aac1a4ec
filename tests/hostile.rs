//! Requests, cameras and machines that mean no good: a clear answer, never a panic, a 500 or a
//! password.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use dayreel_testcam::{Gop, PictureSettings};
use dayreel_tests::{
    process::{Server, Setup, binary, latest_day, run_within, wait_until},
    stage::{CAMERA, Stage},
};

/// Of the camera URLs here; nobody may ever see it.
const PASSWORD: &str = "correct-horse";
/// Until a camera has shown that it fails, or a program has ended.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with one camera whose port is closed.
fn server() -> Result<Server> {
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let url = format!("rtsp://viewer:{PASSWORD}@{closed}/stream1");
    Server::start(Setup::with_cameras([(CAMERA, url.as_str())]))
}

/// The server still answers, nothing panicked, and the password is nowhere in the log.
fn unharmed(server: &mut Server) -> Result<()> {
    ensure!(
        server.is_running(),
        "the server is gone:\n{}",
        server.log().tail(40)
    );
    server.client().get("/healthz")?.expect(200)?;
    for line in server.log().lines() {
        ensure!(
            !line.contains("panicked") && !line.contains(PASSWORD),
            "{line}"
        );
    }
    Ok(())
}

#[test]
fn unknown_things_are_json_errors() -> Result<()> {
    let mut server = server()?;
    let client = server.client();
    let cases = [
        ("GET", "/no-such-camera/stream/today/playlist.m3u8", 404),
        ("GET", "/no-such-camera/frame/", 404),
        ("GET", "/cam/stream/2001-01-01/playlist.m3u8", 404),
        ("GET", "/cam/stream/2001-01-01/manifest.mpd", 404),
        ("GET", "/cam/stream/2001-02-30/playlist.m3u8", 404),
        ("GET", "/cam/stream/7/playlist.m3u8", 404),
        ("GET", "/cam/stream/yesterday/video.m3u8", 404),
        ("GET", "/cam/stream/v-1.m4s", 404),
        ("GET", "/cam/stream/v-99999999999999999999999.m4s", 404),
        ("GET", "/cam/stream/v-0123456789abcdef.mp4", 404),
        ("GET", "/cam/stream/nothing", 404),
        ("GET", "/cam/frame/?width=0", 400),
        ("GET", "/cam/frame/?width=many", 400),
        ("GET", "/api/cameras/no-such-camera", 404),
        ("GET", "/api/no-such-thing", 404),
        ("POST", "/api/cameras", 405),
        ("DELETE", "/cam/stream/today/playlist.m3u8", 405),
    ];
    for (method, path, status) in cases {
        let answer = client.request(method, path, &[])?;
        let error = answer.json().with_context(|| format!("{method} {path}"))?;
        let code = error["error"]["code"].as_str().unwrap_or_default();
        let snake_case = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        ensure!(
            answer.status == status && !code.is_empty() && code.chars().all(snake_case),
            "{method} {path}: {} {error}, due was {status}",
            answer.status
        );
        ensure!(
            error["error"]["message"].is_string(),
            "{method} {path}: {error}"
        );
    }
    // Nothing has come from the camera yet: later it may.
    for path in ["/cam/stream/today/playlist.m3u8", "/cam/frame/"] {
        let answer = client.get(path)?.expect(503)?;
        ensure!(
            answer.header("retry-after").is_some(),
            "{path} does not say when"
        );
    }
    unharmed(&mut server)
}

#[test]
fn tricks_with_paths_and_sizes_get_nothing() -> Result<()> {
    let mut server = server()?;
    let client = server.client();
    let long = "a".repeat(60_000);
    let huge = "a".repeat(1_000_000);
    let targets = [
        "/../../../../../../etc/passwd".to_owned(),
        "/cam/../../../../../../etc/passwd".to_owned(),
        "/cam/stream/../../../../../../../../etc/passwd".to_owned(),
        "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd".to_owned(),
        "/cam/stream/..%2f..%2f..%2f..%2fdayreel.toml".to_owned(),
        "/cam/stream/..%5c..%5cdayreel.toml".to_owned(),
        "/cam%2f..%2fdayreel.toml/".to_owned(),
        "/assets/..%2f..%2fCargo.toml".to_owned(),
        "/assets/../../dayreel.toml".to_owned(),
        "//etc/passwd".to_owned(),
        "/cam/stream/%00".to_owned(),
        "/cam/stream/\0".to_owned(),
        "/cam/stream/v-1.m4s%00.mp4".to_owned(),
        "/cam/stream/%ff%fe/playlist.m3u8".to_owned(),
        format!("/{long}"),
        format!("/cam/stream/{long}/playlist.m3u8"),
        format!("/api/cameras?{huge}"),
        "*".to_owned(),
        "http://somewhere/cam/stream/../../../etc/passwd".to_owned(),
    ];
    for target in &targets {
        let (status, rest) = client
            .raw_get(target.as_bytes())
            .with_context(|| format!("{target:.80}"))?;
        ensure!(
            (400..500).contains(&status),
            "{target:.80}: {status} {rest:.300}"
        );
        for secret in ["root:", "[server]", PASSWORD] {
            ensure!(!rest.contains(secret), "{target:.80}: {rest:.300}");
        }
    }
    for request in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ] {
        // Closing without an answer is one too; what counts is that it goes on.
        if let Ok(answer) = client.raw(request) {
            ensure!(
                !answer.contains(" 500 ") && !answer.contains(" 200 "),
                "{answer:.300}"
            );
        }
    }
    unharmed(&mut server)
}

#[test]
fn ranges_of_segments_are_exact_or_refused() -> Result<()> {
    let stage = Stage::start(
        PictureSettings {
            width: 320,
            height: 180,
            gop: Gop::Seconds(1.0),
            ..PictureSettings::default()
        },
        1,
    )?;
    let media = stage.wait_for_segments("video", 1)?;
    let name = media.segments[0].uri.trim_start_matches("../").to_owned();
    let path = format!("/{CAMERA}/stream/{name}");
    let client = stage.server.client();
    let whole = client.get(&path)?.expect(200)?;
    let length = whole.body.len();
    let tag = whole.header("etag").context("a segment has an ETag")?;
    ensure!(!tag.starts_with("W/"), "{tag} is weak");
    let cached = whole.header("cache-control").unwrap_or_default();
    ensure!(
        cached.contains("immutable") && cached.contains("max-age="),
        "{cached}"
    );
    ensure!(
        whole.header("access-control-allow-origin") == Some("*"),
        "CORS is closed"
    );

    let head = client.head(&path)?.expect(200)?;
    ensure!(
        head.body.is_empty() && head.header("content-length") == Some(length.to_string().as_str())
    );
    for (range, from, to) in [
        ("0-99".to_owned(), 0, 100),
        (format!("{}-", length - 10), length - 10, length),
        ("-7".to_owned(), length - 7, length),
        (format!("5-{}", length * 2), 5, length),
    ] {
        let part = client.get_range(&path, &range)?.expect(206)?;
        ensure!(
            part.body == whole.body[from..to],
            "bytes={range}: {} bytes",
            part.body.len()
        );
        let told = format!("bytes {from}-{}/{length}", to - 1);
        ensure!(
            part.header("content-range") == Some(told.as_str()),
            "bytes={range}"
        );
    }
    let outside = client
        .get_range(&path, &format!("{length}-"))?
        .expect(416)?;
    ensure!(outside.header("content-range") == Some(format!("bytes */{length}").as_str()));
    let again = client
        .request("GET", &path, &[("if-none-match", tag)])?
        .expect(304)?;
    ensure!(again.body.is_empty());

    let playlist = format!("/{CAMERA}/stream/today/video.m3u8");
    let packed = client.get_gzip(&playlist)?.expect(200)?;
    ensure!(
        packed.header("content-encoding") == Some("gzip"),
        "no compression"
    );
    ensure!(packed.text()?.starts_with("#EXTM3U\n"));
    Ok(())
}

/// A camera that takes the connection and answers everything with `answer`, until the test ends.
fn strange_camera(answer: &'static [u8]) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!(
        "rtsp://viewer:{PASSWORD}@{}/stream1",
        listener.local_addr()?
    );
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                let mut request = [0; 4096];
                while stream.read(&mut request).is_ok_and(|read| read > 0) {
                    // The server may hang up first; that is its answer.
                    if stream.write_all(answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(url)
}

#[test]
fn cameras_that_do_not_deliver_say_why_and_keep_the_password() -> Result<()> {
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let refuses = format!("rtsp://viewer:{PASSWORD}@{closed}/stream1");
    let page = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<html>camera</html>";
    let cameras = [
        ("refuses", refuses),
        ("hangs", strange_camera(b"")?),
        ("web-page", strange_camera(page)?),
        (
            "forbids",
            strange_camera(b"RTSP/1.0 403 Forbidden\r\nCSeq: 1\r\n\r\n")?,
        ),
        ("rubbish", strange_camera(&[0xff; 512])?),
    ];
    let listed = cameras.iter().map(|(id, url)| (*id, url.as_str()));
    let mut server = Server::start(Setup::with_cameras(listed))?;
    let client = server.client();
    for (id, _) in &cameras {
        let path = format!("/api/cameras/{id}");
        let failed = wait_until(PATIENCE, || {
            let state = client.get_json(&path).ok()?;
            (!state["last_error"].is_null()).then_some(state)
        });
        let state = failed.with_context(|| format!("{id}: no error is shown"))?;
        eprintln!("{id}: {} {}", state["state"], state["last_error"]);
        ensure!(state["state"] != "live", "{state}");
        ensure!(state["last_error"]["code"].is_string(), "{state}");
        ensure!(
            !state.to_string().contains(PASSWORD),
            "{id} shows the password"
        );
    }
    let ready = client.get("/readyz")?.expect(503)?.text()?;
    for (id, _) in &cameras {
        ensure!(ready.contains(id) && !ready.contains(PASSWORD), "{ready}");
    }
    unharmed(&mut server)
}

/// Runs `dayreel run` with this `[server]` and returns its exit code and what it said.
fn refused(server: &str, environment: &[(&str, &str)]) -> Result<(Option<i32>, String)> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("dayreel.toml");
    let camera = format!("[[camera]]\nid = \"cam\"\nrtsp = \"rtsp://v:{PASSWORD}@127.0.0.1:9/\"\n");
    fs::write(&config, format!("[server]\n{server}\n{camera}"))?;
    let mut dayreel = Command::new(binary());
    dayreel
        .args(["run", "--config"])
        .arg(&config)
        .current_dir(folder.path())
        .envs(environment.iter().copied());
    let output = run_within(dayreel, PATIENCE, "")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        !said.contains(PASSWORD) && !said.contains("panicked"),
        "{said}"
    );
    Ok((output.status.code(), said))
}

#[test]
fn what_cannot_start_says_the_cure() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?;
    let (code, said) = refused(&format!("listen = \"{address}\""), &[])?;
    ensure!(
        code == Some(1) && said.contains(&address.to_string()),
        "{code:?}: {said}"
    );

    let file = tempfile::NamedTempFile::new()?;
    let path = file.path().display().to_string();
    let listen = "listen = \"127.0.0.1:0\"";
    let (code, said) = refused(&format!("{listen}\ndata_dir = {path:?}"), &[])?;
    ensure!(code == Some(1) && said.contains(&path), "{code:?}: {said}");

    let empty = tempfile::tempdir()?;
    let path = empty.path().display().to_string();
    let registry = empty.path().join("registry.bin").display().to_string();
    let without_plugins = [
        ("GST_PLUGIN_SYSTEM_PATH_1_0", path.as_str()),
        ("GST_PLUGIN_PATH_1_0", path.as_str()),
        ("GST_REGISTRY_1_0", registry.as_str()),
    ];
    let (code, said) = refused(listen, &without_plugins)?;
    ensure!(
        code == Some(1) && said.contains("gstreamer1.0-plugins"),
        "{code:?}: {said}"
    );

    let (code, said) = refused("lisen = \"127.0.0.1:0\"", &[])?;
    ensure!(
        code == Some(2) && said.contains("lisen"),
        "{code:?}: {said}"
    );
    Ok(())
}

/// A process that has no descriptor left opens no file to record to, and GLib ends it where one of its
/// waits needs one; so more connections than there are files wait, and the camera is recorded.
#[test]
fn regression_crowds_of_connections_stopped_the_recording() -> Result<()> {
    const FILES: u32 = 128;
    let mut stage = Stage::start_with(PictureSettings::small(), 1, |setup| {
        setup.open_files = Some(FILES);
    })?;
    stage.wait_for_segments("video", 2)?;

    // Each is used and then kept open: the server waits more than a minute for another request.
    let crowd: Vec<_> = (0..FILES)
        .map(|_| -> Result<TcpStream> {
            let mut connection = TcpStream::connect(stage.server.address())?;
            connection.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
            Ok(connection)
        })
        .collect::<Result<_>>()?;
    let days = stage.server.days_dir(CAMERA);
    let recorded = || {
        let index = latest_day(&days)?.join("video.m3u8");
        Some(fs::read_to_string(index).ok()?.matches("#EXTINF").count())
    };
    let before = recorded().context("no index")?;
    wait_until(PATIENCE, || (recorded()? >= before + 8).then_some(()))
        .with_context(|| format!("not recorded:\n{}", stage.server.log().tail(40)))?;
    drop(crowd);
    let state = stage.server.client().get_json("/api/cameras/cam")?;
    ensure!(
        state["state"] == "live" && state["reconnects"] == 0,
        "{state}"
    );
    ensure!(state["dropped_frames"] == 0, "{state}");
    unharmed(&mut stage.server)
}
