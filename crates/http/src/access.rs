//! Who may do what.
//!
//! ```text
//! request ─ enter ─ route ─ admit(what the route needs) ─ handler
//!            │                │ a token, a name and password, or a session: who is it? may they?
//!            └ from where? (`trusted_proxies`); from home, where nothing was said about users?
//! ```
//!
//! Invariant: there is no way to make a route but with [`Needs`] (`routes::PathRoutes`), so none can
//! be forgotten; a test walks all that there are. Where there are no users, nobody is asked.

mod client;
mod guard;
mod link;
mod login;
mod secret;
mod throttle;
mod ticket;
#[cfg(test)]
mod walk;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use dayreel_config::{Auth, BasePath, IpNet, PasswordHash, Role, Server, User, UserName};
use dayreel_core::{CameraId, Kind};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;

use crate::error::ApiError;
use secret::Secret;
use throttle::Throttle;
use ticket::{Ticket, TicketKind};

pub(crate) use client::{Client, enter, remember_local_address};
pub(crate) use guard::{Needs, Who, admit};
pub(crate) use login::{COOKIE, form_config, routes};

/// A name and password that were right are not hashed again for so long: players ask for something
/// every second, and a hash costs 35 ms.
const REMEMBERED: Duration = Duration::from_secs(300);
/// Most of these.
const MOST_REMEMBERED: usize = 1024;
/// Passwords that are hashed at once, each in 19 MiB, and how long another waits for that.
const HASHES_AT_ONCE: usize = 2;
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Sessions that were ended before they expired.
const MOST_ENDED: usize = 10_000;

/// Lets requests in.
pub struct Gate {
    rules: RwLock<Arc<Rules>>,
    /// Of the recordings; the secret is kept there.
    folder: PathBuf,
    secret: Mutex<Option<Secret>>,
    throttle: Throttle,
    /// Names with passwords that were right, hashed with the secret, and until when they are known.
    remembered: Mutex<HashMap<[u8; 32], Instant>>,
    /// Ids of sessions that were ended, and when these expire, Unix time in seconds.
    ended: Mutex<HashMap<String, i64>>,
    hashing: Semaphore,
}

/// What the configuration says.
struct Rules {
    door: Door,
    proxies: Vec<IpNet>,
    base: BasePath,
    secret: Option<Secret>,
}

/// Who is let in.
enum Door {
    /// Everybody.
    Open,
    /// Everybody in a private network.
    Home,
    /// These.
    Users {
        users: BTreeMap<UserName, Arc<User>>,
        /// Checked for those who are not there, so that it takes as long.
        nobody: PasswordHash,
    },
}

/// Who asks. In the extensions of every request that was let in.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// There are no users.
    Anybody,
    /// Somebody who has not said who they are, of what is for everybody.
    Nobody,
    /// One of the users.
    User(Arc<User>),
    /// Somebody with a link that this user made, and what it is for.
    Link(Arc<User>, String),
}

impl Caller {
    pub(crate) fn sees(&self, camera: &CameraId) -> bool {
        match self {
            Self::Anybody => true,
            Self::Nobody => false,
            Self::User(user) | Self::Link(user, _) => user.role.sees(camera),
        }
    }

    fn sees_all(&self) -> bool {
        match self {
            Self::Anybody => true,
            Self::Nobody | Self::Link(..) => false,
            Self::User(user) => matches!(user.role, Role::Admin | Role::Viewer(None)),
        }
    }

    /// Who is logged in.
    const fn user(&self) -> Option<&Arc<User>> {
        match self {
            Self::User(user) => Some(user),
            Self::Anybody | Self::Nobody | Self::Link(..) => None,
        }
    }

    fn is_admin(&self) -> bool {
        match self {
            Self::Anybody => true,
            Self::Nobody | Self::Link(..) => false,
            Self::User(user) => user.role == Role::Admin,
        }
    }
}

impl Gate {
    /// The gate to what is recorded in `folder`.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new(folder: &Path, server: &Server, users: &[User]) -> Result<Self, NoGate> {
        let gate = Self {
            rules: RwLock::new(Arc::new(Rules {
                door: Door::Home,
                proxies: Vec::new(),
                base: BasePath::default(),
                secret: None,
            })),
            folder: folder.to_owned(),
            secret: Mutex::new(None),
            throttle: Throttle::default(),
            remembered: Mutex::default(),
            ended: Mutex::default(),
            hashing: Semaphore::new(HASHES_AT_ONCE),
        };
        gate.change(server, users)?;
        Ok(gate)
    }

    /// From now on this is what the configuration says. Sessions and tokens of users who are the same
    /// go on.
    ///
    /// # Errors
    /// As [`Gate::new`].
    pub fn change(&self, server: &Server, users: &[User]) -> Result<(), NoGate> {
        let door = match (users.is_empty(), server.auth) {
            (true, Auth::None) => Door::Open,
            // Also where only this machine is listened to: there a proxy asks, for whomever.
            (true, Auth::Unsaid) => Door::Home,
            (false, _) => Door::Users {
                users: users
                    .iter()
                    .map(|user| (user.name.clone(), Arc::new(user.clone())))
                    .collect(),
                nobody: PasswordHash::of("").map_err(|_| NoGate)?,
            },
        };
        let secret = match door {
            Door::Users { .. } => {
                let mut secret = self.secret.lock();
                Some(
                    secret
                        .get_or_insert_with(|| Secret::of(&self.folder))
                        .clone(),
                )
            }
            Door::Open | Door::Home => None,
        };
        *self.rules.write() = Arc::new(Rules {
            door,
            proxies: server.trusted_proxies.clone(),
            base: server.base_path.clone(),
            secret,
        });
        Ok(())
    }

    /// Below which path a proxy shows the server.
    pub(crate) fn base(&self) -> BasePath {
        self.rules().base.clone()
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read())
    }

    /// The user of that name and password.
    ///
    /// # Errors
    /// 401 if that is not one; 429 if there were too many of those.
    async fn log_in(
        &self,
        rules: &Rules,
        client: &Client,
        name: &str,
        password: &str,
    ) -> Result<Arc<User>, ApiError> {
        let (Door::Users { users, nobody }, Some(secret)) = (&rules.door, &rules.secret) else {
            return Err(refused());
        };
        let user = name
            .parse()
            .ok()
            .and_then(|name: UserName| users.get(&name));
        let hash = user.map_or(nobody, |user| &user.password);
        let known = secret.mac(&["password", name, password, hash.expose()]);
        let now = Instant::now();
        if let Some(user) = user
            && self
                .remembered
                .lock()
                .get(&known)
                .is_some_and(|until| *until > now)
        {
            return Ok(Arc::clone(user));
        }
        // Before it waits for others, and after that: of guesses that come at once, no more get through.
        self.throttle.ask(client.address, name, now)?;
        let turn = tokio::time::timeout(LONGEST_WAIT, self.hashing.acquire());
        let Ok(Ok(_turn)) = turn.await else {
            let message = "too many log in at once";
            return Err(ApiError::new(Kind::Busy, "too_many_logins", message));
        };
        let now = Instant::now();
        self.throttle.ask(client.address, name, now)?;
        let (hash, tried) = (hash.clone(), password.to_owned());
        // On a thread that may take its time.
        let hashed = actix_web::web::block(move || hash.verify(&tried)).await;
        let hashed = hashed.map_err(|error| ApiError::internal(&error))?;
        match user {
            Some(user) if hashed => {
                self.throttle.succeeded(client.address, name, now);
                let mut remembered = self.remembered.lock();
                if remembered.len() >= MOST_REMEMBERED {
                    remembered.retain(|_, until| *until > now);
                }
                if remembered.len() < MOST_REMEMBERED {
                    remembered.insert(known, now + REMEMBERED);
                }
                Ok(Arc::clone(user))
            }
            _ => {
                self.throttle.failed(client.address, name, now);
                // The name may be a password in the wrong field.
                tracing::warn!(address = %client.address, "wrong name or password");
                Err(refused())
            }
        }
    }

    /// The user that a session or token speaks for.
    fn user_of(&self, rules: &Rules, kind: TicketKind, text: &str) -> Option<(Arc<User>, Ticket)> {
        let (Door::Users { users, .. }, Some(secret)) = (&rules.door, &rules.secret) else {
            return None;
        };
        let ticket = Ticket::parse(kind, text)?;
        let user = users.get(&ticket.user)?;
        let is_good = ticket.is_signed(secret, user)
            && ticket.expires > ticket::now()
            && !self.ended.lock().contains_key(&ticket.id);
        is_good.then(|| (Arc::clone(user), ticket))
    }

    /// Ends a session before it expires.
    fn end(&self, ticket: Ticket) {
        let mut ended = self.ended.lock();
        if ended.len() >= MOST_ENDED {
            let now = ticket::now();
            ended.retain(|_, expires| *expires > now);
        }
        ended.insert(ticket.id, ticket.expires);
    }
}

/// The system has no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("the system has no random numbers")]
pub struct NoGate;

/// 409: what is only for users.
fn no_users() -> ApiError {
    ApiError::new(
        Kind::Conflict,
        "no_users",
        "there are no users, nobody has to log in",
    )
}

/// 401, the same for every reason.
fn refused() -> ApiError {
    ApiError::new(
        Kind::Unauthenticated,
        "unauthenticated",
        "wrong name or password",
    )
}
