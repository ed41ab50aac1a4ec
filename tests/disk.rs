//! The disk of the recordings in trouble, under the running server: what it says, what goes on
//! meanwhile, and that recording goes on by itself afterwards.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, FixedOffset};
use dayreel_testcam::{AudioCodec, Gop, PictureSettings};
use dayreel_tests::{
    client::Client,
    mount::{Mount, run},
    process::{binary, run_within, wait_until},
    stage::{CAMERA, Stage},
};
use serde_json::Value;

/// For the trouble to be noticed, and for its end.
const PATIENCE: Duration = Duration::from_secs(90);
/// More than the trouble may add to the memory: a queue of 16 MiB and some pictures.
const MOST_GROWTH_BYTES: f64 = 64e6;
/// Segments that are recorded before.
const BEFORE: usize = 4;

/// Records a camera onto `disk`.
fn record_onto(disk: &Mount) -> Result<Stage> {
    let picture = PictureSettings {
        width: 320,
        height: 180,
        gop: Gop::Seconds(1.0),
        bitrate_kbps: 1000,
        audio: Some(AudioCodec::Aac),
        ..PictureSettings::default()
    };
    let stage = Stage::start_with(picture, 1, |setup| {
        setup.data_dir = Some(disk.join("data"));
        // What is in trouble shall not be mended by deleting hours.
        setup.server.push_str("min_free_bytes = 0\n");
    })?;
    stage.wait_for_segments("video", BEFORE)?;
    Ok(stage)
}

/// What `/api/cameras/{cam}` says.
fn camera(client: &Client) -> Option<Value> {
    client.get_json(&format!("/api/cameras/{CAMERA}")).ok()
}

/// Waits until recording is in the trouble `code`, or in none, and returns what the camera says then.
fn until(stage: &Stage, code: Option<&str>) -> Result<Value> {
    let client = stage.server.client();
    let is_so = || camera(&client).filter(|state| state["recording_error_code"].as_str() == code);
    wait_until(PATIENCE, is_so).with_context(|| {
        let now = camera(&client).unwrap_or_default();
        let log = stage.server.log().tail(20);
        format!("not {code:?} but {}\n{log}", now["recording_error"])
    })
}

/// When the picture of now was taken.
fn frame_time(client: &Client) -> Result<DateTime<FixedOffset>> {
    let answer = client.get(&format!("/{CAMERA}/frame/"))?.expect(200)?;
    ensure!(answer.header("x-frame-stale").is_none(), "a stale picture");
    let time = answer.header("x-frame-time").context("no time")?;
    Ok(DateTime::parse_from_rfc3339(time)?)
}

/// Asks for a moment; the status and the code of the answer.
fn moment(client: &Client) -> Result<(u16, Option<String>)> {
    let answer = client.get(&format!("/{CAMERA}/moment/generate/4/0/"))?;
    let code = answer.json()?["error"]["code"].as_str().map(str::to_owned);
    Ok((answer.status, code))
}

fn resident_bytes(stage: &Stage) -> Result<f64> {
    let found = stage.scrape()?.get("process_resident_memory_bytes", &[]);
    found.context("no memory")
}

/// The trouble `code`: made by `get_into`, ended by `get_out`. `status` is what a moment gets
/// meanwhile.
fn goes_through(
    stage: &mut Stage,
    (code, status): (&str, u16),
    get_into: impl FnOnce() -> Result<()>,
    get_out: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let client = stage.server.client();
    // Once for what frames and moments need.
    frame_time(&client)?;
    ensure!(moment(&client)?.0 == 200);
    let resident = resident_bytes(stage)?;

    get_into()?;
    let state = until(stage, Some(code))?;
    ensure!(state["state"] == "live", "{state}");
    ensure!(
        state["recording_error"]
            .as_str()
            .is_some_and(|text| text.len() > 10)
    );
    let said = |line: &str| line.contains("not recorded").then_some(());
    stage
        .server
        .log()
        .wait_for(PATIENCE, said)
        .context("the log does not say it")?;

    let early = frame_time(&client)?;
    let later = || {
        frame_time(&client)
            .ok()
            .filter(|time| (*time - early).num_seconds() >= 4)
    };
    wait_until(PATIENCE, later).context("the picture of now stands still")?;
    let made = moment(&client)?;
    ensure!(made == (status, Some(code.to_owned())), "{made:?}");
    let state = until(stage, Some(code))?;
    ensure!(state["dropped_frames"].as_u64() > Some(50), "{state}");
    let grown = resident_bytes(stage)? - resident;
    eprintln!("{code}: {:.1} MB more", grown / 1e6);
    ensure!(grown < MOST_GROWTH_BYTES, "{grown} bytes more");
    let labels = [("camera", CAMERA), ("code", code)];
    let errors = stage
        .scrape()?
        .get("dayreel_camera_recording_errors_total", &labels);
    ensure!(errors >= Some(1.0), "{errors:?}");

    get_out()?;
    goes_on(stage)
}

/// Recording goes on after a gap that the disk has made, and what is there is sound.
fn goes_on(stage: &mut Stage) -> Result<()> {
    until(stage, None)?;
    let client = stage.server.client();
    let gap = || {
        let days = client
            .get_json(&format!("/api/cameras/{CAMERA}/days"))
            .ok()?;
        days.as_array()?.last()?["gaps"].as_array()?.last().cloned()
    };
    let ended = || gap().filter(|gap| gap["cause"] == "disk" && gap["open"] != true);
    wait_until(PATIENCE, ended).with_context(|| {
        let days = client.get_text(&format!("/api/cameras/{CAMERA}/days"));
        format!(
            "no gap of the disk: {days:?}\n{}",
            stage.server.log().tail(40)
        )
    })?;
    let listed = || {
        stage
            .wait_for_segments("video", 1)
            .map(|list| list.segments.len())
    };
    let before = listed()?;
    stage.wait_for_segments("video", before + 3)?;
    ensure!(moment(&client)?.0 == 200);
    let log = stage.server.log().lines();
    ensure!(
        !log.iter().any(|line| line.contains("panicked")),
        "{log:#?}"
    );
    ensure!(stage.server.stop()?.code() == Some(0));
    verified(stage)
}

/// `dayreel verify` finds nothing.
fn verified(stage: &Stage) -> Result<()> {
    let mut verify = std::process::Command::new(binary());
    verify
        .args(["verify", "--data"])
        .arg(stage.server.data_dir());
    let verified = run_within(verify, PATIENCE, "it is built with the tests")?;
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    ensure!(verified.status.success(), "{text}");
    Ok(())
}

#[test]
fn a_disk_that_another_file_fills() -> Result<()> {
    let disk = Mount::tmpfs(32 << 20)?;
    let mut stage = record_onto(&disk)?;
    let filler = disk.join("filler");
    let fill = || {
        let full = fs::write(&filler, vec![0; 32 << 20]);
        ensure!(full.is_err(), "there is room left");
        Ok(())
    };
    let free = || Ok(fs::remove_file(&filler)?);
    goes_through(&mut stage, ("disk_full", 507), fill, free)
}

#[test]
fn a_quota_that_is_used_up() -> Result<()> {
    let disk = Mount::btrfs(256 << 20)?;
    let folder = disk.join("data");
    let volume = folder.to_str().context("no UTF-8")?;
    run("btrfs", &["subvolume", "create", volume])?;
    let mut stage = record_onto(&disk)?;
    // Its first subvolume has the number 256. Asked at the root, whose own quota is not used up.
    let root = disk.path().to_str().context("no UTF-8")?;
    let limit = |bytes: &str| run("btrfs", &["qgroup", "limit", bytes, "0/256", root]).map(drop);
    let (used_up, lifted) = (|| limit("64k"), || limit("none"));
    goes_through(&mut stage, ("quota_exceeded", 507), used_up, lifted)
}

#[test]
fn a_disk_that_is_pulled_and_plugged_in_again() -> Result<()> {
    let disk = Mount::ext4(64 << 20)?;
    let mut stage = record_onto(&disk)?;
    let (pull, plug_in) = (|| disk.unmount(), || disk.mount());
    goes_through(&mut stage, ("disk_missing", 503), pull, plug_in)
}

/// As ext4 does after an error of its own. Such a disk has to be unmounted and checked: a server that
/// runs does not stand in the way.
#[test]
fn a_disk_that_turns_read_only_and_is_mended() -> Result<()> {
    let disk = Mount::ext4(64 << 20)?;
    let mut stage = record_onto(&disk)?;
    // What is younger than 5 s may not be on the disk yet, and is lost as by a power cut.
    stage.wait_for_segments("video", 3 * BEFORE)?;
    let trigger = format!("/sys/fs/ext4/{}/trigger_fs_error", disk.device()?);
    let get_into = || Ok(fs::write(&trigger, "test")?);
    let mend = || {
        disk.unmount()?;
        let is_free = || (!disk.is_in_use().ok()?).then_some(());
        wait_until(PATIENCE, is_free).context("files are still open on it")?;
        // Ends with 1: errors were corrected.
        let _ = run("fsck.ext4", &["-p", disk.image()?]);
        disk.mount()
    };
    goes_through(&mut stage, ("disk_read_only", 503), get_into, mend)
}

/// Writes wait, as on a disk that has to spin up or is in trouble.
#[test]
fn a_disk_that_hangs_for_longer_than_the_queue_lasts() -> Result<()> {
    let disk = Mount::ext4(64 << 20)?;
    let mut stage = record_onto(&disk)?;
    let client = stage.server.client();
    frame_time(&client)?;
    ensure!(moment(&client)?.0 == 200);
    let resident = resident_bytes(&stage)?;
    let frozen = Instant::now();
    disk.freeze(true)?;
    let state = until(&stage, Some("disk_slow"))?;
    ensure!(state["state"] == "live", "{state}");
    let early = frame_time(&client)?;
    let is_over = || {
        let state = camera(&client)?;
        let is_dropping = state["dropped_frames"].as_u64() > Some(50);
        (is_dropping && frozen.elapsed() > Duration::from_secs(30)).then_some(())
    };
    wait_until(PATIENCE, is_over).context("the queue has no end")?;
    ensure!(
        (frame_time(&client)? - early).num_seconds() > 10,
        "the picture of now stands still"
    );
    // A moment waits for the disk like everything that is to be written.
    let asked = client.clone();
    let waiting = thread::spawn(move || moment(&asked));
    let is_asked = || {
        let scrape = stage.scrape().ok()?;
        let grown = scrape.get("process_resident_memory_bytes", &[])? - resident;
        Some(grown)
    };
    let grown = wait_until(PATIENCE, is_asked).context("no metrics")?;
    eprintln!("disk_slow: {:.1} MB more", grown / 1e6);
    ensure!(grown < MOST_GROWTH_BYTES, "{grown} bytes more");
    let days = client.get_json(&format!("/api/cameras/{CAMERA}/days"))?;
    ensure!(
        days.as_array().is_some_and(|days| days.len() == 1),
        "{days}"
    );
    disk.freeze(false)?;
    let made = waiting.join().map_err(|_| anyhow::anyhow!("no answer"))??;
    ensure!(made == (200, None), "{made:?}");
    let said = |line: &str| line.contains("the disk is too slow").then_some(());
    stage
        .server
        .log()
        .wait_for(PATIENCE, said)
        .context("the log does not say it")?;
    goes_on(&mut stage)
}
