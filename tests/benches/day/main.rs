//! What whole days cost: `cargo bench -p dayreel-tests --bench day`.
//!
//! Prints tables; asserts nothing. A word as argument runs one part: `documents`, `start`,
//! `traffic`, `export`, `viewers`, `latency` (with names of players behind it: only these), `scrub`. Goals: first byte of the day's playlist < 50 ms, refreshes < 2 KB,
//! start-up with seven days < 1 s, as many bytes per second to 50 players as nginx sends.

mod connection;
mod documents;
mod export;
mod latency;
mod scrub;
mod start;
mod traffic;
mod viewers;

use anyhow::Result;
use dayreel_tests::make_day::Media;

/// As many bytes as a camera of 1080p brings: 4 Mbit/s, segments of 2 MB, an hour of 1.8 GB.
fn as_of_1080p() -> Media {
    Media {
        width: 640,
        height: 360,
        fps: 25,
        bitrate_kbps: Some(4000),
        ..Media::default()
    }
}

/// Measures and prints.
type Part = fn() -> Result<()>;

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let parts: [(&str, Part); 7] = [
        ("documents", documents::run),
        ("start", start::run),
        ("traffic", traffic::run),
        ("export", export::run),
        ("viewers", viewers::run),
        ("latency", latency::run),
        ("scrub", scrub::run),
    ];
    for (name, part) in parts {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            println!("\n## {name}\n");
            part()?;
        }
    }
    Ok(())
}
