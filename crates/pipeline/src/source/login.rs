//! Logging in at a camera: Basic and Digest with MD5 and SHA-256 (RFC 7617, RFC 7616).

use std::fmt;

use dayreel_config::Credentials;
use http_auth::{PasswordClient, PasswordParams};

use super::message::Response;

/// User and password of a camera, and what it asked of them last.
pub(crate) struct Login {
    credentials: Option<Credentials>,
    challenge: Option<PasswordClient>,
}

impl Login {
    pub(crate) const fn new(credentials: Option<Credentials>) -> Self {
        Self {
            credentials,
            challenge: None,
        }
    }

    /// The value of the `Authorization` header, once the camera has asked for one.
    pub(crate) fn authorization(&mut self, method: &str, uri: &str) -> Option<String> {
        let Credentials { user, password } = self.credentials.as_ref()?;
        let params = PasswordParams {
            username: user,
            password,
            uri,
            method,
            body: None,
        };
        self.challenge.as_mut()?.respond(&params).ok()
    }

    /// Takes up the challenge of a 401. Says whether it is worth to try again: not if these
    /// credentials were refused, but if only the nonce was used up (RFC 7616 §3.3: `stale`).
    pub(crate) fn take_up(&mut self, refusal: &Response) -> bool {
        if self.credentials.is_none() {
            return false;
        }
        // One header with several challenges, or several headers: RFC 7235 §4.1 allows both.
        let challenges = refusal.headers.all("WWW-Authenticate");
        let builder = challenges.fold(PasswordClient::builder(), |builder, challenges| {
            builder.challenges(challenges)
        });
        let before = self.challenge.take();
        self.challenge = builder.build().ok();
        match (&before, &self.challenge) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(PasswordClient::Digest(before)), Some(PasswordClient::Digest(now))) => {
                now.stale() && now.nonce() != before.nonce()
            }
            (Some(_), Some(_)) => false,
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::message::{Head, Response},
        *,
    };

    fn refusal(challenges: &[&str]) -> Response {
        let mut text = "RTSP/1.0 401 Unauthorized\r\n".to_owned();
        for challenge in challenges {
            text += &format!("WWW-Authenticate: {challenge}\r\n");
        }
        match Head::parse((text + "\r\n").as_bytes()) {
            Ok(Some((Head::Response(response), _))) => response,
            other => panic!("{other:?}"),
        }
    }

    fn login() -> Login {
        Login::new(Some(Credentials {
            user: "admin".to_owned(),
            password: "p@ss:wörd".to_owned(),
        }))
    }

    #[test]
    fn answers_what_it_is_asked() {
        for (challenges, answer) in [
            (&["Basic realm=\"x\""][..], "Basic "),
            (
                &["Basic realm=\"x\"", "Digest realm=\"x\", nonce=\"1\""],
                "Digest ",
            ),
            (
                &["Digest realm=\"x\", nonce=\"1\", algorithm=SHA-256, qop=\"auth\""],
                "Digest ",
            ),
        ] {
            let mut login = login();
            assert_eq!(login.authorization("DESCRIBE", "rtsp://c/"), None);
            assert!(login.take_up(&refusal(challenges)), "{challenges:?}");
            let sent = login.authorization("DESCRIBE", "rtsp://c/").unwrap();
            assert!(sent.starts_with(answer), "{challenges:?}: {sent}");
        }
    }

    #[test]
    fn a_refused_password_is_not_tried_again() {
        let mut login = login();
        let ask = |nonce, rest| refusal(&[&format!("Digest realm=\"x\", nonce=\"{nonce}\"{rest}")]);
        assert!(login.take_up(&ask(1, "")));
        assert!(!login.take_up(&ask(2, "")));
        assert!(login.take_up(&ask(3, ", stale=true")));
        assert!(!login.take_up(&ask(3, ", stale=true")));
    }

    #[test]
    fn without_a_password_there_is_nothing_to_answer() {
        assert!(!Login::new(None).take_up(&refusal(&["Basic realm=\"x\""])));
        assert!(!login().take_up(&refusal(&["Bearer"])));
        assert!(!login().take_up(&refusal(&[])));
    }
}
