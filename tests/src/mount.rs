//! File systems to get into trouble. They need root and loop devices: where a machine has none, the
//! tests that need them fail and say so.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use tempfile::{NamedTempFile, TempDir};

/// A file system of its own, unmounted when dropped.
#[derive(Debug)]
pub struct Mount {
    folder: TempDir,
    image: Option<NamedTempFile>,
    /// Of `mount`.
    options: &'static str,
}

impl Mount {
    /// A tmpfs of that size.
    ///
    /// # Errors
    /// It cannot be mounted.
    pub fn tmpfs(bytes: u64) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let size = format!("size={bytes}");
        let at = text(folder.path())?;
        run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", at])?;
        Ok(Self {
            folder,
            image: None,
            options: "",
        })
    }

    /// An ext4 in a file, which turns read-only after an error of its own.
    ///
    /// # Errors
    /// It cannot be made or mounted.
    pub fn ext4(bytes: u64) -> Result<Self> {
        Self::in_a_file(bytes, "mkfs.ext4", "loop,errors=remount-ro")
    }

    /// A btrfs in a file, with quotas. It needs 120 MB.
    ///
    /// # Errors
    /// It cannot be made or mounted.
    pub fn btrfs(bytes: u64) -> Result<Self> {
        let mount = Self::in_a_file(bytes, "mkfs.btrfs", "loop")?;
        run("btrfs", &["quota", "enable", text(mount.path())?])?;
        Ok(mount)
    }

    fn in_a_file(bytes: u64, mkfs: &str, options: &'static str) -> Result<Self> {
        let image = NamedTempFile::new()?;
        image.as_file().set_len(bytes)?;
        run(mkfs, &["-q", text(image.path())?])?;
        let mount = Self {
            folder: tempfile::tempdir()?,
            image: Some(image),
            options,
        };
        mount.mount()?;
        Ok(mount)
    }

    /// Mounts the file again after [`unmount`](Self::unmount).
    ///
    /// # Errors
    /// It cannot be mounted, or there is no file.
    pub fn mount(&self) -> Result<()> {
        let (image, at) = (self.image()?, text(self.path())?);
        run("mount", &["-o", self.options, image, at]).map(drop)
    }

    /// Takes it away, as a disk that is pulled: what is open stays open.
    ///
    /// # Errors
    /// It cannot be unmounted.
    pub fn unmount(&self) -> Result<()> {
        run("umount", &["-l", text(self.path())?]).map(drop)
    }

    /// Whether the file is still in use: mounted, or kept by open files after an unmount.
    ///
    /// # Errors
    /// The system does not say.
    pub fn is_in_use(&self) -> Result<bool> {
        Ok(!run("losetup", &["-j", self.image()?])?.trim().is_empty())
    }

    /// Lets writes wait, or lets them go on. Of a file system in a file.
    ///
    /// # Errors
    /// It cannot be frozen.
    pub fn freeze(&self, is_frozen: bool) -> Result<()> {
        let what = if is_frozen { "-f" } else { "-u" };
        run("fsfreeze", &[what, text(self.path())?]).map(drop)
    }

    /// The block device that is mounted, such as `loop0`.
    ///
    /// # Errors
    /// Nothing is mounted.
    pub fn device(&self) -> Result<String> {
        let source = run("findmnt", &["-n", "-o", "SOURCE", text(self.path())?])?;
        let name = source.trim().rsplit('/').next().context("no device")?;
        Ok(name.to_owned())
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The path of a file or folder in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The file that it is in.
    ///
    /// # Errors
    /// It is in memory.
    pub fn image(&self) -> Result<&str> {
        text(self.image.as_ref().context("in memory")?.path())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Thawed if a test failed in between; both fail where there is nothing to do.
        let _ = self.freeze(false);
        let _ = self.unmount();
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("no UTF-8")
}

/// Runs a program of util-linux, e2fsprogs or btrfs-progs, and returns what it prints.
///
/// # Errors
/// It is missing or fails.
pub fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("{program} is missing: sh .ci/install test"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.success(),
        "{program} {arguments:?}: {}; this test needs root and loop devices",
        said.trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
