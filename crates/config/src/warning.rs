//! What is allowed but should be said.

use std::net::SocketAddr;

use chrono_tz::Tz;

/// Something the user should know. `Display` is the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// The machine does not say where it is.
    #[error(
        "the time zone of this machine is unknown, so days end at midnight UTC; set `timezone` in \
         [server], or TZ"
    )]
    NoTimezone,
    /// `TZ` has rules instead of a name.
    #[error(
        "TZ={tz:?} is no name of the IANA database, so days end at midnight {used}; set \
         `timezone` in [server], or TZ to a name such as Europe/Berlin"
    )]
    TzPassedOver {
        /// The variable's value.
        tz: String,
        /// What is used instead.
        used: Tz,
    },
    /// Reachable from the network, and nobody has to log in.
    #[error(
        "everybody at home who reaches {listen} sees all cameras, there is no login, and other networks \
         are refused; add users (`dayreel user add`), write `auth = \"none\"` in [server] if everybody \
         everywhere may see them, or listen on 127.0.0.1"
    )]
    OpenToNetwork {
        /// Where HTTP is served.
        listen: SocketAddr,
    },
}
