//! What the black-box tests share: the rules that playlists, manifests and segments must obey, and
//! the means to run the server, ask it over HTTP and read its media with foreign programs.
//!
//! Nothing but [`make_day`] uses the server's own parsers or writers: it is a second opinion.

pub mod client;
pub mod clip;
pub mod followers;
pub mod foreign;
pub mod independent;
pub mod make_day;
pub mod mount;
pub mod numbers;
pub mod players;
pub mod process;
pub mod rules;
pub mod stage;
