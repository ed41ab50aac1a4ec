//! HTTPS as others see it: curl, with certificates of a moment ago.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use dayreel_tests::process::{Server, Setup, binary, run_within, wait_until};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

/// The name in the certificates.
const NAME: &str = "nas.example";
/// Until a renewed certificate is shown: its files are looked at every 10 s.
const RENEWAL: Duration = Duration::from_secs(60);

/// A certificate and its key in files.
struct Files {
    folder: TempDir,
}

impl Files {
    /// With a new certificate.
    fn new() -> Result<Self> {
        let files = Self {
            folder: tempfile::tempdir()?,
        };
        files.renew()?;
        Ok(files)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Another certificate with another key in the same files.
    fn renew(&self) -> Result<()> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([NAME.to_owned()])?;
        fs::write(self.path("key.pem"), signing_key.serialize_pem())?;
        Ok(fs::write(self.path("cert.pem"), cert.pem())?)
    }

    fn server(&self) -> Result<Server> {
        let mut setup = Setup::with_cameras([("front-door", "rtsp://127.0.0.1:1/s")]);
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| self.path(name));
        setup.server.push_str(&format!(
            "tls_certificate = {:?}\ntls_key = {:?}\n",
            cert.display().to_string(),
            key.display().to_string()
        ));
        Server::start(setup)
    }
}

/// Asks `server` for `path`, trusting the certificate in `trusted` and none else.
fn curl(server: &Server, trusted: &Path, path: &str, more: &[&str]) -> Result<Output> {
    let port = server.address().port();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "20", "--cacert"])
        .arg(trusted)
        .args(["--resolve", &format!("{NAME}:{port}:127.0.0.1")])
        .args(more)
        .arg(format!("https://{NAME}:{port}{path}"));
    run_within(curl, RENEWAL, "apt-get install curl")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn it_is_http2_and_http1_by_tls_1_2_and_1_3() -> Result<()> {
    let files = Files::new()?;
    let mut server = files.server()?;
    let cert = files.path("cert.pem");
    let version = "\n%{http_version} %{http_code}";
    for (options, expected) in [
        (&["--http2"][..], "2 200"),
        (&["--http1.1"], "1.1 200"),
        (&["--tls-max", "1.2"], "2 200"),
        (&["--tlsv1.3"], "2 200"),
    ] {
        let options = [options, &["--write-out", version]].concat();
        let output = curl(&server, &cert, "/healthz", &options)?;
        ensure!(said(&output).ends_with(expected), "{options:?}: {output:?}");
        ensure!(
            said(&output).starts_with("{\"status\":\"ok\"}"),
            "{output:?}"
        );
    }
    let old = ["--tls-max", "1.1", "--tlsv1.0"];
    let output = curl(&server, &cert, "/healthz", &old)?;
    ensure!(!output.status.success(), "TLS 1.1: {output:?}");
    // Who speaks without TLS gets no answer that could be taken for one.
    let plain = server.client().get("/healthz");
    ensure!(plain.is_err(), "{plain:?}");
    ensure!(server.stop()?.success());
    Ok(())
}

#[test]
fn a_renewed_certificate_is_shown_without_a_restart() -> Result<()> {
    let files = Files::new()?;
    let server = files.server()?;
    let (old, new) = (files.path("old.pem"), files.path("cert.pem"));
    fs::copy(&new, &old)?;
    files.renew()?;
    let shown = || {
        let output = curl(&server, &new, "/healthz", &[]).ok()?;
        output.status.success().then_some(())
    };
    wait_until(RENEWAL, shown).with_context(|| server.log().tail(20))?;
    let output = curl(&server, &old, "/healthz", &[])?;
    // 60: the certificate is not trusted.
    ensure!(output.status.code() == Some(60), "{output:?}");
    Ok(())
}

#[test]
fn the_health_check_asks_by_https() -> Result<()> {
    let files = Files::new()?;
    let mut server = files.server()?;
    let health = |server: &Server| {
        let mut command = Command::new(binary());
        command.args([
            "health",
            "--listen",
            &server.address().to_string(),
            "--config",
        ]);
        command.arg(server.config_path()).output()
    };
    let output = health(&server)?;
    ensure!(output.status.code() == Some(0), "{output:?}");
    ensure!(said(&output).starts_with("https://"), "{output:?}");
    server.stop()?;
    ensure!(health(&server)?.status.code() == Some(1));
    Ok(())
}

#[test]
fn half_of_a_pair_is_refused() -> Result<()> {
    let files = Files::new()?;
    let other = Files::new()?;
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("dayreel.toml");
    let start = |lines: &str| -> Result<(Option<i32>, String)> {
        let camera = "[[camera]]\nid = \"a\"\nrtsp = \"rtsp://127.0.0.1:1/s\"\n";
        fs::write(
            &config,
            format!("[server]\nlisten = \"127.0.0.1:0\"\n{lines}{camera}"),
        )?;
        let mut command = Command::new(binary());
        command.args(["run", "--config"]).arg(&config);
        command.current_dir(folder.path());
        let output = run_within(command, RENEWAL, "cargo build")?;
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok((output.status.code(), log))
    };
    let line = |key: &str, path: PathBuf| format!("{key} = {:?}\n", path.display().to_string());
    let certificate = line("tls_certificate", files.path("cert.pem"));
    let (code, log) = start(&certificate)?;
    ensure!(
        code == Some(2) && log.contains("server.tls_key: is missing"),
        "{log}"
    );
    let (code, log) = start(&(certificate + &line("tls_key", other.path("key.pem"))))?;
    ensure!(
        code == Some(1) && log.contains("is not the key of"),
        "{log}"
    );
    Ok(())
}
