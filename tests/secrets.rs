//! Passwords, sessions and tokens are nowhere but where they belong: not in a line of the log at its most
//! talkative, not in an answer, not in what is recorded, not in the process list.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use dayreel_testcam::{Camera, Login, LoginMethod, PictureSettings, Settings, Source};
use dayreel_tests::{
    client::Client,
    process::{Mosquitto, binary, run_within, stop_within, user, wait_until},
};
use rustix::process::Signal;
use tempfile::TempDir;

/// Until the cameras are live, or have been refused.
const PATIENCE: Duration = Duration::from_secs(90);
const USER: &str = "viewer";
/// Letters that a URL writes otherwise, and none that it does.
const PASSWORDS: [&str; 6] = [
    "Zq7@horse/battery",
    "Kx4-staple~gravel",
    "Wm9-wrong~password",
    // At the MQTT broker.
    "Rn6-kettle~broker",
    // Of a user of the server, and of nobody.
    "Ty5~anna/lantern",
    "Vb8~guess-anchor",
];

/// A server whose log goes to a file, every line of it.
struct Talkative {
    folder: TempDir,
    child: Child,
    address: SocketAddr,
}

impl Talkative {
    fn start(cameras: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let server =
            "[server]\nlisten = \"127.0.0.1:0\"\ndata_dir = \"data\"\ntimezone = \"UTC\"\n";
        fs::write(
            folder.path().join("dayreel.toml"),
            format!("{server}{cameras}"),
        )?;
        let log = folder.path().join("log");
        let mut child = Command::new(binary())
            .args(["run", "--config", "dayreel.toml"])
            .current_dir(folder.path())
            .envs([("DAYREEL_LOG", "trace"), ("RUST_BACKTRACE", "1")])
            // GStreamer's levels go to 9, which is the bytes of every buffer.
            .envs([("GST_DEBUG", "6"), ("GST_DEBUG_NO_COLOR", "1")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        let listening = || {
            let text = fs::read(&log).ok()?;
            let text = String::from_utf8_lossy(&text);
            let (_, address) = text.split_once("listening on http://")?;
            address.split_once('/')?.0.parse().ok()
        };
        let Some(address) = wait_until(PATIENCE, listening) else {
            let _ = child.kill();
            let _ = child.wait();
            anyhow::bail!("it does not listen");
        };
        Ok(Self {
            folder,
            child,
            address,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Talkative {
    fn drop(&mut self) {
        // It may have ended already; there is nobody left to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All that a password can look like.
fn forms(password: &str) -> Vec<(String, Vec<u8>)> {
    let encoded = |all: bool| {
        let letter = |c: char| match c.is_ascii_alphanumeric() || (!all && "-~".contains(c)) {
            true => c.to_string(),
            false => format!("%{:02X}", u32::from(c)),
        };
        password.chars().map(letter).collect::<String>()
    };
    let pair = |name: &str| {
        let pair = STANDARD.encode(format!("{name}:{password}"));
        pair.trim_end_matches('=').to_owned()
    };
    [
        ("as it is", password.to_owned()),
        ("in a URL", encoded(false)),
        ("in a URL, all of it", encoded(true)),
        ("in lower case", encoded(false).to_lowercase()),
        // The end depends on what follows.
        ("in base64", pair(USER)),
        ("in base64, of anna", pair("anna")),
        (
            "alone in base64",
            STANDARD.encode(password).trim_end_matches('=').to_owned(),
        ),
    ]
    .map(|(how, form)| (how.to_owned(), form.into_bytes()))
    .into()
}

/// What `anna` is let in with: her password, a session, a token.
struct Anna {
    client: Client,
    bearer: String,
    /// Without what is said before them; signed, so that nothing else has them.
    tickets: Vec<String>,
}

impl Anna {
    fn log_in(address: SocketAddr) -> Result<Self> {
        let [.., password, guess] = PASSWORDS;
        let client = Client::new(address);
        let pair =
            |password: &str| format!("Basic {}", STANDARD.encode(format!("anna:{password}")));
        let wrong = client.request("GET", "/api/cameras", &[("authorization", &pair(guess))])?;
        is_free("a refusal", &wrong.expect(401)?.body)?;
        let head = "host: localhost\r\nconnection: close\r\n";
        let form = format!("name=anna&password={}", password.replace('/', "%2F"));
        let answer = client.raw(
            format!(
                "POST /login HTTP/1.1\r\n{head}content-type: application/x-www-form-urlencoded\r\n\
                 content-length: {}\r\n\r\n{form}",
                form.len()
            )
            .as_bytes(),
        )?;
        let session = answer.split_once("dayreel_session=");
        let session = session.and_then(|(_, rest)| rest.split_once(';'));
        let (session, _) = session.with_context(|| format!("no session: {answer}"))?;
        is_free("a login", answer.as_bytes())?;
        let basic = pair(password);
        let made = client.request("POST", "/api/token", &[("authorization", &basic)])?;
        let made = made.expect(200)?;
        is_free("a token", &made.body)?;
        let token = made.json()?["token"]
            .as_str()
            .context("no token")?
            .to_owned();
        // The session is good.
        let cookie = format!("dayreel_session={session}");
        let me = client.request("GET", "/api/me", &[("cookie", &cookie)])?;
        ensure!(me.expect(200)?.json()?["user"] == "anna");
        Ok(Self {
            client,
            bearer: format!("Bearer {token}"),
            tickets: vec![session.to_owned(), token],
        })
    }

    fn ask(&self, method: &str, path: &str) -> Result<dayreel_tests::client::Answer> {
        let headers = [("authorization", self.bearer.as_str())];
        self.client.request(method, path, &headers)
    }

    /// No password, and no ticket, stands in `bytes`.
    fn is_free(&self, place: &str, bytes: &[u8]) -> Result<()> {
        is_free(place, bytes)?;
        let text = String::from_utf8_lossy(bytes);
        for ticket in &self.tickets {
            if let Some(at) = text.find(ticket.as_str()) {
                let begin = text[..at].rfind('\n').map_or(0, |end| end + 1);
                anyhow::bail!("{place} has a ticket: {}", &text[begin..at]);
            }
        }
        Ok(())
    }
}

/// No password stands in `bytes`, in whatever form.
fn is_free(place: &str, bytes: &[u8]) -> Result<()> {
    for password in PASSWORDS {
        for (how, form) in forms(password) {
            let at = bytes.windows(form.len()).position(|window| window == form);
            if let Some(at) = at {
                let around = &bytes[at.saturating_sub(300)..bytes.len().min(at + 100)];
                let around = String::from_utf8_lossy(around);
                anyhow::bail!("{place} has {password} {how}: …{around}…");
            }
        }
    }
    Ok(())
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => files_below(&path, found)?,
            false => found.push(path),
        }
    }
    Ok(())
}

fn camera(password: &str, method: LoginMethod) -> Result<Camera> {
    Camera::start(Settings {
        source: Source::Picture(PictureSettings::small()),
        login: Some(Login {
            user: USER.into(),
            password: password.into(),
            method,
        }),
        ..Settings::default()
    })
}

#[test]
fn passwords_are_nowhere_but_in_the_configuration() -> Result<()> {
    let [digest, basic, wrong, at_broker, own, _] = PASSWORDS;
    let cameras = [
        ("digest", camera(digest, LoginMethod::Digest)?, digest),
        ("basic", camera(basic, LoginMethod::Basic)?, basic),
        ("wrong", camera("another", LoginMethod::Digest)?, wrong),
    ];
    let table = |(id, camera, password): &(&str, Camera, &str)| {
        let rtsp = camera.url_as(USER, password);
        // There is none, so that it is spoken of.
        let host = rtsp.rsplit_once('/').map_or("", |(host, _)| host);
        let preview = format!("{host}/no-such-stream");
        format!(
            "[[camera]]\nid = \"{id}\"\nrtsp = \"{rtsp}\"\nrtsp_preview = \"{preview}\"\nsegment_s = 1\n"
        )
    };
    let broker = Mosquitto::start(Some((USER, at_broker)), None)?;
    let heard = broker.subscribe()?;
    let mqtt = format!(
        "[mqtt]\nurl = \"mqtt://{}\"\nuser = \"{USER}\"\npassword = \"{at_broker}\"\n",
        broker.address
    );
    let users = user(&["add", "anna", "--role", "admin", "--print"], own)?;
    let hash = users.split('"').find(|part| part.starts_with("$argon2id$"));
    let hash = hash.context("no hash")?.to_owned();
    let tables = mqtt + &cameras.iter().map(table).collect::<String>() + &users;
    let mut server = Talkative::start(&tables)?;
    let anna = Anna::log_in(server.address)?;
    let state = |id: &str| {
        let answer = anna.ask("GET", &format!("/api/cameras/{id}")).ok()?;
        answer.expect(200).ok()?.json().ok()
    };
    for id in ["digest", "basic"] {
        wait_until(PATIENCE, || {
            (state(id)?["recorded_today_s"].as_f64()? > 1.0).then_some(())
        })
        .with_context(|| format!("{id} is not recorded: {:?}", state(id)))?;
    }
    wait_until(PATIENCE, || {
        (state("wrong")?["last_error"]["code"] == "camera_auth").then_some(())
    })
    .with_context(|| format!("not refused: {:?}", state("wrong")))?;
    // What is said of the sub-streams is said of their addresses, too.
    for id in ["digest", "wrong"] {
        wait_until(PATIENCE, || {
            state(id)?["preview"]["last_error"]["code"]
                .is_string()
                .then_some(())
        })
        .with_context(|| format!("no error: {:?}", state(id)))?;
    }
    // The broker is told of them, also of the one that was refused.
    for (id, ..) in &cameras {
        let topic = format!("dayreel/{id}/state");
        let is_told = |state: &serde_json::Value| match *id {
            "wrong" => state["last_error"].is_string(),
            _ => state["state"] == "live",
        };
        heard.wait_for(&topic, PATIENCE, |message| {
            message.json().is_ok_and(|state| is_told(&state))
        })?;
        for topic in [topic, format!("homeassistant/device/dayreel_{id}/config")] {
            for message in heard.heard(&topic) {
                anna.is_free(&topic, &message.payload)?;
            }
        }
    }

    let mut paths: Vec<String> = [
        "/",
        "/api/cameras",
        "/api/storage",
        "/metrics",
        "/readyz",
        "/healthz",
        "/api/me",
        "/login",
    ]
    .map(str::to_owned)
    .into();
    for (id, ..) in &cameras {
        for path in [
            "",
            "frame",
            "live/playlist.m3u8",
            "moment/list",
            "moment/generate/4/0",
            "timelapse",
            "stream/today/playlist.m3u8",
            "stream/today/video.m3u8",
            "stream/today/manifest.mpd",
            "stream/2001-01-01/manifest.mpd",
            "stream/v-1.m4s",
            "frame/12:00",
            "no/such/thing",
        ] {
            paths.push(format!("/{id}/{path}"));
        }
        for path in ["", "/days", "/events"] {
            paths.push(format!("/api/cameras/{id}{path}"));
        }
    }
    for path in &paths {
        anna.is_free(path, &anna.ask("GET", path)?.body)?;
    }
    anna.is_free("a reload", &anna.ask("POST", "/api/reload")?.body)?;
    // A configuration that is wrong is told about, too.
    let config = server.path("dayreel.toml");
    let text = fs::read_to_string(&config)?;
    fs::write(&config, text.replace("\"rtsp://", "\"rtps://"))?;
    let refused = anna.ask("POST", "/api/reload")?.expect(400)?;
    anna.is_free("a refused reload", &refused.body)?;
    // What the broker refuses is spoken of, too.
    fs::write(&config, text.replace(at_broker, wrong))?;
    anna.ask("POST", "/api/reload")?.expect(200)?;
    let log = server.path("log");
    let is_refused = || {
        let text = String::from_utf8_lossy(&fs::read(&log).ok()?).into_owned();
        text.contains("refuses the user or the password")
            .then_some(())
    };
    wait_until(PATIENCE, is_refused).context("the broker does not refuse")?;

    let mut check = Command::new(binary());
    check.args(["check", "--config"]).arg(&config);
    let check = run_within(check, PATIENCE, "cargo build")?;
    ensure!(check.status.success(), "{check:?}");
    anna.is_free("dayreel check", &[check.stdout, check.stderr].concat())?;
    let process = format!("/proc/{}", server.child.id());
    anna.is_free("the process list", &fs::read(format!("{process}/cmdline"))?)?;

    let ended = stop_within(&mut server.child, Signal::TERM, PATIENCE)?;
    ensure!(ended.success(), "{ended:?}");
    let log = fs::read(server.path("log"))?;
    // It was as talkative as it can be.
    let text = String::from_utf8_lossy(&log);
    for word in [
        "TRACE",
        "DEBUG",
        "said_as=\"LOG\"",
        "rtsp",
        "connected to the MQTT broker",
    ] {
        ensure!(
            text.contains(word),
            "the log of {} bytes has no {word}",
            log.len()
        );
    }
    anna.is_free("the log", &log)?;
    ensure!(!text.contains(&hash), "the log has the hash of a password");
    let mut recorded = Vec::new();
    files_below(&server.path("data"), &mut recorded)?;
    ensure!(recorded.len() > 4, "{recorded:?}");
    for path in recorded {
        anna.is_free(&path.display().to_string(), &fs::read(&path)?)?;
    }
    Ok(())
}

#[test]
fn a_password_would_be_found_in_each_form() {
    for password in PASSWORDS {
        for (how, form) in forms(password) {
            let text = [b"before ", form.as_slice(), b" after"].concat();
            assert!(is_free("a text", &text).is_err(), "{how}");
        }
    }
    assert!(is_free("a text", b"Zq7 horse").is_ok());
}
