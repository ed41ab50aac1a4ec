//! The command line. Every option can also come from an environment variable `DAYREEL_…`; an empty
//! one counts as not set.

use std::{ffi::OsString, path::Path};

use clap::{Args, Parser, Subcommand, ValueEnum, builder::OsStringValueParser};
use dayreel_config::{ConfigError, Loaded, SystemEnv};
use tracing_subscriber::EnvFilter;

use crate::{
    demo::DemoArgs,
    health::HealthArgs,
    packaging::{CompletionsArgs, ManArgs},
    probe::ProbeArgs,
    timelapse::TimelapseArgs,
    user::UserArgs,
    verify::VerifyArgs,
};

/// Exit code of a bad configuration; clap's for a bad command line is the same.
pub(crate) const BAD_CONFIG: u8 = 2;

const ENVIRONMENT: &str = "\
Every key of the configuration can be a variable: DAYREEL_LISTEN and so on override those of
[server], DAYREEL_CAMERA_1_ID, DAYREEL_CAMERA_1_RTSP and so on are a camera.
Exit codes: 0 done, 1 failed, 2 bad command line or configuration, 3 recordings are not sound.";

/// An IP camera server: live HLS and MPEG-DASH, a day at a time.
#[derive(Debug, Parser)]
#[command(version, after_help = ENVIRONMENT)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Record and serve the cameras of the configuration
    Run(ConfigArgs),
    /// Serve two built-in cameras: no camera and no configuration needed
    Demo(DemoArgs),
    /// Check the configuration and print what is in effect, every credential as ***
    Check(ConfigArgs),
    /// Check every recording against its index, and mend what is wrong
    Verify(VerifyArgs),
    /// Make the timelapse of a day again from its recordings
    Timelapse(TimelapseArgs),
    /// Who may log in: add, list or remove users, change a password
    User(UserArgs),
    /// Ask the server on this machine whether it is alive
    Health(HealthArgs),
    /// Connect to a camera once: what does it send, and what would become of it?
    Probe(ProbeArgs),
    /// Print the files of the GStreamer plugins that are used; for those who make packages
    Plugins,
    /// Print the completions of a shell
    Completions(CompletionsArgs),
    /// Write the manual pages
    Man(ManArgs),
}

/// Which configuration.
#[derive(Clone, Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Configuration file; default: config/dayreel.toml, then /etc/dayreel/dayreel.toml
    // Not a PathBuf: its parser refuses the empty variable of `DAYREEL_CONFIG=` in a compose file.
    #[arg(long, value_name = "FILE", env = "DAYREEL_CONFIG", value_parser = OsStringValueParser::new())]
    config: Option<OsString>,
}

/// What is logged, and how.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Form of the log on stderr
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "DAYREEL_LOG_FORMAT"
    )]
    pub(crate) log_format: LogFormat,
    /// error, warn, info, debug, trace, or a filter such as info,dayreel_pipeline=debug
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        default_value = "info",
        env = "DAYREEL_LOG",
        value_parser = parse_filter
    )]
    pub(crate) log_level: LogFilter,
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    // The alias is the empty variable.
    #[default]
    #[value(alias = "")]
    Text,
    /// One JSON object a line.
    Json,
}

/// A filter that is known to parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFilter(String);

impl LogFilter {
    pub(crate) fn to_env_filter(&self) -> EnvFilter {
        // Their logs name what is asked for or told, and that of a webhook is often a secret.
        EnvFilter::new(format!("{},ureq=warn,ureq_proto=warn,rumqttc=warn", self.0))
    }
}

impl ConfigArgs {
    /// Loads the configuration that was named, or the first in the usual places.
    pub(crate) fn load(&self) -> Result<Loaded, ConfigError> {
        let named = self.config.as_deref().filter(|named| !named.is_empty());
        dayreel_config::load(named.map(Path::new), &SystemEnv)
    }
}

fn parse_filter(text: &str) -> Result<LogFilter, tracing_subscriber::filter::ParseError> {
    let text = if text.is_empty() { "info" } else { text };
    EnvFilter::try_new(text).map(|_| LogFilter(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_option_has_its_variable() {
        Cli::command().debug_assert();
        let root = Cli::command();
        let commands = [&root].into_iter().chain(root.get_subcommands());
        let options: Vec<_> = commands
            .flat_map(|command| command.get_arguments())
            .filter(|argument| !argument.is_positional())
            .collect();
        assert!(options.len() >= 3);
        for option in options {
            let variable = option.get_env().and_then(|variable| variable.to_str());
            assert!(
                variable.is_some_and(|variable| variable.starts_with("DAYREEL_")),
                "{}",
                option.get_id()
            );
        }
    }

    #[test]
    fn options_stand_before_or_after_the_command() {
        for line in [
            "dayreel --log-format json --log-level debug check --config x",
            "dayreel check --config x --log-format json --log-level debug",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.log.log_format, LogFormat::Json);
            assert_eq!(cli.log.log_level, LogFilter("debug".into()));
            let Command::Check(ConfigArgs { config }) = cli.command else {
                panic!("{line}")
            };
            assert_eq!(config, Some("x".into()));
        }
    }

    #[test]
    fn empty_values_are_the_defaults() {
        let line = ["dayreel", "check", "--log-format=", "--log-level="];
        let cli = Cli::try_parse_from(line).unwrap();
        assert_eq!(cli.log.log_format, LogFormat::Text);
        assert_eq!(cli.log.log_level, LogFilter("info".into()));
    }
}
