//! Running the server as users do: the `dayreel` binary with a configuration and a data directory.

mod log;
mod mosquitto;
mod nginx;
mod server;
mod usage;
mod user;
mod wait;

pub use log::Log;
pub use mosquitto::{Message, Mosquitto, Subscriber};
pub use nginx::Nginx;
pub use server::{REFUSING, Server, Setup, binary, latest_day, stop_within};
pub use usage::{Usage, Used};
pub use user::user;
pub use wait::{run_within, wait_until};
