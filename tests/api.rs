//! The description of the API (OpenAPI 3.1) is a good one, and the server does what it says: requests
//! that schemathesis makes of it, good and bad, are answered as described, and never with a server error.
//!
//! That no route is left out of it is held beside the code (`http/src/openapi/document/tests.rs`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use dayreel_testcam::{Camera, PictureSettings, Settings, Source};
use dayreel_tests::{
    process::{Server, Setup, binary, run_within, wait_until},
    rules::hls,
};

/// Until a recording of a few seconds is listed.
const RECORD: Duration = Duration::from_secs(60);
/// For a run that takes 15 s on two busy processors.
const PATIENCE: Duration = Duration::from_secs(600);
const INSTALL: &str = "sh .ci/install test";

/// A program of `.ci/requirements.txt`.
fn python_program(name: &str) -> Result<Command> {
    let target = binary();
    let target = target.ancestors().nth(2).context("no target folder")?;
    let program = target.join("tools/python/bin").join(name);
    ensure!(
        program.is_file(),
        "{} is missing: {INSTALL}",
        program.display()
    );
    Ok(Command::new(program))
}

/// Two cameras, one with sound, and a server that records them.
struct Stage {
    server: Server,
    /// They end after the server.
    _cameras: [Camera; 2],
}

impl Stage {
    fn start() -> Result<Self> {
        let camera = || {
            Camera::start(Settings {
                source: Source::Picture(PictureSettings::small()),
                ..Settings::default()
            })
        };
        let cameras = [camera()?, camera()?];
        let urls = cameras.each_ref().map(|camera| camera.url().to_string());
        let mut setup = Setup::with_cameras([
            ("front-door", urls[0].as_str()),
            ("garden", urls[1].as_str()),
        ]);
        setup.cameras = setup
            .cameras
            .replace("[[camera]]", "[[camera]]\nsegment_s = 1");
        let server = Server::start(setup)?;
        Ok(Self {
            server,
            _cameras: cameras,
        })
    }

    /// The name of a segment of that camera, once one is listed.
    fn segment(&self, camera: &str) -> Result<String> {
        let client = self.server.client();
        let path = format!("/{camera}/stream/today/video.m3u8");
        let listed = wait_until(RECORD, || {
            let text = client.get(&path).ok()?.expect(200).ok()?.text().ok()?;
            let list = hls::reader::read(&text).0;
            Some(list.segments.last()?.uri.clone())
        });
        let uri = listed.with_context(|| format!("nothing of {camera}"))?;
        Ok(uri.trim_start_matches("../").to_owned())
    }
}

/// Runs schemathesis on some of the operations. Fails with its report.
fn check(settings: &Path, url: &str, more: &[&str]) -> Result<()> {
    let mut command = python_program("schemathesis")?;
    command
        .arg("--config-file")
        .arg(settings)
        .args(["run", url, "--seed", "1", "--warnings", "off"])
        .args(["--workers", "4", "--request-timeout", "60"])
        // There is no 31 November; a schema cannot say that.
        .args(["--exclude-checks", "positive_data_acceptance"])
        .args(more)
        // What it remembers of failures belongs to no run but this.
        .current_dir(settings.parent().context("no folder")?);
    let done = run_within(command, PATIENCE, INSTALL)?;
    let report = String::from_utf8_lossy(&done.stdout);
    ensure!(done.status.success(), "{report}");
    // A filter that fits nothing would be no failure.
    ensure!(report.contains(" passed"), "{report}");
    Ok(())
}

#[test]
fn the_server_does_what_its_description_says() -> Result<()> {
    let stage = Stage::start()?;
    let segment = stage.segment("front-door")?;
    stage.segment("garden")?;
    let client = stage.server.client();
    let made = client
        .request("POST", "/front-door/moment/generate/4/0", &[])?
        .expect(200)?
        .json()?;
    let moment = made["url"].as_str().context("no moment")?;
    let numbers: Vec<_> = moment.rsplit('/').take(6).collect();
    let [second, minute, hour, day, month, year] = numbers[..] else {
        anyhow::bail!("{moment}")
    };

    let folder = tempfile::tempdir()?;
    let document = folder.path().join("openapi.json");
    fs::write(
        &document,
        client.get("/api/openapi.json")?.expect(200)?.body,
    )?;
    let mut validator = python_program("openapi-spec-validator")?;
    validator.args(["--schema", "3.1"]).arg(&document);
    let valid = run_within(validator, PATIENCE, INSTALL)?;
    ensure!(valid.status.success(), "{valid:?}");

    // So that it finds more than what is not there.
    let settings: PathBuf = folder.path().join("schemathesis.toml");
    let one_moment = "/{cam}/moment/list/{year}/{month}/{day}/{hour}/{minute}/{second}";
    fs::write(
        &settings,
        format!(
            r#"
            [parameters]
            "path.cam" = "front-door"
            [[operations]]
            include-path = "/{{cam}}/stream/{{name}}"
            parameters = {{ "path.name" = "{segment}" }}
            [[operations]]
            include-name = "GET {one_moment}"
            [operations.parameters]
            "path.year" = {year}
            "path.month" = {month}
            "path.day" = {day}
            "path.hour" = {hour}
            "path.minute" = {minute}
            "path.second" = {second}
            "#
        ),
    )?;
    let url = stage.server.url("/api/openapi.json");
    // Each moment takes a second; so there are few of them, beside the others.
    let makes = "moment/generate";
    let few = ["--phases", "examples,fuzzing", "--max-examples", "2"];
    let few = [&few[..], &["--include-path-regex", makes]].concat();
    let many = ["--phases", "coverage,fuzzing", "--max-examples", "3"];
    let many = [&many[..], &["--exclude-path-regex", makes]].concat();
    thread::scope(|scope| {
        let makers = scope.spawn(|| check(&settings, &url, &few));
        let others = check(&settings, &url, &many);
        makers
            .join()
            .map_err(|_| anyhow::anyhow!("the check of moments has panicked"))?
            .and(others)
    })
}
