//! HTTPS: the certificate, and its renewal while we serve.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use dayreel_core::Kind;
use parking_lot::RwLock;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// How often the files are looked at: two `stat`s.
const LOOK: Duration = Duration::from_secs(10);

/// The certificate of the server and its key, from two PEM files. Clones are the same.
#[derive(Clone, Debug)]
pub struct Certificate(Arc<Files>);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file has no certificate or no key in it.
    #[error("{} has no {what} in PEM form", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// The key is not that of the certificate, or of a kind that is not known.
    #[error("{} is not the key of {}: {source}", key.display(), certificate.display())]
    NoPair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

impl CertificateError {
    /// What kind of error this is.
    pub const fn kind(&self) -> Kind {
        Kind::InvalidArgument
    }
}

/// What tells a file from the one that takes its place: device, inode, bytes, time of change (s, ns).
type Stamp = (u64, u64, u64, i64, i64);

struct Files {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Current>,
}

struct Current {
    pair: Arc<CertifiedKey>,
    /// Of both files when they were read last, whatever became of it.
    stamps: [Option<Stamp>; 2],
}

impl Certificate {
    /// Reads both files. The certificate's has those of the authorities after its own.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let stamps = [certificate, key].map(stamp);
        let pair = Arc::new(pair(certificate, key)?);
        Ok(Self(Arc::new(Files {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            current: RwLock::new(Current { pair, stamps }),
        })))
    }

    /// TLS 1.2 and 1.3 with this certificate.
    ///
    /// # Errors
    /// The library knows no such versions.
    pub(crate) fn config(&self) -> Result<ServerConfig, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?;
        Ok(builder
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.0) as Arc<dyn ResolvesServerCert>))
    }

    /// Takes the certificate up anew whenever its files have changed. Connections that are there go on.
    /// Never returns.
    pub(crate) async fn keep_renewed(self) {
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            let files = Arc::clone(&self.0);
            // The disk may take its time.
            if let Err(error) = tokio::task::spawn_blocking(move || files.look()).await {
                tracing::error!(%error, "the look at the certificate failed");
            }
        }
    }
}

impl Files {
    /// Reads the files again if they are others. Whoever renews writes one after the other: what does
    /// not fit together is left until it changes again.
    fn look(&self) {
        let stamps = [&self.certificate, &self.key].map(|path| stamp(path));
        if self.current.read().stamps == stamps {
            return;
        }
        let read = pair(&self.certificate, &self.key);
        let mut current = self.current.write();
        current.stamps = stamps;
        match read {
            Ok(pair) => {
                current.pair = Arc::new(pair);
                tracing::info!("the certificate has been renewed");
            }
            Err(error) => tracing::warn!("the old certificate stays: {error}"),
        }
    }
}

impl ResolvesServerCert for Files {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().pair))
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Files");
        shown.field("certificate", &self.certificate);
        shown.field("key", &self.key).finish_non_exhaustive()
    }
}

fn pair(certificate: &Path, key: &Path) -> Result<CertifiedKey, CertificateError> {
    let read = |path: &Path| {
        fs::read(path).map_err(|source| CertificateError::Unreadable {
            path: path.to_owned(),
            source,
        })
    };
    let missing = |path: &Path, what| CertificateError::Missing {
        path: path.to_owned(),
        what,
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(certificate)?).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| missing(certificate, "certificate"))?;
    let secret = PrivateKeyDer::from_pem_slice(&read(key)?);
    let secret = secret.map_err(|_| missing(key, "private key"))?;
    let provider = ring::default_provider();
    CertifiedKey::from_der(chain, secret, &provider).map_err(|source| CertificateError::NoPair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    })
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    let (s, ns) = (found.mtime(), found.mtime_nsec());
    Some((found.dev(), found.ino(), found.size(), s, ns))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey as Made, generate_simple_self_signed};

    use super::*;

    /// A certificate and its key, as PEM.
    fn made() -> (String, String) {
        let Made { cert, signing_key } = generate_simple_self_signed(["nas".to_owned()]).unwrap();
        (cert.pem(), signing_key.serialize_pem())
    }

    fn shown(certificate: &Certificate) -> Vec<u8> {
        certificate.0.current.read().pair.cert[0].to_vec()
    }

    #[test]
    fn a_renewed_pair_is_taken_up_and_half_of_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
        let (first, first_key) = made();
        fs::write(&cert, &first).unwrap();
        fs::write(&key, &first_key).unwrap();
        let certificate = Certificate::read(&cert, &key).unwrap();
        let old = shown(&certificate);
        certificate.0.look();
        assert_eq!(shown(&certificate), old);

        let (second, second_key) = made();
        fs::write(&cert, second + "\n").unwrap();
        certificate.0.look();
        assert_eq!(shown(&certificate), old, "a certificate without its key");
        fs::write(&key, second_key + "\n").unwrap();
        certificate.0.look();
        let new = shown(&certificate);
        assert_ne!(new, old);
        fs::remove_file(&key).unwrap();
        certificate.0.look();
        assert_eq!(shown(&certificate), new);
    }

    #[test]
    fn what_is_wrong_is_said_without_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
        let refused = || Certificate::read(&cert, &key).unwrap_err().to_string();
        assert!(refused().contains("cannot read"), "{}", refused());
        let (pem, _) = made();
        fs::write(&cert, &pem).unwrap();
        fs::write(&key, &pem).unwrap();
        assert!(refused().ends_with("key.pem has no private key in PEM form"));
        let (_, other) = made();
        fs::write(&key, &other).unwrap();
        assert!(
            refused().contains("key.pem is not the key of"),
            "{}",
            refused()
        );
        let secret = other.lines().nth(1).unwrap();
        assert!(!refused().contains(secret));
        fs::write(&cert, &other).unwrap();
        assert!(refused().ends_with("cert.pem has no certificate in PEM form"));
    }
}
