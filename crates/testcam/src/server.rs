//! The RTSP server of one camera: a thread with its own main context, gone without a trace when it
//! is stopped.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gstreamer::{self as gst, glib};
use gstreamer_rtsp_server::{
    self as gst_rtsp_server,
    gst_rtsp::{RTSPAuthMethod, RTSPLowerTrans, RTSPProfile},
    prelude::*,
};

use crate::{
    Identity, LoginMethod, Settings, Transports,
    run::{Programme, Running},
};

/// Longest wait for the streaming threads to end.
const MAX_STOP: Duration = Duration::from_secs(10);
/// Role of those who know the password.
const VIEWER: &str = "viewer";

/// A server that listens. Dropped: stopped.
pub(crate) struct Server {
    server: gst_rtsp_server::RTSPServer,
    /// The listening socket.
    listener: glib::Source,
    context: glib::MainContext,
    main_loop: glib::MainLoop,
    thread: Option<JoinHandle<()>>,
    running: Running,
    path: String,
}

impl Server {
    /// Listens at the settings' address and `port`.
    ///
    /// # Errors
    /// If the port is taken.
    pub(crate) fn start(settings: &Settings, port: u16, programme: Programme) -> Result<Self> {
        let server = gst_rtsp_server::RTSPServer::new();
        server.set_address(&settings.address.to_string());
        server.set_service(&port.to_string());
        if settings.login.is_some() || settings.identity.is_some() {
            server.set_auth(Some(&auth(settings)?));
        }
        let threads = server.thread_pool().context("a server without threads")?;
        // All clients on our own thread: when it has ended, they have.
        threads.set_max_threads(0);
        let running = programme.running();
        let mounts = server.mount_points().context("a server without paths")?;
        mounts.add_factory(&settings.path, factory(settings, programme));
        let context = glib::MainContext::new();
        let listener = server
            .create_source(gst_rtsp_server::gio::Cancellable::NONE)
            .with_context(|| {
                let address = SocketAddr::new(settings.address, port);
                format!("cannot listen at {address}")
            })?;
        listener.attach(Some(&context));
        let main_loop = glib::MainLoop::new(Some(&context), false);
        let thread = std::thread::Builder::new().name("testcam".into()).spawn({
            let (context, main_loop) = (context.clone(), main_loop.clone());
            move || {
                // Fails only if the context has an owner already; it is new.
                let _ = context.with_thread_default(|| main_loop.run());
            }
        })?;
        Ok(Self {
            server,
            listener,
            context,
            main_loop,
            thread: Some(thread),
            running,
            path: settings.path.clone(),
        })
    }

    /// The port it listens on.
    ///
    /// # Errors
    /// If it listens on none.
    pub(crate) fn port(&self) -> Result<u16> {
        let port = u16::try_from(self.server.bound_port());
        port.context("the server listens on no port")
    }

    /// Whether the encoder runs.
    pub(crate) fn is_running(&self) -> bool {
        self.running.count() > 0
    }

    /// Waits until the encoder does not run. Whether that was within `timeout`.
    pub(crate) fn wait_for_end(&self, timeout: Duration) -> bool {
        self.running.wait_for_end(timeout)
    }

    /// Closes all sockets and ends all threads.
    ///
    /// # Errors
    /// If a streaming thread does not end in time.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.shut_down()
    }

    fn shut_down(&mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        let running = self.running.clone();
        let (server, listener) = (self.server.clone(), self.listener.clone());
        let (path, main_loop) = (self.path.clone(), self.main_loop.clone());
        // On the server's thread, so that it works on no request meanwhile.
        self.context.invoke(move || {
            running.halt();
            listener.destroy();
            if let Some(mounts) = server.mount_points() {
                mounts.remove_factory(&path);
            }
            server.client_filter(Some(&mut |_, _| gst_rtsp_server::RTSPFilterResult::Remove));
            if let Some(sessions) = server.session_pool() {
                sessions.filter(Some(&mut |_, _| gst_rtsp_server::RTSPFilterResult::Remove));
            }
            main_loop.quit();
        });
        let ended = thread.join();
        ensure!(ended.is_ok(), "the server's thread panicked");
        // What closing the clients left to be done.
        while self.context.iteration(false) {}
        ensure!(
            self.running.wait_for_end(MAX_STOP),
            "the encoder has not ended within {MAX_STOP:?}"
        );
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whoever wants to know calls `stop`.
        let _ = self.shut_down();
    }
}

/// Makes the one stream that all clients share.
fn factory(settings: &Settings, programme: Programme) -> gst_rtsp_server::RTSPMediaFactory {
    let factory = gst_rtsp_server::RTSPMediaFactory::new();
    factory.set_launch(&programme.launch());
    factory.set_shared(true);
    factory.set_suspend_mode(gst_rtsp_server::RTSPSuspendMode::None);
    factory.set_profiles(RTSPProfile::AVP);
    factory.set_do_retransmission(false);
    factory.set_protocols(match settings.transports {
        Transports::Both => RTSPLowerTrans::TCP | RTSPLowerTrans::UDP,
        Transports::Tcp => RTSPLowerTrans::TCP,
        Transports::Udp => RTSPLowerTrans::UDP,
    });
    if settings.login.is_some() || settings.identity.is_some() {
        let permissions = gst::Structure::builder(VIEWER)
            .field(gst_rtsp_server::RTSP_PERM_MEDIA_FACTORY_ACCESS, true)
            .field(gst_rtsp_server::RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, true)
            .build();
        factory.add_role_from_structure(&permissions);
    }
    let programme = Arc::new(programme);
    factory.connect_media_configure(move |_, media| {
        if let Err(error) = programme.begin(media) {
            let element = media.element();
            gst::element_error!(element, gst::LibraryError::Init, ("{error:#}"));
        }
    });
    factory
}

fn auth(settings: &Settings) -> Result<gst_rtsp_server::RTSPAuth> {
    let auth = gst_rtsp_server::RTSPAuth::new();
    let mut token = gst_rtsp_server::RTSPToken::builder()
        .field(gst_rtsp_server::RTSP_TOKEN_MEDIA_FACTORY_ROLE, VIEWER)
        .build();
    if let Some(Identity(pem)) = &settings.identity {
        let certificate = gst_rtsp_server::gio::TlsCertificate::from_pem(pem)
            .context("a camera's certificate and key")?;
        auth.set_tls_certificate(Some(&certificate));
    }
    let Some(login) = &settings.login else {
        auth.set_default_token(Some(&mut token));
        return Ok(auth);
    };
    match login.method {
        LoginMethod::Digest => {
            auth.set_supported_methods(RTSPAuthMethod::Digest);
            auth.add_digest(&login.user, &login.password, &token);
        }
        LoginMethod::Basic => {
            auth.set_supported_methods(RTSPAuthMethod::Basic);
            let basic = gst_rtsp_server::RTSPAuth::make_basic(&login.user, &login.password);
            auth.add_basic(&basic, &token);
        }
    }
    Ok(auth)
}

/// The address clients on this machine connect to.
pub(crate) fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) if v4.is_unspecified() => IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        IpAddr::V6(v6) if v6.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        other => other,
    }
}
