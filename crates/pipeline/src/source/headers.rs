//! The headers that have a grammar of their own: `Transport`, `Session`, `Public`.

use std::{net::IpAddr, str::FromStr, time::Duration};

/// What holds where a camera does not say it, RFC 2326 §12.37.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// The answer to SETUP: where packets come from (RFC 2326 §12.39).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transport {
    /// Channels of RTP and RTCP within the connection.
    pub(crate) interleaved: Option<(u8, u8)>,
    /// Ports of the camera, RTP and RTCP.
    pub(crate) server_port: Option<(u16, u16)>,
    /// Ports of a multicast group.
    pub(crate) port: Option<(u16, u16)>,
    /// Where packets come from, if not from where the connection leads to.
    pub(crate) source: Option<IpAddr>,
    /// The multicast group.
    pub(crate) destination: Option<IpAddr>,
}

impl Transport {
    /// Of several alternatives the first. What cannot be read is as if it were not there.
    pub(crate) fn parse(header: &str) -> Self {
        let mut transport = Self::default();
        let first = header.split(',').next().unwrap_or_default();
        for parameter in first.split(';') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "interleaved" => transport.interleaved = pair(value),
                "server_port" => transport.server_port = pair(value),
                "port" => transport.port = pair(value),
                "source" => transport.source = value.parse().ok(),
                "destination" => transport.destination = value.parse().ok(),
                _ => {}
            }
        }
        transport
    }
}

/// `4-5`, or `4` for the same.
fn pair<T>(value: &str) -> Option<(T, T)>
where
    T: FromStr + Copy + TryFrom<u32>,
    u32: From<T>,
{
    let (first, second) = value.split_once('-').unwrap_or((value, ""));
    let first: T = first.trim().parse().ok()?;
    let next = || T::try_from(u32::from(first) + 1).ok();
    Some((first, second.trim().parse().ok().or_else(next)?))
}

/// The session that SETUP opened (RFC 2326 §12.37).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionId {
    pub(crate) id: String,
    /// Without a request for so long the camera may end the session.
    pub(crate) timeout: Duration,
}

impl SessionId {
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let mut parts = header.split(';').map(str::trim);
        let id = parts.next().filter(|id| !id.is_empty())?.to_owned();
        let timeout = parts
            .filter_map(|part| part.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))
            .and_then(|(_, seconds)| seconds.trim().parse().ok())
            .filter(|seconds| *seconds > 0)
            .map_or(DEFAULT_TIMEOUT, Duration::from_secs);
        Some(Self { id, timeout })
    }
}

/// Whether the camera says that it knows `method` (RFC 2326 §12.28).
pub(crate) fn lists_method(public: &str, method: &str) -> bool {
    let mut methods = public.split([',', ' ']).map(str::trim);
    methods.any(|known| known.eq_ignore_ascii_case(method))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_transports() {
        let interleaved = |header| Transport::parse(header).interleaved;
        assert_eq!(
            interleaved("RTP/AVP/TCP;unicast;interleaved=2-3;ssrc=30A98EE7"),
            Some((2, 3))
        );
        assert_eq!(interleaved("RTP/AVP/TCP;Interleaved = 3-2"), Some((3, 2)));
        assert_eq!(interleaved("RTP/AVP/TCP;interleaved=4"), Some((4, 5)));
        for odd in [
            "",
            "RTP/AVP/TCP;unicast",
            "interleaved=255",
            "interleaved=x-y",
        ] {
            assert_eq!(interleaved(odd), None, "{odd}");
        }
        let udp =
            Transport::parse("RTP/AVP;unicast;source=10.0.0.9;client_port=4-5;server_port=6-7");
        assert_eq!(udp.server_port, Some((6, 7)));
        assert_eq!(udp.source, "10.0.0.9".parse().ok());
        let multicast =
            Transport::parse("RTP/AVP;multicast;destination=239.1.2.3;port=5000-5001;ttl=1");
        assert_eq!(multicast.destination, "239.1.2.3".parse().ok());
        assert_eq!(multicast.port, Some((5000, 5001)));
    }

    #[test]
    fn reads_sessions() {
        let of = |header| SessionId::parse(header).map(|s| (s.id, s.timeout.as_secs()));
        assert_eq!(
            of("634214675641;timeout=30"),
            Some(("634214675641".to_owned(), 30))
        );
        assert_eq!(of(" F8 ; Timeout = 10 "), Some(("F8".to_owned(), 10)));
        assert_eq!(of("F8;timeout=0"), Some(("F8".to_owned(), 60)));
        assert_eq!(of(""), None);
    }

    #[test]
    fn knows_methods() {
        assert!(lists_method(
            "OPTIONS, DESCRIBE, Get_Parameter",
            "GET_PARAMETER"
        ));
        assert!(!lists_method("OPTIONS, DESCRIBE", "GET_PARAMETER"));
    }
}
