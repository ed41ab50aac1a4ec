//! Waiting with a deadline, for conditions and for programs.

use std::{
    io::{ErrorKind, Read},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// Pause after the first attempt; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Asks `attempt` again and again, with growing pauses, until it gives something; `None` once
/// `deadline` has passed. For conditions that nothing announces: a file, an HTTP answer, a process.
pub fn wait_until<T>(deadline: Duration, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(found) = attempt() {
            return Some(found);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        // The one place where tests sleep.
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Runs `command` to its end and returns what it printed. `cure` says how to install it.
///
/// # Errors
/// It is not installed, or not done within `deadline`: then it is killed.
pub fn run_within(mut command: Command, deadline: Duration, cure: &str) -> Result<Output> {
    let program = command.get_program().display().to_string();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => anyhow::anyhow!("{program} is not installed: {cure}"),
            _ => anyhow::Error::new(error).context(program.clone()),
        })?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let status = wait_until(deadline, || child.try_wait().transpose());
    let done = status.transpose()?;
    if done.is_none() {
        child
            .kill()
            .with_context(|| format!("cannot kill {program}"))?;
        child.wait()?;
    }
    let stdout = stdout.join().unwrap_or_default();
    let stderr = stderr.join().unwrap_or_default();
    match done {
        Some(status) => Ok(Output {
            status,
            stdout,
            stderr,
        }),
        None => bail!(
            "{program} was not done within {deadline:?}: {}",
            String::from_utf8_lossy(&stderr)
        ),
    }
}

/// Reads a pipe to its end on a thread of its own, so that the program never waits for us.
fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A pipe that breaks has ended; what came before it counts.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_the_condition_and_not_for_ever() {
        let mut attempts = 0;
        let third = wait_until(Duration::from_secs(10), || {
            attempts += 1;
            (attempts == 3).then_some(attempts)
        });
        assert_eq!(third, Some(3));
        assert_eq!(wait_until(Duration::from_millis(20), || None::<()>), None);
    }

    #[test]
    fn programs_are_bounded() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo out; echo err >&2; exit 3"]);
        let output = run_within(shell, Duration::from_secs(10), "").unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(
            (&output.stdout[..], &output.stderr[..]),
            (&b"out\n"[..], &b"err\n"[..])
        );
        let mut endless = Command::new("tail");
        endless.args(["-f", "/dev/null"]);
        let error = run_within(endless, Duration::from_millis(50), "").unwrap_err();
        assert!(error.to_string().contains("not done"), "{error}");
        let missing = Command::new("dayreel-no-such-program");
        let error = run_within(missing, Duration::from_secs(1), "get it").unwrap_err();
        assert!(error.to_string().ends_with("get it"), "{error}");
    }
}
