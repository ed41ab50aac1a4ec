//! A camera's password comes out of the configuration in one way only.

#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

mod common;

use std::fs;

use common::load_text;
use dayreel_config::{SecretUrl, effective_toml};
use proptest::prelude::*;

/// Passwords as people make them, with everything that means something in a URL or in TOML. The
/// marker is found again in any output, encoded or not.
fn password() -> impl Strategy<Value = String> {
    "[ -~äß€]{0,8}".prop_map(|odd| format!("{odd}HUNTER2{odd}"))
}

fn config(rtsp: &str) -> String {
    let rtsp = toml::Value::String(rtsp.to_owned());
    format!("[[camera]]\nid = \"a\"\nrtsp = {rtsp}\n")
}

/// All that a user, a log or an API could see of a URL.
fn seen(url: &SecretUrl) -> String {
    format!(
        "{url} {url:?} {:?} {} {}",
        url.credentials(),
        serde_json::to_string(url).unwrap(),
        url.without_credentials()
    )
}

proptest! {
    #[test]
    fn a_substituted_password_works_and_stays_hidden(user in "[ -9;-~äß]{1,8}", password in password()) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        fs::write(&file, format!("{password}\n")).unwrap();
        let from_file = format!("rtsp://${{CAM_USER}}:${{file:{}}}@h:554/s", file.display());
        let vars = [("CAM_USER", user.as_str()), ("CAM_PASS", password.as_str())];
        for rtsp in ["rtsp://${CAM_USER}:${CAM_PASS}@h:554/s", from_file.as_str()] {
            let loaded = load_text(&config(rtsp), &vars).unwrap();
            let url = &loaded.settings.cameras[0].rtsp;
            let credentials = url.credentials().unwrap();
            prop_assert_eq!(&credentials.user, &user);
            prop_assert_eq!(&credentials.password, &password);
            prop_assert_eq!(&url.expose().parse::<SecretUrl>().unwrap(), url);
            prop_assert_eq!(url.to_string(), "rtsp://***:***@h:554/s");
            for text in [seen(url), effective_toml(&loaded.settings), format!("{loaded:?}")] {
                prop_assert!(!text.contains("HUNTER2"), "{}", text);
            }
        }
    }

    #[test]
    fn a_plain_password_is_taken_or_refused_but_never_shown(password in password()) {
        for rtsp in [
            format!("rtsp://admin:{password}@192.168.0.5:554/s"),
            format!("rtsp://192.168.0.5/s?user=admin&password={}", password.replace('&', "")),
            format!("admin:{password}@192.168.0.5/s"),
        ] {
            let said = match load_text(&config(&rtsp), &[]) {
                Ok(loaded) => {
                    let url = &loaded.settings.cameras[0].rtsp;
                    format!("{} {} {loaded:?}", seen(url), effective_toml(&loaded.settings))
                }
                Err(message) => message,
            };
            prop_assert!(!said.contains("HUNTER2"), "{}", said);
        }
    }

    #[test]
    fn a_password_under_any_key_or_in_broken_toml_is_not_repeated(password in password()) {
        let url = format!("rtsp://admin:{password}@h/s");
        let quoted = toml::Value::String(url.clone()).to_string();
        let mut texts = vec![
            format!("[[camera]]\nid = \"a\"\nrtsp = {url}\n"),
            format!("[[camera]]\nid = \"a\"\nrtsp = \"{url}\n"),
            format!("[[camera]]\nid = \"a\"\n{url}\n"),
            format!("[[camera]]\nid = \"a\"\n{quoted} = 1\n"),
            format!("[{quoted}]\n"),
        ];
        for key in ["id", "days_to_keep", "timezone", "transport", "audio", "segment_s"] {
            texts.push(format!("[[camera]]\n{key} = {quoted}\n"));
        }
        for key in ["listen", "timezone", "auth"] {
            texts.push(format!("[server]\n{key} = {quoted}\n"));
        }
        for text in texts {
            let message = load_text(&text, &[]).unwrap_err();
            prop_assert!(!message.contains("HUNTER2"), "{}", message);
        }
    }

    #[test]
    fn what_check_prints_is_the_same_configuration(
        data_dir in "[ -~ä\n\t]{1,12}",
        days in 0_u8..=6,
        segment in 1_u8..=10,
        audio: bool,
        path in "[!-\"$-?A-~]{0,12}",
    ) {
        let text = format!(
            "[server]\ndata_dir = {}\ntimezone = \"Asia/Tokyo\"\nauth = \"none\"\n\
             [[camera]]\nid = \"a\"\nrtsp = {}\ndaysToKeep = {days}\naudio = {audio}\n\
             segment_s = {segment}\ntransport = \"udp\"\ntimezone = \"Europe/Berlin\"\n",
            toml::Value::String(data_dir.replace("${", "$${")),
            toml::Value::String(format!("rtsp://h/{path}").replace("${", "$${")),
        );
        let once = load_text(&text, &[]).unwrap().settings;
        prop_assert_eq!(once.server.data_dir.to_str(), Some(data_dir.as_str()));
        let printed = effective_toml(&once);
        let again = load_text(&printed, &[]).unwrap().settings;
        prop_assert_eq!(effective_toml(&again), printed);
        prop_assert_eq!(&again.server, &once.server);
        prop_assert_eq!(again.cameras[0].days_to_keep, days);
    }
}
