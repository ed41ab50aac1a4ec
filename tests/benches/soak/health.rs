//! Memory, threads and descriptors of the server.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use dayreel_tests::process::wait_until;

/// Before memory is looked at: rings and caches fill, and heaps of threads that come and go.
const WARM_UP: Duration = Duration::from_secs(1_800);
/// Growth that is flat: the timelines of today are in memory, 0.1 KB for each segment of a track.
const FLAT_KB_PER_H: f64 = 12_000.0;
/// Until what ends has ended.
const PATIENCE: Duration = Duration::from_secs(60);

/// The looks at one process.
pub(crate) struct Health {
    folder: PathBuf,
    begin: Instant,
    looks: Vec<Look>,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    /// Since the beginning, s.
    at_s: f64,
    /// Resident memory.
    rss_kb: f64,
    threads: usize,
    descriptors: usize,
}

impl Health {
    /// Looks for the first time at process `pid`, when all is well.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) fn begin(pid: u32) -> Result<Self> {
        let mut health = Self {
            folder: Path::new("/proc").join(pid.to_string()),
            begin: Instant::now(),
            looks: vec![],
        };
        health.look()?;
        Ok(health)
    }

    /// Looks again.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) fn look(&mut self) -> Result<()> {
        let look = self.now()?;
        if self.looks.len().is_multiple_of(30) {
            println!("{:10} {look}", "server");
        }
        self.looks.push(look);
        Ok(())
    }

    fn now(&self) -> Result<Look> {
        let status = fs::read_to_string(self.folder.join("status"))?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let rss = rss.and_then(|line| line.split_whitespace().next());
        let count = |name| Ok::<_, anyhow::Error>(fs::read_dir(self.folder.join(name))?.count());
        Ok(Look {
            at_s: self.begin.elapsed().as_secs_f64(),
            rss_kb: rss.context("no VmRSS")?.parse()?,
            threads: count("task")?,
            descriptors: count("fd")?,
        })
    }

    /// What its descriptors are, by number.
    fn open_files(&self) -> Result<BTreeMap<String, usize>> {
        let mut kinds = BTreeMap::new();
        for descriptor in fs::read_dir(self.folder.join("fd"))? {
            // It may have been closed meanwhile.
            let Ok(file) = fs::read_link(descriptor?.path()) else {
                continue;
            };
            let name = file.to_string_lossy();
            let kind = name.split_once(":[").map_or(&*name, |(kind, _)| kind);
            *kinds.entry(kind.to_owned()).or_default() += 1;
        }
        Ok(kinds)
    }

    /// What is wrong, when all is well again. Prints the figures.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) fn end(mut self) -> Result<Vec<String>> {
        let first = self.looks[0];
        let as_at_first = || {
            let now = self.now().ok()?;
            let is_so = now.threads <= first.threads && now.descriptors <= first.descriptors;
            is_so.then_some(())
        };
        let rests = wait_until(PATIENCE, as_at_first).is_some();
        self.look()?;
        let last = self.looks[self.looks.len() - 1];
        println!("at first:  {first}\nat last:   {last}");
        let mut complaints = vec![];
        if !rests {
            let open = self.open_files()?;
            complaints.push(format!(
                "more threads or descriptors than at first: {last}: {open:?}"
            ));
        }
        let is_warm = |look: &&Look| look.at_s >= WARM_UP.as_secs_f64();
        let warm: Vec<_> = self.looks.iter().filter(is_warm).collect();
        if let Some(slope) = slope_kb_per_h(&warm) {
            println!("memory after {WARM_UP:?}: {slope:+.0} KB an hour");
            if slope > FLAT_KB_PER_H {
                complaints.push(format!("memory grows by {slope:.0} KB an hour"));
            }
        }
        Ok(complaints)
    }
}

/// Of the line that fits best (least squares); `None` of less than 10 minutes.
fn slope_kb_per_h(looks: &[&Look]) -> Option<f64> {
    let (first, last) = (looks.first()?, looks.last()?);
    if last.at_s - first.at_s < 600.0 {
        return None;
    }
    let count = looks.len() as f64;
    let mean = |of: fn(&Look) -> f64| looks.iter().map(|look| of(look)).sum::<f64>() / count;
    let (at_s, rss_kb) = (mean(|look| look.at_s), mean(|look| look.rss_kb));
    let together = looks
        .iter()
        .map(|look| (look.at_s - at_s) * (look.rss_kb - rss_kb));
    let alone = looks.iter().map(|look| (look.at_s - at_s).powi(2));
    Some(3600.0 * together.sum::<f64>() / alone.sum::<f64>())
}

impl std::fmt::Display for Look {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (minutes, rss_mb) = (self.at_s / 60.0, self.rss_kb / 1e3);
        let (threads, descriptors) = (self.threads, self.descriptors);
        write!(
            f,
            "{minutes:.0} min: {rss_mb:.1} MB, {threads} threads, {descriptors} descriptors"
        )
    }
}
