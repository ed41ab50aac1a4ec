//! The URL of a camera, which carries its password and therefore cannot be printed.

use std::{fmt, str::FromStr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Serialize, Serializer};
use url::Url;

/// What stands in place of a secret.
pub(crate) const HIDDEN: &str = "***";

/// Everything but RFC 3986 §2.3 "unreserved": safe in any part of a URL.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Parts of parameter names whose values are taken for secrets (`?user=`, `&rtsp_passwd=`, …).
const SECRET_NAME_PARTS: &[&str] = &[
    "user", "usr", "login", "pass", "pwd", "pw", "token", "auth", "secret", "cred", "session",
    "sign", "hash",
];

/// An `rtsp://` or `rtsps://` URL. `Debug`, `Display` and `Serialize` show it with user, password
/// and the values of parameters that look like credentials as `***`; only [`SecretUrl::expose`]
/// gives the real one.
///
/// Accepted form: `rtsp://[user[:password]@]host[:port][/path][?query]`. User and password are
/// percent-decoded, so `@`, `/`, `?`, `#`, `:` and `%` in them have to be percent-encoded; what
/// can be read in two ways is refused, not guessed. Path and query reach the camera byte for byte.
///
/// A path whose segments are themselves secret (`/8kQmJxR3`) is shown unless it was substituted
/// (`/${TOKEN}`).
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl {
    scheme: &'static str,
    credentials: Option<Credentials>,
    /// Host, port, path and query as written.
    rest: String,
    /// `rest` as it may be printed.
    shown: String,
}

/// User and password of a camera, percent-decoded. `Debug` shows `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user; never contains `:` (RFC 7617 §2) or control characters.
    pub user: String,
    /// The password; empty where the URL has none.
    pub password: String,
}

/// Why a text is no camera URL. Never holds a part of that text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// No `scheme://`, or none of ours.
    #[error(
        "is no RTSP URL; allowed is rtsp://user:password@host:port/path, or rtsps:// for RTSP over TLS"
    )]
    Scheme,
    /// `rtspt://`, `rtspu://`: GStreamer's way to choose the transport.
    #[error("write rtsp:// and choose the transport with `transport = \"tcp\"` or \"udp\"")]
    SchemeWithTransport,
    /// Nothing between `//` (or `@`) and the path.
    #[error("has no host; allowed is rtsp://user:password@host:port/path")]
    Host,
    /// Host or port that the URL standard refuses.
    #[error("has a bad host or port ({0}); a port is 1 to 65535")]
    Authority(url::ParseError),
    /// An `@` or `#` after the host: most likely a plain password with `/`, `?` or `#`.
    #[error(
        "is ambiguous: {0:?} after the host. In user and password write %40 for '@', %2F for '/', \
         %3F for '?', %23 for '#', %25 for '%', or take them from the environment or a file \
         (${{NAME}}, ${{file:/path}}), which encodes them; in a path write %40 and %23"
    )]
    Ambiguous(char),
    /// A lone `%` in user or password.
    #[error("has a '%' in user or password that starts no escape such as %40; write %25 for '%'")]
    Escape,
    /// User or password are not UTF-8 after decoding.
    #[error("has a user or password that is not UTF-8 after percent-decoding")]
    NotUtf8,
    /// `:` in the user, usually both parts in one variable.
    #[error(
        "has a ':' in the user name, which RTSP cannot transmit; with substitution write \
         ${{USER}}:${{PASSWORD}}@, one for each"
    )]
    ColonInUser,
    /// Line breaks and the like, which would end a header of the RTSP request.
    #[error("contains a line break or other control character")]
    Control,
    /// White space outside of user and password.
    #[error("contains white space; write %20 for a space")]
    Space,
}

impl SecretUrl {
    /// The URL with everything secret in it, for the one place that opens the connection.
    /// User and password are percent-encoded.
    pub fn expose(&self) -> String {
        let Self { scheme, rest, .. } = self;
        match &self.credentials {
            None => format!("{scheme}://{rest}"),
            Some(Credentials { user, password }) => {
                let (user, password) = (encode(user), encode(password));
                format!("{scheme}://{user}:{password}@{rest}")
            }
        }
    }

    /// User and password, if the URL has them before its host.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// The same URL without user and password before the host. Still a secret: the query may
    /// hold a token.
    pub fn without_credentials(&self) -> Self {
        Self {
            credentials: None,
            ..self.clone()
        }
    }

    /// Parses `text`; `shown` is the same URL with `***` for substituted parts of path and query.
    pub(crate) fn parse(text: &str, shown: Option<&str>) -> Result<Self, InvalidUrl> {
        let (scheme, after_scheme) = split_scheme(text)?;
        let (userinfo, rest) = split_userinfo(after_scheme);
        if let Some(odd) = rest.chars().find(|c| matches!(c, '@' | '#')) {
            return Err(InvalidUrl::Ambiguous(odd));
        }
        if rest.chars().any(char::is_control) {
            return Err(InvalidUrl::Control);
        }
        if rest.chars().any(char::is_whitespace) {
            return Err(InvalidUrl::Space);
        }
        let credentials = match userinfo {
            None | Some("") => None,
            Some(userinfo) => Some(parse_userinfo(userinfo)?),
        };
        check_authority(scheme, rest)?;
        let shown_rest = shown
            .and_then(|shown| split_scheme(shown).ok())
            .map_or(rest, |(_, after_scheme)| split_userinfo(after_scheme).1);
        Ok(Self {
            scheme,
            credentials,
            rest: rest.to_owned(),
            shown: hide_parameters(shown_rest),
        })
    }
}

/// Percent-encodes `value` so that it stands for itself in any part of a URL.
pub(crate) fn encode(value: &str) -> String {
    utf8_percent_encode(value, ENCODED).to_string()
}

/// Where the user information of an authority lies: up to its last `@`. The text begins after `//`.
pub(crate) fn userinfo_len(after_scheme: &str) -> Option<usize> {
    let authority_len = after_scheme
        .find(['/', '?', '#'])
        .unwrap_or(after_scheme.len());
    after_scheme[..authority_len].rfind('@')
}

fn split_scheme(text: &str) -> Result<(&'static str, &str), InvalidUrl> {
    let (scheme, after_scheme) = text.split_once("://").ok_or(InvalidUrl::Scheme)?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "rtsp" => "rtsp",
        "rtsps" => "rtsps",
        "rtspt" | "rtspu" | "rtsph" | "rtspst" | "rtspsu" | "rtspsh" => {
            return Err(InvalidUrl::SchemeWithTransport);
        }
        _ => return Err(InvalidUrl::Scheme),
    };
    Ok((scheme, after_scheme))
}

fn split_userinfo(after_scheme: &str) -> (Option<&str>, &str) {
    match userinfo_len(after_scheme) {
        None => (None, after_scheme),
        Some(at) => (Some(&after_scheme[..at]), &after_scheme[at + 1..]),
    }
}

fn parse_userinfo(userinfo: &str) -> Result<Credentials, InvalidUrl> {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let (user, password) = (decode(user)?, decode(password)?);
    if user.contains(':') {
        return Err(InvalidUrl::ColonInUser);
    }
    Ok(Credentials { user, password })
}

fn decode(encoded: &str) -> Result<String, InvalidUrl> {
    let is_escape = |after: &str| {
        let digits = after.as_bytes();
        digits.len() >= 2 && digits[..2].iter().all(u8::is_ascii_hexdigit)
    };
    if !encoded.split('%').skip(1).all(is_escape) {
        return Err(InvalidUrl::Escape);
    }
    let decoded = percent_decode_str(encoded)
        .decode_utf8()
        .map_err(|_| InvalidUrl::NotUtf8)?;
    if decoded.chars().any(char::is_control) {
        return Err(InvalidUrl::Control);
    }
    Ok(decoded.into_owned())
}

/// The URL standard's opinion of host and port. Path and query are left out of it: cameras want
/// them as they are.
fn check_authority(scheme: &str, rest: &str) -> Result<(), InvalidUrl> {
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    if authority.is_empty() || authority.starts_with(':') {
        return Err(InvalidUrl::Host);
    }
    let url = Url::parse(&format!("{scheme}://{authority}")).map_err(InvalidUrl::Authority)?;
    if url.port() == Some(0) {
        return Err(InvalidUrl::Authority(url::ParseError::InvalidPort));
    }
    Ok(())
}

/// `rest` with `***` for the value of every parameter that looks like a credential. A value ends
/// at `&` only, because cameras put parameters into paths, too (`/user=a_password=b_channel=1`):
/// rather hide too much.
fn hide_parameters(rest: &str) -> String {
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let shown: Vec<String> = path.split('&').map(hide_parameter).collect();
    format!("{authority}{}", shown.join("&"))
}

fn hide_parameter(part: &str) -> String {
    let secret = part.match_indices('=').find(|(at, _)| {
        let before = &part[..*at];
        let name = before.rsplit(['/', '?', ';', '=']).next().unwrap_or(before);
        is_secret_name(name)
    });
    match secret {
        Some((at, _)) => format!("{}={HIDDEN}", &part[..at]),
        None => part.to_owned(),
    }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAME_PARTS.iter().any(|part| name.contains(part))
        || name.ends_with("key")
        || matches!(name.as_str(), "u" | "p")
}

impl FromStr for SecretUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        Self::parse(text, None)
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        if self.credentials.is_some() {
            write!(f, "{HIDDEN}:{HIDDEN}@")?;
        }
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretUrl({self})")
    }
}

impl Serialize for SecretUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> SecretUrl {
        text.parse().unwrap()
    }

    #[test]
    fn shows_stars_and_exposes_the_rest_byte_for_byte() {
        for (text, shown) in [
            ("rtsp://h", "rtsp://h"),
            ("rtsp://u:p@h:554/s1?a=b", "rtsp://***:***@h:554/s1?a=b"),
            (
                "RTSPS://u:p@[fe80::1]:322/x",
                "rtsps://***:***@[fe80::1]:322/x",
            ),
            ("rtsp://u@h/", "rtsp://***:***@h/"),
            ("rtsp://@h/..//a b%20", "refused"),
            ("rtsp://h/a/../b//c|d", "rtsp://h/a/../b//c|d"),
            (
                "rtsp://h/live?channel=1&user=admin&PassWord=x/y&subtype=0",
                "rtsp://h/live?channel=1&user=***&PassWord=***&subtype=0",
            ),
            (
                "rtsp://h/user=admin_password=tlJ_channel=1_stream=0.sdp?real_stream",
                "rtsp://h/user=***",
            ),
            (
                "rtsp://h/s?access_token=t&apikey=k&p=1&profile=2",
                "rtsp://h/s?access_token=***&apikey=***&p=***&profile=2",
            ),
        ] {
            match text.parse::<SecretUrl>() {
                Ok(parsed) => {
                    assert_eq!(parsed.to_string(), shown, "{text}");
                    assert_eq!(format!("{parsed:?}"), format!("SecretUrl({shown})"));
                    assert_eq!(
                        serde_json::to_string(&parsed).unwrap(),
                        format!("\"{shown}\"")
                    );
                    assert_eq!(url(&parsed.expose()), parsed, "{text}");
                }
                Err(InvalidUrl::Space) => assert_eq!(shown, "refused", "{text}"),
                Err(other) => panic!("{text}: {other}"),
            }
        }
        let odd = "rtsp://h/a/../b//c|d?x=%zz";
        assert_eq!(url(odd).expose(), odd);
    }

    #[test]
    fn credentials_are_decoded_and_can_be_taken_off() {
        let camera = url("rtsp://ad%40min:p%3A%2f%25:@q@host:8554/s?token=t");
        let credentials = camera.credentials().unwrap();
        assert_eq!(credentials.user, "ad@min");
        assert_eq!(credentials.password, "p:/%:@q");
        assert_eq!(format!("{credentials:?}"), "Credentials(***)");
        assert_eq!(
            camera.expose(),
            "rtsp://ad%40min:p%3A%2F%25%3A%40q@host:8554/s?token=t"
        );
        let bare = camera.without_credentials();
        assert_eq!(bare.expose(), "rtsp://host:8554/s?token=t");
        assert_eq!(bare.to_string(), "rtsp://host:8554/s?token=***");
        assert_eq!(url("rtsp://h/s").credentials(), None);
    }

    #[test]
    fn refuses_what_is_no_camera_url_or_can_be_read_in_two_ways() {
        use InvalidUrl::*;
        for (text, reason) in [
            ("", Scheme),
            ("192.168.0.5/s", Scheme),
            ("http://h/s", Scheme),
            (" rtsp://h/s", Scheme),
            ("rtspt://h/s", SchemeWithTransport),
            ("rtsp://", Host),
            ("rtsp:///s", Host),
            ("rtsp://u:p@/s", Host),
            ("rtsp://u:p@:554/s", Host),
            ("rtsp://h:70000/s", Authority(url::ParseError::InvalidPort)),
            ("rtsp://h:0/s", Authority(url::ParseError::InvalidPort)),
            (
                "rtsp://[::1/s",
                Authority(url::ParseError::InvalidIpv6Address),
            ),
            ("rtsp://u:pa/ss@h/s", Ambiguous('@')),
            ("rtsp://u:p@a/b@h/s", Ambiguous('@')),
            ("rtsp://u:pa?ss@h/s", Ambiguous('@')),
            ("rtsp://u:pa#ss@h/s", Ambiguous('#')),
            ("rtsp://u:50%@h/s", Escape),
            ("rtsp://u:5%0@h/s", Escape),
            ("rtsp://u:%zz@h/s", Escape),
            ("rtsp://u:%ff@h/s", NotUtf8),
            ("rtsp://a%3Ab@h/s", ColonInUser),
            ("rtsp://u:a%0d%0ab@h/s", Control),
            ("rtsp://h/s\n", Control),
            ("rtsp://h/s 1", Space),
        ] {
            assert_eq!(text.parse::<SecretUrl>(), Err(reason), "{text}");
        }
    }
}
