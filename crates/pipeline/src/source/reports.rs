//! RTCP (RFC 3550 §6): what cameras say of their tracks, and what they are told.
//!
//! What sender reports say aligns sound and picture where it can be believed ([`Alignment`]). That reports
//! come back keeps those cameras going that end sessions without them.
//!
//! [`Alignment`]: crate::alignment::Alignment

use std::time::Instant;

use rtcp_types::{
    Compound, Packet, ReceiverReport, ReportBlock, RtcpPacketWriter as _, RtcpPacketWriterExt as _,
    Sdes, SdesChunk, SdesItem, SenderReport,
};

use super::{packets::Reception, watch::SenderReports};
use crate::alignment::ReportedTime;

/// The name that we have in RTCP, RFC 3550 §6.5.1.
const CNAME: &str = "dayreel";

/// The RTCP of one track.
#[derive(Debug)]
pub(crate) struct Reports {
    /// How we are called in this session.
    ssrc: u32,
    last: Option<LastReport>,
    seen: Option<SenderReports>,
}

/// What the camera says in a packet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heard {
    /// It ends the track.
    pub(crate) ends: bool,
    /// What the RTP clock of the track shows when.
    pub(crate) time: Option<ReportedTime>,
}

/// The last report of the camera.
#[derive(Clone, Copy, Debug)]
struct LastReport {
    /// The middle 32 bits of its NTP time, RFC 3550 §6.4.1.
    ntp: u32,
    at: Instant,
}

impl Reports {
    pub(crate) fn new() -> Self {
        Self {
            ssrc: rand::random(),
            last: None,
            seen: None,
        }
    }

    /// What has come so far.
    pub(crate) const fn seen(&self) -> Option<SenderReports> {
        self.seen
    }

    /// Reads a packet.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Heard {
        let mut heard = Heard::default();
        let Ok(compound) = Compound::parse(bytes) else {
            return heard;
        };
        // One that cannot be read ends the compound.
        for packet in compound.map_while(Result::ok) {
            match packet {
                Packet::Sr(report) => {
                    self.note(&report);
                    heard.time = ReportedTime::of(report.ntp_timestamp(), report.rtp_timestamp());
                }
                Packet::Bye(_) => heard.ends = true,
                _ => {}
            }
        }
        heard
    }

    fn note(&mut self, report: &SenderReport<'_>) {
        self.seen = Some(SenderReports::after(self.seen, report.ntp_timestamp()));
        self.last = Some(LastReport {
            ntp: u32::try_from(report.ntp_timestamp() >> 16 & 0xffff_ffff).unwrap_or_default(),
            at: Instant::now(),
        });
    }

    /// A report of what was received; `None` if it cannot be written.
    pub(crate) fn write(&self, reception: Option<&Reception>) -> Option<Vec<u8>> {
        let mut report = ReceiverReport::builder(self.ssrc);
        if let Some(reception) = reception {
            let mut block = ReportBlock::builder(reception.ssrc)
                .extended_sequence_number(reception.highest_sequence)
                .cumulative_lost(u32::try_from(reception.lost_packets & 0xff_ffff).ok()?);
            if let Some(last) = self.last {
                // In 1/65536 s.
                let delay = last.at.elapsed().as_millis() * 65_536 / 1_000;
                block = block
                    .last_sender_report_timestamp(last.ntp)
                    .delay_since_last_sender_report_timestamp(u32::try_from(delay).ok()?);
            }
            report = report.add_report_block(block);
        }
        let name = SdesItem::builder(SdesItem::CNAME, CNAME);
        let chunk = SdesChunk::builder(self.ssrc).add_item(name);
        let compound = Compound::builder()
            .add_packet(report)
            .add_packet(Sdes::builder().add_chunk(chunk));
        let mut bytes = vec![0; compound.calculate_size().ok()?];
        compound.write_into(&mut bytes).ok()?;
        Some(bytes)
    }
}
