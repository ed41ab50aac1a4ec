//! The `testcam` program as a user meets it.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

fn testcam(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_testcam"));
    command
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Sends a signal and returns the exit code.
fn end(mut child: Child, signal: Signal) -> Option<i32> {
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
    child.wait().unwrap().code()
}

#[test]
fn prints_its_url_serves_and_ends_cleanly() {
    let login = ["--user", "u", "--password", "p"];
    let odd = ["--odd", "lower-case", "--odd", "no-time"];
    let cases: [(&[&str], &str, Signal); 3] = [
        (&login, "u:p@", Signal::TERM),
        (&login, "u:p@", Signal::INT),
        (&odd, "", Signal::TERM),
    ];
    for (arguments, user, signal) in cases {
        let mut command = testcam(&["--listen", "127.0.0.1:0", "--path", "/door"]);
        let mut child = command.args(arguments).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut url)
            .unwrap();
        let address = url.trim().strip_prefix(&format!("rtsp://{user}")).unwrap();
        let address = address.strip_suffix("/door").unwrap();
        TcpStream::connect(address).unwrap();
        assert_eq!(end(child, signal), Some(0));
    }
}

#[test]
fn says_in_one_line_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let registry = dir.path().join("registry.bin");
    let no_plugins = [
        ("GST_PLUGIN_SYSTEM_PATH_1_0", dir.path()),
        ("GST_PLUGIN_PATH_1_0", dir.path()),
        ("GST_REGISTRY_1_0", &registry),
    ];
    let cases: [(&[&str], &[_], &str); 4] = [
        (&["--file", "/nowhere/film.mp4"], &[], "/nowhere/film.mp4"),
        (&["--fps", "5"], &[], "5 fps: 10 to 60"),
        (
            &["--odd", "no-time", "--codec", "mjpeg"],
            &[],
            "no script sends Mjpeg",
        ),
        (&[], &no_plugins, "apt install gstreamer1.0-"),
    ];
    for (arguments, environment, words) in cases {
        let mut command = testcam(&["--listen", "127.0.0.1:0"]);
        command.args(arguments).envs(environment.iter().copied());
        let mut child = command.spawn().unwrap();
        let mut text = String::new();
        child
            .stderr
            .as_mut()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1));
        assert!(text.contains(words), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}
