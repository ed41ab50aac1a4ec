//! TLS to a camera, and to others whose certificates are seldom from an authority: whom to trust.

use std::{
    fmt,
    io::{self, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Instant,
};

use dayreel_config::{Fingerprint, Trust};
use parking_lot::Mutex;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    SignatureScheme, StreamOwned,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use sha2::{Digest as _, Sha256};

use crate::Error;

/// An encrypted connection.
pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// How hands are shaken with somebody.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    config: Arc<ClientConfig>,
    verifier: Arc<Verifier>,
}

impl TlsSettings {
    /// Whoever is what `trust` says is trusted.
    ///
    /// # Errors
    /// [`Error::Tls`]: TLS does not work on this machine.
    pub fn new(trust: Trust) -> Result<Self, Error> {
        let provider = Arc::new(ring::default_provider());
        let verifier = Arc::new(Verifier::new(trust, &provider)?);
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| Error::Tls(None))?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_no_client_auth();
        Ok(Self {
            config: Arc::new(config),
            verifier,
        })
    }

    /// For rustls.
    pub const fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// The certificate that was not trusted last, if one was not since this was asked before.
    pub fn take_refused(&self) -> Option<Fingerprint> {
        self.verifier.refused.lock().take()
    }
}

/// Shakes hands with `host`.
///
/// # Errors
/// [`Error::Tls`] with the fingerprint of a certificate that is not trusted; [`Error::Timeout`] where it is not done
/// by `deadline`, however often something comes.
pub(crate) fn encrypt(
    socket: TcpStream,
    host: &str,
    trust: Trust,
    deadline: Instant,
) -> Result<TlsStream, Error> {
    let patience = socket.read_timeout().ok().flatten();
    let name = ServerName::try_from(host.to_owned()).map_err(|_| Error::Tls(None))?;
    let settings = TlsSettings::new(trust)?;
    let config = Arc::clone(settings.config());
    let mut tls = ClientConnection::new(config, name).map_err(|_| Error::Tls(None))?;
    while tls.is_handshaking() {
        tls.complete_io(&mut Until(&socket, deadline))
            .map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    Error::Timeout(patience.unwrap_or_default())
                }
                _ => Error::Tls(settings.take_refused()),
            })?;
    }
    socket
        .set_read_timeout(patience)
        .map_err(|_| Error::Closed)?;
    Ok(StreamOwned::new(tls, socket))
}

/// A socket that is read until then.
struct Until<'s>(&'s TcpStream, Instant);

impl Read for Until<'_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let Self(socket, deadline) = self;
        let rest = deadline.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(rest))?;
        (&**socket).read(space)
    }
}

impl Write for Until<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self.0).flush()
    }
}

/// Trusts what the user said, and remembers what it refused.
struct Verifier {
    trust: Trust,
    /// With the system's roots; `None` where they are not asked.
    roots: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    refused: Mutex<Option<Fingerprint>>,
}

impl Verifier {
    fn new(trust: Trust, provider: &Arc<CryptoProvider>) -> Result<Self, Error> {
        let roots = match trust {
            Trust::Roots => {
                let mut store = RootCertStore::empty();
                // What of the system's roots cannot be read is not trusted.
                store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                let builder =
                    WebPkiServerVerifier::builder_with_provider(store.into(), provider.clone());
                // Without any root, no certificate is trusted.
                builder.build().ok()
            }
            Trust::Fingerprint(_) | Trust::Anybody => None,
        };
        Ok(Self {
            trust,
            roots,
            provider: provider.clone(),
            refused: Mutex::default(),
        })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let fingerprint = Fingerprint(Sha256::digest(end_entity).into());
        let verified = match (self.trust, &self.roots) {
            (Trust::Anybody, _) => Ok(ServerCertVerified::assertion()),
            (Trust::Fingerprint(pinned), _) if pinned == fingerprint => {
                Ok(ServerCertVerified::assertion())
            }
            (Trust::Roots, Some(roots)) => {
                roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            _ => Err(CertificateError::UnknownIssuer.into()),
        };
        if verified.is_err() {
            *self.refused.lock() = Some(fingerprint);
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread, time::Duration};

    use super::*;

    /// A byte now and then kept the thread and the socket for days: each let it wait as long again.
    #[test]
    fn regression_a_handshake_that_drips_had_no_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let dripping = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let pace = Some(Duration::from_millis(20));
            socket.set_read_timeout(pace).unwrap();
            // The head of a record of 16 KiB: a handshake.
            let mut sent = socket.write_all(&[22, 3, 3, 0x40, 0]);
            while sent.is_ok() && socket.read(&mut [0; 4096]).map_or(true, |bytes| bytes > 0) {
                sent = socket.write_all(&[0]);
            }
        });
        let socket = TcpStream::connect(address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let deadline = Instant::now() + Duration::from_millis(200);
        let shaken = encrypt(socket, "127.0.0.1", Trust::Anybody, deadline).map(drop);
        assert!(matches!(shaken, Err(Error::Timeout(_))), "{shaken:?}");
        dripping.join().unwrap();
    }
}
