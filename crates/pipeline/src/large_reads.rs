//! Large reads from the TCP connections to cameras.
//!
//! ```text
//! rtspsrc ◀─ 1, 3 and n bytes of a packet ─ ReadAhead ◀─ whatever has arrived ─ socket
//! ```
//!
//! `rtspsrc` asks the socket for the first byte of an interleaved packet, for the rest of its header
//! and for its content, and none of its properties changes that. So the input streams of GIO's TCP
//! connections are wrapped where the class hands them out. (Its registry of connection classes is no
//! way in: in GLib 2.74 it frees a class that replaces another while it is in use.)
//!
//! Only blocking reads read ahead. A server reads without blocking and waits for its socket, which
//! would not wake it for what has been read already.

use std::sync::OnceLock;

use gio::prelude::*;
use glib::translate::*;
use gstreamer::glib;

/// Holds two or three pictures of a camera, or some hundred packets.
const BUFFER_BYTES: usize = 64 << 10;

/// `get_input_stream` of a class of streams.
type GetInput = unsafe extern "C" fn(*mut gio::ffi::GIOStream) -> *mut gio::ffi::GInputStream;

/// GIO's own, set once.
static GET_SOCKET_INPUT: OnceLock<Option<GetInput>> = OnceLock::new();

/// Lets the TCP connections of this process read ahead. To be called before there is one; more than
/// once does no harm.
#[expect(
    unsafe_code,
    reason = "GIO has no safe way to wrap the streams of its connections"
)]
pub(crate) fn enable() {
    GET_SOCKET_INPUT.get_or_init(|| {
        // SAFETY: a class is never freed while it is referred to, which it is from here on, and a
        // `GTcpConnectionClass` begins with its `GIOStreamClass`. Nobody uses it at the same time.
        unsafe {
            let class =
                glib::gobject_ffi::g_type_class_ref(gio::TcpConnection::static_type().into_glib());
            let class = &mut *class.cast::<gio::ffi::GIOStreamClass>();
            class.get_input_stream.replace(get_input)
        }
    });
}

/// The stream of a TCP connection: wrapped when it is first asked for, then always the same.
#[expect(unsafe_code, reason = "called by GIO")]
unsafe extern "C" fn get_input(
    connection: *mut gio::ffi::GIOStream,
) -> *mut gio::ffi::GInputStream {
    static QUARK: OnceLock<glib::Quark> = OnceLock::new();
    let quark = *QUARK.get_or_init(|| glib::Quark::from_str("dayreel-read-ahead"));
    let Some(Some(get_socket_input)) = GET_SOCKET_INPUT.get() else {
        return std::ptr::null_mut();
    };
    // SAFETY: GIO calls it with a TCP connection. What is stored under the quark is what this
    // function stores; the connection keeps it alive for the caller.
    unsafe {
        let wrapped: Borrowed<gio::IOStream> = from_glib_borrow(connection);
        if let Some(known) = wrapped.qdata::<gio::InputStream>(quark) {
            return known.as_ref().to_glib_none().0;
        }
        let socket: gio::InputStream = from_glib_none(get_socket_input(connection));
        let input = ReadAhead::of(socket).upcast::<gio::InputStream>();
        let pointer = input.to_glib_none().0;
        wrapped.set_qdata(quark, input);
        pointer
    }
}

/// The stream of a socket. The thread that uses it may change.
#[derive(Debug, Clone)]
struct Input(gio::InputStream);

// SAFETY: references of GObjects are counted atomically, and a GInputStream refuses (`PENDING`) to be
// read by two threads at a time; what is read ahead is in a lock.
#[expect(
    unsafe_code,
    reason = "gio's streams are not Send, as some are bound to a main context"
)]
unsafe impl Send for Input {}
// SAFETY: as above.
#[expect(
    unsafe_code,
    reason = "gio's streams are not Send, as some are bound to a main context"
)]
unsafe impl Sync for Input {}

glib::wrapper! {
    /// What a socket has received, in large reads.
    pub(crate) struct ReadAhead(ObjectSubclass<read_ahead::ReadAhead>)
        @extends gio::InputStream, @implements gio::PollableInputStream;
}

mod read_ahead {
    use std::sync::OnceLock;

    use gio::subclass::prelude::*;
    use parking_lot::Mutex;

    use super::*;

    #[derive(Debug, Default)]
    pub(crate) struct ReadAhead {
        /// Set before anybody reads.
        pub(super) socket: OnceLock<Input>,
        /// Streams are read by one thread at a time, but not always by the same.
        buffer: Mutex<Buffer>,
    }

    #[derive(Debug, Default)]
    struct Buffer {
        /// Allocated with the first read.
        bytes: Box<[u8]>,
        /// What has not been handed out.
        filled: std::ops::Range<usize>,
    }

    impl Buffer {
        /// Moves as much as there is and fits; returns how many bytes that are.
        fn hand_out(&mut self, into: &mut [u8]) -> usize {
            let len_bytes = into.len().min(self.filled.len());
            let start = self.filled.start;
            into[..len_bytes].copy_from_slice(&self.bytes[start..start + len_bytes]);
            self.filled.start += len_bytes;
            len_bytes
        }
    }

    #[glib::object_subclass]
    impl ObjectSubclass for ReadAhead {
        const NAME: &'static str = "DayreelReadAhead";
        type Type = super::ReadAhead;
        type ParentType = gio::InputStream;
        type Interfaces = (gio::PollableInputStream,);
    }

    impl ObjectImpl for ReadAhead {}

    impl InputStreamImpl for ReadAhead {
        fn read(
            &self,
            into: &mut [u8],
            cancellable: Option<&gio::Cancellable>,
        ) -> Result<usize, glib::Error> {
            let Some(Input(socket)) = self.socket.get() else {
                return Ok(0);
            };
            let mut buffer = self.buffer.lock();
            if buffer.filled.is_empty() {
                if into.len() >= BUFFER_BYTES {
                    return socket.read(into, cancellable);
                }
                if buffer.bytes.is_empty() {
                    buffer.bytes = vec![0; BUFFER_BYTES].into();
                }
                let len_bytes = socket.read(&mut buffer.bytes[..], cancellable)?;
                buffer.filled = 0..len_bytes;
            }
            Ok(buffer.hand_out(into))
        }

        fn close(&self, cancellable: Option<&gio::Cancellable>) -> Result<(), glib::Error> {
            match self.socket.get() {
                Some(Input(socket)) => socket.close(cancellable),
                None => Ok(()),
            }
        }
    }

    impl ReadAhead {
        fn pollable(&self) -> Option<&gio::PollableInputStream> {
            self.socket.get()?.0.dynamic_cast_ref()
        }

        fn has_bytes(&self) -> bool {
            !self.buffer.lock().filled.is_empty()
        }
    }

    // SAFETY: the functions are of the types the interface asks for, and called with instances of
    // `ReadAhead` only, as it is the only class they are given to.
    #[expect(unsafe_code, reason = "gio has no safe way to make a stream pollable")]
    unsafe impl IsImplementable<ReadAhead> for gio::PollableInputStream {
        fn interface_init(interface: &mut glib::Interface<Self>) {
            let functions = interface.as_mut();
            functions.can_poll = Some(can_poll);
            functions.is_readable = Some(is_readable);
            functions.create_source = Some(create_source);
            functions.read_nonblocking = Some(read_nonblocking);
        }
    }

    /// # Safety
    /// `stream` is a [`super::ReadAhead`].
    #[expect(unsafe_code, reason = "called by GIO")]
    unsafe fn of<'a>(stream: *mut gio::ffi::GPollableInputStream) -> &'a ReadAhead {
        // SAFETY: the caller's word; GIO keeps the stream for the time of the call.
        unsafe { (*stream.cast::<<ReadAhead as ObjectSubclass>::Instance>()).imp() }
    }

    #[expect(unsafe_code, reason = "called by GIO")]
    unsafe extern "C" fn can_poll(
        stream: *mut gio::ffi::GPollableInputStream,
    ) -> glib::ffi::gboolean {
        // SAFETY: GIO calls it with our class.
        let stream = unsafe { of(stream) };
        stream
            .pollable()
            .is_some_and(|socket| socket.can_poll())
            .into_glib()
    }

    #[expect(unsafe_code, reason = "called by GIO")]
    unsafe extern "C" fn is_readable(
        stream: *mut gio::ffi::GPollableInputStream,
    ) -> glib::ffi::gboolean {
        // SAFETY: GIO calls it with our class.
        let stream = unsafe { of(stream) };
        let readable =
            stream.has_bytes() || stream.pollable().is_some_and(|socket| socket.is_readable());
        readable.into_glib()
    }

    /// Reads what is there, and not ahead.
    #[expect(unsafe_code, reason = "called by GIO")]
    unsafe extern "C" fn read_nonblocking(
        stream: *mut gio::ffi::GPollableInputStream,
        into: *mut u8,
        len_bytes: usize,
        error: *mut *mut glib::ffi::GError,
    ) -> isize {
        // SAFETY: GIO calls it with our class, a buffer of that length and a place for an error.
        unsafe {
            let own = of(stream);
            let mut buffer = own.buffer.lock();
            match own.pollable().filter(|_| buffer.filled.is_empty()) {
                Some(socket) => gio::ffi::g_pollable_input_stream_read_nonblocking(
                    socket.to_glib_none().0,
                    into.cast(),
                    len_bytes,
                    std::ptr::null_mut(),
                    error,
                ),
                None => {
                    let into = std::slice::from_raw_parts_mut(into, len_bytes);
                    buffer.hand_out(into).cast_signed()
                }
            }
        }
    }

    /// A source that is ready when there is something to read.
    #[expect(unsafe_code, reason = "called by GIO")]
    unsafe extern "C" fn create_source(
        stream: *mut gio::ffi::GPollableInputStream,
        cancellable: *mut gio::ffi::GCancellable,
    ) -> *mut glib::ffi::GSource {
        // SAFETY: GIO calls it with our class, and with a cancellable or null.
        unsafe {
            let own = of(stream);
            let ready = match own.pollable().filter(|_| !own.has_bytes()) {
                Some(socket) => gio::ffi::g_pollable_input_stream_create_source(
                    socket.to_glib_none().0,
                    cancellable,
                ),
                None => glib::ffi::g_timeout_source_new(0),
            };
            let source = gio::ffi::g_pollable_source_new_full(stream.cast(), ready, cancellable);
            // The new source has its own reference.
            glib::ffi::g_source_unref(ready);
            source
        }
    }
}

impl ReadAhead {
    fn of(socket: gio::InputStream) -> Self {
        use glib::subclass::prelude::ObjectSubclassIsExt as _;
        let stream: Self = glib::Object::new();
        // It is new: nothing has been set.
        let _ = stream.imp().socket.set(Input(socket));
        stream
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    const NEVER: Option<&gio::Cancellable> = gio::Cancellable::NONE;

    /// A connection that this process made, and its other end.
    fn connected() -> (gio::SocketConnection, TcpStream) {
        enable();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let ours = gio::SocketClient::new()
            .connect_to_host("127.0.0.1", port, NEVER)
            .unwrap();
        (ours, listener.accept().unwrap().0)
    }

    fn pollable(stream: &gio::InputStream) -> &gio::PollableInputStream {
        stream.dynamic_cast_ref().unwrap()
    }

    #[test]
    fn small_reads_get_every_byte_in_order() {
        let (ours, mut theirs) = connected();
        let sent: Vec<u8> = (0..=250).cycle().take(3 * BUFFER_BYTES).collect();
        let writer = std::thread::spawn({
            let sent = sent.clone();
            move || theirs.write_all(&sent).unwrap()
        });
        let input = ours.input_stream();
        let mut received = Vec::new();
        for len_bytes in [1, 3, 1400, 7, BUFFER_BYTES + 1, 4000].into_iter().cycle() {
            let mut part = vec![0; len_bytes];
            match input.read(&mut part, NEVER).unwrap() {
                0 => break,
                got => received.extend_from_slice(&part[..got]),
            }
        }
        writer.join().unwrap();
        assert!(
            received == sent,
            "{} bytes of {}",
            received.len(),
            sent.len()
        );
    }

    #[test]
    fn what_was_read_ahead_is_readable_without_waiting() {
        let (ours, mut theirs) = connected();
        let input = ours.input_stream();
        assert!(pollable(&input).can_poll() && !pollable(&input).is_readable());
        theirs.write_all(b"$123").unwrap();
        assert_eq!(input.read(&mut [0; 1], NEVER).unwrap(), 1);
        assert!(pollable(&input).is_readable());

        let context = glib::MainContext::new();
        let (told, heard) = std::sync::mpsc::channel();
        let source =
            pollable(&input).create_source(NEVER, None, glib::Priority::DEFAULT, move |_| {
                told.send(()).unwrap();
                glib::ControlFlow::Break
            });
        source.attach(Some(&context));
        context.iteration(true);
        heard.try_recv().unwrap();

        let mut rest = [0; 9];
        assert_eq!(input.read(&mut rest, NEVER).unwrap(), 3);
        assert_eq!(rest[..3], *b"123");
        assert!(!pollable(&input).is_readable());
    }

    #[test]
    fn a_read_can_be_cancelled_and_the_other_way_is_untouched() {
        let (ours, mut theirs) = connected();
        let cancellable = gio::Cancellable::new();
        cancellable.cancel();
        let error = ours
            .input_stream()
            .read(&mut [0; 1], Some(&cancellable))
            .unwrap_err();
        assert!(error.matches(gio::IOErrorEnum::Cancelled), "{error}");
        ours.output_stream()
            .write_all(&b"hello"[..], NEVER)
            .unwrap();
        let mut heard = [0; 5];
        theirs.read_exact(&mut heard).unwrap();
        assert_eq!(heard, *b"hello");
    }

    #[test]
    fn a_server_that_does_not_block_reads_no_more_than_it_asks_for() {
        enable();
        let listener = gio::SocketListener::new();
        let port = listener.add_any_inet_port(glib::Object::NONE).unwrap();
        let mut theirs = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (accepted, _) = listener.accept(NEVER).unwrap();
        let input = accepted.input_stream();
        let error = pollable(&input)
            .read_nonblocking(&mut [0; 4], NEVER)
            .unwrap_err();
        assert!(error.matches(gio::IOErrorEnum::WouldBlock), "{error}");
        theirs.write_all(b"OPTIONS ").unwrap();
        let socket = accepted.socket();
        SocketExt::condition_wait(&socket, glib::IOCondition::IN, NEVER).unwrap();
        let mut part = [0; 4];
        assert_eq!(
            pollable(&input).read_nonblocking(&mut part, NEVER).unwrap(),
            4
        );
        assert_eq!(part, *b"OPTI");
        // What is left would wake the server.
        assert_eq!(socket.available_bytes(), 4);
    }
}
