//! How much one client may take, so that there is something left for the others: connections, and
//! media that is on its way. One client is one address, or one network of IPv6.

use std::{
    any::Any,
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::{HttpRequest, dev::Extensions, rt::net::TcpStream};
use dayreel_core::Kind;
use parking_lot::Mutex;
use rustix::net::{Shutdown, shutdown};
use socket2::SockRef;

use crate::{
    access::{Client, remember_local_address},
    error::ApiError,
    idle::Watch,
};

/// A client that takes nothing of what it asked for, for so long, is gone. Browsers hold a film that
/// is paused by not reading; they ask for the rest again.
const STALLED: Duration = Duration::from_secs(300);

/// Media bodies that are being sent at once, by all and by one. Each holds a piece of 256 KiB, so all
/// of them 128 MiB.
const BODIES: usize = 512;
const BODIES_OF_ONE: usize = 128;

/// Requests that wait for what is being recorded. A player has three: two playlists and a part.
const WAITS: usize = 1024;
const WAITS_OF_ONE: usize = 128;

const EXPORTS: usize = 16;
const EXPORTS_OF_ONE: usize = 4;

/// Counts what each client has. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Crowd(Arc<Limits>);

#[derive(Debug)]
struct Limits {
    of_one: usize,
    of_all: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    by: HashMap<IpAddr, usize>,
}

/// A place that is taken, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    crowd: Crowd,
    client: IpAddr,
}

impl Crowd {
    fn new(of_one: usize, of_all: usize) -> Self {
        Self(Arc::new(Limits {
            of_one,
            of_all,
            held: Mutex::default(),
        }))
    }

    /// Media on its way.
    pub(crate) fn of_bodies() -> Self {
        Self::new(BODIES_OF_ONE, BODIES)
    }

    /// Exports that are being sent: each holds the list of a day's segments, and keeps the disk busy.
    pub(crate) fn of_exports() -> Self {
        Self::new(EXPORTS_OF_ONE, EXPORTS)
    }

    /// Requests that wait for what is being recorded.
    pub(crate) fn of_waits() -> Self {
        Self::new(WAITS_OF_ONE, WAITS)
    }

    /// Connections: a quarter of `most` for one client. That there are no more than `most` is seen to
    /// where they are accepted.
    pub(crate) fn of_connections(most: usize) -> Self {
        Self::new((most / 4).max(1), usize::MAX)
    }

    /// A place for `client`, if there is one left.
    fn enter(&self, client: IpAddr) -> Option<Place> {
        let client = network(client);
        let mut held = self.0.held.lock();
        let by_client = held.by.get(&client).copied().unwrap_or(0);
        if held.all >= self.0.of_all || by_client >= self.0.of_one {
            return None;
        }
        held.all += 1;
        held.by.insert(client, by_client + 1);
        Some(Place {
            crowd: self.clone(),
            client,
        })
    }

    /// A place for the client of `request`.
    ///
    /// # Errors
    /// 429.
    pub(crate) fn place(&self, request: &HttpRequest) -> Result<Place, ApiError> {
        let client = Client::of(request).map(|client| client.address);
        let place = self.enter(client.unwrap_or(Ipv4Addr::UNSPECIFIED.into()));
        place.ok_or_else(|| {
            let message = "too much is being sent already: wait until some of it is there";
            ApiError::new(Kind::Busy, "too_many_responses", message)
        })
    }

    /// Looks at a connection before its first request: one too many is closed at once, the others are
    /// watched. What it takes is given back with its extensions, which live as long as it does.
    pub(crate) fn meet(&self, connection: &dyn Any, watch: &Watch, extensions: &mut Extensions) {
        let encrypted = connection.downcast_ref::<TlsStream<TcpStream>>();
        let encrypted = encrypted.map(|stream| stream.get_ref().0);
        let Some(stream) = encrypted.or_else(|| connection.downcast_ref::<TcpStream>()) else {
            return;
        };
        // A response's head and body are written one after the other. Without this the end of the
        // body waits for the client to acknowledge the head, which clients put off for up to 40 ms.
        // It is only slower without; a connection that is gone says so when it is used.
        let _ = stream.set_nodelay(true);
        // Without it, a client that is gone keeps its files open for a quarter of an hour.
        let _ = SockRef::from(stream).set_tcp_user_timeout(Some(STALLED));
        remember_local_address(stream, extensions);
        let Ok(peer) = stream.peer_addr() else {
            return;
        };
        match self.enter(peer.ip()) {
            Some(place) if watch.meet(stream, extensions).is_ok() => {
                extensions.insert(place);
            }
            _ => {
                // The next read ends it.
                let _ = shutdown(stream, Shutdown::Both);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.crowd.0.held.lock();
        held.all -= 1;
        if let Some(by_client) = held.by.get_mut(&self.client) {
            *by_client -= 1;
            if *by_client == 0 {
                held.by.remove(&self.client);
            }
        }
    }
}

/// Who has one address of IPv6 has a network of 2⁶⁴ of them (RFC 4291 §2.5.4).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_client_leaves_room_for_others_and_gives_back() {
        let crowd = Crowd::new(2, 3);
        let [a, b] = ["192.168.0.1", "192.168.0.2"].map(ip);
        let first = crowd.enter(a).unwrap();
        let second = crowd.enter(a).unwrap();
        assert!(crowd.enter(a).is_none(), "three of one");
        let third = crowd.enter(b).unwrap();
        assert!(crowd.enter(b).is_none(), "four of all");
        drop(first);
        let fourth = crowd.enter(b).unwrap();
        drop((second, third, fourth));
        let held = crowd.0.held.lock();
        assert_eq!((held.all, held.by.len()), (0, 0));
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let crowd = Crowd::new(1, 9);
        let _first = crowd.enter(ip("2001:db8::1")).unwrap();
        assert!(crowd.enter(ip("2001:db8::2")).is_none());
        let _second = crowd.enter(ip("2001:db8:0:1::1")).unwrap();
        let _third = crowd.enter(ip("::ffff:192.168.0.1")).unwrap();
        assert!(crowd.enter(ip("192.168.0.1")).is_none());
    }
}
