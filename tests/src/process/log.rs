//! What a process printed, line by line, while it runs.

use std::{
    io::{BufRead, BufReader, Read},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Lines kept; older ones go.
const CAPACITY: usize = 20_000;

/// Both streams of a process, in the order of arrival. Clones share the lines.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Written by one thread per stream.
    state: Mutex<State>,
    /// Told after each line, and at the end of a stream.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: std::collections::VecDeque<String>,
    /// Streams still open.
    open: usize,
}

impl Log {
    /// Collects the lines of `stream` from here on, on a thread that ends with the stream.
    pub fn follow(&self, stream: impl Read + Send + 'static) {
        self.state().open += 1;
        let log = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n') {
                let Ok(line) = line else { break };
                let mut state = log.state();
                if state.lines.len() == CAPACITY {
                    state.lines.pop_front();
                }
                state
                    .lines
                    .push_back(String::from_utf8_lossy(&line).into_owned());
                drop(state);
                log.0.changed.notify_all();
            }
            log.state().open -= 1;
            log.0.changed.notify_all();
        });
    }

    /// Every line so far.
    pub fn lines(&self) -> Vec<String> {
        self.state().lines.iter().cloned().collect()
    }

    /// Waits for a line of which `pick` makes something; earlier lines count. `None` after
    /// `deadline`, or when both streams have ended without it.
    pub fn wait_for<T>(
        &self,
        deadline: Duration,
        mut pick: impl FnMut(&str) -> Option<T>,
    ) -> Option<T> {
        let end = Instant::now() + deadline;
        let mut state = self.state();
        loop {
            if let Some(found) = state.lines.iter().find_map(|line| pick(line)) {
                return Some(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || state.open == 0 {
                return None;
            }
            let waited = self.0.changed.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The last `count` lines, indented.
    pub fn tail(&self, count: usize) -> String {
        let state = self.state();
        let from = state.lines.len().saturating_sub(count);
        state
            .lines
            .range(from..)
            .map(|line| format!("    {line}\n"))
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A line is pushed whole or not at all: a thread that died leaves no half state.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_lines_and_notices_the_end() {
        let log = Log::default();
        log.follow(&b"first\nlistening on 127.0.0.1:80\n"[..]);
        let found = log.wait_for(Duration::from_secs(10), |line| {
            line.strip_prefix("listening on ").map(str::to_owned)
        });
        assert_eq!(found.as_deref(), Some("127.0.0.1:80"));
        // Ends at once although the deadline is far: the stream is over.
        let nothing = log.wait_for(Duration::from_secs(3600), |line| {
            (line == "x").then_some(())
        });
        assert_eq!(nothing, None);
        assert_eq!(log.tail(1), "    listening on 127.0.0.1:80\n");
    }
}
