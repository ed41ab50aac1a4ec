//! What the container image is made of that needs no container: its entry point, the health check,
//! and what packages are made with.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use anyhow::{Context as _, Result, ensure};
use dayreel_testcam::{Camera, Settings};
use dayreel_tests::process::{Server, Setup, binary};

const DOCKER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docker");

/// The programs that the entry point calls, replaced by ones that say what they are asked.
struct Stage {
    folder: tempfile::TempDir,
}

impl Stage {
    /// A container that runs as user `uid`, with something mounted at `mount`.
    fn new(uid: u32, mount: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let program = |name: &str, does: &str| -> Result<()> {
            let path = folder.path().join(name);
            fs::write(&path, format!("#!/bin/sh\n{does}\n"))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            Ok(())
        };
        program("id", &format!("echo {uid}"))?;
        program("findmnt", &format!("echo {mount}"))?;
        program(
            "dayreel",
            "echo dayreel \"$@\", umask $(umask)${DAYREEL_DATA_DIR:+, data $DAYREEL_DATA_DIR}",
        )?;
        program("setpriv", "echo setpriv \"$@\", umask $(umask)")?;
        Ok(Self { folder })
    }

    fn start(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Result<Output> {
        let path = format!("{}:/usr/bin:/bin", self.folder.path().display());
        Command::new("/bin/sh")
            .arg(Path::new(DOCKER).join("entrypoint"))
            .args(arguments)
            .env_clear()
            .env("PATH", path)
            .envs(variables.iter().copied())
            .output()
            .context("no shell")
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or("not UTF-8")
}

#[test]
fn the_entry_point_becomes_the_program_as_the_user_it_is_told() -> Result<()> {
    let as_root = Stage::new(0, "/data")?;
    let as_user = Stage::new(1026, "/data")?;
    let drop = "--clear-groups --no-new-privs -- dayreel";
    for (stage, variables, arguments, said) in [
        (
            &as_root,
            &[][..],
            &["run"][..],
            format!("setpriv --reuid 1000 --regid 1000 {drop} run, umask 0022\n"),
        ),
        (
            &as_root,
            &[("PUID", "1026"), ("PGID", "100"), ("UMASK", "027")],
            &["run", "--log-format", "a b"],
            format!("setpriv --reuid 1026 --regid 100 {drop} run --log-format a b, umask 0027\n"),
        ),
        (
            &as_user,
            &[("PUID", "1")],
            &["health"],
            "dayreel health, umask 0022\n".to_owned(),
        ),
    ] {
        let output = stage.start(variables, arguments)?;
        assert_eq!(text(&output.stdout), said, "{output:?}");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    let output = as_root.start(&[("PUID", "admin")], &["run"])?;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stderr).contains("PUID and PGID are numbers"));
    Ok(())
}

#[test]
fn a_container_without_its_volume_records_nothing() -> Result<()> {
    let unmounted = Stage::new(1000, "/")?;
    for arguments in [&["run"][..], &["--log-level", "debug", "run"]] {
        let output = unmounted.start(&[("DAYREEL_DATA_DIR", "/data")], arguments)?;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_eq!(text(&output.stdout), "");
        assert!(
            text(&output.stderr).starts_with("dayreel: nothing is mounted at /data"),
            "{output:?}"
        );
    }
    // Nothing that lasts comes from these.
    for command in ["demo", "health", "check", "--help"] {
        let output = unmounted.start(&[], &[command])?;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(
            text(&output.stdout),
            format!("dayreel {command}, umask 0022\n")
        );
    }
    Ok(())
}

/// The image says `DAYREEL_DATA_DIR=/data`, which is no place on a read-only root.
#[test]
fn regression_the_demo_recorded_into_the_layer_of_the_container() -> Result<()> {
    for (mount, data) in [("/", ""), ("/data", ", data /data")] {
        let stage = Stage::new(1000, mount)?;
        let output = stage.start(&[("DAYREEL_DATA_DIR", "/data")], &["demo"])?;
        let said = format!("dayreel demo, umask 0022{data}\n");
        assert_eq!(text(&output.stdout), said, "{output:?}");
    }
    Ok(())
}

#[test]
fn the_scripts_of_image_and_package_are_posix_shell() -> Result<()> {
    for script in [
        "entrypoint",
        "gather",
        "../.ci/deb",
        "../crates/dayreel/debian/postinst",
    ] {
        let output = Command::new("/bin/sh")
            .args(["-n", script])
            .current_dir(DOCKER)
            .output()?;
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
    }
    Ok(())
}

/// The image and the Debian package are made from what the program says of itself.
#[test]
fn the_program_says_what_it_needs() -> Result<()> {
    let output = Command::new(binary()).arg("plugins").output()?;
    ensure!(output.status.success(), "{output:?}");
    let files: Vec<&Path> = text(&output.stdout).lines().map(Path::new).collect();
    for name in [
        "libgstcoreelements.so",
        "libgstrtpmanager.so",
        "libgstvoaacenc.so",
    ] {
        assert!(files.iter().any(|file| file.ends_with(name)), "{name}");
    }
    assert!(files.iter().all(|file| file.is_file()), "{files:?}");
    assert!(files.len() < 40, "all of GStreamer: {files:?}");

    let folder = tempfile::tempdir()?;
    let output = Command::new(binary())
        .arg("man")
        .arg(folder.path())
        .output()?;
    ensure!(output.status.success(), "{output:?}");
    let page = fs::read_to_string(folder.path().join("dayreel-run.1"))?;
    assert!(page.contains("Configuration file"), "{page}");
    let output = Command::new(binary())
        .args(["completions", "bash"])
        .output()?;
    ensure!(output.status.success(), "{output:?}");
    assert!(text(&output.stdout).contains("timelapse"));
    Ok(())
}

#[test]
fn health_is_that_of_the_server_in_the_configuration() -> Result<()> {
    let camera = Camera::start(Settings::default())?;
    let mut server = Server::start(Setup::with_cameras([("front-door", &*camera.url())]))?;
    let health = |server: &Server| {
        // The configuration says port 0.
        let listen = server.address().to_string();
        let mut command = Command::new(binary());
        command.arg("health").args(["--listen", &listen]).output()
    };
    let output = health(&server)?;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    server.stop()?;
    let output = health(&server)?;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        text(&output.stderr).contains("no answer from"),
        "{output:?}"
    );
    Ok(())
}

/// Without a session bus, systemd's side is a datagram socket.
#[test]
fn systemd_is_told_of_start_life_and_end() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path)?;
    socket.set_read_timeout(Some(std::time::Duration::from_secs(20)))?;
    let mut setup = Setup::with_cameras([("front-door", "rtsp://127.0.0.1:1/s")]);
    setup.environment = vec![
        ("NOTIFY_SOCKET".to_owned(), path.display().to_string()),
        ("WATCHDOG_USEC".to_owned(), "200000".to_owned()),
    ];
    let mut server = Server::start(setup)?;
    let told = || -> Result<String> {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes)?;
        Ok(text(&bytes[..length]).trim().to_owned())
    };
    assert_eq!(told()?, "READY=1");
    assert_eq!([told()?, told()?], ["WATCHDOG=1", "WATCHDOG=1"]);
    server.stop()?;
    let mut last = told()?;
    while last == "WATCHDOG=1" {
        last = told()?;
    }
    assert_eq!(last, "STOPPING=1");
    Ok(())
}
