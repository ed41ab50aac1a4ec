//! What the kernel has counted for a process.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};

/// One look at a process.
#[derive(Clone, Debug)]
pub struct Usage {
    /// By thread id.
    threads: BTreeMap<u32, Thread>,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
    /// Handed to write calls, bytes.
    pub written_bytes: u64,
    /// Caused to be written to disk, bytes: whole pages of the page cache.
    pub disk_bytes: u64,
}

#[derive(Clone, Debug)]
struct Thread {
    name: String,
    /// User and system, ns.
    cpu_ns: u64,
    switches: u64,
}

/// What a process used between two looks.
#[derive(Clone, Debug)]
pub struct Used {
    /// User and system, ns. Threads that ended in between are missing.
    pub cpu_ns: u64,
    /// Context switches.
    pub switches: u64,
    /// CPU time by the name of the thread, ns, the busiest first.
    pub by_thread: Vec<(String, u64)>,
    /// Threads at the end.
    pub threads: usize,
}

impl Usage {
    /// Looks at process `pid`.
    ///
    /// # Errors
    /// It is gone, or not ours.
    pub fn of(pid: u32) -> Result<Self> {
        let folder = Path::new("/proc").join(pid.to_string());
        let status = fs::read_to_string(folder.join("status"))?;
        let io = fs::read_to_string(folder.join("io"))?;
        let tasks = fs::read_dir(folder.join("task"))?;
        let threads = tasks.filter_map(|task| {
            let task = task.ok()?;
            let id = task.file_name().to_str()?.parse().ok()?;
            // A thread may end while we look.
            Some((id, thread(&task.path()).ok()?))
        });
        Ok(Self {
            threads: threads.collect(),
            rss_bytes: field(&status, "VmRSS:")? * 1024,
            written_bytes: field(&io, "wchar:")?,
            disk_bytes: field(&io, "write_bytes:")?,
        })
    }

    /// From `before` to this look.
    pub fn since(&self, before: &Self) -> Used {
        let mut used = Used {
            cpu_ns: 0,
            switches: 0,
            by_thread: Vec::new(),
            threads: self.threads.len(),
        };
        let mut by_name = BTreeMap::<&str, u64>::new();
        for (id, now) in &self.threads {
            let then = before.threads.get(id);
            let cpu_ns = now.cpu_ns - then.map_or(0, |then| then.cpu_ns);
            used.cpu_ns += cpu_ns;
            used.switches += now.switches - then.map_or(0, |then| then.switches);
            *by_name.entry(&now.name).or_default() += cpu_ns;
        }
        let names = by_name.into_iter();
        used.by_thread = names.map(|(name, ns)| (name.to_owned(), ns)).collect();
        used.by_thread.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
        used
    }
}

fn thread(folder: &Path) -> Result<Thread> {
    // Nanoseconds on a CPU come first (Documentation/scheduler/sched-stats).
    let schedule = fs::read_to_string(folder.join("schedstat"))?;
    let status = fs::read_to_string(folder.join("status"))?;
    let cpu_ns = schedule.split_whitespace().next().context("no schedstat")?;
    Ok(Thread {
        name: fs::read_to_string(folder.join("comm"))?.trim().to_owned(),
        cpu_ns: cpu_ns.parse()?,
        switches: field(&status, "voluntary_ctxt_switches:")?
            + field(&status, "nonvoluntary_ctxt_switches:")?,
    })
}

/// The number behind `name` at the beginning of a line.
fn field(text: &str, name: &str) -> Result<u64> {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(name));
    let value = value.and_then(|value| value.split_whitespace().next());
    Ok(value.with_context(|| format!("no {name}"))?.parse()?)
}
