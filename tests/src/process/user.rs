//! Users of the server, made as administrators make them.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::{binary, wait_until};

/// `dayreel user` hashes a password.
const HASHED: Duration = Duration::from_secs(20);

/// Runs `dayreel user` with that line as its input, and returns what it prints.
///
/// # Errors
/// It fails, or does not end in time.
pub fn user(arguments: &[&str], line: &str) -> Result<String> {
    let mut child = Command::new(binary())
        .arg("user")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("no input")?;
    writeln!(input, "{line}")?;
    drop(input);
    let ended = wait_until(HASHED, || child.try_wait().transpose());
    ended.context("it does not end")??;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?)
}
