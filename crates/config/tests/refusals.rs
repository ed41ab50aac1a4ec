//! Every refusal, word for word: a message is part of the program.

mod common;

use std::fs;

use common::{Vars, load_text};
use dayreel_config::{ConfigError, load};
use dayreel_core::Kind;

const CAMERA: &str = "[[camera]]\nid = \"a\"\nrtsp = \"rtsp://h/s\"\n";

/// Checks that `text` is refused with exactly `lines`.
#[track_caller]
fn refused(text: &str, lines: &[&str]) {
    refused_with(&[], text, lines);
}

#[track_caller]
fn refused_with(vars: &[(&str, &str)], text: &str, lines: &[&str]) {
    let message = load_text(text, vars).expect_err("accepted");
    assert_eq!(message.lines().collect::<Vec<_>>(), lines, "for\n{text}");
}

#[test]
fn syntax() {
    refused(
        "[server\n",
        &["f.toml:1:8: is not valid TOML: unclosed table, expected `]`"],
    );
    refused(
        "[[camera]]\nid = \"a\"\nrtsp = rtsp://u:hunter2@h/s\n[server]\nlisten = \n",
        &[
            "f.toml:3:8: is not valid TOML: string values must be quoted, expected literal string",
            "f.toml:5:10: is not valid TOML: string values must be quoted, expected literal string",
        ],
    );
    refused(
        "[server]\nlisten = \"a\"\nlisten = \"b\"\n",
        &["f.toml:3:1: is not valid TOML: duplicate key"],
    );
    refused(
        "[server]\ndata_dir = \"C:\\data\"\n",
        &[
            "f.toml:2:16: is not valid TOML: missing escaped value, expected `b`, `e`, `f`, `n`, `r`, `\\`, `\"`, `x`, `u`, `U`",
        ],
    );
}

#[test]
fn unknown_keys() {
    let text =
        format!("[Server]\nport = 1\n{CAMERA}url = 1\ndaystokeep = 3\n\"rtsp://u:p@h\" = 1\n");
    refused(
        &text,
        &[
            "f.toml:1:2: Server: unknown key; did you mean \"server\"? allowed here: server, camera, users, webhooks, mqtt",
            "f.toml:6:1: camera.a.url: unknown key; allowed here: id, rtsp, rtsp_preview, days_to_keep, max_bytes, moments_days_to_keep, timelapse_days_to_keep, timezone, transport, tls_verify, tls_fingerprint, on_loss, audio, segment_s, frame_max_age_s, gif_max_bytes, timelapse, timelapse_interval_s, timelapse_width, timelapse_fps",
            "f.toml:7:1: camera.a.daystokeep: unknown key; did you mean \"days_to_keep\"? allowed here: id, rtsp, rtsp_preview, days_to_keep, max_bytes, moments_days_to_keep, timelapse_days_to_keep, timezone, transport, tls_verify, tls_fingerprint, on_loss, audio, segment_s, frame_max_age_s, gif_max_bytes, timelapse, timelapse_interval_s, timelapse_width, timelapse_fps",
            "f.toml:8:1: camera.a.(key): unknown key; did you mean \"rtsp\"? allowed here: id, rtsp, rtsp_preview, days_to_keep, max_bytes, moments_days_to_keep, timelapse_days_to_keep, timezone, transport, tls_verify, tls_fingerprint, on_loss, audio, segment_s, frame_max_age_s, gif_max_bytes, timelapse, timelapse_interval_s, timelapse_width, timelapse_fps",
        ],
    );
    refused(
        &format!("[server]\nlisten_on = 1\nport = 1\n{CAMERA}"),
        &[
            "f.toml:2:1: server.listen_on: unknown key; did you mean \"listen\"? allowed here: listen, data_dir, require_marker, min_free_bytes, timezone, auth, trusted_proxies, base_path, tls_certificate, tls_key",
            "f.toml:3:1: server.port: unknown key; allowed here: listen, data_dir, require_marker, min_free_bytes, timezone, auth, trusted_proxies, base_path, tls_certificate, tls_key",
        ],
    );
}

#[test]
fn types() {
    refused(
        "[server]\nlisten = 6478\ndata_dir = 2026-11-22\ntimezone = true\nauth = []\n\
         [[camera]]\nid = 1\nrtsp = 2.5\ndays_to_keep = \"rtsp://u:p@h\"\ntransport = {}\n\
         audio = \"yes\"\nsegment_s = 2.5\n",
        &[
            "f.toml:2:10: server.listen: must be a string, not an integer",
            "f.toml:3:12: server.data_dir: must be a string, not a date or time",
            "f.toml:4:12: server.timezone: must be a string, not true or false",
            "f.toml:5:8: server.auth: must be a string, not an array",
            "f.toml:7:6: camera.#1.id: must be a string, not an integer",
            "f.toml:8:8: camera.#1.rtsp: must be a string, not a number with a fraction",
            "f.toml:9:16: camera.#1.days_to_keep: must be an integer, not a string",
            "f.toml:10:13: camera.#1.transport: must be a string, not a table",
            "f.toml:11:9: camera.#1.audio: must be true or false, not a string",
            "f.toml:12:13: camera.#1.segment_s: must be an integer, not a number with a fraction",
        ],
    );
    refused(
        "server = 1\ncamera = 2\n",
        &[
            "f.toml:1:10: server: must be a table: [server], not an integer",
            "f.toml:2:10: camera: must be a list of tables: [[camera]], not an integer",
        ],
    );
    refused(
        "camera = [1]\n",
        &["f.toml:1:11: camera.#1: must be a table: [[camera]], not an integer"],
    );
}

#[test]
fn cameras() {
    refused(
        "",
        &[
            "f.toml:1:1: camera: no camera; add [[camera]] with id = \"front-door\" and rtsp = \"rtsp://user:password@192.168.0.186:554/stream1\", or try `dayreel demo`, which brings its own",
        ],
    );
    refused(
        "camera = []\n",
        &[
            "f.toml:1:1: camera: no camera; add [[camera]] with id = \"front-door\" and rtsp = \"rtsp://user:password@192.168.0.186:554/stream1\", or try `dayreel demo`, which brings its own",
        ],
    );
    refused(
        "[server]\n[camera]\nid = \"a\"\n",
        &[
            "f.toml:2:1: camera: write [[camera]] with two brackets; each [[camera]] begins one camera",
        ],
    );
    refused(
        "# one\n[[camera]]\n\n[[camera]]\nid = \"b\"\n",
        &[
            "f.toml:2:1: camera.#1.id: is missing; write id = \"front-door\"",
            "f.toml:2:1: camera.#1.rtsp: is missing; write rtsp = \"rtsp://user:password@192.168.0.186:554/stream1\"",
            "f.toml:4:1: camera.b.rtsp: is missing; write rtsp = \"rtsp://user:password@192.168.0.186:554/stream1\"",
        ],
    );
    refused(
        &format!("{CAMERA}{}", CAMERA.replace("\"a\"", "\"A\"")),
        &[
            "f.toml:5:6: camera.A.id: line 2 has this id already; every camera needs its own, and upper and lower case do not make a difference",
        ],
    );
    refused(
        &CAMERA.replace("\"a\"", "\"front door\""),
        &[
            "f.toml:2:6: camera.#1.id: ' ' is not allowed in a camera id; allowed are a-z, A-Z, 0-9, '_' and '-'",
        ],
    );
    refused(
        &CAMERA.replace("\"a\"", "\"\""),
        &["f.toml:2:6: camera.#1.id: a camera id has 1 to 64 characters, this one has 0"],
    );
    refused(
        &CAMERA.replace("\"a\"", "\"api\""),
        &[
            "f.toml:2:6: camera.#1.id: \"api\" is reserved; reserved are api, app, assets, healthz, login, logout, metrics, readyz, static",
        ],
    );
    refused(
        &format!("{CAMERA}cameraID = \"b\"\n"),
        &[
            "f.toml:4:1: camera.a.cameraID: is another spelling of `id`, which line 2 sets already; keep one",
        ],
    );
    refused(
        &format!("{CAMERA}days_to_keep = 3\ndaysToKeep = 3\n"),
        &[
            "f.toml:5:1: camera.a.daysToKeep: is another spelling of `days_to_keep`, which line 4 sets already; keep one",
        ],
    );
}

#[test]
fn ranges_and_words() {
    refused(
        &format!(
            "{CAMERA}days_to_keep = 7\nsegment_s = 0\ntransport = \"quic\"\ntimezone = \"Mars\"\n"
        ),
        &[
            "f.toml:4:16: camera.a.days_to_keep: is 7; allowed is 0 to 6 (full days before today)",
            "f.toml:5:13: camera.a.segment_s: is 0; allowed is 1 to 10 (seconds)",
            "f.toml:6:13: camera.a.transport: \"quic\" is not allowed; allowed is \"tcp\", \"udp\", \"multicast\", \"http\" or \"auto\"",
            "f.toml:7:12: camera.a.timezone: \"Mars\" is no time zone; allowed is a name of the IANA database, such as \"Europe/Berlin\" or \"UTC\"",
        ],
    );
    refused(
        &format!("{CAMERA}max_bytes = 999_999\nmoments_days_to_keep = 3661\n"),
        &[
            "f.toml:4:13: camera.a.max_bytes: is 999999; allowed is 1000000 to 1152921504606846976 (bytes)",
            "f.toml:5:24: camera.a.moments_days_to_keep: is 3661; allowed is 0 to 3660 (full days before today)",
        ],
    );
    refused(
        &format!("{CAMERA}gif_max_bytes = 262_143\n"),
        &["f.toml:4:17: camera.a.gif_max_bytes: is 262143; allowed is 262144 to 67108864 (bytes)"],
    );
    refused(
        &format!("{CAMERA}days_to_keep = -1\n"),
        &["f.toml:4:16: camera.a.days_to_keep: is -1; allowed is 0 to 6 (full days before today)"],
    );
    refused(
        &format!("{CAMERA}days_to_keep = 99999999999999999999\nsegment_s = 0x0b\n"),
        &[
            "f.toml:4:16: camera.a.days_to_keep: is 99999999999999999999; allowed is 0 to 6 (full days before today)",
            "f.toml:5:13: camera.a.segment_s: is 0x0b; allowed is 1 to 10 (seconds)",
        ],
    );
    refused(
        &format!("{CAMERA}frame_max_age_s = 86401\n"),
        &["f.toml:4:19: camera.a.frame_max_age_s: is 86401; allowed is 0 to 86400 (seconds)"],
    );
    refused(
        &format!(
            "{CAMERA}timelapse = 1\ntimelapse_interval_s = 0\ntimelapse_width = 159\ntimelapse_fps = 61\n"
        ),
        &[
            "f.toml:4:13: camera.a.timelapse: must be true or false, not an integer",
            "f.toml:5:24: camera.a.timelapse_interval_s: is 0; allowed is 1 to 3600 (seconds)",
            "f.toml:6:19: camera.a.timelapse_width: is 159; allowed is 160 to 3840 (pixels)",
            "f.toml:7:17: camera.a.timelapse_fps: is 61; allowed is 1 to 60 (pictures a second)",
        ],
    );
    refused(
        &format!(
            "{CAMERA}timelapse_interval_s = 3601\ntimelapse_width = -1\ntimelapse_fps = \"30\"\n"
        ),
        &[
            "f.toml:4:24: camera.a.timelapse_interval_s: is 3601; allowed is 1 to 3600 (seconds)",
            "f.toml:5:19: camera.a.timelapse_width: is -1; allowed is 160 to 3840 (pixels)",
            "f.toml:6:17: camera.a.timelapse_fps: must be an integer, not a string",
        ],
    );
    refused(
        &format!("{CAMERA}frame_max_age_s = 1.5\n"),
        &[
            "f.toml:4:19: camera.a.frame_max_age_s: must be an integer, not a number with a fraction",
        ],
    );
    refused(
        &format!(
            "[server]\nlisten = \"localhost:6478\"\ndata_dir = \"\"\ntimezone = \"europe/berln\"\nauth = \"basic\"\n{CAMERA}"
        ),
        &[
            "f.toml:2:10: server.listen: \"localhost:6478\" is no address to listen on; allowed is an IP address with a port, such as \"0.0.0.0:6478\" (all of IPv4), \"[::]:6478\" or \"127.0.0.1:6478\"",
            "f.toml:3:12: server.data_dir: is empty; allowed is the path of a folder, such as \"./data\"",
            "f.toml:4:12: server.timezone: \"europe/berln\" is no time zone; did you mean \"Europe/Berlin\"? allowed is a name of the IANA database, such as \"Europe/Berlin\" or \"UTC\"",
            "f.toml:5:8: server.auth: \"basic\" is not allowed; allowed is \"none\"",
        ],
    );
    refused(
        &format!("[server]\nlisten = \"rtsp://u:p@h\"\n{CAMERA}"),
        &[
            "f.toml:2:10: server.listen: the value is no address to listen on; allowed is an IP address with a port, such as \"0.0.0.0:6478\" (all of IPv4), \"[::]:6478\" or \"127.0.0.1:6478\"",
        ],
    );
}

#[test]
fn urls() {
    for (url, message) in [
        (
            "http://u:p@h/s",
            "is no RTSP URL; allowed is rtsp://user:password@host:port/path, or rtsps:// for RTSP over TLS",
        ),
        (
            "rtspt://u:p@h/s",
            "write rtsp:// and choose the transport with `transport = \"tcp\"` or \"udp\"",
        ),
        (
            "rtsp://u:p@/s",
            "has no host; allowed is rtsp://user:password@host:port/path",
        ),
        (
            "rtsp://u:p@h:99999/s",
            "has a bad host or port (invalid port number); a port is 1 to 65535",
        ),
        (
            "rtsp://u:pa/ss@h/s",
            "is ambiguous: '@' after the host. In user and password write %40 for '@', %2F for '/', %3F for '?', %23 for '#', %25 for '%', or take them from the environment or a file (${NAME}, ${file:/path}), which encodes them; in a path write %40 and %23",
        ),
        (
            "rtsp://u:pa#ss@h/s",
            "is ambiguous: '#' after the host. In user and password write %40 for '@', %2F for '/', %3F for '?', %23 for '#', %25 for '%', or take them from the environment or a file (${NAME}, ${file:/path}), which encodes them; in a path write %40 and %23",
        ),
        (
            "rtsp://u:50%@h/s",
            "has a '%' in user or password that starts no escape such as %40; write %25 for '%'",
        ),
        (
            "rtsp://u:%ff@h/s",
            "has a user or password that is not UTF-8 after percent-decoding",
        ),
        (
            "rtsp://u%3Ap@h/s",
            "has a ':' in the user name, which RTSP cannot transmit; with substitution write ${USER}:${PASSWORD}@, one for each",
        ),
        (
            "rtsp://u:p%0A@h/s",
            "contains a line break or other control character",
        ),
        (
            "rtsp://u:p@h/s 1",
            "contains white space; write %20 for a space",
        ),
    ] {
        let text = CAMERA.replace("rtsp://h/s", url);
        refused(&text, &[&format!("f.toml:3:8: camera.a.rtsp: {message}")]);
        let text = format!("{CAMERA}rtsp_preview = \"{url}\"\n");
        refused(
            &text,
            &[&format!("f.toml:4:16: camera.a.rtsp_preview: {message}")],
        );
    }
    refused(
        &format!("{CAMERA}rtsp_preview = \"rtsp://h/s\"\n"),
        &[
            "f.toml:4:16: camera.a.rtsp_preview: must be another stream than \"rtsp\": the camera's smaller one; leave the key out without one",
        ],
    );
}

#[test]
fn substitution() {
    for (url, message) in [
        (
            "rtsp://${NOBODY}@h/s",
            "environment variable NOBODY is not set",
        ),
        (
            "rtsp://u:pa${ss@h/s",
            "has a ${ without its }; write $${ for a plain ${",
        ),
        (
            "rtsp://u:${pa ss}@h/s",
            "has a ${…} that is neither ${NAME} nor ${file:/absolute/path}; write $${ for a plain ${",
        ),
        (
            "rtsp://u:${}@h/s",
            "has a ${…} that is neither ${NAME} nor ${file:/absolute/path}; write $${ for a plain ${",
        ),
        (
            "rtsp://u:${file:secret}@h/s",
            "has a ${…} that is neither ${NAME} nor ${file:/absolute/path}; write $${ for a plain ${",
        ),
        (
            "rtsp://u:${file:/nonexistent/x}@h/s",
            "cannot read /nonexistent/x: No such file or directory (os error 2)",
        ),
        (
            "rtsp://u:${file:/}@h/s",
            "cannot read /: Is a directory (os error 21)",
        ),
        (
            "rtsp://${BOTH}@h/s",
            "has a ':' in the user name, which RTSP cannot transmit; with substitution write ${USER}:${PASSWORD}@, one for each",
        ),
        (
            "rtsp://u:${LINES}@h/s",
            "contains a line break or other control character",
        ),
    ] {
        let text = CAMERA.replace("rtsp://h/s", url);
        let vars = [("BOTH", "user:hunter2"), ("LINES", "hunter2\nhunter2")];
        let line = format!("f.toml:3:8: camera.a.rtsp: {message}");
        refused_with(&vars, &text, &[&line]);
    }
    let text = format!("[server]\ntimezone = \"${{SECRET}}\"\n{CAMERA}");
    refused_with(
        &[("SECRET", "hunter2")],
        &text,
        &[
            "f.toml:2:12: server.timezone: \"${SECRET}\" is no time zone; allowed is a name of the IANA database, such as \"Europe/Berlin\" or \"UTC\"",
        ],
    );
}

#[test]
fn overriding_variables() {
    refused_with(
        &[
            ("DAYREEL_LISTEN", "6478"),
            ("DAYREEL_TIMEZONE", "Berlin"),
            ("DAYREEL_AUTH", "users"),
        ],
        &format!("[server]\nlisten = \"nowhere\"\n{CAMERA}"),
        &[
            "f.toml:2:10: server.listen: \"nowhere\" is no address to listen on; allowed is an IP address with a port, such as \"0.0.0.0:6478\" (all of IPv4), \"[::]:6478\" or \"127.0.0.1:6478\"",
            "environment variable DAYREEL_AUTH: \"users\" is not allowed; allowed is \"none\"",
            "environment variable DAYREEL_LISTEN: \"6478\" is no address to listen on; allowed is an IP address with a port, such as \"0.0.0.0:6478\" (all of IPv4), \"[::]:6478\" or \"127.0.0.1:6478\"",
            "environment variable DAYREEL_TIMEZONE: \"Berlin\" is no time zone; did you mean \"Europe/Berlin\"? allowed is a name of the IANA database, such as \"Europe/Berlin\" or \"UTC\"",
        ],
    );
}

#[test]
fn cameras_in_variables() {
    refused_with(
        &[
            ("DAYREEL_MIN_FREE_BYTES", "plenty"),
            ("DAYREEL_REQUIRE_MARKER", "1"),
            ("DAYREEL_CAMERA_1_RTSP", "rtsp://u:hun/ter2@h/s"),
            ("DAYREEL_CAMERA_2_ID", "A"),
            ("DAYREEL_CAMERA_2_RTPS", "rtsp://u:hunter2@h/s"),
            ("DAYREEL_CAMERA_2_DAYS_TO_KEEP", "7"),
            ("DAYREEL_CAMERA_2_SEGMENT_S", "2.5"),
            ("DAYREEL_CAMERA_2_AUDIO", "rtsp://u:hunter2@h/s"),
            ("DAYREEL_CAMERA_2_TIMEZONE", "Mars"),
            ("DAYREEL_CAMERA_FRONT_RTSP", "rtsp://u:hunter2@h/s"),
            ("DAYREEL_CAMERA_3_RTSP", ""),
        ],
        CAMERA,
        &[
            "environment variable DAYREEL_CAMERA_1_ID is not set; write DAYREEL_CAMERA_1_ID=front-door",
            "environment variable DAYREEL_CAMERA_1_RTSP: is ambiguous: '@' after the host. In user and password write %40 for '@', %2F for '/', %3F for '?', %23 for '#', %25 for '%', or take them from the environment or a file (${NAME}, ${file:/path}), which encodes them; in a path write %40 and %23",
            "environment variable DAYREEL_CAMERA_2_AUDIO: must be true or false, not a string",
            "environment variable DAYREEL_CAMERA_2_DAYS_TO_KEEP: is 7; allowed is 0 to 6 (full days before today)",
            "environment variable DAYREEL_CAMERA_2_ID: line 2 has this id already; every camera needs its own, and upper and lower case do not make a difference",
            "environment variable DAYREEL_CAMERA_2_RTPS: unknown key; did you mean \"rtsp\"? allowed here: id, rtsp, rtsp_preview, days_to_keep, max_bytes, moments_days_to_keep, timelapse_days_to_keep, timezone, transport, tls_verify, tls_fingerprint, on_loss, audio, segment_s, frame_max_age_s, gif_max_bytes, timelapse, timelapse_interval_s, timelapse_width, timelapse_fps",
            "environment variable DAYREEL_CAMERA_2_RTSP is not set; write DAYREEL_CAMERA_2_RTSP=rtsp://user:password@192.168.0.186:554/stream1",
            "environment variable DAYREEL_CAMERA_2_SEGMENT_S: must be an integer, not a string",
            "environment variable DAYREEL_CAMERA_2_TIMEZONE: \"Mars\" is no time zone; allowed is a name of the IANA database, such as \"Europe/Berlin\" or \"UTC\"",
            "environment variable DAYREEL_CAMERA_FRONT_RTSP: is no key of a camera; they are called like DAYREEL_CAMERA_1_RTSP: a number from 1 to 9999, then the key in capital letters",
            "environment variable DAYREEL_MIN_FREE_BYTES: must be an integer, not a string",
            "environment variable DAYREEL_REQUIRE_MARKER: must be true or false, not an integer",
        ],
    );
    refused_with(
        &[
            ("DAYREEL_CAMERA_1_ID", "b"),
            ("DAYREEL_CAMERA_1_RTSP", "rtsp://h/s"),
            ("DAYREEL_CAMERA_10_ID", "B"),
            ("DAYREEL_CAMERA_10_RTSP", "rtsp://h/s"),
        ],
        "",
        &[
            "environment variable DAYREEL_CAMERA_10_ID: DAYREEL_CAMERA_1_ID has this id already; every camera needs its own, and upper and lower case do not make a difference",
        ],
    );
}

#[test]
fn files() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str| {
        let file = folder.path().join(name);
        let error = load(Some(&file), &Vars(&[])).unwrap_err();
        let message = error.to_string();
        (
            error.kind(),
            message.replace(&file.display().to_string(), "f.toml"),
        )
    };
    fs::create_dir(folder.path().join("directory")).unwrap();
    fs::write(folder.path().join("binary"), [0xff, 0xfe]).unwrap();
    assert_eq!(
        refused("missing"),
        (Kind::NotFound, "f.toml: no such file".into())
    );
    assert_eq!(
        refused("directory"),
        (
            Kind::InvalidArgument,
            "f.toml: is a directory, not a file; Docker creates one where the file of a bind mount \
             is missing on the host: remove the directory, create the file, start the container \
             again"
                .into()
        )
    );
    assert_eq!(
        refused("binary"),
        (
            Kind::InvalidArgument,
            "f.toml: is not a text file (UTF-8, at most 1 MiB)".into()
        )
    );
    let none = ConfigError::NoneFound {
        searched: vec!["a".into(), "b".into()],
    };
    assert_eq!(
        none.to_string(),
        "no configuration: name one with --config or DAYREEL_CONFIG, or create a or b, or set \
         DAYREEL_CAMERA_1_ID and DAYREEL_CAMERA_1_RTSP; `dayreel demo` needs none"
    );
}

#[test]
fn users() {
    let users = "[[users]]\nname = \"anna:b\"\npassword = \"hunter2\"\nrole = \"root\"\n\
                 [[users]]\nname = \"bob\"\nrole = \"admin\"\ncameras = [\"a\"]\n\
                 [[users]]\nname = \"Bob\"\npassword = \"$argon2id$v=19$m=4000000,t=2,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA\"\ncameras = [\"b\"]\n";
    refused(
        &format!("{CAMERA}{users}"),
        &[
            "f.toml:5:8: users.#1.name: is no user's name; allowed are 1 to 64 of a-z, A-Z, 0-9, \".\", \"_\", \"-\" and \"@\"",
            "f.toml:6:12: users.#1.password: is no hash of a password; `dayreel user password NAME` makes one",
            "f.toml:7:8: users.#1.role: \"root\" is not allowed; allowed is \"admin\" or \"viewer\"",
            "f.toml:8:1: users.#2.password: is missing; write password = \"$argon2id$…\"",
            "f.toml:11:11: users.#2.cameras: is for viewers; an admin sees all cameras",
            "f.toml:13:8: users.#3.name: line 9 has this name already; every user needs their own",
            "f.toml:14:12: users.#3.password: takes more than 256 MiB or 16 passes at every login; `dayreel user password NAME` makes another",
            "f.toml:15:12: users.#3.cameras: is no camera of this configuration; there are: a",
        ],
    );
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$mQb6V5Gbpcs1Sxrn8uEk3Yw2Jv1k3hPL3zHfxoW5YLs";
    let user = format!("[[users]]\nname = \"anna\"\npassword = \"{hash}\"\n");
    refused(
        &format!(
            "[server]\nauth = \"none\"\ntrusted_proxies = [\"10.0.0.1\", \"proxy\"]\n{CAMERA}{user}"
        ),
        &[
            "f.toml:2:8: server.auth: \"none\" lets everybody in, and there are [[users]]; remove this, or them (in a container, DAYREEL_AUTH)",
            "f.toml:3:32: server.trusted_proxies: \"proxy\" is no network; allowed are such as \"172.17.0.0/16\" or \"192.168.0.2\"",
        ],
    );
    refused(
        &format!("[server]\nbase_path = \"/api/x/\"\n{CAMERA}"),
        &[
            "f.toml:2:13: server.base_path: is no base path; allowed is one such as \"/cameras/\": of a-z, A-Z, 0-9, '_', '.' and '-' between slashes, and not beginning with a path of the server itself (api, app, assets, healthz, login, logout, metrics, readyz, static)",
        ],
    );
    refused(
        &format!("[server]\nbase_path = \"/A/x/\"\n{CAMERA}"),
        &[
            "f.toml:2:13: server.base_path: begins like the paths of the camera \"A\"; call one of them otherwise",
        ],
    );
    refused_with(
        &[
            ("DAYREEL_USER_1_NAME", "x y"),
            ("DAYREEL_USER_1_PASSWORD", hash),
            ("DAYREEL_USER_NAME", "x"),
        ],
        CAMERA,
        &[
            "environment variable DAYREEL_USER_1_NAME: is no user's name; allowed are 1 to 64 of a-z, A-Z, 0-9, \".\", \"_\", \"-\" and \"@\"",
            "environment variable DAYREEL_USER_NAME: is no key of a user; they are called like DAYREEL_USER_1_NAME: a number from 1 to 9999, then the key in capital letters",
        ],
    );
}

#[test]
fn webhooks() {
    let webhooks = "[[webhooks]]\nurl = \"ftp://T0KEN\"\nsecret = \"short\"\nevents = [\"camera_lost\", \"rain\"]\n\
                    [[webhooks]]\nurl = \"https://u:T0KEN@h/\"\n";
    refused(
        &format!("{CAMERA}{webhooks}"),
        &[
            "f.toml:5:7: webhooks.#1.url: is no URL to send to; allowed is https://host:port/path or http://…, without user and password",
            "f.toml:6:10: webhooks.#1.secret: is too short to sign with; allowed are 16 bytes or more, such as `openssl rand -hex 32` makes",
            "f.toml:7:26: webhooks.#1.events: \"rain\" is not allowed; allowed is \"camera_lost\", \"camera_back\", \"day_finished\", \"moment_made\" or \"disk_low\"",
            "f.toml:8:1: webhooks.#2.secret: is missing; write secret = \"${file:/run/secrets/webhook}\"",
            "f.toml:9:7: webhooks.#2.url: is no URL to send to; allowed is https://host:port/path or http://…, without user and password",
        ],
    );
    refused_with(
        &[("DAYREEL_WEBHOOK_URL", "https://h/")],
        CAMERA,
        &[
            "environment variable DAYREEL_WEBHOOK_URL: is no key of a webhook; they are called like DAYREEL_WEBHOOK_1_URL: a number from 1 to 9999, then the key in capital letters",
        ],
    );
}

#[test]
fn mqtt() {
    let allowed = "is no address of a broker; allowed is mqtt://host:port, or mqtts://host:port for TLS, without path; user and password have keys of their own";
    refused(
        &format!(
            "{CAMERA}[mqtt]\nurl = \"mqtt://u:T0KEN@broker.lan\"\nuser = \"\"\npassword = 5\n\
             topic_prefix = \"home/#\"\ndiscovery = \"no\"\nsnapshot_interval_s = 1\nbroker = \"x\"\n"
        ),
        &[
            &format!("f.toml:5:7: mqtt.url: {allowed}"),
            "f.toml:6:8: mqtt.user: is empty or longer than 65535 bytes",
            "f.toml:7:12: mqtt.password: must be a string, not an integer",
            "f.toml:8:16: mqtt.topic_prefix: is no beginning of a topic; allowed are up to 200 bytes such as \"dayreel\" or \"home/cameras\", without +, #, control characters, $ at the begin and / at either end",
            "f.toml:9:13: mqtt.discovery: must be true or false, not a string",
            "f.toml:10:23: mqtt.snapshot_interval_s: is 1; allowed is 5 to 86400 (seconds)",
            "f.toml:11:1: mqtt.broker: unknown key; allowed here: url, user, password, tls_verify, tls_fingerprint, topic_prefix, discovery, discovery_prefix, snapshot_interval_s",
        ],
    );
    refused(
        &format!("{CAMERA}[mqtt]\npassword = \"T0KEN\"\n"),
        &[
            "f.toml:4:1: mqtt.url: is missing; write url = \"mqtt://192.168.0.10:1883\"",
            "f.toml:4:1: mqtt.user: is missing; write user = \"dayreel\"",
        ],
    );
    refused(
        &format!("mqtt = \"broker.lan\"\n{CAMERA}"),
        &["f.toml:1:8: mqtt: must be a table: [mqtt], not a string"],
    );
    refused_with(
        &[
            ("DAYREEL_MQTT_PASSWORD", "T0KEN"),
            ("DAYREEL_MQTT_URI", "mqtt://broker.lan"),
            ("DAYREEL_MQTT_url", "mqtt://broker.lan"),
        ],
        CAMERA,
        &[
            "environment variable DAYREEL_MQTT_URI: unknown key; allowed here: url, user, password, tls_verify, tls_fingerprint, topic_prefix, discovery, discovery_prefix, snapshot_interval_s",
            "environment variable DAYREEL_MQTT_URL is not set; write DAYREEL_MQTT_URL=mqtt://192.168.0.10:1883",
            "environment variable DAYREEL_MQTT_USER is not set; write DAYREEL_MQTT_USER=dayreel",
            "environment variable DAYREEL_MQTT_url: is no key of the broker; they are called like DAYREEL_MQTT_URL, in capital letters",
        ],
    );
}
