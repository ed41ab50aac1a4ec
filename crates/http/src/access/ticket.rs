//! Sessions, tokens and links: `{kind}~{user}~{expires}~{id}~{signature}`, which nobody can make or change
//! without the secret. None is stored: a restart ends none, and another password, or the end of the
//! user, ends all of that user, because the signature is over the hash of the password, too.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use dayreel_config::{User, UserName};

use super::secret::Secret;

/// How long a session is good, seconds: 30 days. One that is used is made a new one halfway.
pub(super) const SESSION_S: i64 = 30 * 86_400;
/// How long a token is good, seconds: ten years.
pub(super) const TOKEN_S: i64 = 3650 * 86_400;

/// What a ticket is for. One for something else is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TicketKind {
    /// In a cookie.
    Session,
    /// For scripts.
    Token,
    /// In the path of a link. Its id is what it is for.
    Link,
}

impl TicketKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Session => "s",
            Self::Token => "t",
            Self::Link => "l",
        }
    }
}

/// A session or token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    kind: TicketKind,
    pub(super) user: UserName,
    /// Unix time, seconds.
    pub(super) expires: i64,
    /// 128 random bits, or what a link is for.
    pub(super) id: String,
    signature: Vec<u8>,
}

/// Unix time, seconds.
pub(super) fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

impl Ticket {
    /// A new session of `user`.
    pub(super) fn session(user: &User, secret: &Secret) -> Self {
        Self::new(
            TicketKind::Session,
            SESSION_S,
            &rand::random::<[u8; 16]>(),
            user,
            secret,
        )
    }

    /// A new token of `user`.
    pub(super) fn token(user: &User, secret: &Secret) -> Self {
        Self::new(
            TicketKind::Token,
            TOKEN_S,
            &rand::random::<[u8; 16]>(),
            user,
            secret,
        )
    }

    /// A link of `user` for `scope`, good for so many seconds.
    pub(super) fn link(scope: &str, lasts_s: i64, user: &User, secret: &Secret) -> Self {
        Self::new(TicketKind::Link, lasts_s, scope.as_bytes(), user, secret)
    }

    fn new(kind: TicketKind, lasts_s: i64, id: &[u8], user: &User, secret: &Secret) -> Self {
        let mut ticket = Self {
            kind,
            user: user.name.clone(),
            expires: now() + lasts_s,
            id: URL_SAFE_NO_PAD.encode(id),
            signature: Vec::new(),
        };
        let expires = ticket.expires.to_string();
        ticket.signature = secret.mac(&ticket.parts(&expires, user)).to_vec();
        ticket
    }

    /// Reads one of that kind. Whether it is good is another question.
    pub(super) fn parse(kind: TicketKind, text: &str) -> Option<Self> {
        let mut parts = text.split('~');
        let mut next = || parts.next();
        let (name, user, expires, id) = (next()?, next()?, next()?, next()?);
        let signature = URL_SAFE_NO_PAD.decode(next()?).ok()?;
        let is_one = next().is_none() && name == kind.name();
        is_one.then_some(())?;
        Some(Self {
            kind,
            user: user.parse().ok()?,
            expires: expires.parse().ok()?,
            id: id.to_owned(),
            signature,
        })
    }

    /// Whether we made it for `user` and their password.
    pub(super) fn is_signed(&self, secret: &Secret, user: &User) -> bool {
        let expires = self.expires.to_string();
        secret.verifies(&self.parts(&expires, user), &self.signature)
    }

    /// Whether this session should be made a new one.
    pub(super) fn is_old(&self) -> bool {
        self.expires - now() < SESSION_S / 2
    }

    /// What this link is for.
    pub(super) fn scope(&self) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(&self.id).ok()?;
        String::from_utf8(bytes).ok()
    }

    /// As it is sent.
    pub(super) fn text(&self) -> String {
        let signature = URL_SAFE_NO_PAD.encode(&self.signature);
        let Self {
            user, expires, id, ..
        } = self;
        format!("{}~{user}~{expires}~{id}~{signature}", self.kind.name())
    }

    fn parts<'t>(&'t self, expires: &'t str, user: &'t User) -> [&'t str; 6] {
        let (kind, name) = (self.kind.name(), self.user.as_str());
        [
            "ticket",
            kind,
            name,
            expires,
            &self.id,
            user.password.expose(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use dayreel_config::{PasswordHash, Role};

    use super::*;

    #[test]
    fn a_ticket_is_of_one_kind_user_password_and_secret() {
        let user = |name: &str| User {
            name: name.parse().unwrap(),
            password: PasswordHash::of("x").unwrap(),
            role: Role::Admin,
        };
        let (anna, secret) = (user("anna.b@c"), Secret::random());
        let ticket = Ticket::session(&anna, &secret);
        let text = ticket.text();
        let read = Ticket::parse(TicketKind::Session, &text).unwrap();
        assert_eq!(read, ticket);
        assert!(read.is_signed(&secret, &anna));
        assert!(!read.is_old());
        assert!(!read.is_signed(&Secret::random(), &anna));
        assert!(
            !read.is_signed(&secret, &user("anna.b@c")),
            "another password"
        );
        assert_eq!(Ticket::parse(TicketKind::Token, &text), None);
        // Each part changed.
        for (at, part) in text.split('~').enumerate().skip(1) {
            let mut parts: Vec<_> = text.split('~').collect();
            let other = match at {
                2 => format!("9{part}"),
                // The last letter of a signature has bits that mean nothing.
                _ => format!("A{}", &part[1..]),
            };
            let other = if other == part {
                format!("B{}", &part[1..])
            } else {
                other
            };
            parts[at] = &other;
            let changed = Ticket::parse(TicketKind::Session, &parts.join("~"));
            let is_good = changed.is_some_and(|ticket| ticket.is_signed(&secret, &anna));
            assert!(!is_good, "part {at}");
        }
        for odd in [
            "",
            "s",
            "s~anna~1~2",
            &format!("{text}~"),
            &format!("{text}~x"),
        ] {
            assert_eq!(Ticket::parse(TicketKind::Session, odd), None, "{odd}");
        }
    }

    #[test]
    fn a_link_knows_what_it_is_for() {
        let anna = User {
            name: "anna".parse().unwrap(),
            password: PasswordHash::of("x").unwrap(),
            role: Role::Admin,
        };
        let secret = Secret::random();
        let text = Ticket::link("/a/frame/17:03", 3600, &anna, &secret).text();
        let link = Ticket::parse(TicketKind::Link, &text).unwrap();
        assert!(link.is_signed(&secret, &anna));
        assert_eq!(link.scope().as_deref(), Some("/a/frame/17:03"));
        assert!(link.expires > now() + 3590);
        assert!(!text.contains('/'), "it is one part of a path");
        assert_eq!(Ticket::parse(TicketKind::Session, &text), None);
    }
}
