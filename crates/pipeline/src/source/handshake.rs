//! From an address to packets: OPTIONS, DESCRIBE, SETUP of each track, PLAY (RFC 2326 §10).

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use gstreamer as gst;
use tracing::info;

use super::{
    address::{Address, control_uris},
    datagrams::Ports,
    description::{Description, OfferedTrack},
    dialogue::Dialogue,
    headers::{SessionId, Transport, lists_method},
    login::Login,
    message::{Request, Response},
    stream::{Dial, Stop},
};
use crate::{CameraSettings, Error};

/// How many redirections are followed.
const MOST_REDIRECTIONS: u32 = 5;

/// How packets are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Within the connection, which may be one within HTTP.
    Interleaved {
        in_http: bool,
    },
    Unicast,
    Multicast,
}

impl Way {
    /// As the configuration calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Interleaved { in_http: false } => "tcp",
            Self::Interleaved { in_http: true } => "http",
            Self::Unicast => "udp",
            Self::Multicast => "multicast",
        }
    }
}

/// A camera that has said what it offers.
pub(crate) struct Described {
    pub(crate) dialogue: Dialogue,
    pub(crate) address: Address,
    pub(crate) description: Description,
    /// What control attributes are relative to.
    base: String,
    /// What `Public` lists.
    methods: Option<String>,
    deadline: Instant,
}

/// A camera whose tracks are set up, and that waits for PLAY.
pub(crate) struct Ready {
    pub(crate) dialogue: Dialogue,
    pub(crate) address: Address,
    pub(crate) session: Option<SessionId>,
    /// What requests on the whole session name.
    pub(crate) uri: String,
    pub(crate) keep_alive: &'static str,
    /// What requests on one track name.
    uris: Vec<String>,
    deadline: Instant,
}

/// A track that was set up.
pub(crate) struct ReadyTrack {
    pub(crate) caps: gst::Caps,
    pub(crate) route: Route,
}

/// How its packets come.
pub(crate) enum Route {
    /// On these channels, RTP and RTCP.
    Channels(u8, u8),
    /// To these ports.
    Ports { ports: Ports, from: Source },
}

/// Where datagrams come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    /// `None` for a multicast group: from anywhere.
    pub(crate) address: Option<IpAddr>,
    /// Ports of the camera, RTP and RTCP.
    pub(crate) ports: Option<(u16, u16)>,
}

/// Connects and asks what there is.
///
/// # Errors
/// The camera cannot be reached or refuses.
pub(crate) fn describe(
    settings: &CameraSettings,
    in_http: bool,
    stop: &Stop,
) -> Result<Described, Error> {
    let patience = settings.timing.connect;
    let deadline = Instant::now() + patience;
    let mut address = Address::of(&settings.url)?;
    let home = address.host.clone();
    for _ in 0..=MOST_REDIRECTIONS {
        let dial = Dial {
            address: &address,
            trust: settings.trust,
            in_http,
            patience,
            stop,
        };
        // A password is for the camera it was given for.
        let credentials = settings.url.credentials().filter(|_| address.host == home);
        let mut dialogue = Dialogue::new(dial.connect()?, Login::new(credentials.cloned()));
        let uri = address.uri.clone();
        let options = request("OPTIONS", &uri, &[]);
        // Whatever it answers: some want a login even for this, some do not know it.
        let options = dialogue.ask(&options, deadline)?;
        let methods = options.headers.get("Public").map(str::to_owned);
        let accept = [("Accept", "application/sdp")];
        let answer = dialogue.ask(&request("DESCRIBE", &uri, &accept), deadline)?;
        let location = answer.headers.get("Location");
        if let (300..400, Some(location)) = (answer.status, location) {
            address = address
                .redirected(location)
                .ok_or(Error::Denied(answer.status))?;
            info!(camera = %settings.id, host = address.host, "the camera redirects");
            continue;
        }
        granted(&answer)?;
        return Ok(Described {
            dialogue,
            description: Description::parse(&answer.body)?,
            base: base(&answer, &uri),
            address,
            methods,
            deadline,
        });
    }
    Err(Error::Denied(302))
}

/// The base of control attributes, RFC 2326 §C.1.1.
fn base(answer: &Response, uri: &str) -> String {
    let header = |name| {
        let value = answer.headers.get(name)?;
        value.contains("://").then(|| value.to_owned())
    };
    header("Content-Base")
        .or_else(|| header("Content-Location"))
        .unwrap_or_else(|| uri.to_owned())
}

fn request<'a>(
    method: &'static str,
    uri: &'a str,
    headers: &'a [(&'static str, &'a str)],
) -> Request<'a> {
    Request {
        method,
        uri,
        headers,
    }
}

/// What a refusal means.
fn granted(answer: &Response) -> Result<(), Error> {
    match answer.status {
        200..300 => Ok(()),
        401 | 403 => Err(Error::Auth),
        404 => Err(Error::NotFound),
        461 => Err(Error::Transport),
        status => Err(Error::Denied(status)),
    }
}

impl Described {
    /// Sets up the `chosen` of the offered tracks.
    ///
    /// # Errors
    /// The camera refuses.
    pub(crate) fn set_up(
        mut self,
        way: Way,
        chosen: &[bool],
    ) -> Result<(Ready, Vec<ReadyTrack>), Error> {
        let offered = std::mem::take(&mut self.description.tracks).into_iter();
        let wanted = offered.zip(chosen).filter(|(_, chosen)| **chosen);
        let mut session: Option<SessionId> = None;
        let (mut tracks, mut uris) = (vec![], vec![]);
        for (track, _) in wanted {
            let (track, uri, id) = self.set_up_track(track, way, tracks.len(), session.as_ref())?;
            session = session.or(id);
            tracks.push(track);
            uris.push(uri);
        }
        let channels = tracks.iter().map(|track| match &track.route {
            Route::Channels(rtp, rtcp) => (*rtp).max(*rtcp).saturating_add(1),
            Route::Ports { .. } => 0,
        });
        self.dialogue.expect_channels(channels.max().unwrap_or(0));
        let ready = Ready {
            keep_alive: match &self.methods {
                Some(methods) if !lists_method(methods, "GET_PARAMETER") => "OPTIONS",
                _ => "GET_PARAMETER",
            },
            uri: control_uris(&self.base, self.description.control.as_deref()).swap_remove(0),
            dialogue: self.dialogue,
            address: self.address,
            session,
            uris,
            deadline: self.deadline,
        };
        Ok((ready, tracks))
    }

    fn set_up_track(
        &mut self,
        track: OfferedTrack,
        way: Way,
        index: usize,
        session: Option<&SessionId>,
    ) -> Result<(ReadyTrack, String, Option<SessionId>), Error> {
        let first = u8::try_from(index * 2).unwrap_or(u8::MAX - 1);
        let peer = self.dialogue.stream().peer();
        let ports = match way {
            Way::Unicast => Some(Ports::bind(peer)?),
            Way::Interleaved { .. } | Way::Multicast => None,
        };
        let transport = match (way, &ports) {
            (Way::Multicast, _) => "RTP/AVP;multicast".to_owned(),
            (_, Some(ports)) => {
                let [rtp, rtcp] = ports.numbers();
                format!("RTP/AVP;unicast;client_port={rtp}-{rtcp}")
            }
            (_, None) => format!("RTP/AVP/TCP;unicast;interleaved={first}-{}", first + 1),
        };
        let mut headers = vec![("Transport", transport.as_str())];
        headers.extend(session.map(|session| ("Session", session.id.as_str())));
        let uris = control_uris(&self.base, track.control.as_deref());
        let mut last = Error::NotFound;
        for uri in uris {
            let answer = self
                .dialogue
                .ask(&request("SETUP", &uri, &headers), self.deadline)?;
            last = match granted(&answer) {
                Ok(()) => {
                    let answered = answer.headers.get("Transport").map(Transport::parse);
                    let id = answer.headers.get("Session").and_then(SessionId::parse);
                    let answered = answered.unwrap_or_default();
                    let route = match way {
                        Way::Interleaved { .. } => {
                            let (rtp, rtcp) = answered.interleaved.unwrap_or((first, first + 1));
                            Route::Channels(rtp, rtcp)
                        }
                        Way::Unicast | Way::Multicast => {
                            let local = self.dialogue.stream().local();
                            datagrams(ports, &answered, peer, local)?
                        }
                    };
                    let caps = track.caps;
                    return Ok((ReadyTrack { caps, route }, uri, id));
                }
                // Perhaps it is called otherwise.
                Err(error @ (Error::NotFound | Error::Denied(400 | 451 | 454))) => error,
                Err(error) => return Err(error),
            };
        }
        Err(last)
    }
}

fn datagrams(
    ports: Option<Ports>,
    answered: &Transport,
    peer: Option<IpAddr>,
    local: Option<IpAddr>,
) -> Result<Route, Error> {
    let Some(ports) = ports else {
        let (group, (rtp, rtcp)) = answered
            .destination
            .zip(answered.port.or(answered.server_port))
            .ok_or(Error::Transport)?;
        return Ok(Route::Ports {
            ports: Ports::join(group, [rtp, rtcp], local)?,
            from: Source {
                address: None,
                ports: None,
            },
        });
    };
    Ok(Route::Ports {
        ports,
        from: Source {
            // Cameras behind an address translation name one that nobody here knows.
            address: peer,
            ports: answered.server_port,
        },
    })
}

impl Ready {
    /// Lets all tracks play; where the camera knows no whole session, one by one.
    ///
    /// # Errors
    /// The camera refuses.
    pub(crate) fn play(&mut self) -> Result<(), Error> {
        let mut headers = vec![("Range", "npt=0.000-")];
        let session = self.session.as_ref();
        headers.extend(session.map(|session| ("Session", session.id.as_str())));
        let play = request("PLAY", &self.uri, &headers);
        let refusal = granted(&self.dialogue.ask(&play, self.deadline)?);
        if !matches!(
            refusal,
            Err(Error::NotFound | Error::Denied(400 | 405 | 451 | 459))
        ) {
            return refusal;
        }
        for uri in &self.uris {
            let play = request("PLAY", uri, &headers);
            granted(&self.dialogue.ask(&play, self.deadline)?)?;
        }
        Ok(())
    }

    /// How often to say that somebody is there: twice within the camera's patience.
    pub(crate) fn keep_alive_interval(&self) -> Duration {
        const MOST: Duration = Duration::from_secs(30);
        let session = self.session.as_ref();
        session.map_or(MOST, |session| (session.timeout / 2).min(MOST))
    }
}
