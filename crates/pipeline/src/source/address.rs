//! Where a camera is, and what its tracks are called.

use dayreel_config::SecretUrl;
use url::Url;

use crate::Error;

/// Ports of RTSP and of RTSP over TLS, RFC 7826 §21.
const PORTS: [u16; 2] = [554, 322];

/// The address of a camera. Holds no user and no password; its query may be secret all the same.
#[derive(Clone)]
pub(crate) struct Address {
    /// As requests name it.
    pub(crate) uri: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
}

impl Address {
    pub(crate) fn of(url: &SecretUrl) -> Result<Self, Error> {
        Self::parse(&url.without_credentials().expose()).ok_or(Error::Unresolved)
    }

    /// Where a redirection leads to, RFC 2326 §11.
    pub(crate) fn redirected(&self, location: &str) -> Option<Self> {
        let base = Url::parse(&self.uri).ok()?;
        let mut target = base.join(location).ok()?;
        // Those of the camera are not those of another.
        target.set_username("").ok()?;
        target.set_password(None).ok()?;
        Self::parse(target.as_str())
    }

    fn parse(uri: &str) -> Option<Self> {
        let url = Url::parse(uri).ok()?;
        let is_tls = match url.scheme() {
            "rtsp" | "rtspt" | "rtspu" => false,
            "rtsps" => true,
            _ => return None,
        };
        Some(Self {
            uri: uri.to_owned(),
            host: url.host_str()?.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(PORTS[usize::from(is_tls)]),
            is_tls,
        })
    }
}

/// What a track may be called, best first: its control attribute joined with the base of the
/// description (RFC 2326 §C.1.1).
///
/// The standard joins them by the rules for relative URLs. Cameras expect the attribute behind the
/// base, also where that has a query or no slash at its end; so that comes first.
pub(crate) fn control_uris(base: &str, control: Option<&str>) -> Vec<String> {
    let Some(control) = control
        .map(str::trim)
        .filter(|c| !c.is_empty() && *c != "*")
    else {
        return vec![base.to_owned()];
    };
    if control
        .get(..4)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("rtsp"))
        && control.contains("://")
    {
        return vec![control.to_owned()];
    }
    let slash = match base.ends_with('/') || control.starts_with('/') {
        true => "",
        false => "/",
    };
    let mut uris = vec![format!("{base}{slash}{control}")];
    let joined = Url::parse(base).and_then(|base| base.join(control));
    uris.extend(
        joined
            .ok()
            .map(String::from)
            .filter(|joined| *joined != uris[0]),
    );
    uris
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> (String, u16, bool) {
        let address = Address::of(&url.parse().unwrap()).unwrap();
        (address.host, address.port, address.is_tls)
    }

    #[test]
    fn knows_where_a_url_connects_to() {
        assert_eq!(
            at("rtsp://u:p@cam.lan/x?y=z"),
            ("cam.lan".to_owned(), 554, false)
        );
        assert_eq!(at("rtsps://10.0.0.1"), ("10.0.0.1".to_owned(), 322, true));
        assert_eq!(at("rtsp://[::1]:8554/"), ("::1".to_owned(), 8554, false));
    }

    #[test]
    fn a_redirection_leads_to_a_path_or_to_another_camera() {
        let address = Address::of(&"rtsp://u:p@cam/a?b=c".parse().unwrap()).unwrap();
        let to = |location| address.redirected(location).map(|address| address.uri);
        assert_eq!(to("/live"), Some("rtsp://cam/live".to_owned()));
        assert_eq!(
            to("rtsp://x:y@other:8554/s"),
            Some("rtsp://other:8554/s".to_owned())
        );
        assert_eq!(to("http://cam/live"), None);
    }

    #[test]
    fn tracks_are_called_what_cameras_expect() {
        let uris = |base, control| control_uris(base, Some(control));
        assert_eq!(uris("rtsp://c/s/", "trackID=1")[0], "rtsp://c/s/trackID=1");
        assert_eq!(
            uris("rtsp://c/s", "trackID=1"),
            ["rtsp://c/s/trackID=1", "rtsp://c/trackID=1"]
        );
        assert_eq!(
            uris("rtsp://c/cam?channel=1&proto=Onvif/", "trackID=0")[0],
            "rtsp://c/cam?channel=1&proto=Onvif/trackID=0"
        );
        assert_eq!(uris("rtsp://c/s", "rtsp://c/t/1"), ["rtsp://c/t/1"]);
        assert_eq!(uris("rtsp://c/s", "*"), ["rtsp://c/s"]);
        assert_eq!(control_uris("rtsp://c/s", None), ["rtsp://c/s"]);
    }
}
