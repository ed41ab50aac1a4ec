//! mosquitto: a broker, and those of its clients that are others than us.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use super::{Log, run_within, stop_within, wait_until};

const START: Duration = Duration::from_secs(10);
const BROKER: &str = "apt-get install mosquitto";
const CLIENTS: &str = "apt-get install mosquitto-clients";

/// A broker on loopback that keeps nothing over a restart; dropping it ends it.
#[derive(Debug)]
pub struct Mosquitto {
    folder: TempDir,
    child: Option<Child>,
    login: Option<(String, String)>,
    is_encrypted: bool,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Mosquitto {
    /// Lets in who is `login`, or anybody. `pem`: certificate and key, for TLS.
    ///
    /// # Errors
    /// mosquitto is not installed or does not answer in time.
    pub fn start(login: Option<(&str, &str)>, pem: Option<(&str, &str)>) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("dayreel-mosquitto-")
            .tempdir()?;
        // It cannot choose a port itself: the one just given back is free for this moment.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let own = folder.path().display();
        let user = match rustix::process::geteuid().is_root() {
            true => "user root\n",
            false => "",
        };
        let mut config = format!(
            "{user}listener {} 127.0.0.1\nallow_anonymous {}\n",
            address.port(),
            login.is_none()
        );
        if let Some((name, password)) = login {
            config.push_str(&format!("password_file {own}/users\n"));
            let mut passwd = Command::new("mosquitto_passwd");
            passwd
                .args(["-c", "-b"])
                .arg(folder.path().join("users"))
                .args([name, password]);
            let made = run_within(passwd, START, BROKER)?;
            ensure!(made.status.success(), "{made:?}");
        }
        if let Some((certificate, key)) = pem {
            for (file, text) in [("cert.pem", certificate), ("key.pem", key)] {
                fs::write(folder.path().join(file), text)?;
            }
            config.push_str(&format!("certfile {own}/cert.pem\nkeyfile {own}/key.pem\n"));
        }
        fs::write(folder.path().join("mosquitto.conf"), config)?;
        let own = |text: &str| text.to_owned();
        let mut broker = Self {
            folder,
            child: None,
            login: login.map(|(name, password)| (own(name), own(password))),
            is_encrypted: pem.is_some(),
            address,
        };
        broker.restart()?;
        Ok(broker)
    }

    /// Ends it, as if the power were gone.
    ///
    /// # Errors
    /// It is not running.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the broker is not running")?;
        stop_within(&mut child, Signal::KILL, START)?;
        Ok(())
    }

    /// Starts it on the same port, without what it kept.
    ///
    /// # Errors
    /// It does not answer in time.
    pub fn restart(&mut self) -> Result<()> {
        let child = Command::new("/usr/sbin/mosquitto")
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context(BROKER)?;
        self.child = Some(child);
        let answers = || TcpStream::connect(self.address).ok();
        wait_until(START, answers).context("mosquitto does not answer")?;
        Ok(())
    }

    /// Publishes `payload`, which is kept if `retain`.
    ///
    /// # Errors
    /// mosquitto_pub fails.
    pub fn publish(&self, topic: &str, payload: &str, retain: bool) -> Result<()> {
        let mut publish = self.client("mosquitto_pub");
        publish.args(["-q", "1", "-t", topic]);
        match payload.is_empty() {
            true => publish.arg("-n"),
            false => publish.args(["-m", payload]),
        };
        if retain {
            publish.arg("-r");
        }
        let done = run_within(publish, START, CLIENTS)?;
        ensure!(done.status.success(), "{done:?}");
        Ok(())
    }

    /// Hears all that is kept, and all that is published from now on.
    ///
    /// # Errors
    /// mosquitto_sub is not installed.
    pub fn subscribe(&self) -> Result<Subscriber> {
        let mut child = self
            .client("mosquitto_sub")
            .args(["-q", "1", "-t", "#", "-F", "%r %t %x"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context(CLIENTS)?;
        let log = Log::default();
        child
            .stdout
            .take()
            .into_iter()
            .for_each(|stdout| log.follow(stdout));
        Ok(Subscriber { child, log })
    }

    fn client(&self, program: &str) -> Command {
        let mut client = Command::new(program);
        let port = self.address.port().to_string();
        client.args(["-h", "127.0.0.1", "-p", &port]);
        if let Some((name, password)) = &self.login {
            client.args(["-u", name, "-P", password]);
        }
        if self.is_encrypted {
            client
                .arg("--cafile")
                .arg(self.folder.path().join("cert.pem"));
        }
        client
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; there is nobody left to tell.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Whether the broker had kept it.
    pub is_retained: bool,
    /// Its topic.
    pub topic: String,
    /// What it says.
    pub payload: Vec<u8>,
}

impl Message {
    /// The payload as JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn json(&self) -> Result<serde_json::Value> {
        Ok(serde_json::from_slice(&self.payload)?)
    }
}

/// Somebody who listens to everything; dropping it ends it.
#[derive(Debug)]
pub struct Subscriber {
    child: Child,
    log: Log,
}

impl Subscriber {
    /// What was heard of `topic`, in order.
    pub fn heard(&self, topic: &str) -> Vec<Message> {
        let lines = self.log.lines();
        let messages = lines.iter().filter_map(|line| read(line));
        messages.filter(|message| message.topic == topic).collect()
    }

    /// Waits until something heard of `topic` is as `wanted`.
    ///
    /// # Errors
    /// It is not within `deadline`; all that was heard is in the error.
    pub fn wait_for(
        &self,
        topic: &str,
        deadline: Duration,
        wanted: impl Fn(&Message) -> bool,
    ) -> Result<Message> {
        let wanted = |message: &Message| message.topic == topic && wanted(message);
        let found = self
            .log
            .wait_for(deadline, |line| read(line).filter(&wanted));
        found.with_context(|| {
            let cut = |line: String| line.chars().take(200).collect::<String>();
            let lines: Vec<_> = self.log.lines().into_iter().map(cut).collect();
            format!("nothing such of {topic}; heard:\n{}", lines.join("\n"))
        })
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `1 dayreel/status 6f6e6c696e65`: kept or not, topic, payload in hexadecimal digits.
fn read(line: &str) -> Option<Message> {
    let mut words = line.split(' ');
    let (kept, topic) = (words.next()?, words.next()?);
    let hex = words.next().unwrap_or_default();
    let bytes = hex.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    Some(Message {
        is_retained: kept == "1",
        topic: topic.to_owned(),
        payload: bytes.collect::<Option<_>>()?,
    })
}
