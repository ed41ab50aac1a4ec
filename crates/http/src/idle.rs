//! Ends connections on which nothing is answered for too long.
//!
//! actix bounds the head of the first request of a connection, and the time without any request. A
//! client that begins a second one and never ends it, or sends the body of one letter by letter, it
//! would wait for as long as it likes.

use std::{
    future, io,
    os::fd::{AsFd as _, OwnedFd},
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use actix_web::{
    Error, HttpRequest,
    body::{BodySize, MessageBody},
    dev::{Extensions, ServiceRequest, ServiceResponse},
    http::{Method, Version},
    middleware::Next,
    rt::net::TcpStream,
};
use bytes::Bytes;
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use rustix::net::{Shutdown, shutdown};
use tokio::io::Interest;

/// Longer than a connection without requests is kept, and than an answer takes to begin that is not
/// [said to be made](being_made).
const UNANSWERED: Duration = Duration::from_secs(90);
/// How often it is looked.
const LOOK: Duration = Duration::from_secs(10);

/// Watches connections. Clones watch the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(Arc<Mutex<Vec<Weak<Connection>>>>);

/// One connection.
#[derive(Debug)]
struct Connection {
    /// Another descriptor of its socket, by which it can be ended from here.
    socket: OwnedFd,
    use_: Mutex<Use>,
}

#[derive(Debug)]
struct Use {
    /// Answers that are being made or sent; HTTP/2 has several.
    answers: usize,
    /// When that was last said of it: it came, was asked for something, has got an answer.
    last: Instant,
}

impl Connection {
    /// Whether nothing has been answered for [`UNANSWERED`].
    fn is_idle(&self, now: Instant) -> bool {
        let used = self.use_.lock();
        used.answers == 0 && now.saturating_duration_since(used.last) > UNANSWERED
    }

    fn change(&self, change: impl FnOnce(&mut usize)) {
        let mut used = self.use_.lock();
        change(&mut used.answers);
        used.last = Instant::now();
    }
}

impl Watch {
    /// Begins to watch a connection; until its extensions are dropped.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub(crate) fn meet(&self, stream: &TcpStream, extensions: &mut Extensions) -> io::Result<()> {
        let connection = Arc::new(Connection {
            socket: stream.as_fd().try_clone_to_owned()?,
            use_: Mutex::new(Use {
                answers: 0,
                last: Instant::now(),
            }),
        });
        self.0.lock().push(Arc::downgrade(&connection));
        extensions.insert(connection);
        Ok(())
    }

    /// Ends what is idle at `now`, and forgets what has ended.
    fn step(&self, now: Instant) {
        self.0.lock().retain(|connection| {
            let Some(connection) = connection.upgrade() else {
                return false;
            };
            if connection.is_idle(now) {
                // The next read finds the end. It may have ended already.
                let _ = shutdown(&connection.socket, Shutdown::Both);
                return false;
            }
            true
        });
    }

    /// Never returns.
    pub(crate) async fn keep_looking(self) {
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            self.step(Instant::now());
        }
    }
}

/// Says to the connection of a request that it is used, while the answer is sent.
pub(crate) async fn use_connection<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<Sending<B>>, Error> {
    let connection = request.conn_data::<Arc<Connection>>().cloned();
    if let Some(connection) = &connection {
        connection.change(|_| ());
    }
    // actix would read the whole body of an answer to HEAD (HTTP/1.1), and send none of it.
    let has_body = request.method() != Method::HEAD;
    let response = next.call(request).await?;
    Ok(response.map_body(|_, body| Sending {
        body,
        has_body,
        _answer: connection.map(Answer::begin),
    }))
}

/// Says to the connection that an answer is being made to `request`, for as long as it takes; until what is
/// returned is dropped. Only when all of the request has been read.
pub(crate) fn being_made(request: &HttpRequest) -> Option<Answer> {
    let connection = request.conn_data::<Arc<Connection>>().cloned();
    connection.map(Answer::begin)
}

/// Until the client of `request` has closed its end of the connection. actix takes that for somebody who only has
/// said all it wanted to, and goes on. Over HTTP/2 it drops what is not wanted any more: then it never comes.
pub(crate) async fn hung_up(request: &HttpRequest) {
    let is_alone = request.version() < Version::HTTP_2;
    let connection = request.conn_data::<Arc<Connection>>().filter(|_| is_alone);
    let socket = connection.and_then(|connection| connection.socket.try_clone().ok());
    let Some(Ok(socket)) = socket.map(|socket| TcpStream::from_std(socket.into())) else {
        return future::pending().await;
    };
    while let Ok(ready) = socket.ready(Interest::READABLE).await {
        if ready.is_read_closed() {
            return;
        }
        // Another request, for later: nothing of it is read here.
        let later = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let _ = socket.try_io(Interest::READABLE, later);
    }
}

/// An answer that is being made or sent, until it is dropped.
#[derive(Debug)]
pub(crate) struct Answer(Arc<Connection>);

impl Answer {
    fn begin(connection: Arc<Connection>) -> Self {
        connection.change(|answers| *answers += 1);
        Self(connection)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.0.change(|answers| *answers -= 1);
    }
}

pin_project! {
    /// A body, which holds its connection for as long as it takes. To HEAD, its length alone is sent.
    pub(crate) struct Sending<B> {
        #[pin]
        body: B,
        has_body: bool,
        _answer: Option<Answer>,
    }
}

impl<B: MessageBody> MessageBody for Sending<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, B::Error>>> {
        if !self.has_body {
            return Poll::Ready(None);
        }
        self.project().body.poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// actix reads it to its end, as fast as the disk is, and sends nothing of it.
    #[test]
    fn regression_head_read_the_whole_file() {
        let answer = |has_body| Sending {
            body: "picture",
            has_body,
            _answer: None,
        };
        let context = &mut Context::from_waker(std::task::Waker::noop());
        let mut head = std::pin::pin!(answer(false));
        assert_eq!(head.size(), BodySize::Sized(7));
        assert!(matches!(
            head.as_mut().poll_next(context),
            Poll::Ready(None)
        ));
        let mut get = std::pin::pin!(answer(true));
        assert!(matches!(
            get.as_mut().poll_next(context),
            Poll::Ready(Some(Ok(_)))
        ));
    }

    #[actix_web::test]
    async fn what_is_not_answered_is_ended_and_what_is_being_sent_is_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let watch = Watch::default();
        let pair = || {
            let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (server, _) = listener.accept().unwrap();
            server.set_nonblocking(true).unwrap();
            let server = TcpStream::from_std(server).unwrap();
            let mut extensions = Extensions::new();
            watch.meet(&server, &mut extensions).unwrap();
            (client, server, extensions)
        };
        let (mut idle, _idle, _kept) = pair();
        let (sent, _sent, extensions) = pair();
        let answer = Answer::begin(Arc::clone(extensions.get::<Arc<Connection>>().unwrap()));
        let (_, _, gone) = pair();
        drop(gone);

        watch.step(Instant::now() + UNANSWERED / 2);
        assert_eq!(watch.0.lock().len(), 2, "the one that is gone is forgotten");
        watch.step(Instant::now() + UNANSWERED * 2);
        assert_eq!(watch.0.lock().len(), 1);
        assert_eq!(idle.read(&mut [0]).unwrap(), 0);
        drop(answer);
        watch.step(Instant::now() + UNANSWERED / 2);
        assert_eq!(watch.0.lock().len(), 1, "it has just been answered");
        sent.set_nonblocking(true).unwrap();
        let still_open = sent.peek(&mut [0]).unwrap_err();
        assert_eq!(still_open.kind(), io::ErrorKind::WouldBlock);
    }
}
