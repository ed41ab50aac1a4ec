//! `dayreel check` as a user runs it.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

const GOOD: &str = "[server]\ntimezone = \"Europe/Berlin\"\n\
    [[camera]]\nid = \"front-door\"\nrtsp = \"rtsp://admin:${PASSWORD}@192.168.0.186/s?token=hunter2\"\n";

/// Runs the program in `folder` with nothing but `variables` around it.
fn dayreel(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dayreel"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .expect("the program starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn a_good_file_is_printed_in_full_without_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a b.toml"), GOOD).unwrap();
    let variables = [("PASSWORD", "hunter2/@"), ("DAYREEL_DATA_DIR", "/data")];
    let arguments = ["check", "--config", "a b.toml"];
    let output = dayreel(folder.path(), &variables, &arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let expected = "\
# a b.toml
[server]
listen = \"0.0.0.0:6478\"
data_dir = \"/data\"
require_marker = false
min_free_bytes = 1000000000
timezone = \"Europe/Berlin\"

[[camera]]
id = \"front-door\"
rtsp = \"rtsp://***:***@192.168.0.186/s?token=***\"
days_to_keep = 6
timezone = \"Europe/Berlin\"
transport = \"tcp\"
tls_verify = true
on_loss = \"keep\"
audio = true
segment_s = 4
frame_max_age_s = 300
gif_max_bytes = 4194304
timelapse = true
timelapse_interval_s = 48
timelapse_width = 1280
timelapse_fps = 30
";
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(
        text(&output.stderr),
        "a b.toml: warning: everybody at home who reaches 0.0.0.0:6478 sees all cameras, there is no \
         login, and other networks are refused; add users (`dayreel user add`), write `auth = \
         \"none\"` in [server] if everybody everywhere may see them, or listen on 127.0.0.1\n"
    );

    fs::write(folder.path().join("again.toml"), expected).unwrap();
    let again = dayreel(folder.path(), &[], &["check", "--config", "again.toml"]);
    assert_eq!(
        text(&again.stdout),
        expected.replace("a b.toml", "again.toml")
    );
}

#[test]
fn the_file_is_found_by_option_then_variable_then_place() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("config")).unwrap();
    for name in ["option", "variable", "config/dayreel"] {
        let text = GOOD.replace("${PASSWORD}", "x");
        fs::write(folder.path().join(name).with_extension("toml"), text).unwrap();
    }
    let variable = [("DAYREEL_CONFIG", "variable.toml")];
    for (variables, arguments, file) in [
        (
            &variable[..],
            &["check", "--config=option.toml"][..],
            "option.toml",
        ),
        (&variable, &["check"], "variable.toml"),
        (&[("DAYREEL_CONFIG", "")], &["check"], "config/dayreel.toml"),
        (&[], &["check"], "config/dayreel.toml"),
    ] {
        let output = dayreel(folder.path(), variables, arguments);
        assert_eq!(
            text(&output.stdout).lines().next(),
            Some(&*format!("# {file}"))
        );
    }
    let variables = [("DAYREEL_CONFIG", "missing.toml")];
    let output = dayreel(folder.path(), &variables, &["check"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stderr), "missing.toml: no such file\n");
}

#[test]
fn variables_alone_are_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("DAYREEL_AUTH", "none"),
        ("DAYREEL_TIMEZONE", "UTC"),
        ("DAYREEL_CAMERA_1_ID", "front-door"),
        (
            "DAYREEL_CAMERA_1_RTSP",
            "rtsp://admin:hunter2@192.168.0.186/s",
        ),
        ("DAYREEL_CAMERA_1_DAYS_TO_KEEP", "2"),
    ];
    // Where there is no file to be found, only.
    let output = dayreel(folder.path(), &variables, &["check"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let stdout = text(&output.stdout);
    assert!(stdout.starts_with("# environment variables\n[server]\n"));
    assert!(stdout.contains("rtsp = \"rtsp://***:***@192.168.0.186/s\"\ndays_to_keep = 2\n"));
    let bad = [variables[3], ("DAYREEL_CAMERA_1_ID", "a/b")];
    let output = dayreel(folder.path(), &bad, &["check"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr),
        "environment variable DAYREEL_CAMERA_1_ID: '/' is not allowed in a camera id; allowed are \
         a-z, A-Z, 0-9, '_' and '-'\n"
    );
}

#[test]
fn a_bad_file_exits_with_2_and_names_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("bad.toml"),
        format!("{GOOD}days_to_keep = 7\n"),
    )
    .unwrap();
    let output = dayreel(folder.path(), &[], &["check", "--config", "bad.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout), "");
    assert_eq!(
        text(&output.stderr),
        "bad.toml:5:8: camera.front-door.rtsp: environment variable PASSWORD is not set\n\
         bad.toml:6:16: camera.front-door.days_to_keep: is 7; allowed is 0 to 6 (full days before today)\n"
    );
}

#[test]
fn a_bad_command_line_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for (variables, arguments) in [
        (&[][..], &["chekc"][..]),
        (&[], &["check", "--log-format", "xml"]),
        (&[], &["check", "--log-level", "a=b=c"]),
        (&[("DAYREEL_LOG_FORMAT", "xml")], &["check"]),
    ] {
        let output = dayreel(folder.path(), variables, arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_ne!(text(&output.stderr), "");
    }
}
