//! Passwords of users, of which only the Argon2id hash is ever kept.

use std::{fmt, str::FromStr};

use argon2::{
    Argon2, Params, PasswordHasher as _, PasswordVerifier as _,
    password_hash::{Error, phc::PasswordHash as Phc},
};

use crate::secret_url::HIDDEN;

/// Most memory that a hash may ask for at each login, KiB: a hash from elsewhere must not take what
/// recording needs.
const MAX_MEMORY_KIB: u32 = 256 << 10;
/// Most passes over that memory.
const MAX_PASSES: u32 = 16;

/// The Argon2 hash of a password in the PHC string format (`$argon2id$v=19$m=…`). `Debug` shows
/// `***`: who has it can guess at leisure.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// Why a text is no hash. Never holds a part of that text: it may be the password itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHash {
    /// Not in the PHC string format.
    #[error("is no hash of a password; `dayreel user password NAME` makes one")]
    Form,
    /// One that costs too much to check.
    #[error(
        "takes more than 256 MiB or 16 passes at every login; `dayreel user password NAME` makes another"
    )]
    Cost,
}

impl PasswordHash {
    /// Hashes `password` with a salt of its own: Argon2id, 19 MiB, two passes (OWASP Password Storage
    /// Cheat Sheet). Takes 35 ms of CPU.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn of(password: &str) -> Result<Self, Error> {
        let hash = Argon2::default().hash_password(password.as_bytes())?;
        Ok(Self(hash.to_string()))
    }

    /// Whether `password` is the one. As slow as [`PasswordHash::of`].
    pub fn verify(&self, password: &str) -> bool {
        let hash = Phc::new(&self.0);
        hash.is_ok_and(|hash| {
            let verified = Argon2::default().verify_password(password.as_bytes(), &hash);
            verified.is_ok()
        })
    }

    /// The hash itself, for the file, and for keys that end with the password.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for PasswordHash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let hash = Phc::new(text).map_err(|_| InvalidHash::Form)?;
        let is_argon2 = hash.algorithm.as_str().starts_with("argon2");
        if !is_argon2 || hash.salt.is_none() || hash.hash.is_none() {
            return Err(InvalidHash::Form);
        }
        let params = Params::try_from(&hash).map_err(|_| InvalidHash::Form)?;
        if params.m_cost() > MAX_MEMORY_KIB || params.t_cost() > MAX_PASSES {
            return Err(InvalidHash::Cost);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_knows_its_password_and_no_other() {
        let hash = PasswordHash::of("correct horse").unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let read: PasswordHash = hash.expose().parse().unwrap();
        assert!(read.verify("correct horse"));
        assert!(!read.verify("correct horse "));
        assert!(!read.verify(""));
        assert_ne!(PasswordHash::of("correct horse").unwrap(), hash, "no salt");
        assert_eq!(format!("{hash:?}"), "***");
    }

    #[test]
    fn what_is_no_hash_or_too_costly_is_refused() {
        let good = PasswordHash::of("x").unwrap().expose().to_owned();
        for (text, why) in [
            ("hunter2".to_owned(), InvalidHash::Form),
            (String::new(), InvalidHash::Form),
            (
                "$argon2id$v=19$m=19456,t=2,p=1".to_owned(),
                InvalidHash::Form,
            ),
            (good.replace("argon2id", "scrypt"), InvalidHash::Form),
            (good.replace("m=19456", "m=4000000"), InvalidHash::Cost),
            (good.replace("t=2", "t=1000"), InvalidHash::Cost),
        ] {
            assert_eq!(text.parse::<PasswordHash>(), Err(why), "{text}");
        }
    }
}
