//! Users: who sees what of a server that records two cameras.
//!
//! What each route needs is held by a walk over the route table, beside the code (`http/src/access/walk.rs`).

use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use dayreel_testcam::{Camera, PictureSettings, Settings, Source};
use dayreel_tests::{
    client::{Answer, Client},
    foreign::probe,
    process::{Server, Setup, user, wait_until},
    rules::hls,
};
use rustix::process::{Pid, Signal, kill_process};

/// Until a recording of a few seconds is listed.
const RECORD: Duration = Duration::from_secs(60);
const ANNA: &str = "correct horse";
const BOB: &str = "battery staple";

fn camera() -> Result<Camera> {
    Camera::start(Settings {
        source: Source::Picture(PictureSettings::small()),
        ..Settings::default()
    })
}

/// Somebody who asks.
struct Asker {
    client: Client,
    headers: Vec<(&'static str, String)>,
}

impl Asker {
    fn with_password(client: &Client, name: &str, password: &str) -> Self {
        let pair = STANDARD.encode(format!("{name}:{password}"));
        Self {
            client: client.clone(),
            headers: vec![("authorization", format!("Basic {pair}"))],
        }
    }

    fn nobody(client: &Client) -> Self {
        Self {
            client: client.clone(),
            headers: Vec::new(),
        }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn ask(&self, method: &str, path: &str) -> Result<Answer> {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        self.client.request(method, path, &headers)
    }

    fn get(&self, path: &str) -> Result<Answer> {
        self.ask("GET", path)
    }

    /// The addresses of the newest segment and the init segment of a camera, from its folder on.
    fn media(&self, camera: &str) -> Result<[String; 2]> {
        let listed = wait_until(RECORD, || {
            let path = format!("/{camera}/stream/today/video.m3u8");
            let text = self.get(&path).ok()?.expect(200).ok()?.text().ok()?;
            let list = hls::reader::read(&text).0;
            let segment = list.segments.last()?;
            let init = segment.map.as_ref()?.uri.clone();
            Some([segment.uri.clone(), init])
        });
        let names = listed.with_context(|| format!("nothing of {camera}"))?;
        Ok(names.map(|uri| {
            let name = uri.trim_start_matches("../");
            format!("/{camera}/stream/{name}")
        }))
    }
}

struct Stage {
    server: Server,
    /// They end after the server.
    _cameras: [Camera; 2],
}

/// Cameras `a` and `b`; anna, an admin, and bob, who sees `a`.
fn stage() -> Result<Stage> {
    let cameras = [camera()?, camera()?];
    let urls = cameras.each_ref().map(|camera| camera.url().to_string());
    let mut setup = Setup::with_cameras([("a", urls[0].as_str()), ("b", urls[1].as_str())]);
    setup.cameras = setup
        .cameras
        .replace("[[camera]]", "[[camera]]\nsegment_s = 1");
    setup.cameras += &user(&["add", "anna", "--role", "admin", "--print"], ANNA)?;
    setup.cameras += &user(&["add", "bob", "--camera", "a", "--print"], BOB)?;
    Ok(Stage {
        server: Server::start(setup)?,
        _cameras: cameras,
    })
}

#[test]
fn a_viewer_sees_their_camera_and_nothing_of_another() -> Result<()> {
    let stage = stage()?;
    let client = stage.server.client();
    let (anna, bob) = (
        Asker::with_password(&client, "anna", ANNA),
        Asker::with_password(&client, "bob", BOB),
    );
    let (of_a, of_b) = (anna.media("a")?, anna.media("b")?);
    for (path, own) in [
        ("/{}/", 200),
        ("/{}/stream/today/playlist.m3u8", 200),
        ("/{}/stream/today/manifest.mpd", 200),
        ("/{}/stream/today/time", 200),
        ("/{}/frame/", 200),
        ("/{}/timelapse/", 200),
        ("/{}/moment/list/", 200),
        ("/{}/moment/gif", 404),
        ("/api/cameras/{}", 200),
        ("/api/cameras/{}/days", 200),
        ("/api/cameras/{}/events", 200),
    ] {
        let answer = bob.get(&path.replace("{}", "a"))?;
        assert_eq!(answer.status, own, "{path}");
        let answer = bob.get(&path.replace("{}", "b"))?.expect(404)?;
        let error = answer.json()?["error"].clone();
        // As of a camera that never was.
        let code = error["code"].as_str().unwrap_or_default();
        assert_eq!(code, "unknown_camera", "{path}");
        assert_eq!(error["message"], "there is no such camera; there are: a");
        assert_eq!(anna.get(&path.replace("{}", "b"))?.status, own, "{path}");
    }
    for (own, other) in of_a.iter().zip(&of_b) {
        let answer = bob.get(own)?.expect(200)?;
        let cache = answer.header("cache-control").unwrap_or_default();
        assert!(
            cache.contains("private") && !cache.contains("public"),
            "{cache}"
        );
        bob.get(other)?.expect(404)?;
        Asker::nobody(&client).get(own)?.expect(401)?;
    }
    let listed = bob.get("/api/cameras")?.expect(200)?.json()?;
    let ids: Vec<_> = listed
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| &c["id"])
        .collect();
    assert_eq!(ids, ["a"]);
    for path in ["/metrics", "/api/storage"] {
        bob.get(path)?.expect(403)?;
        anna.get(path)?.expect(200)?;
    }
    // Health checks are not asked, and not told of cameras.
    assert_eq!(Asker::nobody(&client).get("/healthz")?.status, 200);
    let ready = Asker::nobody(&client).get("/readyz")?.json()?;
    assert_eq!(ready["reasons"], serde_json::json!([]));
    Ok(())
}

#[test]
fn what_changes_something_needs_our_own_page_or_a_token() -> Result<()> {
    let stage = stage()?;
    let client = stage.server.client();
    let bob = Asker::with_password(&client, "bob", BOB);
    bob.media("a")?;
    let make = "/a/moment/generate/4/0";
    // `<img src="http://nas:6478/a/moment/generate">` of any page, in a browser that knows the password.
    let refused = bob.get(make)?.expect(403)?.json()?;
    assert_eq!(refused["error"]["code"], "cross_site");
    let foreign = Asker::with_password(&client, "bob", BOB).with("origin", "http://evil.example");
    foreign.ask("POST", make)?.expect(403)?;
    let made = bob.ask("POST", make)?.expect(200)?.json()?;
    let token = bob.ask("POST", "/api/token")?.expect(200)?.json()?;
    let token = token["token"].as_str().context("no token")?;
    let script = Asker::nobody(&client).with("authorization", format!("Bearer {token}"));
    script.get(make)?.expect(200)?;
    script.get("/b/frame/")?.expect(404)?;
    // Deleting is for admins.
    let url = made["url"].as_str().context("no address")?;
    bob.ask("DELETE", url)?.expect(403)?;
    Asker::with_password(&client, "anna", ANNA)
        .ask("DELETE", url)?
        .expect(204)?;
    Ok(())
}

#[test]
fn a_link_opens_one_thing_for_everybody() -> Result<()> {
    let stage = stage()?;
    let client = stage.server.client();
    let bob = Asker::with_password(&client, "bob", BOB);
    let [segment, init] = bob.media("a")?;
    let link = |path: &str| -> Result<String> {
        let made = bob.ask("POST", &format!("/api/links?path={path}&hours=1"))?;
        let made = made.expect(200)?.json()?;
        Ok(made["url"].as_str().context("no address")?.to_owned())
    };
    let nobody = Asker::nobody(&client);
    let stream = link("/a/stream/today/playlist.m3u8")?;
    // Names in the playlists are relative: a player stays within the link.
    let streams = probe(&stage.server.url(&stream), RECORD)?;
    let codec = &streams["streams"][0]["codec_name"];
    assert_eq!(codec, "h264", "{streams}");
    let before = stream.strip_suffix("/a/stream/today/playlist.m3u8");
    let before = before.context("it does not end with its path")?;
    let keyframe = segment.replace("/v-", "/k-");
    for path in [&segment, &keyframe, &init] {
        nobody.get(&format!("{before}{path}"))?.expect(200)?;
    }
    for path in [
        "/a/frame/",
        "/a/stream/2026-01-01/playlist.m3u8",
        "/b/stream/today/playlist.m3u8",
        "/api/cameras",
        "/api/cameras/a",
        "/a/moment/list",
        "/a/moment/generate",
        "/",
        // A second link in the first.
        "/api/link/x/a/frame",
        // Of a day that is none of this link.
        "/a/stream/v-90000.m4s",
    ] {
        let found = nobody.get(&format!("{before}{path}"))?.status;
        assert!(matches!(found, 403 | 404), "{path}: {found}");
    }
    // Nor does the link of another day open what is in this one.
    let of_2026 = link("/a/stream/2026-01-01/playlist.m3u8")?;
    let before = of_2026.strip_suffix("/a/stream/2026-01-01/playlist.m3u8");
    let before = before.context("it does not end with its path")?;
    let part = segment.replace(".m4s", ".part.m4s");
    for path in [&segment, &keyframe, &part] {
        bob.get(path)?.expect(200)?;
        nobody.get(&format!("{before}{path}"))?.expect(403)?;
    }
    let frame = link("/a/frame/")?;
    nobody.get(&format!("{frame}?width=160"))?.expect(200)?;
    // What it is for, until when and by whom stand in the link.
    let text = frame.strip_prefix("/api/link/").context("no link")?;
    let ticket = text.split('/').next().unwrap_or_default();
    let parts: Vec<_> = ticket.split('~').collect();
    for (at, other) in [
        (1, "anna"),
        (2, "9999999999"),
        (3, "L2IvZnJhbWU"),
        (4, "AAAA"),
    ] {
        let mut altered = parts.clone();
        altered[at] = other;
        let altered = format!("/api/link/{}/a/frame", altered.join("~"));
        nobody.get(&altered)?.expect(403)?;
    }
    for path in [
        "/b/frame",
        "/a/moment/generate",
        "/a/stream/3/playlist.m3u8",
        "/metrics",
    ] {
        let made = bob.ask("POST", &format!("/api/links?path={path}"))?;
        assert!(matches!(made.status, 400 | 404), "{path}: {}", made.status);
    }
    bob.ask("POST", "/api/links?path=/a/frame&hours=0")?
        .expect(400)?;
    Ok(())
}

#[test]
fn another_password_ends_sessions_tokens_and_links() -> Result<()> {
    let stage = stage()?;
    let client = stage.server.client();
    let bob = Asker::with_password(&client, "bob", BOB);
    bob.media("a")?;
    let link = bob
        .ask("POST", "/api/links?path=/a/frame")?
        .expect(200)?
        .json()?;
    let link = link["url"].as_str().context("no link")?.to_owned();
    let token = bob.ask("POST", "/api/token")?.expect(200)?.json()?;
    let token = token["token"].as_str().context("no token")?;
    let token = Asker::nobody(&client).with("authorization", format!("Bearer {token}"));
    let nobody = Asker::nobody(&client);
    // The form is a page that works without scripts.
    let page = nobody.get("/login?next=/a/")?.expect(200)?.text()?;
    assert!(page.contains(r#"name="next" value="/a/""#), "{page}");
    let hidden = nobody
        .get("/login?next=%22%3E%3Cscript%3E")?
        .expect(200)?
        .text()?;
    assert!(!hidden.contains("<script>"), "{hidden}");
    assert_eq!(
        (token.get("/a/frame")?.status, nobody.get(&link)?.status),
        (200, 200)
    );
    let config = stage.server.config_path().display().to_string();
    user(
        &["password", "bob", "--config", &config],
        "another password",
    )?;
    let pid = i32::try_from(stage.server.pid()?)?;
    let pid = Pid::from_raw(pid).context("no process")?;
    kill_process(pid, Signal::HUP)?;
    let ended = wait_until(RECORD, || {
        (token.get("/a/frame").ok()?.status == 401).then_some(())
    });
    ended.context("the token is still good")?;
    nobody.get(&link)?.expect(403)?;
    bob.get("/a/frame")?.expect(401)?;
    let anew = Asker::with_password(&client, "bob", "another password");
    anew.get("/a/frame")?.expect(200)?;
    user(&["remove", "bob", "--config", &config], "")?;
    let listed = user(&["list", "--config", &config], "")?;
    assert_eq!(listed, "anna\tadmin\tall cameras\n");
    Ok(())
}
