//! What kind of thing went wrong: the one classification that HTTP statuses and the supervisor's
//! reactions are derived from.

/// The kind of an error. Every library error has one (`kind()`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A bad number, id or range from the user.
    InvalidArgument,
    /// The user has not said who they are.
    Unauthenticated,
    /// The user may not do this.
    Denied,
    /// The camera refused our password. Retried slowly: accounts lock.
    CameraAuth,
    /// Never existed, or has expired.
    NotFound,
    /// The camera is offline or has delivered nothing yet; later it may work.
    Unavailable,
    /// It contradicts how things are now.
    Conflict,
    /// The disk is full.
    Full,
    /// Too much is asked for at once.
    Busy,
    /// A bug or a broken file of ours.
    Internal,
}
