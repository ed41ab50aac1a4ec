//! Oddities by name, as the program offers them and tests put them together.

use clap::ValueEnum;

use super::{
    reel::FPS,
    script::{Script, Unit},
};

/// What is odd about a camera. Several may be, at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Oddity {
    /// Headers in lower case
    LowerCase,
    /// Lines end with LF alone
    LineFeeds,
    /// No RTP-Info
    NoRtpInfo,
    /// A made-up sequence number and time in RTP-Info
    WrongRtpInfo,
    /// Another SSRC, sequence and RTP time every 10 s
    NewSources,
    /// All pictures of a second have one RTP time
    CoarseTime,
    /// RTP time is always 0
    NoTime,
    /// RTP time jumps 10 s back every 20 s
    TimeJumps,
    /// SPS and PPS as access units of their own
    SetsApart,
    /// Parameter sets in the description only
    NoSetsInBand,
    /// One packet in a hundred is lost
    LosesPackets,
    /// Every packet comes twice
    DoublesPackets,
    /// Every fifth packet is overtaken by the next
    DisordersPackets,
    /// Bytes that are nothing between packets
    Garbage,
    /// Sender reports of the sound are 1.5 s off
    WrongReports,
    /// Nothing more after 10 s; the connection stays
    FallsSilent,
    /// Sessions end after 10 s without a request
    Impatient,
}

/// Units of a period of the oddities that come back.
const PERIOD: u64 = 10 * FPS as u64;

impl Script {
    /// Makes it odd.
    pub fn make(&mut self, oddity: Oddity) {
        match oddity {
            Oddity::LowerCase => self.rewrite("", |_, reply| {
                let line = |line: &str| match line.split_once(':') {
                    Some((name, value)) => format!("{}:{value}", name.to_ascii_lowercase()),
                    None => line.to_owned(),
                };
                reply.head = reply.head.split_inclusive('\n').map(line).collect();
            }),
            Oddity::LineFeeds => self.rewrite("", |_, reply| {
                reply.head = reply.head.replace("\r\n", "\n");
            }),
            Oddity::NoRtpInfo => self.rewrite("PLAY", |_, reply| reply.without("RTP-Info")),
            Oddity::WrongRtpInfo => self.rewrite("PLAY", |_, reply| {
                let made_up = reply.head.replace(";seq=", ";seq=1;was=");
                reply.head = made_up.replace(";rtptime=", ";rtptime=0;was=");
            }),
            Oddity::NewSources => self.edit_packets(|mut packet| {
                let period = packet.unit / PERIOD;
                let nth = u32::try_from(period & 0xffff).unwrap_or_default();
                packet.ssrc ^= nth << 16;
                packet.time = packet.time.wrapping_add(nth.wrapping_mul(1_234_567_890));
                let [_, _, high, low] = nth.wrapping_mul(20_000).to_be_bytes();
                let by = u16::from_be_bytes([high, low]);
                packet.sequence = packet.sequence.wrapping_add(by);
                vec![packet]
            }),
            Oddity::CoarseTime => self.edit_pictures(|unit| {
                let within = u32::try_from(unit.number % u64::from(FPS)).unwrap_or_default();
                unit.time.wrapping_sub(within * (90_000 / FPS))
            }),
            Oddity::NoTime => self.edit_pictures(|_| 0),
            Oddity::TimeJumps => self.edit_pictures(|unit| {
                let jumps = unit.number / (2 * PERIOD);
                let jumps = u32::try_from(jumps & 0xffff).unwrap_or_default();
                unit.time.wrapping_sub(jumps.wrapping_mul(900_000))
            }),
            Oddity::SetsApart => self.edit_units(sets_apart),
            Oddity::NoSetsInBand => self.feed.has_sets_in_band = false,
            Oddity::LosesPackets => self.edit_packets(|packet| match packet.sequence % 100 {
                37 => vec![],
                _ => vec![packet],
            }),
            Oddity::DoublesPackets => self.edit_packets(|packet| vec![packet.clone(), packet]),
            Oddity::DisordersPackets => self.edit_packets(|mut packet| {
                packet.overtaken_by = u32::from(packet.sequence % 5 == 2);
                vec![packet]
            }),
            Oddity::Garbage => self.edit_packets(|mut packet| {
                if packet.sequence % 16 == 0 {
                    packet.raw_before = b"\x00\x01\xff\xfe rest of something \x07".into();
                }
                vec![packet]
            }),
            Oddity::WrongReports => self.feed.reports_off_ms = Some(vec![0, 1_500]),
            Oddity::FallsSilent => self.edit_units(|unit| match unit.number {
                number if number >= PERIOD => vec![],
                _ => vec![unit],
            }),
            Oddity::Impatient => self.timeout = std::time::Duration::from_secs(10),
        }
    }

    /// Changes the RTP time of each access unit of the first track, which is the picture in
    /// [`Script::new`].
    fn edit_pictures(&mut self, edit: impl Fn(&Unit) -> u32 + Send + Sync + 'static) {
        self.edit_times(move |unit| {
            if unit.track == 0 {
                edit(unit)
            } else {
                unit.time
            }
        });
    }
}

/// SPS and PPS each as an access unit of its own, at the time of the picture.
fn sets_apart(unit: Unit) -> Vec<Unit> {
    // ITU-T H.264 table 7-1. Pieces of sound are never told apart: there is one in a unit.
    let is_set = |nal: &Vec<u8>| nal.first().is_some_and(|head| matches!(head & 0x1f, 7 | 8));
    if unit.pieces.len() < 2 {
        return vec![unit];
    }
    let (sets, slices): (Vec<_>, Vec<_>) = unit.pieces.iter().cloned().partition(is_set);
    let parts = sets.into_iter().map(|set| vec![set]).chain([slices]);
    let part = |pieces| Unit {
        pieces,
        ..unit.clone()
    };
    parts.map(part).collect()
}
