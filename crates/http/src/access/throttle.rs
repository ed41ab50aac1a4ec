//! Wrong passwords make the next one wait: longer and longer, for each address and for each name.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::error::ApiError;

/// So many are free.
const FREE: u32 = 4;
/// The longest wait for an address, and for a name. The latter is shorter, because others can cause it.
const LONGEST_OF_ADDRESS: Duration = Duration::from_secs(300);
const LONGEST_OF_NAME: Duration = Duration::from_secs(30);
/// Failures are forgotten after so long without another.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// Where somebody logged in, their name need not wait for so long.
const TRUSTED: Duration = Duration::from_secs(30 * 86_400);
/// Of addresses, of names, and of both together. Beyond it, the longest quiet is forgotten.
const MOST: usize = 4096;

/// Counts failures. Its time is what it is told.
#[derive(Default)]
pub(super) struct Throttle(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    addresses: HashMap<IpAddr, Failures>,
    names: HashMap<String, Failures>,
    /// When somebody logged in from there.
    trusted: HashMap<(IpAddr, String), Instant>,
}

/// Failures in a row.
#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    /// How long there is to wait, now.
    fn wait(self, longest: Duration, now: Instant) -> Duration {
        if self.count < FREE {
            return Duration::ZERO;
        }
        let seconds = 1_u64 << (self.count - FREE).min(20);
        let until = self.last + Duration::from_secs(seconds).min(longest);
        until.saturating_duration_since(now)
    }
}

impl Throttle {
    /// Whether another password may be tried. One that is not tried is no failure.
    ///
    /// # Errors
    /// 429, with the seconds to wait.
    pub(super) fn ask(&self, address: IpAddr, name: &str, now: Instant) -> Result<(), ApiError> {
        let counts = self.0.lock();
        let address = network(address);
        let of_address = counts.addresses.get(&address);
        let mut wait = of_address.map_or(Duration::ZERO, |failures| {
            failures.wait(LONGEST_OF_ADDRESS, now)
        });
        let is_trusted = counts
            .trusted
            .get(&(address, name.to_owned()))
            .is_some_and(|since| now.saturating_duration_since(*since) < TRUSTED);
        if let Some(failures) = counts.names.get(name)
            && !is_trusted
        {
            wait = wait.max(failures.wait(LONGEST_OF_NAME, now));
        }
        match wait.is_zero() {
            true => Ok(()),
            false => Err(ApiError::too_many_failures(wait)),
        }
    }

    /// The password was wrong.
    pub(super) fn failed(&self, address: IpAddr, name: &str, now: Instant) {
        let mut counts = self.0.lock();
        add(&mut counts.addresses, network(address), now);
        add(&mut counts.names, name.to_owned(), now);
    }

    /// It was right. Failures of the address stay: else a user of one's own would be a way to go on.
    pub(super) fn succeeded(&self, address: IpAddr, name: &str, now: Instant) {
        let mut counts = self.0.lock();
        counts.names.remove(name);
        make_room(&mut counts.trusted, |since| *since);
        counts
            .trusted
            .insert((network(address), name.to_owned()), now);
    }
}

fn add<K: Clone + Eq + Hash>(failures: &mut HashMap<K, Failures>, key: K, now: Instant) {
    if !failures.contains_key(&key) {
        make_room(failures, |failures| failures.last);
    }
    let of_key = failures.entry(key).or_insert(Failures {
        count: 0,
        last: now,
    });
    if now.saturating_duration_since(of_key.last) > FORGOTTEN {
        of_key.count = 0;
    }
    of_key.count = of_key.count.saturating_add(1);
    of_key.last = now;
}

fn make_room<K: Clone + Eq + Hash, V>(map: &mut HashMap<K, V>, last: impl Fn(&V) -> Instant) {
    if map.len() < MOST {
        return;
    }
    let oldest = map.iter().min_by_key(|(_, value)| last(value));
    if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
        map.remove(&oldest);
    }
}

/// Who has one address of IPv6 has a network of 2⁶⁴ (RFC 4291 §2.5.4).
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 0, 2));

    fn address(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn each_failure_of_an_address_doubles_the_wait() {
        let throttle = Throttle::default();
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for number in 0..16 {
            // Another name each time.
            let name = format!("user-{number}");
            let mut waited = 0;
            while throttle.ask(HERE, &name, now).is_err() {
                now += Duration::from_secs(1);
                waited += 1;
            }
            waits.push(waited);
            throttle.failed(HERE, &name, now);
        }
        let expected = [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300];
        assert_eq!(waits, expected);
        throttle.succeeded(HERE, "user-1", now);
        assert!(throttle.ask(HERE, "user-1", now).is_err(), "one's own user");
        assert!(throttle.ask(address(1), "user-2", now).is_ok());
        now += FORGOTTEN + Duration::from_secs(1);
        throttle.failed(HERE, "user-1", now);
        assert!(throttle.ask(HERE, "user-1", now).is_ok(), "never forgotten");
    }

    #[test]
    fn guesses_from_everywhere_wait_but_not_who_was_here_before() {
        let throttle = Throttle::default();
        let now = Instant::now();
        throttle.succeeded(HERE, "anna", now);
        for number in 0..20 {
            throttle.failed(address(number), "anna", now);
        }
        assert!(throttle.ask(address(100), "anna", now).is_err());
        assert!(throttle.ask(address(100), "bob", now).is_ok());
        assert!(throttle.ask(HERE, "anna", now).is_ok());
        let later = now + LONGEST_OF_NAME;
        assert!(throttle.ask(address(100), "anna", later).is_ok());
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for number in 0..5 {
            let address = format!("2001:db8::{number}").parse().unwrap();
            throttle.failed(address, &number.to_string(), now);
        }
        let ask = |address: &str| throttle.ask(address.parse().unwrap(), "x", now);
        assert!(ask("2001:db8::ffff:1").is_err());
        assert!(ask("2001:db8:0:1::1").is_ok());
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for number in 0..5000 {
            let (address, name) = (address(number), number.to_string());
            throttle.failed(address, &name, now + Duration::from_millis(number.into()));
            throttle.succeeded(address, &name, now);
        }
        let counts = throttle.0.lock();
        assert!(counts.addresses.len() <= MOST && counts.trusted.len() <= MOST);
        assert!(counts.addresses.contains_key(&address(4999)), "the newest");
    }
}
