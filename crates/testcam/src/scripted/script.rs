//! What a scripted camera says and sends.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Result;

use super::{
    message::{Reply, Request},
    packets::Packet,
    reel::Content,
    sdp,
};
use crate::{AudioCodec, VideoCodec};

/// Changes an answer before it is sent.
pub type Rewrite = Arc<dyn Fn(&Request, &mut Reply) + Send + Sync>;
/// Changes an access unit before it is cut into packets; may make several of it, or none.
pub type EditUnit = Arc<dyn Fn(Unit) -> Vec<Unit> + Send + Sync>;
/// Changes a packet before it is sent; may make several of it, or none.
pub type EditPacket = Arc<dyn Fn(Packet) -> Vec<Packet> + Send + Sync>;

/// A camera's behaviour. [`Script::new`] is a camera as the standards want it; what differs is set on
/// top of it.
#[derive(Clone)]
pub struct Script {
    /// Where it listens: a loopback port of the system's choice, if nobody says otherwise.
    pub listen: SocketAddr,
    /// Path and query of the stream, with the leading slash.
    pub path: String,
    /// The session description. Says what is sent, too: H.264, H.265, AAC and G.711 tracks have
    /// media behind them, others have nothing.
    pub sdp: String,
    /// The `Public` header: methods that it knows. It answers others with 501.
    pub methods: String,
    /// How long it waits for a request that it can answer before it closes the session.
    pub timeout: Duration,
    /// Whether SETUP tells of `timeout`.
    pub tells_timeout: bool,
    /// The login it wants, if any.
    pub login: Option<ScriptedLogin>,
    /// Whether media come before the answer to PLAY, for as long as that takes.
    pub plays_early: bool,
    /// In this order; each sees what those before made of the answer.
    pub rewrites: Vec<Rewrite>,
    /// What its tracks send.
    pub feed: Feed,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script")
            .field("path", &self.path)
            .field("sdp", &self.sdp)
            .finish_non_exhaustive()
    }
}

/// A login that a camera wants, for every request but OPTIONS.
#[derive(Clone, Debug)]
pub struct ScriptedLogin {
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
    /// `WWW-Authenticate` headers, in this order; `{nonce}` stands for the nonce.
    pub challenges: Vec<String>,
    /// After so many requests the nonce is stale (RFC 2617 §3.2.1).
    pub nonce_uses: Option<u32>,
}

/// What the tracks send.
#[derive(Clone)]
pub struct Feed {
    /// Where each track begins; the others, somewhere.
    pub starts: Vec<Start>,
    /// Whether SPS and PPS (and VPS) come before every keyframe.
    pub has_sets_in_band: bool,
    /// From this access unit on the picture is a larger one, with other parameter sets.
    pub grows_at: Option<u64>,
    /// How fast its clock runs: 1.001 is a second too fast in 1000.
    pub speed: f64,
    /// Whether sender reports come, and by how many milliseconds those of each track are off; those
    /// that are not listed are right.
    pub reports_off_ms: Option<Vec<i64>>,
    /// In this order.
    pub unit_edits: Vec<EditUnit>,
    /// In this order.
    pub packet_edits: Vec<EditPacket>,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("starts", &self.starts)
            .finish_non_exhaustive()
    }
}

/// Where a track begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Synchronisation source.
    pub ssrc: u32,
    /// Sequence number of the first packet.
    pub sequence: u16,
    /// RTP time of the first access unit.
    pub time: u32,
}

impl Start {
    /// Of the track at `index`, where the script says nothing else.
    pub(crate) fn of(index: usize) -> Self {
        let index = u32::try_from(index).unwrap_or_default();
        Self {
            ssrc: 0x0da7_0000 + index,
            sequence: 40_000,
            time: 3_000_000_000 + 70_000_000 * index,
        }
    }
}

/// An access unit before it is cut into packets.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Which track of the description, from 0.
    pub track: usize,
    /// Its number, counted from PLAY on.
    pub number: u64,
    /// Whether a decoder can start here.
    pub is_keyframe: bool,
    /// RTP time.
    pub time: u32,
    /// NAL units, or one piece of sound.
    pub pieces: Vec<Vec<u8>>,
}

impl Script {
    /// A camera with these tracks that does as it should: H.264 or H.265, AAC or G.711.
    ///
    /// # Errors
    /// No script sends such a track, or GStreamer has no encoder for it.
    pub fn new(video: VideoCodec, audio: Option<AudioCodec>) -> Result<Self> {
        let picture = Content::Video {
            codec: video,
            is_large: false,
        };
        let sound = audio.map(|codec| match codec {
            AudioCodec::Aac => Content::Aac {
                rate_hz: 48_000,
                channels: 1,
            },
            codec => Content::G711 { codec },
        });
        let tracks: Vec<_> = [picture].into_iter().chain(sound).collect();
        Ok(Self::describing(sdp::write(&tracks)?))
    }

    /// A camera that describes itself so.
    pub fn describing(sdp: String) -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            path: "/stream".into(),
            sdp,
            methods: "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER".into(),
            timeout: Duration::from_secs(60),
            tells_timeout: true,
            login: None,
            plays_early: false,
            rewrites: vec![],
            feed: Feed::default(),
        }
    }

    /// Changes the answers to `method`, or to all if it is empty.
    pub fn rewrite(
        &mut self,
        method: &'static str,
        change: impl Fn(&Request, &mut Reply) + Send + Sync + 'static,
    ) {
        self.rewrites.push(Arc::new(move |request, reply| {
            if method.is_empty() || request.method == method {
                change(request, reply);
            }
        }));
    }

    /// Changes access units.
    pub fn edit_units(&mut self, edit: impl Fn(Unit) -> Vec<Unit> + Send + Sync + 'static) {
        self.feed.unit_edits.push(Arc::new(edit));
    }

    /// Changes packets.
    pub fn edit_packets(&mut self, edit: impl Fn(Packet) -> Vec<Packet> + Send + Sync + 'static) {
        self.feed.packet_edits.push(Arc::new(edit));
    }

    /// Changes the RTP time of each access unit.
    pub fn edit_times(&mut self, edit: impl Fn(&Unit) -> u32 + Send + Sync + 'static) {
        self.edit_units(move |mut unit| {
            unit.time = edit(&unit);
            vec![unit]
        });
    }
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            starts: vec![],
            has_sets_in_band: true,
            grows_at: None,
            speed: 1.0,
            reports_off_ms: Some(vec![]),
            unit_edits: vec![],
            packet_edits: vec![],
        }
    }
}
