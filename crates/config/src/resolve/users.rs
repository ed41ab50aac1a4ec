//! `[[users]]`: names, hashes, roles.

use dayreel_core::CameraId;
use toml::{Spanned, de::DeValue};

use super::{Resolver, USER_KEYS};
use crate::{
    PasswordHash,
    document::{Table, article},
    problem::{Given, Place, Refusal},
    user::{Role, User, UserName},
};

/// Names of users, and where they are.
pub(super) type TakenNames = Vec<(UserName, Place)>;

impl Resolver<'_, '_> {
    /// `None` if there is no telling how many. `cameras` are all that there are.
    pub(super) fn users(
        &mut self,
        cameras: &[CameraId],
        taken: &mut TakenNames,
    ) -> Option<Vec<Option<User>>> {
        let expected = "a list of tables: [[users]]";
        self.tables("users", expected, |this, number, table| {
            this.user(number, table, cameras, taken)
        })
    }

    fn user(
        &mut self,
        number: usize,
        value: &Spanned<DeValue<'_>>,
        cameras: &[CameraId],
        taken: &mut TakenNames,
    ) -> Option<User> {
        let path = format!("users.#{number}");
        let required = [("name", "anna"), ("password", "$argon2id$…")];
        let expected = "a table: [[users]]";
        let table = self.listed(&path, value, expected, USER_KEYS, required)?;
        let begin = value.span().start;
        let name = self.user_name(&table, taken);
        let password = self.text(&table, "password", |text, _| {
            Ok(text.parse::<PasswordHash>()?)
        });
        let role = self.text(&table, "role", parse_role);
        let seen = self.seen(&table, cameras);
        let role = match (role, seen) {
            (Some(Role::Admin), None) => Role::Admin,
            (Some(Role::Admin), Some(_)) => {
                let at = table
                    .get("cameras")
                    .map_or(begin, |value| value.span().start);
                let refusal = Refusal::CamerasOfAdmin;
                self.report.add(at, &table.path_of("cameras"), refusal);
                return None;
            }
            (_, seen) => Role::Viewer(seen),
        };
        Some(User {
            name: name?,
            password: password?,
            role,
        })
    }

    fn user_name(&mut self, table: &Table<'_>, taken: &mut TakenNames) -> Option<UserName> {
        let at = table.get("name")?.span().start;
        let name = self.text(table, "name", |text, _| Ok(text.parse::<UserName>()?))?;
        let path = table.path_of("name");
        let is_same =
            |(other, _): &&(UserName, Place)| other.as_str().eq_ignore_ascii_case(name.as_str());
        if let Some((_, place)) = taken.iter().find(is_same) {
            let other = place.short();
            self.report.add(at, &path, Refusal::DuplicateUser { other });
            return None;
        }
        taken.push((name.clone(), self.report.place(at, &path)));
        Some(name)
    }

    /// The cameras of a viewer. One that is not there is a typing error, which would hide one that is.
    fn seen(&mut self, table: &Table<'_>, cameras: &[CameraId]) -> Option<Vec<CameraId>> {
        let parse = |text: &str, _: Given| {
            let found = cameras.iter().find(|id| id.as_str() == text);
            found.cloned().ok_or_else(|| Refusal::UnknownCamera {
                known: cameras.iter().map(ToString::to_string).collect(),
            })
        };
        self.list(table, "cameras", parse)
    }

    /// The strings under `key`, substituted and parsed; in one string they are separated by commas.
    pub(super) fn list<T>(
        &mut self,
        table: &Table<'_>,
        key: &str,
        parse: impl Fn(&str, Given) -> Result<T, Refusal>,
    ) -> Option<Vec<T>> {
        let value = table.get(key)?;
        let texts: Vec<(&str, usize)> = match value.get_ref() {
            DeValue::String(text) => {
                let at = value.span().start;
                let parts = text.split(',').map(str::trim);
                parts
                    .filter(|part| !part.is_empty())
                    .map(|part| (part, at))
                    .collect()
            }
            DeValue::Array(array) => {
                let mut texts = Vec::new();
                for value in array {
                    let Some(text) = value.get_ref().as_str() else {
                        let path = table.path_of(key);
                        self.wrong_type(value, &path, "a string", value.get_ref());
                        return None;
                    };
                    texts.push((text, value.span().start));
                }
                texts
            }
            other => {
                let (expected, found) = ("a list of strings", article(other));
                let refusal = Refusal::WrongType { expected, found };
                self.report
                    .add(value.span().start, &table.path_of(key), refusal);
                return None;
            }
        };
        let mut values = Vec::new();
        for (text, at) in texts {
            let parsed = crate::template::expand(text, self.env)
                .and_then(|value| parse(&value, Given::new(text)));
            match parsed {
                Ok(value) => values.push(value),
                Err(refusal) => self.report.add(at, &table.path_of(key), refusal),
            }
        }
        Some(values)
    }
}

/// The cameras of a viewer are another key.
fn parse_role(text: &str, given: Given) -> Result<Role, Refusal> {
    match text {
        "admin" => Ok(Role::Admin),
        "viewer" => Ok(Role::Viewer(None)),
        _ => Err(Refusal::Choice {
            given,
            allowed: Role::NAMES,
        }),
    }
}
