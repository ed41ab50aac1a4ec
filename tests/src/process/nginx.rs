//! nginx: with two workers and sendfile on a folder a rival, and a server that knows nothing of us; or
//! in front of a server, as the README says.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::{stop_within, wait_until};

const START: Duration = Duration::from_secs(10);

/// A running nginx; dropping it ends it.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    _folder: TempDir,
}

impl Nginx {
    /// Serves the files below `root`, to pages of any origin.
    ///
    /// # Errors
    /// nginx is not installed or does not answer in time.
    pub fn start(root: &Path) -> Result<Self> {
        let server = format!(
            "root {}; add_header Access-Control-Allow-Origin *;",
            root.display()
        );
        Self::with(|address, _| format!("server {{ listen {address}; {server} }}"))
    }

    /// Shows the server at `address` below `path`, which begins and ends with a slash.
    ///
    /// # Errors
    /// nginx is not installed or does not answer in time.
    pub fn in_front_of(address: SocketAddr, path: &str) -> Result<Self> {
        let server = format!(
            "location {path} {{ proxy_pass http://{address}/; proxy_set_header Host $http_host; \
             proxy_set_header X-Forwarded-For $remote_addr; \
             proxy_set_header X-Forwarded-Proto $scheme; }}"
        );
        Self::with(|address, _| format!("server {{ listen {address}; {server} }}"))
    }

    /// The same, but passes paths on as they are asked for.
    ///
    /// # Errors
    /// nginx is not installed or does not answer in time.
    pub fn passing_paths_on(address: SocketAddr, path: &str) -> Result<Self> {
        let server = format!(
            "location {path} {{ proxy_pass http://{address}; proxy_set_header Host $http_host; \
             proxy_set_header X-Forwarded-For $remote_addr; \
             proxy_set_header X-Forwarded-Proto $scheme; }}"
        );
        Self::with(|address, _| format!("server {{ listen {address}; {server} }}"))
    }

    /// Keeps copies of what the server at `server` answers: the configuration in `readme`, but for
    /// addresses and folder.
    ///
    /// # Errors
    /// There is none, nginx is not installed or does not answer in time.
    pub fn caching(server: SocketAddr, readme: &str) -> Result<Self> {
        let blocks = readme.split("```nginx\n").skip(1);
        let mut blocks = blocks.filter_map(|block| block.split("```").next());
        let config = blocks.find(|block| block.contains("proxy_cache_path"));
        let config = config.context("no configuration for a cache")?;
        Self::with(|address, folder| {
            [
                ("listen 80;", format!("listen {address};")),
                ("127.0.0.1:6478", server.to_string()),
                ("/var/cache/nginx/dayreel", format!("{folder}/cache")),
            ]
            .into_iter()
            .fold(config.to_owned(), |config, (written, real)| {
                assert!(config.contains(written), "no {written} in {config}");
                config.replace(written, &real)
            })
        })
    }

    /// `servers` is made of the address to listen on and a folder to write to.
    fn with(servers: impl FnOnce(SocketAddr, &str) -> String) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("dayreel-nginx-")
            .tempdir()?;
        // nginx cannot choose a port itself: the one just given back is free for this moment.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let own = folder.path().display();
        let servers = servers(address, &own.to_string());
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {own}/{name};"))
            .join(" ");
        let user = if rustix::process::geteuid().is_root() {
            "user root;"
        } else {
            ""
        };
        let config = format!(
            "worker_processes 2; daemon off; pid {own}/pid; error_log {own}/error.log; {user}\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;\n\
             {temporary}\n\
             {servers} }}\n"
        );
        let path = folder.path().join("nginx.conf");
        fs::write(&path, config)?;
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&path)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("nginx: apt-get install nginx-light")?;
        let nginx = Self {
            child,
            address,
            _folder: folder,
        };
        wait_until(START, || TcpStream::connect(address).ok()).context("nginx does not answer")?;
        Ok(nginx)
    }

    /// The master and its workers.
    ///
    /// # Errors
    /// It has ended.
    pub fn pids(&self) -> Result<Vec<u32>> {
        let master = self.child.id();
        let children = format!("/proc/{master}/task/{master}/children");
        let mut pids = vec![master];
        for pid in fs::read_to_string(children)?.split_whitespace() {
            pids.push(pid.parse()?);
        }
        Ok(pids)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // On SIGTERM the master ends its workers; if that fails there is nobody to tell.
        if stop_within(&mut self.child, rustix::process::Signal::TERM, START).is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
