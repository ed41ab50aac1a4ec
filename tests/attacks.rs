//! What `crates/http/ATTACKS.md` lists and no other test holds.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use dayreel_testcam::PictureSettings;
use dayreel_tests::{
    process::{Server, Setup},
    stage::{CAMERA, Stage},
};

fn server() -> Result<Server> {
    Server::start(Setup::with_cameras([(CAMERA, "rtsp://127.0.0.1:1/s")]))
}

/// The head of an answer, its first line included, in lower case.
fn head(answer: &str) -> String {
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    head.to_lowercase()
}

#[test]
fn every_attack_has_its_test() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let table = fs::read_to_string(root.join("crates/http/ATTACKS.md"))?;
    let rows: Vec<_> = table
        .lines()
        .filter(|line| line.starts_with("| "))
        .collect();
    ensure!(rows.len() > 30, "{} rows", rows.len());
    // Head and rule.
    for row in &rows[2..] {
        let named = row.trim_end_matches(" |").rsplit(" | ").next();
        let named = named.unwrap_or_default().trim_matches('`');
        let (file, test) = named.split_once(": ").with_context(|| (*row).to_owned())?;
        let text = fs::read_to_string(root.join(file)).with_context(|| file.to_owned())?;
        let is_there = |begin: &str| text.contains(&format!("{begin}fn {test}("));
        let is_test = text
            .split("test]")
            .skip(1)
            .any(|after| after.trim_start().contains(&format!("fn {test}(")));
        ensure!(is_there("") && is_test, "{file} has no test {test}");
    }
    Ok(())
}

#[test]
fn line_breaks_make_no_headers() -> Result<()> {
    let server = server()?;
    let client = server.client();
    for target in [
        "/cam/stream/today/playlist.m3u8/?x=%0d%0aset-cookie:%20evil=1",
        "/%0d%0aset-cookie:%20evil=1/playlist.m3u8/",
        "/cam/%0d%0aset-cookie:%20evil=1",
        "/login?next=/%0d%0aset-cookie:%20evil=1",
        "/cam/moment/generate?label=%0d%0aset-cookie:%20evil=1",
        "/api/cameras/%E5%98%8A%E5%98%8Dset-cookie:%20evil=1",
        "/cam/frame?width=1%00%0d%0aset-cookie:%20evil=1",
    ] {
        let (status, rest) = client.raw_get(target.as_bytes())?;
        let head = head(&rest);
        let is_split = head.lines().any(|line| line.starts_with("set-cookie"));
        ensure!(status < 500 || status == 503, "{target}: {status}");
        ensure!(!is_split, "{target}: {head}");
    }
    // In headers of the request, as they are and folded (RFC 9112 §5.2).
    for value in ["a\0b", "a\rset-cookie: evil=1", "a\r\n set-cookie: evil=1"] {
        for name in [
            "x-forwarded-host",
            "range",
            "if-none-match",
            "cookie",
            "authorization",
        ] {
            let request = format!(
                "GET /cam HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{name}: {value}\r\n\r\n"
            );
            // To close without an answer is one, too.
            let answer = client.raw(request.as_bytes()).unwrap_or_default();
            ensure!(
                !head(&answer).contains("set-cookie"),
                "{name}: {answer:.300}"
            );
            ensure!(!answer.contains(" 500 "), "{name}: {answer:.300}");
        }
    }
    client.get("/healthz")?.expect(200)?;
    Ok(())
}

/// RFC 9112 §6.1, §6.3: else a proxy in front could take the rest of one request for the next.
#[test]
fn a_body_has_one_length() -> Result<()> {
    let server = server()?;
    let client = server.client();
    let hidden = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for lengths in [
        "content-length: 0\r\ncontent-length: 44",
        "content-length: 0, 44",
        "content-length: +0",
        "transfer-encoding: chunked\r\ncontent-length: 4",
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked, identity",
    ] {
        let request = format!(
            "POST /api/reload HTTP/1.1\r\nhost: localhost\r\n{lengths}\r\n\r\n0\r\n\r\n{hidden}"
        );
        let answer = client.raw(request.as_bytes()).unwrap_or_default();
        ensure!(!answer.contains("\"status\":\"ok\""), "{lengths}: {answer}");
    }
    client.get("/healthz")?.expect(200)?;
    Ok(())
}

#[test]
fn what_is_too_large_is_refused() -> Result<()> {
    let server = server()?;
    let client = server.client();
    let begin = "GET /api/cameras HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
    let form = "POST /login HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                content-type: application/x-www-form-urlencoded\r\n";
    let many: String = (0..1000).map(|nth| format!("x-{nth}: 1\r\n")).collect();
    let long = "a".repeat(1 << 20);
    for (what, request) in [
        ("a thousand headers", format!("{begin}{many}\r\n")),
        ("a long header", format!("{begin}x: {long}\r\n\r\n")),
        (
            "a long cookie",
            format!("{begin}cookie: dayreel_session={long}\r\n\r\n"),
        ),
        ("a long method", format!("{long} / HTTP/1.1\r\n\r\n")),
        (
            "a large form",
            format!(
                "{form}content-length: {}\r\n\r\nname=a&password={long}",
                long.len() + 16
            ),
        ),
        (
            "a form that says it is large",
            format!("{form}content-length: 99999999999999\r\n\r\nname=a"),
        ),
    ] {
        // To close without an answer is one, too.
        let answer = client.raw(request.as_bytes()).unwrap_or_default();
        let status = answer.split(' ').nth(1).unwrap_or("400");
        ensure!(status.starts_with('4'), "{what}: {answer:.200}");
    }
    let label = format!("/cam/moment/generate?label={}", "a".repeat(5000));
    client.request("POST", &label, &[])?.expect(400)?;
    client.get("/healthz")?.expect(200)?;
    Ok(())
}

#[test]
fn script_in_a_label_stays_text() -> Result<()> {
    let stage = Stage::recorded(PictureSettings::small(), 1, 5)?;
    let client = stage.server.client();
    let label = "<script>alert(1)</script>\"'; filename=x.html";
    let encoded: String = label.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let made = format!("/{CAMERA}/moment/generate/4/0?label={encoded}");
    let made = client.request("POST", &made, &[])?.expect(200)?;
    let list = client.get(&format!("/{CAMERA}/moment/list"))?.expect(200)?;
    for answer in [&made, &list] {
        ensure!(answer.header("content-type") == Some("application/json"));
        ensure!(answer.header("x-content-type-options") == Some("nosniff"));
        let json = answer.json()?;
        let moment = json.get(0).unwrap_or(&json);
        ensure!(moment["label"] == label, "{json}");
    }
    let url = made.json()?["url"].as_str().context("no url")?.to_owned();
    let moment = client.get(&url)?.expect(200)?;
    ensure!(moment.header("content-type") == Some("video/mp4"));
    ensure!(moment.header("x-content-type-options") == Some("nosniff"));
    let called = moment.header("content-disposition").context("no name")?;
    ensure!(
        !called.contains('<') && !called.contains(".html"),
        "{called}"
    );
    Ok(())
}

#[test]
fn pages_load_nothing_from_elsewhere() -> Result<()> {
    let server = server()?;
    let client = server.client();
    for path in ["/", "/cam"] {
        let page = client.get(path)?.expect(200)?;
        let policy = page
            .header("content-security-policy")
            .context("no policy")?;
        for rule in [
            "default-src 'self'",
            "frame-ancestors 'self'",
            "base-uri 'none'",
            "object-src 'none'",
            "form-action 'self'",
        ] {
            ensure!(policy.contains(rule), "{path}: {policy}");
        }
        ensure!(
            !policy.contains("unsafe") && !policy.contains("http"),
            "{policy}"
        );
        ensure!(page.header("x-content-type-options") == Some("nosniff"));
        let text = page.text()?;
        ensure!(!text.contains("://"), "{path} names another host: {text}");
        ensure!(!text.contains("<script>"), "{path}: {text}");
    }
    Ok(())
}
