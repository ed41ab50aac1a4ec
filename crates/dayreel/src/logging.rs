//! Logs go to stderr, so that stdout is for what a command prints.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, IsTerminal},
    panic, thread,
};

use crate::cli::{LogArgs, LogFormat};

/// Starts logging: our own, that of GStreamer, and of panics. Called once, before anything logs.
pub(crate) fn init(args: LogArgs) {
    let is_coloured = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt()
        .with_env_filter(args.log_level.to_env_filter())
        .with_writer(io::stderr);
    match args.log_format {
        LogFormat::Text => log.with_ansi(is_coloured).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    panic::set_hook(Box::new(|panicked| {
        let thread = thread::current();
        let place = panicked.location().map(ToString::to_string);
        let payload = panicked.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        let message = text.unwrap_or("of no words");
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
        // In the span of the camera or request, if it is of one.
        tracing::error!(
            thread = thread.name(),
            place,
            backtrace = backtrace.as_ref().map(tracing::field::display),
            "panicked: {message}"
        );
    }));
    dayreel_pipeline::log_to_tracing();
}
