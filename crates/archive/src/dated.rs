//! Folders of dated files, as moments and timelapses are kept: `2026/11/22/17-03-05.mp4`,
//! `2026/11/21.mp4`. What belongs to a date is a folder of the month's that is called by the day, and
//! files whose name begins with the day: `21.mp4`, `21.json`, `21-draft.mp4`.

use std::{
    fs::{self, DirEntry},
    io,
    path::Path,
};

use chrono::NaiveDate;

use crate::{Result, error::IoContext as _};

/// Deletes below `root` what belongs to a date before `oldest_kept`, and folders of months and years
/// that are empty then. Returns the dates, ascending. Nothing else is touched, and no link followed.
///
/// # Errors
/// [`crate::Error::Io`] if something cannot be listed or deleted; the rest is tried first.
pub(crate) fn expire(root: &Path, oldest_kept: NaiveDate) -> Result<Vec<NaiveDate>> {
    let mut expired = Vec::new();
    let mut result = Ok(());
    for (year, year_entry) in numbered(root, 4)? {
        for (month, month_entry) in numbered(&year_entry.path(), 2)? {
            for entry in list(&month_entry.path())? {
                let Some(date) = date_of(year, month, &entry).filter(|date| *date < oldest_kept)
                else {
                    continue;
                };
                match delete(&entry).context("delete", entry.path()) {
                    Ok(()) => expired.push(date),
                    Err(error) => result = result.and(Err(error)),
                }
            }
            remove_if_empty(&month_entry.path());
        }
        remove_if_empty(&year_entry.path());
    }
    expired.sort_unstable();
    expired.dedup();
    result.map(|()| expired)
}

fn list(folder: &Path) -> Result<Vec<DirEntry>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => {
            let entries = entries.context("list", folder)?;
            entries.collect::<io::Result<_>>().context("list", folder)
        }
    }
}

/// The folders in `folder` that are called by a number of so many digits.
fn numbered(folder: &Path, digits: usize) -> Result<Vec<(u32, DirEntry)>> {
    let is_folder = |entry: &DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let number = |entry: &DirEntry| {
        let name = entry.file_name();
        let name = name.to_str().filter(|name| name.len() == digits)?;
        name.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then_some(())?;
        name.parse().ok()
    };
    let entries = list(folder)?.into_iter().filter(is_folder);
    Ok(entries
        .filter_map(|entry| Some((number(&entry)?, entry)))
        .collect())
}

/// The date whose entry this is: its name is the day, or goes on after it with something that is no
/// digit.
fn date_of(year: u32, month: u32, entry: &DirEntry) -> Option<NaiveDate> {
    let name = entry.file_name();
    let name = name.to_str()?;
    let (day, rest) = name.split_at_checked(2)?;
    let is_day = day.bytes().all(|byte| byte.is_ascii_digit());
    let goes_on = rest.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !is_day || goes_on {
        return None;
    }
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day.parse().ok()?)
}

fn delete(entry: &DirEntry) -> io::Result<()> {
    match entry.file_type()?.is_dir() {
        true => fs::remove_dir_all(entry.path()),
        false => fs::remove_file(entry.path()),
    }
}

fn remove_if_empty(folder: &Path) {
    // Fails if something is in it, as it should.
    let _ = fs::remove_dir(folder);
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
