//! An HTTP connection that is kept alive and measures. It reads into one buffer and keeps nothing.

use std::{
    io::Read as _,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::Result;
use ureq::Agent;

/// Bounds each request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Read at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// A header's name and value.
pub(crate) type Header = (&'static str, String);

/// Asks for a compressed answer, as browsers do.
pub(crate) fn gzip() -> Header {
    ("accept-encoding", "gzip".to_owned())
}

/// One connection.
pub(crate) struct Connection {
    address: SocketAddr,
    /// On behalf of whom it asks.
    from: Option<IpAddr>,
    agent: Agent,
    buffer: Vec<u8>,
}

/// What an answer cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) status: u16,
    /// Length of the body.
    pub(crate) bytes: u64,
    /// From the request to the first bytes of the body.
    pub(crate) first_byte: Duration,
    /// From the request to the last byte.
    pub(crate) total: Duration,
}

impl Connection {
    /// It is opened with the first request.
    pub(crate) fn to(address: SocketAddr) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // A limit of all of it would look addresses up in a thread of its own.
            .timeout_recv_response(Some(TIMEOUT))
            .timeout_recv_body(Some(TIMEOUT))
            .max_idle_connections(1)
            .accept_encoding("")
            .proxy(None)
            .build();
        Self {
            address,
            from: None,
            agent: agent.into(),
            buffer: vec![0; BUFFER_BYTES],
        }
    }

    /// Asks on behalf of `client`, as a proxy does.
    pub(crate) fn on_behalf_of(self, client: IpAddr) -> Self {
        let from = Some(client);
        Self { from, ..self }
    }

    /// GET, with a further header or none.
    pub(crate) fn get(&mut self, path: &str, header: Option<&Header>) -> Result<Cost> {
        self.get_into(path, header, |_| ())
    }

    /// The same; `take` gets the body as it was sent, piece by piece.
    pub(crate) fn get_into(
        &mut self,
        path: &str,
        header: Option<&Header>,
        mut take: impl FnMut(&[u8]),
    ) -> Result<Cost> {
        let mut request = self.agent.get(format!("http://{}{path}", self.address));
        if let Some((name, value)) = header {
            request = request.header(*name, value);
        }
        if let Some(client) = self.from {
            request = request.header("x-forwarded-for", client.to_string());
        }
        let begun = Instant::now();
        let mut answer = request.call()?;
        let status = answer.status().as_u16();
        let mut body = answer.body_mut().as_reader();
        let mut bytes = 0;
        let mut read = body.read(&mut self.buffer)?;
        let first_byte = begun.elapsed();
        while read > 0 {
            take(&self.buffer[..read]);
            bytes += u64::try_from(read)?;
            read = body.read(&mut self.buffer)?;
        }
        let total = begun.elapsed();
        Ok(Cost {
            status,
            bytes,
            first_byte,
            total,
        })
    }
}
