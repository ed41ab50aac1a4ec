//! `dayreel user`: who may log in.
//!
//! Changes `[[users]]` of the configuration file and nothing else in it. A server that runs takes it
//! over when it reads its configuration again.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Subcommand, ValueEnum};
use dayreel_config::{Loaded, PasswordHash, Role, User, UserName, UsersFile};
use dayreel_core::CameraId;

use crate::cli::{BAD_CONFIG, ConfigArgs};

/// Shorter ones are guessed.
const MIN_PASSWORD: usize = 8;
/// Nobody types more; hashing it must not take long.
const MAX_PASSWORD: usize = 1024;

/// What to do.
#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Add a user; the password is asked for, or read from the first line of the input
    Add {
        /// 1 to 64 letters, digits, ".", "_", "-" and "@"
        name: UserName,
        /// What they may do
        #[arg(long, value_enum, default_value_t, env = "DAYREEL_USER_ROLE")]
        role: RoleName,
        /// A camera that a viewer may see; again for another; default: all
        #[arg(
            long = "camera",
            value_name = "ID",
            env = "DAYREEL_USER_CAMERAS",
            value_delimiter = ','
        )]
        cameras: Vec<CameraId>,
        /// Print what is to be added instead, for a configuration that is elsewhere
        #[arg(long, env = "DAYREEL_USER_PRINT")]
        print: bool,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// List the users
    List(ConfigArgs),
    /// Remove a user; their sessions and tokens end
    Remove {
        /// Who
        name: UserName,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Change a password; sessions and tokens end
    Password {
        /// Whose
        name: UserName,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

/// What a user may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum RoleName {
    /// Everything.
    Admin,
    /// See cameras and make moments.
    #[default]
    Viewer,
}

/// Exit codes: 0 done, 2 bad configuration, 1 (as an error) anything else.
pub(crate) fn user(args: UserArgs) -> Result<ExitCode> {
    match args.what {
        What::Add {
            name,
            role,
            cameras,
            print,
            config,
        } => {
            let role = match (role, cameras.is_empty()) {
                (RoleName::Admin, true) => Role::Admin,
                (RoleName::Admin, false) => bail!("--camera is for viewers; an admin sees all"),
                (RoleName::Viewer, true) => Role::Viewer(None),
                (RoleName::Viewer, false) => Role::Viewer(Some(cameras)),
            };
            if print {
                let user = asked_user(name, role)?;
                let text = UsersFile::block(&user);
                write!(io::stdout(), "{text}").context("writing to stdout")?;
                return Ok(ExitCode::SUCCESS);
            }
            with_file(&config, |loaded, file| {
                let is_it = |user: &&User| user.name.as_str().eq_ignore_ascii_case(name.as_str());
                let taken = loaded.settings.users.iter().find(is_it);
                ensure!(taken.is_none(), "there is a user {name} already");
                if let Role::Viewer(Some(cameras)) = &role {
                    for id in cameras {
                        let mut known = loaded.settings.cameras.iter();
                        ensure!(known.any(|one| one.id == *id), "there is no camera {id}");
                    }
                }
                file.add(&asked_user(name, role)?);
                Ok(())
            })
        }
        What::List(config) => list(&config),
        What::Remove { name, config } => with_file(&config, |_, file| Ok(file.remove(&name)?)),
        What::Password { name, config } => with_file(&config, |loaded, file| {
            let is_there = loaded.settings.users.iter().any(|user| user.name == name);
            ensure!(is_there, "there is no user {name}");
            Ok(file.set_password(&name, &hash_of(&asked_password()?)?)?)
        }),
    }
}

fn list(config: &ConfigArgs) -> Result<ExitCode> {
    let Some(loaded) = load(config)? else {
        return Ok(BAD_CONFIG.into());
    };
    for user in &loaded.settings.users {
        let cameras = match &user.role {
            Role::Viewer(Some(cameras)) => {
                let ids: Vec<_> = cameras.iter().map(CameraId::as_str).collect();
                ids.join(" ")
            }
            Role::Admin | Role::Viewer(None) => "all cameras".to_owned(),
        };
        let (name, role) = (&user.name, user.role.name());
        writeln!(io::stdout(), "{name}\t{role}\t{cameras}").context("writing to stdout")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Changes the file of the configuration, which has to be good before.
fn with_file(
    config: &ConfigArgs,
    change: impl FnOnce(&Loaded, &mut UsersFile) -> Result<()>,
) -> Result<ExitCode> {
    let Some(loaded) = load(config)? else {
        return Ok(BAD_CONFIG.into());
    };
    let path: &PathBuf = loaded.file.as_ref().context(
        "the configuration is all variables: `dayreel user add NAME --print` prints what \
         DAYREEL_USER_1_NAME, DAYREEL_USER_1_PASSWORD and so on have to be",
    )?;
    let mut file = UsersFile::open(path)?;
    change(&loaded, &mut file)?;
    file.save()?;
    let path = path.display();
    writeln!(
        io::stdout(),
        "{path} has been changed; a server that runs takes it over by SIGHUP (systemctl reload dayreel, \
         docker kill -s HUP)"
    )
    .context("writing to stdout")?;
    Ok(ExitCode::SUCCESS)
}

/// `None`: it is bad, and that has been said.
fn load(config: &ConfigArgs) -> Result<Option<Loaded>> {
    match config.load() {
        Ok(loaded) => Ok(Some(loaded)),
        Err(error) => {
            writeln!(io::stderr(), "{error}").context("writing to stderr")?;
            Ok(None)
        }
    }
}

fn asked_user(name: UserName, role: Role) -> Result<User> {
    Ok(User {
        name,
        password: hash_of(&asked_password()?)?,
        role,
    })
}

fn hash_of(password: &str) -> Result<PasswordHash> {
    PasswordHash::of(password).map_err(|error| anyhow::anyhow!("cannot hash the password: {error}"))
}

/// Never from the command line, which every process can read.
fn asked_password() -> Result<String> {
    let password = if io::stdin().is_terminal() {
        let first = rpassword::prompt_password("Password: ").context("no terminal")?;
        let again = rpassword::prompt_password("Again: ").context("no terminal")?;
        ensure!(first == again, "these are two passwords");
        first
    } else {
        let mut line = String::new();
        let mut input = io::Read::take(io::stdin().lock(), MAX_PASSWORD as u64 + 2);
        input.read_line(&mut line).context("reading the password")?;
        let line = line.strip_suffix('\n').unwrap_or(&line);
        line.strip_suffix('\r').unwrap_or(line).to_owned()
    };
    ensure!(
        (MIN_PASSWORD..=MAX_PASSWORD).contains(&password.len()),
        "a password has {MIN_PASSWORD} to {MAX_PASSWORD} bytes"
    );
    Ok(password)
}
