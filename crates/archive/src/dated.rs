//! Folders of dated files, as moments and timelapses are kept: `2026/11/22/17-03-05.mp4`,
//! `2026/11/21.mp4`. What belongs to a date is a folder of the month's that is called by the day, and
//! files whose name begins with the day: `21.mp4`, `21.json`, `21-draft.mp4`.

use std::{
    fs::{self, DirEntry},
    io,
    path::{Path, PathBuf},
};

use chrono::NaiveDate;

use crate::{Result, error::IoContext as _};

/// A file or folder that belongs to a date.
#[derive(Debug)]
pub(crate) struct Dated {
    pub(crate) date: NaiveDate,
    /// Its name in the folder of the month.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// What below `root` belongs to a date, in no order. No link is followed.
///
/// # Errors
/// [`crate::Error::Io`] if a folder cannot be listed; that there is none is no error.
pub(crate) fn entries(root: &Path) -> Result<Vec<Dated>> {
    let mut dated = Vec::new();
    for (year, path) in numbered(root, 4)? {
        for (month, path) in numbered(&path, 2)? {
            dated.extend(names(&path)?.into_iter().filter_map(|name| {
                let date = date_of(year, month, &name)?;
                let path = path.join(&name);
                Some(Dated { date, name, path })
            }));
        }
    }
    Ok(dated)
}

/// Deletes below `root` what belongs to a date before `oldest_kept`, and the folders of months and
/// years that are empty then. Returns the dates, ascending. Nothing else is touched.
///
/// # Errors
/// [`crate::Error::Io`] if something cannot be listed or deleted; the rest is tried first.
pub(crate) fn expire(root: &Path, oldest_kept: NaiveDate) -> Result<Vec<NaiveDate>> {
    let mut expired = Vec::new();
    let mut result = Ok(());
    for Dated { date, path, .. } in entries(root)? {
        if date >= oldest_kept {
            continue;
        }
        match delete(&path).context("delete", &path) {
            Ok(()) => expired.push(date),
            Err(error) => result = result.and(Err(error)),
        }
        for folder in path.ancestors().skip(1).take(2) {
            // Fails if something is in it, as it should.
            let _ = fs::remove_dir(folder);
        }
    }
    expired.sort_unstable();
    expired.dedup();
    result.map(|()| expired)
}

/// The names in `folder` that are text; none if there is no such folder.
///
/// # Errors
/// [`crate::Error::Io`] if it cannot be listed.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>> {
    let names = list(folder)?.into_iter().map(|entry| entry.file_name());
    Ok(names.filter_map(|name| name.into_string().ok()).collect())
}

fn list(folder: &Path) -> Result<Vec<DirEntry>> {
    match fs::read_dir(folder) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(Vec::new())
        }
        entries => {
            let entries = entries.context("list", folder)?;
            entries.collect::<io::Result<_>>().context("list", folder)
        }
    }
}

/// The folders in `folder` that are called by a number of so many digits.
fn numbered(folder: &Path, digits: usize) -> Result<Vec<(u32, PathBuf)>> {
    let is_folder = |entry: &DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let number = |entry: &DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let is_number = name.len() == digits && name.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| name.parse().ok()).flatten()
    };
    let folders = list(folder)?.into_iter().filter(is_folder);
    Ok(folders
        .filter_map(|entry| Some((number(&entry)?, entry.path())))
        .collect())
}

/// The date to which something called `name` belongs: the name is the day, or goes on after it with
/// something that is neither letter nor digit.
fn date_of(year: u32, month: u32, name: &str) -> Option<NaiveDate> {
    let (day, rest) = name.split_at_checked(2)?;
    let is_day = day.bytes().all(|byte| byte.is_ascii_digit());
    let goes_on = rest.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !is_day || goes_on {
        return None;
    }
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day.parse().ok()?)
}

fn delete(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path)?.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_goes_with_its_sidecars_and_nothing_else_does() {
        let root = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        };
        let gone = [
            "2025/12/31.mp4",
            "2026/11/20.mp4",
            "2026/11/20.json",
            "2026/11/20-draft.mp4",
            "2026/11/19/17-03-05.mp4",
            "2026/11/19/17-03-05.json",
        ];
        let kept = [
            "2026/11/21.mp4",
            "2026/11/22/17-03-05.mp4",
            "2026/11/200.mp4",
            "2026/11/2026.txt",
            "2026/11/notes.txt",
            "2026/11/99.mp4",
            "2026/1/1.mp4",
            "26/11/01.mp4",
            "latest.gif",
            "2026/cover.jpg",
        ];
        gone.iter().chain(&kept).for_each(|name| file(name));
        let expired = expire(root.path(), "2026-11-21".parse().unwrap()).unwrap();
        let dates: Vec<_> = expired.iter().map(ToString::to_string).collect();
        assert_eq!(dates, ["2025-12-31", "2026-11-19", "2026-11-20"]);
        assert!(gone.iter().all(|name| !root.path().join(name).exists()));
        assert!(kept.iter().all(|name| root.path().join(name).exists()));
        assert!(!root.path().join("2025").exists());
        assert!(
            expire(root.path(), "2026-11-21".parse().unwrap())
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn no_link_is_followed() {
        let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(other.path().join("20.mp4"), "x").unwrap();
        fs::create_dir(root.path().join("2026")).unwrap();
        std::os::unix::fs::symlink(other.path(), root.path().join("2026/11")).unwrap();
        std::os::unix::fs::symlink(other.path(), root.path().join("2025")).unwrap();
        assert!(
            expire(root.path(), "2027-01-01".parse().unwrap())
                .unwrap()
                .is_empty()
        );
        assert!(other.path().join("20.mp4").exists());
        assert!(
            expire(Path::new("/nowhere"), "2027-01-01".parse().unwrap())
                .unwrap()
                .is_empty()
        );
    }
}
