//! Changing `[[users]]` in a configuration file, with everything else left as it was written.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use dayreel_core::Kind;
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

use crate::{PasswordHash, Role, User, UserName, template::escape};

/// A configuration file whose users are being changed. Nothing is written before [`UsersFile::save`].
#[derive(Debug)]
pub struct UsersFile {
    path: PathBuf,
    document: DocumentMut,
}

/// Why users cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum UsersFileError {
    /// Not to be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// `read`, `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not TOML, or `users` is something else than tables: `dayreel check` says where.
    #[error("{}: is not a configuration whose [[users]] can be changed; `dayreel check` says why", path.display())]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// Nobody is called so.
    #[error("there is no user {name} in {}", path.display())]
    Unknown {
        /// The name.
        name: UserName,
        /// The file.
        path: PathBuf,
    },
}

impl UsersFileError {
    /// What kind of error this is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Io { .. } => Kind::Internal,
            Self::Form { .. } => Kind::InvalidArgument,
            Self::Unknown { .. } => Kind::NotFound,
        }
    }
}

impl UsersFile {
    /// Reads the file.
    ///
    /// # Errors
    /// [`UsersFileError::Io`], [`UsersFileError::Form`].
    pub fn open(path: &Path) -> Result<Self, UsersFileError> {
        let form = || UsersFileError::Form { path: path.into() };
        let text = fs::read_to_string(path).map_err(failed("read", path))?;
        let mut document: DocumentMut = text.parse().map_err(|_| form())?;
        let users = document
            .entry("users")
            .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        users.as_array_of_tables().ok_or_else(form)?;
        Ok(Self {
            path: path.to_owned(),
            document,
        })
    }

    /// Adds a user after the others.
    pub fn add(&mut self, user: &User) {
        let mut table = table(user);
        table.decor_mut().set_prefix("\n");
        self.users().push(table);
    }

    /// What [`UsersFile::add`] would add, for a file that is elsewhere.
    pub fn block(user: &User) -> String {
        let mut document = DocumentMut::new();
        let mut users = ArrayOfTables::new();
        users.push(table(user));
        document.insert("users", Item::ArrayOfTables(users));
        document.to_string()
    }

    /// Takes a user out.
    ///
    /// # Errors
    /// [`UsersFileError::Unknown`].
    pub fn remove(&mut self, name: &UserName) -> Result<(), UsersFileError> {
        let at = self.find(name)?;
        self.users().remove(at);
        Ok(())
    }

    /// Gives a user another password.
    ///
    /// # Errors
    /// [`UsersFileError::Unknown`].
    pub fn set_password(
        &mut self,
        name: &UserName,
        password: &PasswordHash,
    ) -> Result<(), UsersFileError> {
        let at = self.find(name)?;
        if let Some(table) = self.users().get_mut(at) {
            table.insert("password", hash(password));
        }
        Ok(())
    }

    /// The file as it will be.
    pub fn text(&self) -> String {
        self.document.to_string()
    }

    /// Writes the file: beside the old one, which it then replaces, with the same owner and mode. A
    /// file that is a mount point of its own cannot be replaced, and is written over.
    ///
    /// # Errors
    /// [`UsersFileError::Io`].
    pub fn save(&self) -> Result<(), UsersFileError> {
        let path = &self.path;
        let text = self.text();
        let replaced = replace(path, text.as_bytes());
        let written = replaced.or_else(|error| match error.kind() {
            io::ErrorKind::ResourceBusy
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem => fs::write(path, &text),
            _ => Err(error),
        });
        written.map_err(failed("write", path))
    }

    fn users(&mut self) -> &mut ArrayOfTables {
        let users = self.document["users"].or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        users
            .as_array_of_tables_mut()
            .expect("looked at when it was opened")
    }

    fn find(&mut self, name: &UserName) -> Result<usize, UsersFileError> {
        let is_it = |table: &Table| table.get("name").and_then(Item::as_str) == Some(name.as_str());
        let at = self.users().iter().position(is_it);
        at.ok_or_else(|| UsersFileError::Unknown {
            name: name.clone(),
            path: self.path.clone(),
        })
    }
}

fn table(user: &User) -> Table {
    let mut table = Table::new();
    table.insert("name", value(user.name.as_str()));
    table.insert("password", hash(&user.password));
    table.insert("role", value(user.role.name()));
    if let Role::Viewer(Some(cameras)) = &user.role {
        let ids = cameras.iter().map(|id| id.as_str());
        table.insert("cameras", value(ids.collect::<Array>()));
    }
    table
}

fn hash(password: &PasswordHash) -> Item {
    value(escape(password.expose()))
}

fn failed<'p>(
    action: &'static str,
    path: &'p Path,
) -> impl FnOnce(io::Error) -> UsersFileError + 'p {
    move |source| UsersFileError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A link stays one.
    let path = fs::canonicalize(path)?;
    let old = fs::metadata(&path)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    // Never one that somebody else has laid there.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&beside)?;
    let written = fs::set_permissions(&beside, fs::Permissions::from_mode(old.mode() & 0o7777))
        .and_then(|()| chown(&beside, Some(old.uid()), Some(old.gid())))
        .and_then(|()| new.write_all(bytes))
        .and_then(|()| new.sync_all())
        .and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        // What is left of it holds hashes.
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# mine\n[server]\nlisten = \"127.0.0.1:1\" # here\n\n[[camera]]\nid = \"a\"\n\
                        rtsp = \"rtsp://h/s\"\n";

    fn user(name: &str, role: Role) -> User {
        User {
            name: name.parse().unwrap(),
            password: PasswordHash::of("x").unwrap(),
            role,
        }
    }

    #[test]
    fn users_come_change_and_go_and_all_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.toml");
        fs::write(&path, TEXT).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let anna = user("anna", Role::Admin);
        let bob = user("bob", Role::Viewer(Some(vec!["a".parse().unwrap()])));
        let mut file = UsersFile::open(&path).unwrap();
        file.add(&anna);
        file.add(&bob);
        file.save().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(TEXT), "{text}");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        let load = || {
            crate::load(Some(&path), &crate::SystemEnv)
                .unwrap()
                .settings
                .users
        };
        assert_eq!(load(), [anna.clone(), bob.clone()]);

        let mut file = UsersFile::open(&path).unwrap();
        let other = PasswordHash::of("y").unwrap();
        file.set_password(&bob.name, &other).unwrap();
        file.remove(&anna.name).unwrap();
        let gone = file.remove(&anna.name).unwrap_err();
        assert_eq!(gone.kind(), Kind::NotFound);
        file.save().unwrap();
        assert_eq!(
            load(),
            [User {
                password: other,
                ..bob.clone()
            }]
        );
        let mut file = UsersFile::open(&path).unwrap();
        file.remove(&bob.name).unwrap();
        file.save().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), TEXT);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
