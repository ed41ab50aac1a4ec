//! Builds the web page (`ui/`, TypeScript) into `$OUT_DIR/ui`, from where it is embedded.
//!
//! The sources are copied to `$OUT_DIR/ui-src` and built there, so the source tree stays as it is.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// What the build of the page reads, relative to `ui/`.
const SOURCES: [&str; 5] = [
    "src",
    "package.json",
    "package-lock.json",
    ".npmrc",
    "build.mjs",
];

fn main() {
    for source in SOURCES {
        println!("cargo::rerun-if-changed=ui/{source}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    if let Err(message) = build() {
        println!("cargo::error={}", message.replace('\n', " "));
    }
}

fn build() -> Result<(), String> {
    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    let ui = Path::new(&variable("CARGO_MANIFEST_DIR")?).join("ui");
    let work = out_dir.join("ui-src");
    copy_sources(&ui, &work).map_err(|error| {
        format!(
            "cannot copy the web page's sources to {}: {error}",
            work.display()
        )
    })?;
    install(&work)?;
    run(Command::new("node")
        .arg("build.mjs")
        .arg(out_dir.join("ui"))
        .current_dir(&work))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}"))
}

/// Makes `work` hold exactly the sources, but keeps its `node_modules`.
fn copy_sources(ui: &Path, work: &Path) -> io::Result<()> {
    fs::create_dir_all(work)?;
    match fs::remove_dir_all(work.join("src")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    for source in SOURCES {
        copy(&ui.join(source), &work.join(source))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(|_| ());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        copy(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}

/// `npm ci`, unless the packages of this very lock file are already there.
fn install(work: &Path) -> Result<(), String> {
    let text = |error: io::Error| format!("cannot read or write in {}: {error}", work.display());
    let lock = fs::read(work.join("package-lock.json")).map_err(text)?;
    let stamp = work.join("node_modules/.dayreel-lock");
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    // The type checker is not needed here, and no package has to run code of its own to be installed.
    run(Command::new("npm")
        .args([
            "ci",
            "--omit=dev",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ])
        .current_dir(work))?;
    fs::write(&stamp, lock).map_err(text)
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            format!("{name} is missing, it builds the web page: install the package `npm` (Debian, Ubuntu: apt-get install npm)")
        }
        _ => format!("cannot start {name}: {error}"),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "building the web page failed, `{name}` says: {}",
        stderr.trim()
    ))
}
