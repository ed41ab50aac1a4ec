//! RTP and RTCP over UDP: two ports for each track, RFC 3550 §11.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::{handshake::Source, packets::Packets};
use crate::Error;

/// Holds a keyframe that arrives at once.
const SOCKET_BUFFER_BYTES: usize = 2 << 20;
/// Longest datagram.
const DATAGRAM_BYTES: usize = 64 << 10;
/// Longest report that is read: a few sources in an Ethernet frame.
const REPORT_BYTES: usize = 1_500;
/// How often to look for two free ports.
const MOST_ATTEMPTS: u32 = 64;

/// The two sockets of a track.
#[derive(Debug)]
pub(crate) struct Ports {
    rtp: UdpSocket,
    rtcp: UdpSocket,
}

impl Ports {
    /// An even port and the next, on all addresses of the kind that `peer` has.
    pub(crate) fn bind(peer: Option<IpAddr>) -> Result<Self, Error> {
        let any = match peer {
            Some(IpAddr::V6(_)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        // Those that did not do are held until there is one, or the next would be the same.
        let mut held = vec![];
        for _ in 0..MOST_ATTEMPTS {
            let rtp = UdpSocket::bind((any, 0)).map_err(|_| Error::Transport)?;
            let port = rtp.local_addr().map_err(|_| Error::Transport)?.port();
            let next = match port % 2 {
                0 => UdpSocket::bind((any, port + 1)).ok(),
                _ => None,
            };
            match next {
                Some(rtcp) => return Self { rtp, rtcp }.prepare(),
                None => held.push(rtp),
            }
        }
        Err(Error::Transport)
    }

    /// The ports of a multicast group, in the network that `local` is in.
    pub(crate) fn join(
        group: IpAddr,
        ports: [u16; 2],
        local: Option<IpAddr>,
    ) -> Result<Self, Error> {
        let socket = |port| member(group, port, local).map_err(|_| Error::Transport);
        let [rtp, rtcp] = ports;
        Self {
            rtp: socket(rtp)?,
            rtcp: socket(rtcp)?,
        }
        .prepare()
    }

    fn prepare(self) -> Result<Self, Error> {
        // What the system does not allow is left at its default.
        let _ = SockRef::from(&self.rtp).set_recv_buffer_size(SOCKET_BUFFER_BYTES);
        self.rtcp
            .set_nonblocking(true)
            .map_err(|_| Error::Transport)?;
        Ok(self)
    }

    /// RTP and RTCP.
    pub(crate) fn numbers(&self) -> [u16; 2] {
        [&self.rtp, &self.rtcp].map(|socket| socket.local_addr().map_or(0, |local| local.port()))
    }
}

fn member(group: IpAddr, port: u16, local: Option<IpAddr>) -> io::Result<UdpSocket> {
    let domain = match group {
        IpAddr::V4(_) => Domain::IPV4,
        IpAddr::V6(_) => Domain::IPV6,
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    // Others on this machine may watch the same camera.
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::new(group, port).into())?;
    match group {
        IpAddr::V4(group) => {
            let local = match local {
                Some(IpAddr::V4(local)) => local,
                _ => Ipv4Addr::UNSPECIFIED,
            };
            socket.set_multicast_if_v4(&local)?;
            socket.join_multicast_v4(&group, &local)?;
        }
        IpAddr::V6(group) => socket.join_multicast_v6(&group, 0)?,
    }
    Ok(socket.into())
}

/// The receiving of a track's datagrams, shared by the thread that receives and that which reports.
pub(crate) struct Datagrams {
    ports: Ports,
    from: Source,
    packets: Mutex<Packets>,
    is_over: AtomicBool,
}

impl Datagrams {
    pub(crate) fn new(ports: Ports, from: Source, packets: Packets) -> Arc<Self> {
        Arc::new(Self {
            ports,
            from,
            packets: Mutex::new(packets),
            is_over: AtomicBool::new(false),
        })
    }

    /// Opens the way through firewalls on this side, which let answers in.
    pub(crate) fn open_way(&self) {
        const EMPTY_RTP: [u8; 12] = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        if let Some((address, (port, _))) = self.from.address.zip(self.from.ports) {
            // Without it packets come, or they do not.
            let _ = self.ports.rtp.send_to(&EMPTY_RTP, (address, port));
        }
    }

    /// Sends a report.
    pub(crate) fn report(&self, packet: &[u8]) {
        if let Some((address, (_, port))) = self.from.address.zip(self.from.ports) {
            // The next will do.
            let _ = self.ports.rtcp.send_to(packet, (address, port));
        }
    }

    /// What of it the thread that reports has to know.
    pub(crate) fn with_packets<T>(&self, look: impl FnOnce(&mut Packets) -> T) -> T {
        look(&mut self.packets.lock())
    }

    /// The reports of the camera that have come. Does not wait for any.
    pub(crate) fn take_reports(&self, mut take: impl FnMut(&[u8])) {
        let mut datagram = vec![0; REPORT_BYTES];
        while let Ok((length, sender)) = self.ports.rtcp.recv_from(&mut datagram) {
            if self.is_wanted(sender) {
                take(datagram.get(..length).unwrap_or_default());
            }
        }
    }

    /// Whether it comes from the camera.
    fn is_wanted(&self, sender: SocketAddr) -> bool {
        let wanted = self.from.address;
        wanted.is_none_or(|address| address.to_canonical() == sender.ip().to_canonical())
    }

    /// Receives until [`Datagrams::stop`], or until the pipeline takes no more.
    pub(crate) fn receive(&self) {
        let mut datagram = vec![0; DATAGRAM_BYTES];
        while let Ok((length, sender)) = self.ports.rtp.recv_from(&mut datagram) {
            if self.is_over.load(Ordering::Acquire) {
                return;
            }
            if !self.is_wanted(sender) {
                continue;
            }
            let mut packets = self.packets.lock();
            packets.take(datagram.get(..length).unwrap_or_default());
            if packets.flush().is_err() {
                return;
            }
        }
    }

    /// Lets [`Datagrams::receive`] return.
    pub(crate) fn stop(&self) {
        self.is_over.store(true, Ordering::Release);
        if let Ok(mut local) = self.ports.rtp.local_addr() {
            if local.ip().is_unspecified() {
                let loopback = match local.ip() {
                    IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                    IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
                };
                local.set_ip(loopback);
            }
            // It wakes the receiver.
            let _ = self.ports.rtp.send_to(&[], local);
        }
    }
}
