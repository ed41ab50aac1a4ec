//! An HTTP connection that is kept alive and measures. It reads into one buffer and keeps nothing.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

/// Bounds each read.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Read at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// One connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What an answer cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) status: u16,
    /// Length of the body.
    pub(crate) bytes: u64,
    /// From the request to the first byte of the body.
    pub(crate) first_byte: Duration,
    /// From the request to the last byte.
    pub(crate) total: Duration,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    /// GET with further header lines, each with its line end.
    pub(crate) fn get(&mut self, path: &str, headers: &str) -> Result<Cost> {
        self.get_into(path, headers, |_| ())
    }

    /// The same; `take` gets the body, piece by piece.
    pub(crate) fn get_into(
        &mut self,
        path: &str,
        headers: &str,
        mut take: impl FnMut(&[u8]),
    ) -> Result<Cost> {
        let begun = Instant::now();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        self.stream.write_all(request.as_bytes())?;
        let mut filled = 0;
        let end = loop {
            let read = self.read(filled)?;
            filled += read;
            if let Some(end) = find(&self.buffer[..filled], b"\r\n\r\n") {
                break end + 4;
            }
            ensure!(filled < self.buffer.len(), "a head without an end");
        };
        let head = std::str::from_utf8(&self.buffer[..end])?.to_ascii_lowercase();
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"));
        let bytes: u64 = length.context("no length")?.trim().parse()?;
        let mut left = bytes.saturating_sub(u64::try_from(filled - end)?);
        let mut first_byte = (filled > end).then(|| begun.elapsed());
        take(&self.buffer[end..filled]);
        while left > 0 {
            let read = self.read(0)?;
            first_byte.get_or_insert_with(|| begun.elapsed());
            take(&self.buffer[..read]);
            left = left.saturating_sub(u64::try_from(read)?);
        }
        let total = begun.elapsed();
        Ok(Cost {
            status,
            bytes,
            first_byte: first_byte.unwrap_or(total),
            total,
        })
    }

    fn read(&mut self, at: usize) -> Result<usize> {
        loop {
            match self.stream.read(&mut self.buffer[at..]) {
                Ok(0) => anyhow::bail!("the server hung up"),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return Ok(read?),
            }
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
