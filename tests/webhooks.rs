//! Webhooks: what happens is told, signed, and told again where nobody listened.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use dayreel_testcam::PictureSettings;
use dayreel_tests::{
    process::{run_within, wait_until},
    stage::{CAMERA, Stage},
};

/// A camera that goes is lost after 10 s; one that comes back is connected to within 30 s.
const PATIENCE: Duration = Duration::from_secs(90);
const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// One request of the server.
#[derive(Debug)]
struct Call {
    path: String,
    /// Names in lower case.
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Call {
    fn json(&self) -> Result<serde_json::Value> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// The event is what the headers say, and is signed with [`SECRET`].
    fn event(&self) -> Result<serde_json::Value> {
        let event = self.json()?;
        let header = |name: &str| self.headers.get(name).map(String::as_str);
        ensure!(
            header("x-dayreel-event") == event["event"].as_str(),
            "{self:?}"
        );
        ensure!(
            header("x-dayreel-delivery") == event["id"].as_str(),
            "{self:?}"
        );
        ensure!(
            header("content-type") == Some("application/json"),
            "{self:?}"
        );
        let body = tempfile::NamedTempFile::new()?;
        fs::write(body.path(), &self.body)?;
        let mut openssl = Command::new("openssl");
        openssl
            .args(["dgst", "-sha256", "-r", "-hmac", SECRET])
            .arg(body.path());
        let signed = run_within(openssl, PATIENCE, "apt-get install openssl")?;
        let signed = String::from_utf8(signed.stdout)?;
        let due = signed.split(' ').next().map(|hex| format!("sha256={hex}"));
        ensure!(
            self.headers.get("x-dayreel-signature") == due.as_ref(),
            "{self:?}: {signed}"
        );
        Ok(event)
    }
}

/// Somebody who is told: refuses the first calls, takes the others.
fn listener(refused: usize) -> Result<(SocketAddr, Receiver<Call>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (sender, calls) = channel();
    thread::spawn(move || {
        for (nth, stream) in listener.incoming().flatten().enumerate() {
            let status = if nth < refused {
                "503 Later"
            } else {
                "204 Thanks"
            };
            let Ok(call) = answer(stream, status) else {
                continue;
            };
            if sender.send(call).is_err() {
                return;
            }
        }
    });
    Ok((address, calls))
}

fn answer(mut stream: TcpStream, status: &str) -> Result<Call> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).context("no path")?.to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .context("no length")?
        .parse()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )?;
    Ok(Call {
        path,
        headers,
        body,
    })
}

#[test]
fn what_happens_is_told_until_somebody_listens() -> Result<()> {
    let (address, calls) = listener(2)?;
    let (other, none) = listener(0)?;
    let webhooks = format!(
        "[[webhooks]]\nurl = \"http://{address}/hook/T0KEN\"\nsecret = \"{SECRET}\"\n\
         [[webhooks]]\nurl = \"http://{other}/\"\nsecret = \"{SECRET}\"\nevents = [\"disk_low\"]\n"
    );
    let mut stage = Stage::start_with(PictureSettings::small(), 1, |setup| {
        // Before the camera's table, which further lines are added to.
        setup.cameras = webhooks + &setup.cameras;
    })?;
    stage.wait_for_segments("video", 5)?;

    let moment = format!("/{CAMERA}/moment/generate/4/0?label=T%C3%BCr");
    let made = stage.server.client().request("POST", &moment, &[])?;
    let made = made.expect(200)?.json()?;
    let told = [(); 3].map(|()| calls.recv_timeout(PATIENCE));
    let mut ids = Vec::new();
    for call in told {
        let call = call.context("not told three times")?;
        ensure!(call.path == "/hook/T0KEN", "{call:?}");
        let event = call.event()?;
        ensure!(
            event["event"] == "moment_made" && event["camera"] == CAMERA,
            "{event}"
        );
        ensure!(event["url"] == made["url"], "{event}: {made}");
        ensure!(event["message"] == "a moment of cam: Tür", "{event}");
        ids.push(event["id"].clone());
    }
    ensure!(ids[0] == ids[1] && ids[1] == ids[2], "{ids:?}");

    stage.camera.stop()?;
    let next = |name: &str| -> Result<()> {
        let call = calls
            .recv_timeout(PATIENCE)
            .with_context(|| format!("no {name}"))?;
        let event = call.event()?;
        ensure!(
            event["event"] == name && event["camera"] == CAMERA,
            "{event}"
        );
        ensure!(!ids.contains(&event["id"]), "{event}");
        let time = event["time"].as_str().context("no time")?;
        let age = chrono::Utc::now() - chrono::DateTime::parse_from_rfc3339(time)?.to_utc();
        ensure!((0..60).contains(&age.num_seconds()), "{event}");
        Ok(())
    };
    next("camera_lost")?;
    stage.camera.restart()?;
    next("camera_back")?;
    ensure!(none.try_recv().is_err(), "told what nobody asked for");
    let log = stage.server.log().tail(1000);
    ensure!(log.contains("not told: status 503"), "{log}");
    ensure!(!log.contains("T0KEN") && !log.contains(SECRET), "{log}");
    Ok(())
}

#[test]
fn another_webhook_is_told_after_a_reload() -> Result<()> {
    let (address, calls) = listener(0)?;
    let stage = Stage::recorded(PictureSettings::small(), 1, 5)?;
    let config = stage.server.config_path();
    let text = fs::read_to_string(&config)?;
    let webhook = format!("[[webhooks]]\nurl = \"http://{address}/\"\nsecret = \"{SECRET}\"\n");
    fs::write(&config, text + &webhook)?;
    let client = stage.server.client();
    client.request("POST", "/api/reload", &[])?.expect(200)?;
    let moment = format!("/{CAMERA}/moment/generate/4/0");
    client.request("POST", &moment, &[])?.expect(200)?;
    let told = wait_until(PATIENCE, || calls.try_recv().ok()).context("not told")?;
    ensure!(told.event()?["event"] == "moment_made", "{told:?}");
    Ok(())
}
