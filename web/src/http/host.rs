//! What all connections share: the rules, the counters, and who may stay.

use super::budget::Budget;
use super::connection::{Connection, Patience};
use super::{HttpOptions, Tally, attend, routes};
use crate::TlsError;
use axum::Router;
use halloo_base::{Counters, LinkId, Mono, Path, Reason, Rng};
use halloo_serve::{Admission, Place};
use hyper::header::HeaderValue;
use hyper_util::rt::TokioExecutor;
use hyper_util::server::conn::auto;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

/// The heads of requests, all together, are no longer than this.
pub(super) const LONGEST_HEAD: u32 = 32_768;
/// How long to wait when the system has no more descriptors or memory for a connection.
const RECOVERY: Duration = Duration::from_millis(100);
/// Streams that a peer opened and took back before we looked at them: more, and it is not here to ask.
const RESET_BEFORE_LOOKED_AT: usize = 20;
/// Streams that we reset since their peer broke the rules on them.
const RESET_FOR_ERRORS: usize = 64;

pub(super) struct Host {
    pub(super) options: HttpOptions,
    pub(super) patience: Patience,
    pub(super) counters: Arc<Counters>,
    pub(super) requests: Arc<Counters>,
    pub(super) tally: Arc<Tally>,
    pub(super) budget: Arc<Budget>,
    pub(super) router: Router,
    pub(super) http: auto::Builder<TokioExecutor>,
    pub(super) tls: Option<TlsAcceptor>,
    /// What says where else all this is served (RFC 7838).
    pub(super) alt_svc: Option<HeaderValue>,
    /// True when everybody is to come to an end. Each connection listens to it.
    pub(super) stopping: Arc<watch::Sender<bool>>,
    rng: Mutex<Rng>,
    admission: Mutex<Admission>,
    /// Connections that have not asked for anything yet, the oldest first.
    silent: Mutex<BTreeMap<u64, AbortHandle>>,
    connections: AtomicU64,
}

impl Host {
    pub(super) fn new(options: HttpOptions, stopping: Arc<watch::Sender<bool>>) -> io::Result<Host> {
        let wrong = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        options.check().map_err(wrong)?;
        let admission = Admission::new(&options.admission).map_err(wrong)?;
        let tls = acceptor(&options).map_err(io::Error::other)?;
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        Ok(Host {
            patience: Patience {
                header: options.header_timeout,
                idle: options.idle_timeout,
                request: options.request_timeout,
            },
            counters: Arc::default(),
            requests: Arc::default(),
            tally: Arc::default(),
            budget: Budget::new(options.buffered),
            router: routes::router(),
            http: http(&options),
            tls,
            alt_svc: options.http3_port.and_then(alt_svc),
            stopping,
            rng: Mutex::new(Rng::new(u64::from_ne_bytes(seed))),
            admission: Mutex::new(admission),
            silent: Mutex::default(),
            connections: AtomicU64::new(0),
            options,
        })
    }

    /// Takes connections from a listener for as long as it is polled.
    pub(super) async fn listen(self: Arc<Host>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, remote)) => self.welcome(stream, remote).await,
                Err(error) if is_of_one_connection(&error) => {}
                Err(_) => {
                    // No descriptors, or no memory. Who says nothing goes first.
                    self.evict();
                    tokio::time::sleep(RECOVERY).await;
                }
            }
        }
    }

    async fn welcome(self: &Arc<Host>, stream: TcpStream, remote: SocketAddr) {
        let Ok(local) = stream.local_addr() else {
            self.counters.receive(0);
            return self.counters.silent(Reason::Incomplete);
        };
        let path = Path {
            link: LinkId::default(),
            local,
            remote,
        };
        match self.admit(&path).await {
            Some(connection) => self.start(&connection, attend::attend(Arc::clone(&connection), stream)),
            // No use to wait for it to say goodbye.
            None => drop(stream.set_zero_linger()),
        }
    }

    /// Counts a connection, and finds a place for it if there is one.
    pub(super) async fn admit(self: &Arc<Host>, path: &Path) -> Option<Arc<Connection>> {
        self.counters.receive(0);
        let mut admitted = lock(&self.admission).admit(path);
        if matches!(admitted, Err(Reason::TooManyConnections)) && self.evict() {
            // The evicted task ends, and gives back its place, in its turn.
            tokio::task::yield_now().await;
            admitted = lock(&self.admission).admit(path);
        }
        match admitted {
            Ok(place) => {
                self.counters.reply(0);
                let id = self.connections.fetch_add(1, Ordering::Relaxed);
                let ends = (plain(path.local), plain(path.remote));
                Some(Arc::new(Connection::new(Arc::clone(self), ends, place, id)))
            }
            Err(why) => {
                self.counters.silent(why);
                None
            }
        }
    }

    /// Has a connection attended that was made before: a task that is evicted before it was ever polled has run none of its
    /// code.
    pub(super) fn start(
        &self,
        connection: &Connection,
        attending: impl Future<Output = ()> + Send + 'static,
    ) {
        let task = tokio::spawn(attending);
        lock(&self.silent).insert(connection.id, task.abort_handle());
    }

    /// Ends the connection that has been silent since it came, for the longest time of all such.
    fn evict(&self) -> bool {
        let oldest = lock(&self.silent).pop_first();
        if let Some((_, task)) = &oldest {
            self.counters.silent(Reason::TooManyConnections);
            task.abort();
        }
        oldest.is_some()
    }

    /// A connection has asked for something.
    pub(super) fn heard(&self, id: u64) {
        lock(&self.silent).remove(&id);
    }

    /// A connection has gone.
    pub(super) fn left(&self, id: u64, place: Option<Place>) {
        lock(&self.silent).remove(&id);
        if let Some(place) = place {
            lock(&self.admission).release(place);
        }
    }

    /// Charges a source for work.
    pub(super) fn charge(&self, now: Mono, remote: IpAddr, cost: usize) -> Result<(), Reason> {
        lock(&self.admission).charge(now, remote, cost)
    }

    pub(super) fn random(&self) -> u64 {
        lock(&self.rng).next_u64()
    }
}

/// An IPv4 address that an IPv6 socket has seen is an IPv4 address.
fn plain(end: SocketAddr) -> SocketAddr {
    SocketAddr::new(end.ip().to_canonical(), end.port())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // One thread takes them all, and none of what they guard is left half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn alt_svc(port: u16) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("h3=\":{port}\"; ma=86400")).ok()
}

fn acceptor(options: &HttpOptions) -> Result<Option<TlsAcceptor>, TlsError> {
    let Some(tls) = &options.tls else { return Ok(None) };
    let config = tls.server_config(&[b"h2", b"http/1.1"])?;
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

/// The protocols with what bounds the memory of one connection. Their timers are off: ours cover them all.
fn http(options: &HttpOptions) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    // Who has nothing more to send may still want to read: `nc -N` does so.
    http.http1().max_buf_size(LONGEST_HEAD as usize).half_close(true);
    http.http2()
        .max_concurrent_streams(options.streams)
        .max_header_list_size(LONGEST_HEAD)
        .initial_stream_window_size(1 << 16)
        .initial_connection_window_size(1 << 18)
        .max_send_buf_size(1 << 15)
        .max_pending_accept_reset_streams(RESET_BEFORE_LOOKED_AT)
        .max_local_error_reset_streams(RESET_FOR_ERRORS);
    http
}

/// Whether an accept failed for a reason that lies in the connection that was to be accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
