//! Whether a client may (RFC 2617, RFC 7616).

use gstreamer::glib;

use super::{message::Request, script::ScriptedLogin};

impl ScriptedLogin {
    /// The challenges of a 401, with this nonce.
    pub(crate) fn challenges(&self, nonce: &str, is_stale: bool) -> Vec<String> {
        let stale = if is_stale { ", stale=true" } else { "" };
        let line = |challenge: &String| {
            let stale = if challenge.starts_with("Digest") {
                stale
            } else {
                ""
            };
            format!(
                "WWW-Authenticate: {}{stale}",
                challenge.replace("{nonce}", nonce)
            )
        };
        self.challenges.iter().map(line).collect()
    }

    /// Whether a request proves the password by one of the challenges.
    pub(crate) fn admits(&self, request: &Request, nonce: &str) -> bool {
        let Some(given) = request.header("Authorization") else {
            return false;
        };
        let pair = format!("{}:{}", self.user, self.password);
        let basic = format!("Basic {}", glib::base64_encode(pair.as_bytes()));
        self.challenges
            .iter()
            .any(|challenge| match challenge.starts_with("Digest") {
                true => {
                    let challenge = challenge.replace("{nonce}", nonce);
                    self.digests(&challenge, given, &request.method)
                }
                false => given == basic,
            })
    }

    /// RFC 7616 §3.4.1; without `qop`, RFC 2069 §2.1.2.
    fn digests(&self, challenge: &str, given: &str, method: &str) -> bool {
        let ask = |name| parameter(challenge, name).unwrap_or_default();
        let say = |name| parameter(given, name).unwrap_or_default();
        let algorithm = match ask("algorithm").as_str() {
            "SHA-256" => glib::ChecksumType::Sha256,
            _ => glib::ChecksumType::Md5,
        };
        let hash = |text: String| {
            let sum = glib::compute_checksum_for_string(algorithm, &text);
            sum.map(String::from).unwrap_or_default()
        };
        let secret = hash(format!("{}:{}:{}", self.user, ask("realm"), self.password));
        let what = hash(format!("{method}:{}", say("uri")));
        let nonce = ask("nonce");
        let expected = match say("qop").as_str() {
            "" => hash(format!("{secret}:{nonce}:{what}")),
            qop => hash(format!(
                "{secret}:{nonce}:{}:{}:{qop}:{what}",
                say("nc"),
                say("cnonce")
            )),
        };
        given.starts_with("Digest")
            && say("username") == self.user
            && say("nonce") == nonce
            && say("response") == expected
    }
}

/// A parameter of a challenge or an answer to it, without its quotes.
fn parameter(header: &str, name: &str) -> Option<String> {
    let (_, list) = header.split_once(' ')?;
    let value = |part: &str| {
        let (written, value) = part.trim().split_once('=')?;
        written
            .eq_ignore_ascii_case(name)
            .then(|| value.trim_matches('"').to_owned())
    };
    // No value of ours holds a comma.
    list.split(',').find_map(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard_is_admitted() {
        // RFC 2617 §3.5.
        let login = ScriptedLogin {
            user: "Mufasa".into(),
            password: "Circle Of Life".into(),
            challenges: vec![
                r#"Digest realm="testrealm@host.com", qop="auth", nonce="{nonce}""#.into(),
            ],
            nonce_uses: None,
        };
        let nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093";
        let request = |response| Request {
            method: "GET".into(),
            text: format!(
                "GET /dir/index.html HTTP/1.1\r\nAuthorization: Digest username=\"Mufasa\", \
                 realm=\"testrealm@host.com\", nonce=\"{nonce}\", uri=\"/dir/index.html\", \
                 qop=auth, nc=00000001, cnonce=\"0a4f113b\", response=\"{response}\"\r\n"
            ),
            ..Request::default()
        };
        assert!(login.admits(&request("6629fae49393a05397450978507c4ef1"), nonce));
        assert!(!login.admits(&request("6629fae49393a05397450978507c4ef1"), "other"));
        assert!(!login.admits(&request("00"), nonce));
    }
}
