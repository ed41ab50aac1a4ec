//! Behind a proxy that shows the server below a path, or keeps copies, as the README says.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use dayreel_testcam::{PictureSettings, VideoCodec};
use dayreel_tests::{
    client::{Answer, Client},
    followers::PartsFollower,
    process::{Nginx, user, wait_until},
    stage::{CAMERA, Stage, picture},
};

/// Until a recording of a few seconds is listed.
const RECORD: Duration = Duration::from_secs(60);
const BASE: &str = "/cameras/";
/// Routes, as `/metrics` names them.
const SEGMENT: &str = "/{cam}/stream/{name}";
const PLAYLIST: &str = "/{cam}/stream/{day}/video.m3u8";
const PASSWORD: &str = "correct horse";

/// What `reference` in the document at `path` means (RFC 3986 §5.2.4), without its query.
fn resolve(path: &str, reference: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    if reference.starts_with('/') {
        parts.truncate(1);
    }
    for part in reference.trim_start_matches('/').split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    // A reference that ends with dots is a folder.
    match reference.ends_with("..") || reference.ends_with("/.") || reference == "." {
        true => path + "/",
        false => path,
    }
}

/// A browser that has logged in.
struct Browser {
    client: Client,
    cookie: String,
    /// To which paths it sends the cookie.
    cookie_path: String,
}

impl Browser {
    /// By the form, as it is sent there from the first page.
    fn log_in(client: &Client) -> Result<Self> {
        let page = [("accept", "text/html")];
        let sent = client.request("GET", BASE, &page)?.expect(303)?;
        let form = resolve(BASE, sent.header("location").context("to where?")?);
        ensure!(form == "/cameras/login?next=%2F", "{form}");
        ensure!(client.get(&form)?.expect(200)?.text()?.contains("<form"));
        let body = format!("name=anna&password={}", PASSWORD.replace(' ', "+"));
        let answer = client.raw(
            format!(
                "POST /cameras/login HTTP/1.1\r\nhost: cameras.lan\r\nconnection: close\r\n\
                 origin: http://cameras.lan\r\ncontent-length: {}\r\n\
                 content-type: application/x-www-form-urlencoded\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        )?;
        let header = |name: &str| {
            let lines = answer.lines().map_while(|line| {
                line.split_once(": ").or_else(|| {
                    // The first line, and not the empty one.
                    line.starts_with("HTTP/").then_some(("", line))
                })
            });
            let mut named = lines.filter(|(found, _)| found.eq_ignore_ascii_case(name));
            named.next().map(|(_, value)| value.to_owned())
        };
        let to = header("location").with_context(|| answer.clone())?;
        ensure!(resolve("/cameras/login", &to) == BASE, "{to}");
        let cookie = header("set-cookie").with_context(|| answer.clone())?;
        let cookie_path = cookie
            .split("; ")
            .find_map(|part| part.strip_prefix("Path="));
        Ok(Self {
            client: client.clone(),
            cookie_path: cookie_path.context("no path")?.to_owned(),
            cookie: cookie.split(';').next().unwrap_or_default().to_owned(),
        })
    }

    fn get(&self, path: &str) -> Result<Answer> {
        let headers = [("cookie", self.cookie.as_str())];
        self.client.request("GET", path, &headers)
    }
}

/// The last line of a playlist that is an address.
fn last_address(playlist: &str) -> Option<&str> {
    let mut lines = playlist.lines().rev();
    lines.find(|line| !line.is_empty() && !line.starts_with('#'))
}

/// A server behind a proxy, with a user.
fn stage(base_path: &str) -> Result<Stage> {
    let users = user(&["add", "anna", "--role", "admin", "--print"], PASSWORD)?;
    Stage::start_with(PictureSettings::small(), 1, |setup| {
        setup.server.push_str("trusted_proxies = [\"127.0.0.1\"]\n");
        setup.server.push_str(base_path);
        // Before the camera's table, which further lines are added to.
        setup.cameras = users + &setup.cameras;
    })
}

/// Goes wherever the pages, playlists and answers lead. `answered`: what addresses in answers begin with.
fn find_everything(browser: &Browser, answered: &str) -> Result<()> {
    for path in [
        BASE.to_owned(),
        format!("{BASE}{CAMERA}"),
        format!("{BASE}{CAMERA}/"),
        format!("{BASE}api/"),
    ] {
        let page = browser.get(&path)?.expect(200)?.text()?;
        let references = page
            .split("href=\"")
            .skip(1)
            .chain(page.split("src=\"").skip(1));
        let files: Vec<_> = references
            .filter_map(|rest| rest.split('"').next())
            .collect();
        ensure!(files.len() >= 4, "{files:?}");
        for file in files {
            let file = resolve(&path, file);
            ensure!(file.starts_with("/cameras/a"), "{path}: {file}");
            browser.get(&file)?.expect(200)?;
        }
    }

    let playlist = format!("{BASE}{CAMERA}/stream/today/playlist.m3u8");
    let segment = |get: &dyn Fn(&str) -> Result<Answer>, path: &str| -> Result<String> {
        let text = get(path)?.expect(200)?.text()?;
        let media = resolve(path, last_address(&text).context("no rendition")?);
        let text = get(&media)?.expect(200)?.text()?;
        Ok(resolve(&media, last_address(&text).context("no segment")?))
    };
    let get = |path: &str| browser.get(path);
    let found = wait_until(RECORD, || segment(&get, &playlist).ok()).context("no segment")?;
    ensure!(found.starts_with("/cameras/cam/stream/v-"), "{found}");
    browser.get(&found)?.expect(200)?;
    let manifest = format!("{BASE}{CAMERA}/stream/today/manifest.mpd");
    let manifest_text = browser.get(&manifest)?.expect(200)?.text()?;
    let media = manifest_text.split("media=\"").nth(1);
    let media = media.and_then(|rest| rest.split('"').next());
    let media = resolve(&manifest, media.context("no template")?);
    ensure!(media.starts_with("/cameras/cam/stream/v-"), "{media}");
    // A playlist is no folder.
    let sent = browser.get(&format!("{playlist}/"))?.expect(308)?;
    let to = sent.header("location").context("to where?")?;
    ensure!(resolve(&format!("{playlist}/"), to) == playlist, "{to}");

    // A link, by which everybody finds segments, too.
    let own = [
        ("cookie", browser.cookie.as_str()),
        ("sec-fetch-site", "same-origin"),
    ];
    let made = |path: String| -> Result<serde_json::Value> {
        let made = browser.client.request("POST", &path, &own)?;
        made.expect(200)?.json()
    };
    let below_base = |value: &serde_json::Value| -> Result<String> {
        let path = value.as_str().context("no address")?;
        let path = path.strip_prefix(answered).context(path.to_owned())?;
        Ok(format!("{}{path}", BASE.trim_end_matches('/')))
    };
    let link = made(format!(
        "{BASE}api/links?path=/{CAMERA}/stream/today/playlist.m3u8"
    ))?;
    let link = below_base(&link["url"])?;
    let anybody = |path: &str| browser.client.get(path);
    let linked = segment(&anybody, &link)?;
    ensure!(linked.starts_with("/cameras/api/link/"), "{linked}");
    anybody(&linked)?.expect(200)?;
    anybody(&found)?.expect(401)?;

    let moment = made(format!("{BASE}{CAMERA}/moment/generate/4/0"))?;
    for url in [&moment["url"], &moment["gif_url"]] {
        browser.get(&below_base(url)?)?.expect(200)?;
    }
    let listed = browser.get(&format!("{BASE}{CAMERA}/moment/list"))?;
    let listed = listed.expect(200)?.json()?;
    let last = listed.as_array().and_then(|all| all.last());
    ensure!(
        last.is_some_and(|last| last["url"] == moment["url"]),
        "{listed}"
    );
    Ok(())
}

#[test]
fn everything_is_found_below_a_path_of_a_proxy() -> Result<()> {
    let stage = stage("")?;
    let nginx = Nginx::in_front_of(stage.server.address(), BASE)?;
    let browser = Browser::log_in(&Client::new(nginx.address))?;
    ensure!(browser.cookie_path == "/", "{}", browser.cookie_path);
    find_everything(&browser, "")
}

#[test]
fn everything_is_found_below_the_base_path_whether_the_proxy_takes_it_off_or_not() -> Result<()> {
    let stage = stage("base_path = \"/cameras/\"\n")?;
    let address = stage.server.address();
    for nginx in [
        Nginx::in_front_of(address, BASE)?,
        Nginx::passing_paths_on(address, BASE)?,
    ] {
        let browser = Browser::log_in(&Client::new(nginx.address))?;
        ensure!(browser.cookie_path == BASE, "{}", browser.cookie_path);
        find_everything(&browser, "/cameras")?;
        let described = browser.get(&format!("{BASE}api/openapi.json"))?;
        let described = described.expect(200)?.json()?;
        ensure!(described["servers"][0]["url"] == "/cameras");
    }
    // Its folder has a slash at the end, else what is relative to it leads elsewhere.
    let direct = stage.server.client();
    let sent = direct.get("/cameras?x=1")?.expect(308)?;
    ensure!(sent.header("location") == Some("/cameras/?x=1"));
    direct.get("/healthz")?.expect(200)?;
    direct.get("/cameras/healthz")?.expect(200)?;
    direct.get("/camerasx/healthz")?.expect(404)?;
    Ok(())
}

/// How many requests of a route the server has answered.
fn asked(server: &Client, route: &str) -> Result<f64> {
    let metrics = server.get_text("/metrics")?;
    let of_route = format!("route=\"{route}\"");
    let lines = metrics.lines().filter(|line| {
        line.starts_with("dayreel_http_requests_total{") && line.contains(&of_route)
    });
    let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(counts.sum())
}

/// Players that wait for the same part at the same time, and how often each of them does.
const FOLLOWERS: u32 = 8;
const RELOADS: u32 = 6;

/// Players of low latency get each part when it is there; of their equal waits one is sent on.
fn follow_by_parts(viewer: &Client, direct: &Client) -> Result<()> {
    let before = asked(direct, PLAYLIST)?;
    let follow = || {
        let path = format!("/{CAMERA}/stream/today/video.m3u8");
        let (mut follower, findings) = PartsFollower::start(viewer, path, "", 1)?;
        findings.assert_none("video");
        for _ in 0..RELOADS {
            let findings = follower.reload(viewer)?.context("nothing is recorded")?;
            findings.assert_none("video");
        }
        anyhow::Ok(())
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..FOLLOWERS).map(|_| scope.spawn(follow)).collect();
        all.into_iter()
            .try_for_each(|one| one.join().expect("a follower panicked"))
    })?;
    let sent_on = asked(direct, PLAYLIST)? - before;
    let all = f64::from(FOLLOWERS * (RELOADS + 1));
    ensure!(sent_on < all / 2.0, "{sent_on} of {all} were sent on");
    Ok(())
}

#[test]
fn a_cache_asks_once_for_all_viewers_and_keeps_nothing_of_a_user() -> Result<()> {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(readme)?;
    let mut stage = Stage::recorded(picture(VideoCodec::H264), 1, 3)?;
    let direct = stage.server.client();
    let nginx = Nginx::caching(stage.server.address(), &readme)?;
    let viewer = Client::new(nginx.address);
    let folder = format!("/{CAMERA}/stream/today/");
    let playlist = viewer.get(&format!("{folder}video.m3u8"))?.expect(200)?;
    let text = playlist.text()?;
    let segment = resolve(&folder, last_address(&text).context("no segment")?);
    let before = asked(&direct, SEGMENT)?;
    let first = viewer.get(&segment)?.expect(200)?;
    for _ in 0..20 {
        let again = viewer.get(&segment)?.expect(200)?;
        ensure!(again.body == first.body, "{segment}");
        let part = viewer.get_range(&segment, "4-11")?.expect(206)?;
        ensure!(part.body == first.body[4..12], "{segment}");
    }
    ensure!(asked(&direct, SEGMENT)? - before == 1.0);
    follow_by_parts(&viewer, &direct)?;
    // What is live comes within a second or two of its being there, and compressed to whom wants it so.
    let newer = || {
        let now = viewer
            .get(&format!("{folder}video.m3u8"))
            .ok()?
            .text()
            .ok()?;
        (last_address(&now) != last_address(&text)).then_some(())
    };
    wait_until(RECORD, newer).context("the playlist stands still")?;
    let small = viewer
        .get_gzip(&format!("{folder}video.m3u8"))?
        .expect(200)?;
    ensure!(small.header("content-encoding") == Some("gzip"));

    // With users each request is asked, so that nobody gets what another may see.
    let users = user(&["add", "anna", "--role", "admin", "--print"], PASSWORD)?;
    let config = stage.server.config_path();
    let text = std::fs::read_to_string(&config)?;
    std::fs::write(&config, text + "\n" + &users)?;
    direct.request("POST", "/api/reload", &[])?.expect(200)?;
    let login = format!("anna:{PASSWORD}");
    let login = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, login);
    let login = format!("Basic {login}");
    let other = viewer.get(&format!("{folder}manifest.mpd"))?;
    ensure!(other.status == 401, "{}", other.status);
    let anna = [("authorization", login.as_str())];
    let manifest = format!("{folder}manifest.mpd");
    viewer.request("GET", &manifest, &anna)?.expect(200)?;
    viewer.get(&manifest)?.expect(401)?;
    ensure!(stage.server.stop()?.success());
    Ok(())
}
