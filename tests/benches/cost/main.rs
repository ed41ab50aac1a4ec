//! What a camera costs: CPU, memory, disk and the time of a frame, beside ffmpeg at the same work.
//!
//! `cargo build --release --workspace && cargo bench -p dayreel-tests --bench cost`
//!
//! Takes nine minutes; `-- converted` measures only cameras whose pictures are encoded again, `-- ways`
//! only the transports and H.265, `-- against PROGRAM` only this build beside another one of the program.
//! The cameras are `testcam` processes that loop one clip (1080p25, H.264, 4 Mbit/s, a keyframe every
//! 2 s) over TCP, so that making the picture costs next to nothing and is not counted. Rivals run at the
//! same time on the same camera: both meet the same load, and the ratio stands even where the machine is
//! busy. It refuses to print figures of a run in which a camera was not live or a frame was dropped.

mod against;
mod camera;
mod converted;
mod ffmpeg;
mod frames;
mod many;
mod one;
mod table;
mod ways;

use std::path::Path;

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("dayreel-cost-").tempdir()?;
    if std::env::args().any(|argument| argument == "converted") {
        return converted::measure(folder.path());
    }
    let clip = camera::make_clip(folder.path())?;
    let mut arguments = std::env::args().skip_while(|argument| argument != "against");
    if arguments.next().is_some() {
        let rival = arguments
            .next()
            .filter(|rival| Path::new(rival).is_absolute());
        let rival = rival.context("against what? The path of a program is wanted, from / on")?;
        return against::measure(&clip, Path::new(&rival));
    }
    if std::env::args().any(|argument| argument == "ways") {
        return ways::measure(folder.path(), &clip);
    }
    let one = one::measure(folder.path(), &clip)?;
    one.print();
    many::measure(&clip)?.print(one.dayreel.rss_bytes);
    ways::measure(folder.path(), &clip)?;
    converted::measure(folder.path())
}
