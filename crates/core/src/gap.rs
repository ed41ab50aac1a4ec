//! Why nothing was recorded.

use std::{fmt, str::FromStr};

use serde::Serialize;

/// The cause of a gap. Written into the day index, so its words stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GapCause {
    /// The camera ended the stream, fell silent or refused it.
    Camera,
    /// The camera could not be reached: refused, no route, no answer, unknown name.
    Network,
    /// The recording could not be written, or not fast enough.
    Disk,
    /// The server did not run.
    Restart,
    /// The wall clock was set, or the machine slept.
    Clock,
}

impl GapCause {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Camera,
        Self::Network,
        Self::Disk,
        Self::Restart,
        Self::Clock,
    ];

    /// Its word in the day index and in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Camera => "camera",
            Self::Network => "network",
            Self::Disk => "disk",
            Self::Restart => "restart",
            Self::Clock => "clock",
        }
    }
}

impl fmt::Display for GapCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that is no cause of ours: written by a later version, or by nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cause of a gap")]
pub struct UnknownCause;

impl FromStr for GapCause {
    type Err = UnknownCause;

    fn from_str(word: &str) -> Result<Self, UnknownCause> {
        Self::ALL
            .into_iter()
            .find(|cause| cause.name() == word)
            .ok_or(UnknownCause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_read_as_it_is_written() {
        for cause in GapCause::ALL {
            assert_eq!(cause.to_string().parse(), Ok(cause));
        }
        assert_eq!("".parse::<GapCause>(), Err(UnknownCause));
        assert_eq!("Disk".parse::<GapCause>(), Err(UnknownCause));
    }
}
