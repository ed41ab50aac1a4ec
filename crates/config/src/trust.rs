//! Whose certificate is accepted from a camera that speaks TLS.

use std::{fmt, str::FromStr};

/// Whose certificate is accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// One for the host of the URL, from an authority that the system trusts.
    #[default]
    Roots,
    /// This one, whoever issued it and for whom: cameras have certificates of their own.
    Fingerprint(Fingerprint),
    /// Any: the connection is encrypted, but may lead to somebody else.
    Anybody,
}

/// SHA-256 of a certificate in DER.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

/// A text is no [`Fingerprint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 64 hexadecimal digits, with or without colons")]
pub struct NoFingerprint;

impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    /// As `openssl x509 -fingerprint -sha256` writes it: `AB:CD:…`; colons and `SHA256:` may be left
    /// out.
    fn from_str(text: &str) -> Result<Self, NoFingerprint> {
        let text = text.trim();
        let digits = match text.get(..7) {
            Some(name) if name.eq_ignore_ascii_case("sha256:") => &text[7..],
            _ => text,
        };
        let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b':').collect();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return Err(NoFingerprint);
        }
        for (byte, digits) in bytes.iter_mut().zip(digits.chunks(2)) {
            let digits = str::from_utf8(digits).map_err(|_| NoFingerprint)?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(NoFingerprint);
            }
            *byte = u8::from_str_radix(digits, 16).map_err(|_| NoFingerprint)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<_> = self.0.iter().map(|byte| format!("{byte:02X}")).collect();
        f.write_str(&pairs.join(":"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_as_they_are_written() {
        let plain: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
        let fingerprint: Fingerprint = plain.parse().unwrap();
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        assert_eq!(format!("SHA256:{fingerprint}").parse(), Ok(fingerprint));
        for odd in [
            "",
            "ab",
            &plain[1..],
            &plain.replace('0', "g"),
            &plain.replace('0', "+"),
        ] {
            assert_eq!(odd.parse::<Fingerprint>(), Err(NoFingerprint), "{odd}");
        }
    }
}
