//! RTP packets of one track, on their way into the pipeline.
//!
//! ```text
//! bytes ─ whose? (SSRC) ─ when? (RTP clock) ─ list ─ pad ─▶ depayloader
//! ```
//!
//! Lost and repeated packets are noticed, counted and left to the depayloader, which knows what they
//! break.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use gstreamer as gst;
use gstreamer::prelude::*;
use parking_lot::Mutex;
use rtp_types::RtpPacket;

use super::{
    au_headers::AuHeaders,
    jitter_buffer::KeptTimes,
    start_codes::StartCodes,
    watch::{ClockWatch, Observed, RtpClockReport},
};
use crate::{
    alignment::{Alignment, Reported, ReportedTime},
    rtp_clock::RtpClock,
};

/// A sequence number that is further ahead begins a new sequence, RFC 3550 §A.1 `MAX_DROPOUT`.
const MOST_DROPPED: i16 = 3_000;
/// And one that is further behind, likewise, `MAX_MISORDER`.
const MOST_MISORDERED: i16 = 100;

/// What became of the packets of one camera, since its start.
#[derive(Debug, Default)]
pub(crate) struct PacketCounts {
    pub(crate) lost: AtomicU64,
    /// Repeated, or no RTP of a track.
    pub(crate) unusable: AtomicU64,
    /// How the clocks of its running session behave.
    pub(crate) observed: Observed,
    /// When its running session was heard last: a packet of any kind, or an answer.
    heard: Mutex<Option<Instant>>,
}

impl PacketCounts {
    /// The camera is heard.
    pub(crate) fn note_heard(&self, now: Instant) {
        *self.heard.lock() = Some(now);
    }

    /// Since it was heard in this session; the longest there is if it was not.
    pub(crate) fn heard_age(&self) -> Duration {
        self.heard.lock().map_or(Duration::MAX, |at| at.elapsed())
    }

    /// A session begins.
    pub(crate) fn forget_heard(&self) {
        *self.heard.lock() = None;
    }
}

/// What has been received of a source, for reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reception {
    pub(crate) ssrc: u32,
    /// Sequence number of the latest packet, and above it how often the 16 bits have wrapped.
    pub(crate) highest_sequence: u32,
    pub(crate) lost_packets: u64,
}

/// What the time of a packet is made of.
pub(crate) enum Arrival {
    /// They come in order: of its RTP timestamp.
    Exact,
    /// Of the running time of this pipeline when it comes, for a jitter buffer.
    Jittery {
        pipeline: gst::glib::WeakRef<gst::Pipeline>,
        /// That of its RTP timestamp is for behind the jitter buffer; `None`: it says nothing.
        kept: Option<KeptTimes>,
    },
}

/// How a track is [aligned](Alignment).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It is the picture.
    Leads,
    /// It waits until it is known how it stands to the picture.
    Follows,
    /// Its RTP clock says nothing.
    Alone,
}

/// Sound that waits. Bounded by time: see [`Alignment`].
#[derive(Default)]
struct Waiting {
    /// When the first packet came, in ns after the first of the session.
    since_ns: i64,
    packets: Vec<Held>,
}

/// A packet that waits.
struct Held {
    buffer: gst::Buffer,
    sequence: u16,
    timestamp: u32,
    arrived: Option<gst::ClockTime>,
}

/// The receiving end of a track. Used by the thread that reads it.
pub(crate) struct Packets {
    pad: gst::Pad,
    arrival: Arrival,
    clock: RtpClock,
    alignment: Alignment,
    /// Whether it is the picture, which sound is aligned with.
    leads: bool,
    waiting: Option<Waiting>,
    /// The last report, until the next packet comes: reports may come before the first.
    report: Option<ReportedTime>,
    reported: Reported,
    /// Of AAC: what its depayloader must not see.
    headers: Option<AuHeaders>,
    /// Of H.264 and H.265: what its depayloader does not know.
    start_codes: Option<StartCodes>,
    watch: ClockWatch,
    reception: Option<Reception>,
    /// A packet of another source, which may be a new one or a stray.
    suspect: Option<(Reception, Vec<u8>)>,
    /// What goes on together.
    ready: Option<gst::BufferList>,
    counts: Arc<PacketCounts>,
}

impl Packets {
    /// Packets of `clock` go to `pad`, which has had its caps.
    pub(crate) fn new(
        pad: gst::Pad,
        arrival: Arrival,
        clock: RtpClock,
        role: Role,
        alignment: Alignment,
        counts: Arc<PacketCounts>,
    ) -> Self {
        Self {
            headers: pad.current_caps().and_then(|caps| AuHeaders::of(&caps)),
            start_codes: pad.current_caps().and_then(|caps| StartCodes::of(&caps)),
            pad,
            arrival,
            watch: ClockWatch::new(clock.rate_hz()),
            clock,
            alignment,
            leads: role == Role::Leads,
            waiting: (role == Role::Follows).then(Waiting::default),
            report: None,
            reported: Reported::default(),
            reception: None,
            suspect: None,
            ready: None,
            counts,
        }
    }

    pub(crate) const fn reception(&self) -> Option<&Reception> {
        self.reception.as_ref()
    }

    /// Notes what a sender report of the track says.
    pub(crate) fn note_report(&mut self, report: ReportedTime) {
        self.report = Some(report);
    }

    /// How its clock behaves.
    pub(crate) fn clock(&self) -> Option<RtpClockReport> {
        self.watch.report()
    }

    /// Takes a packet; it goes on with the next [`Packets::flush`].
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        let Ok(packet) = RtpPacket::parse(bytes) else {
            self.counts.unusable.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if self
            .headers
            .is_some_and(|headers| !headers.admit(packet.payload()))
        {
            self.counts.unusable.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let (ssrc, sequence) = (packet.ssrc(), packet.sequence_number());
        match &mut self.reception {
            Some(reception) if reception.ssrc == ssrc => {
                let advance = reception.advance(sequence);
                match advance {
                    Advance::Next => {}
                    Advance::Lost(packets) => {
                        self.counts.lost.fetch_add(packets, Ordering::Relaxed);
                    }
                    Advance::Repeated => {
                        self.counts.unusable.fetch_add(1, Ordering::Relaxed);
                        // A jitter buffer puts what was overtaken in its place.
                        if !matches!(self.arrival, Arrival::Jittery { .. }) {
                            return;
                        }
                    }
                }
                self.suspect = None;
            }
            Some(_) => {
                // RFC 3550 §A.1: a source is valid from its second packet in sequence on.
                let begins = Reception::begin(ssrc, sequence);
                let before = self.suspect.take();
                match before.filter(|(before, _)| before.precedes(&begins)) {
                    Some((_, held)) => self.change_source(begins, &held),
                    None => {
                        self.suspect = Some((begins, bytes.to_vec()));
                        return;
                    }
                }
            }
            None => self.reception = Some(Reception::begin(ssrc, sequence)),
        }
        let (timestamp, ends) = (packet.timestamp(), packet.marker_bit());
        self.watch.take(timestamp, ends, Instant::now());
        let codes = self.start_codes;
        match codes.and_then(|codes| codes.removed(packet.payload())) {
            Some(payload) => self.add(&with_payload(&packet, bytes, &payload), &packet),
            None => self.add(bytes, &packet),
        }
    }

    /// The camera has begun a new source, with `held` as its first packet.
    fn change_source(&mut self, begins: Reception, held: &[u8]) {
        self.reception = Some(begins);
        self.clock.change_source();
        if let Ok(packet) = RtpPacket::parse(held) {
            self.add(held, &packet);
        }
    }

    fn add(&mut self, bytes: &[u8], packet: &RtpPacket<'_>) {
        let Ok(mut buffer) = gst::Buffer::with_size(bytes.len()) else {
            return;
        };
        // A packet is copied once: what holds on to the read buffer costs more.
        if buffer.make_mut().copy_from_slice(0, bytes).is_err() {
            return;
        }
        let timestamp = packet.timestamp();
        let late_ns = self.alignment.since();
        // A packet of sound is sent when its last sample has been made, and its timestamp is that of the
        // first.
        let length_ns = match &self.waiting {
            Some(_) => self.clock.since_last_ns(timestamp),
            None => 0,
        };
        let exact = self.clock.time(timestamp, late_ns - length_ns);
        if let Some(report) = self.report.take() {
            self.reported.take(report, &self.clock);
        }
        if self.leads {
            self.alignment
                .note_picture(late_ns, &self.clock, self.reported);
        }
        let Some(waiting) = &mut self.waiting else {
            self.send(buffer, exact, self.arrival.now());
            return;
        };
        if waiting.packets.is_empty() {
            waiting.since_ns = late_ns;
        }
        waiting.packets.push(Held {
            buffer,
            sequence: packet.sequence_number(),
            timestamp,
            arrived: self.arrival.now(),
        });
        let since_ns = waiting.since_ns;
        let shift_ns = self
            .alignment
            .shift_ns(since_ns, late_ns, &self.clock, self.reported);
        if let Some(shift_ns) = shift_ns {
            self.end_waiting(since_ns + shift_ns);
        }
    }

    /// It is known where the track begins, in ns after the first packet of the session: what has waited
    /// goes on.
    fn end_waiting(&mut self, begins_ns: i64) {
        let mut packets = self.waiting.take().unwrap_or_default().packets;
        // What was overtaken is too late for a jitter buffer that gets all at once.
        let first = packets.first().map_or(0, |packet| packet.sequence);
        packets.sort_by_key(|packet| packet.sequence.wrapping_sub(first).cast_signed());
        // What the clock said is not used, but it has learnt.
        self.clock.begin_anew();
        for packet in packets {
            let exact = self.clock.time(packet.timestamp, begins_ns);
            self.send(packet.buffer, exact, packet.arrived);
        }
    }

    /// Adds a packet to what goes on.
    fn send(
        &mut self,
        mut buffer: gst::Buffer,
        exact: gst::ClockTime,
        arrived: Option<gst::ClockTime>,
    ) {
        let packet = buffer.make_mut();
        match &self.arrival {
            Arrival::Exact => packet.set_pts(exact),
            Arrival::Jittery { kept, .. } => {
                packet.set_pts(arrived);
                packet.set_dts(arrived);
                if let Some(kept) = kept {
                    kept.keep(packet, exact);
                }
            }
        }
        self.ready.get_or_insert_default().make_mut().add(buffer);
    }

    /// Sends on what was taken.
    ///
    /// # Errors
    /// The pipeline takes no more.
    pub(crate) fn flush(&mut self) -> Result<(), gst::FlowError> {
        match self.ready.take() {
            Some(ready) => self.pad.push_list(ready).map(drop),
            None => Ok(()),
        }
    }
}

impl Arrival {
    /// The time of a packet that comes now, where that matters.
    fn now(&self) -> Option<gst::ClockTime> {
        match self {
            Self::Exact => None,
            Self::Jittery { pipeline, .. } => pipeline.upgrade()?.current_running_time(),
        }
    }
}

/// The packet in `bytes` with another payload, and without padding.
fn with_payload(packet: &RtpPacket<'_>, bytes: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut changed = bytes[..packet.payload_offset()].to_vec();
    if let Some(first) = changed.first_mut() {
        // RFC 3550 §5.1: P.
        *first &= !0x20;
    }
    changed.extend(payload);
    changed
}

/// How a packet stands to the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Advance {
    Next,
    Lost(u64),
    Repeated,
}

impl Reception {
    const fn begin(ssrc: u32, sequence: u16) -> Self {
        Self {
            ssrc,
            // One wrap, so that what was sent before the first packet is not below 0.
            highest_sequence: 1 << 16 | sequence as u32,
            lost_packets: 0,
        }
    }

    /// Whether `next` is the packet after this.
    fn precedes(&self, next: &Self) -> bool {
        self.ssrc == next.ssrc && next.sequence() == self.sequence().wrapping_add(1)
    }

    /// Of the latest packet.
    fn sequence(&self) -> u16 {
        let [_, _, high, low] = self.highest_sequence.to_be_bytes();
        u16::from_be_bytes([high, low])
    }

    fn advance(&mut self, sequence: u16) -> Advance {
        let by = sequence.wrapping_sub(self.sequence()).cast_signed();
        if !(-MOST_MISORDERED..=MOST_DROPPED).contains(&by) {
            *self = Self {
                lost_packets: self.lost_packets,
                ..Self::begin(self.ssrc, sequence)
            };
            return Advance::Next;
        }
        let Ok(by @ 1..) = u32::try_from(by) else {
            return Advance::Repeated;
        };
        self.highest_sequence = self.highest_sequence.wrapping_add(by);
        let lost = u64::from(by - 1);
        self.lost_packets += lost;
        match lost {
            0 => Advance::Next,
            _ => Advance::Lost(lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(ssrc: u32, sequence: u16) -> Vec<u8> {
        let mut bytes = vec![0x80, 96];
        bytes.extend(sequence.to_be_bytes());
        bytes.extend(3_000_u32.to_be_bytes());
        bytes.extend(ssrc.to_be_bytes());
        bytes.push(7);
        bytes
    }

    fn receiver(pad: gst::Pad, counts: &Arc<PacketCounts>) -> Packets {
        Packets::new(
            pad,
            Arrival::Exact,
            RtpClock::new(90_000),
            Role::Leads,
            Alignment::default(),
            Arc::clone(counts),
        )
    }

    /// Sequence numbers of what is passed on, of packets with these sources and numbers.
    fn passed(packets: &[(u32, u16)]) -> (Vec<u16>, u64, u64) {
        gst::init().unwrap();
        let counts = Arc::new(PacketCounts::default());
        let pad = gst::Pad::builder(gst::PadDirection::Src).build();
        let mut receiver = receiver(pad, &counts);
        for &(ssrc, sequence) in packets {
            receiver.take(&packet(ssrc, sequence));
        }
        let list = receiver.ready.unwrap_or_default();
        let sequence = |buffer: &gst::BufferRef| {
            let mut bytes = [0; 4];
            buffer.copy_to_slice(0, &mut bytes).unwrap();
            u16::from_be_bytes([bytes[2], bytes[3]])
        };
        let passed = list.iter().map(sequence).collect();
        let (lost, unusable) = (&counts.lost, &counts.unusable);
        (
            passed,
            lost.load(Ordering::Relaxed),
            unusable.load(Ordering::Relaxed),
        )
    }

    #[test]
    fn lost_and_repeated_packets_are_counted() {
        let numbers = [65_534, 65_535, 0, 0, 3, 2, 4].map(|number| (1, number));
        assert_eq!(passed(&numbers), (vec![65_534, 65_535, 0, 3, 4], 2, 2));
    }

    #[test]
    fn a_sequence_that_begins_anew_is_no_loss() {
        let numbers = [(1, 10), (1, 40_000), (1, 40_001)];
        assert_eq!(passed(&numbers), (vec![10, 40_000, 40_001], 0, 0));
    }

    /// All packets up to number 2 910 were left out after that one.
    #[test]
    fn one_sequence_number_far_ahead_stops_nothing() {
        let numbers = [(1, 10), (1, 2_910), (1, 11), (1, 12)];
        assert_eq!(passed(&numbers).0, [10, 2_910, 11, 12]);
    }

    #[test]
    fn another_source_is_taken_from_its_second_packet_on() {
        let changed = [(1, 10), (2, 500), (2, 501), (2, 502)];
        assert_eq!(passed(&changed).0, [10, 500, 501, 502]);
        let strays = [(1, 10), (2, 500), (1, 11), (3, 501), (1, 12)];
        assert_eq!(passed(&strays).0, [10, 11, 12]);
    }

    #[test]
    fn what_is_no_rtp_is_left_out() {
        gst::init().unwrap();
        let pad = gst::Pad::builder(gst::PadDirection::Src).build();
        let mut receiver = receiver(pad, &Arc::default());
        receiver.take(&[0x80, 96, 0]);
        receiver.take(&[]);
        assert!(receiver.ready.is_none());
    }
}
