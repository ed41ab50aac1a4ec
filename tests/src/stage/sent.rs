//! Comparing what a camera sent with what a reader got.

use anyhow::{Context, Result, ensure};
use dayreel_testcam::{Format, SentUnit};

use crate::foreign::Packet;

/// How what was received lies in what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// Access units sent before the first one received.
    pub before: usize,
    /// Access units received: each one sent, in order, none missing, none twice.
    pub received: usize,
    /// Access units sent after the last one received.
    pub after: usize,
}

/// Finds `received` within `sent` as an unbroken run with the same bytes, and compares the time
/// from each access unit to the next with the RTP timestamps: it may differ by `off_by_90k`, which
/// is 1 tick of rounding where the server does not follow the camera's clock.
///
/// # Errors
/// Says the first access unit that was lost, doubled, changed or moved in time.
pub fn match_sent(
    sent: &[SentUnit],
    received: &[Packet],
    format: Format,
    off_by_90k: u64,
) -> Result<Match> {
    let received_hashes = received
        .iter()
        .map(|packet| packet.fingerprint(format))
        .collect::<Result<Vec<_>>>()?;
    let first = received_hashes.first().context("nothing was received")?;
    // Sound may repeat itself: it began where most of it fits.
    let run = |before: &usize| {
        let due = sent[*before..].iter().map(|unit| unit.sha256);
        let same = due.zip(&received_hashes).take_while(|(a, b)| a == *b);
        (same.count(), std::cmp::Reverse(*before))
    };
    let before = (0..sent.len())
        .filter(|before| sent[*before].sha256 == *first)
        .max_by_key(run)
        .context("the first access unit received was never sent, or was changed")?;
    let due = &sent[before..];
    ensure!(
        received.len() <= due.len(),
        "{} access units received, {} were sent from the first on",
        received.len(),
        due.len()
    );
    for (index, (hash, unit)) in received_hashes.iter().zip(due).enumerate() {
        ensure!(
            *hash == unit.sha256,
            "access unit {index}: due was number {} of those sent, received was {}",
            unit.number,
            match sent.iter().find(|unit| unit.sha256 == *hash) {
                Some(unit) => format!("number {}", unit.number),
                None => format!("{} bytes never sent", received[index].data.len()),
            }
        );
    }
    for (index, (packets, units)) in received.windows(2).zip(due.windows(2)).enumerate() {
        let ([packet, next], [unit, after]) = (packets, units) else {
            continue;
        };
        // Timestamps wrap at 32 bits; the step between neighbours is far smaller.
        let step = after
            .rtp_timestamp
            .wrapping_sub(unit.rtp_timestamp)
            .cast_signed();
        let due_90k = i64::from(step) * 90_000 / i64::from(unit.clock_rate_hz);
        let pts_90k = next.pts_90k - packet.pts_90k;
        ensure!(
            pts_90k.abs_diff(due_90k) <= off_by_90k,
            "access unit {index} (number {}): {pts_90k} ticks to the next, by RTP {due_90k}",
            unit.number
        );
    }
    Ok(Match {
        before,
        received: received.len(),
        after: due.len() - received.len(),
    })
}

#[cfg(test)]
mod tests {
    use dayreel_testcam::{Track, fingerprint};

    use super::*;

    const FORMAT: Format = Format::Raw;

    /// Ten access units of 1024 samples at 48 kHz, with timestamps that wrap.
    fn sent() -> Vec<SentUnit> {
        (0..10)
            .map(|number: u32| SentUnit {
                track: Track::Audio,
                run: 0,
                number,
                is_keyframe: true,
                rtp_timestamp: (u32::MAX - 3000).wrapping_add(number * 1024),
                clock_rate_hz: 48_000,
                sent_us: 0,
                normal_form_bytes: 4,
                sha256: fingerprint(&number.to_be_bytes(), FORMAT).unwrap(),
            })
            .collect()
    }

    fn received(numbers: &[u32]) -> Vec<Packet> {
        let packet = |number: &u32| Packet {
            pts_90k: i64::from(*number) * 1920,
            dts_90k: i64::from(*number) * 1920,
            duration_90k: 1920,
            data: number.to_be_bytes().to_vec(),
        };
        numbers.iter().map(packet).collect()
    }

    #[test]
    fn an_unbroken_run_matches() {
        let found = match_sent(&sent(), &received(&[2, 3, 4, 5]), FORMAT, 1).unwrap();
        let expected = Match {
            before: 2,
            received: 4,
            after: 4,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn whatever_is_not_the_same_is_found() {
        let cases: [(&[u32], &str); 6] = [
            (&[], "nothing"),
            (&[77], "never sent"),
            (&[2, 4, 5], "due was number 3"),
            (&[2, 3, 3, 4], "received was number 3"),
            (&[2, 4, 3, 5], "due was number 3"),
            (&[7, 8, 9, 10], "were sent from the first on"),
        ];
        for (numbers, said) in cases {
            let error = match_sent(&sent(), &received(numbers), FORMAT, 1).unwrap_err();
            assert!(error.to_string().contains(said), "{numbers:?}: {error}");
        }
        let mut changed = received(&[2, 3, 4]);
        changed[1].data[0] = 1;
        let error = match_sent(&sent(), &changed, FORMAT, 1).unwrap_err();
        assert!(error.to_string().contains("never sent"), "{error}");
        let mut late = received(&[2, 3, 4]);
        late[2].pts_90k += 2;
        assert!(match_sent(&sent(), &late, FORMAT, 1).is_err());
        assert!(match_sent(&sent(), &late, FORMAT, 2).is_ok());
    }
}
