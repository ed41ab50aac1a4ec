//! What sessions, tokens and links are signed with.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use dayreel_archive::MARKER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// In the data directory, readable by its owner only. Without it, everybody has to log in again.
const FILE: &str = ".dayreel-secret";

/// A key of 256 bits.
#[derive(Clone)]
pub(super) struct Secret([u8; 32]);

impl Secret {
    /// The one of the recordings in `folder`; made if there is none and the marker says that these are
    /// the recordings, not an empty mount point. Where it cannot be kept, it lasts as long as the program.
    pub(super) fn of(folder: &Path) -> Self {
        let path = folder.join(FILE);
        Self::read(&path)
            .or_else(|error| match error.kind() {
                io::ErrorKind::NotFound if folder.join(MARKER).exists() => Self::make(&path),
                _ => Err(error),
            })
            .unwrap_or_else(|error| {
                let path = path.display();
                tracing::warn!(%path, %error, "everybody has to log in again after a restart");
                Self::random()
            })
    }

    pub(super) fn random() -> Self {
        Self(rand::random())
    }

    fn read(path: &Path) -> io::Result<Self> {
        let bytes: Vec<u8> = fs::read(path)?;
        let bytes = bytes.try_into().map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(Self(bytes))
    }

    fn make(path: &Path) -> io::Result<Self> {
        let secret = Self::random();
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(path)?;
        let written = file.write_all(&secret.0).and_then(|()| file.sync_all());
        if written.is_err() {
            // Half of one would be no secret, and no way to the next.
            let _ = fs::remove_file(path);
        }
        written.map(|()| secret)
    }

    /// HMAC-SHA-256 (RFC 2104) of these parts, each with its length, so that no two lists are alike.
    pub(super) fn mac(&self, parts: &[&str]) -> [u8; 32] {
        self.hmac(parts).finalize().into_bytes().into()
    }

    /// Whether `mac` is that of `parts`; takes as long whatever is wrong with it.
    pub(super) fn verifies(&self, parts: &[&str], mac: &[u8]) -> bool {
        self.hmac(parts).verify_slice(mac).is_ok()
    }

    fn hmac(&self, parts: &[&str]) -> Hmac<Sha256> {
        let mut hmac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length is one");
        for part in parts {
            hmac.update(&(part.len() as u64).to_be_bytes());
            hmac.update(part.as_bytes());
        }
        hmac
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_is_made_once_and_for_its_owner_only() {
        let folder = std::env::temp_dir().join(format!("dayreel-secret-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert_ne!(Secret::of(&folder).0, Secret::of(&folder).0, "not marked");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::write(folder.join(MARKER), "").unwrap();
        let first = Secret::of(&folder);
        let again = Secret::of(&folder);
        assert_eq!(first.0, again.0);
        let mode = fs::metadata(folder.join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(folder.join(FILE), "short").unwrap();
        assert_ne!(Secret::of(&folder).0, first.0, "half a secret is none");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn parts_cannot_be_shifted() {
        let secret = Secret::random();
        let mac = secret.mac(&["ab", "c"]);
        assert!(secret.verifies(&["ab", "c"], &mac));
        assert!(!secret.verifies(&["a", "bc"], &mac));
        assert!(!secret.verifies(&["ab", "c", ""], &mac));
        assert!(!secret.verifies(&["ab", "c"], &mac[..31]));
        assert!(!secret.verifies(&["ab", "c"], b""));
    }
}
