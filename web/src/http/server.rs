//! The thread that the echo host runs on.

use super::attend::GOODBYE;
use super::host::Host;
use super::{HttpOptions, Tally};
use crate::Ending;
use futures_util::future::{Either, select};
use halloo_base::Counters;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// An HTTP echo host that answers, on a thread of its own with a runtime of its own. Dropped, it stops.
pub struct HttpServer {
    thread: Option<JoinHandle<io::Result<()>>>,
    stopping: Arc<watch::Sender<bool>>,
    counters: Arc<Counters>,
    requests: Arc<Counters>,
    tally: Arc<Tally>,
    addresses: Vec<SocketAddr>,
    ended: Arc<AtomicBool>,
}

impl HttpServer {
    /// Starts to answer on these listeners: with TLS if the options have a certificate, without it if not. One thread
    /// answers them all, since counters have one writer. When that ends, for whatever reason, the thread that called
    /// this is unparked.
    ///
    /// # Errors
    /// `InvalidInput` if an option is out of its range, or there is no listener; else as the operating system says.
    pub fn start(listeners: Vec<TcpListener>, options: HttpOptions) -> io::Result<HttpServer> {
        if listeners.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "nothing to listen on",
            ));
        }
        HttpServer::begin(listeners, options, |_, _| {})
    }

    /// Starts to answer HTTP/3 on connections that are brought to the door, whose TLS is QUIC's. Else as
    /// [`HttpServer::start`].
    ///
    /// # Errors
    /// `InvalidInput` if an option is out of its range; else as the operating system says.
    #[cfg(feature = "h3")]
    pub fn behind_quic(options: HttpOptions) -> io::Result<(HttpServer, super::Http3Door)> {
        let (door, behind) = super::Http3Door::new();
        let listen = move |listening: &mut JoinSet<()>, host| drop(listening.spawn(behind.listen(host)));
        let server = HttpServer::begin(vec![], options, listen)?;
        Ok((server, door))
    }

    fn begin(
        listeners: Vec<TcpListener>,
        options: HttpOptions,
        more: impl FnOnce(&mut JoinSet<()>, Arc<Host>) + Send + 'static,
    ) -> io::Result<HttpServer> {
        let (stopping, _) = watch::channel(false);
        let stopping = Arc::new(stopping);
        let host = Arc::new(Host::new(options, Arc::clone(&stopping))?);
        let addresses = listeners
            .iter()
            .map(TcpListener::local_addr)
            .collect::<io::Result<_>>()?;
        for listener in &listeners {
            listener.set_nonblocking(true)?;
        }
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let (counters, requests) = (Arc::clone(&host.counters), Arc::clone(&host.requests));
        let tally = Arc::clone(&host.tally);
        let ended = Arc::<AtomicBool>::default();
        let ending = Ending::tells(&ended);
        let thread = thread::Builder::new().name("http".to_owned()).spawn(move || {
            let _ending = ending;
            run(&runtime, &host, listeners, more)
        })?;
        Ok(HttpServer {
            thread: Some(thread),
            stopping,
            counters,
            requests,
            tally,
            addresses,
            ended,
        })
    }

    /// What is listened on, in the order of the listeners.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Connections: those accepted and those admitted, with the bytes read and written, TLS included; and why others
    /// were refused or ended.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Requests: those received and those answered as they asked, with the bytes of their bodies; and why others were
    /// refused. A target or a head that is too long for the parser shows in neither.
    pub fn requests(&self) -> &Arc<Counters> {
        &self.requests
    }

    /// The same by what was asked for, and by what was answered.
    pub fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// Whether it has ended before it was stopped.
    pub fn has_failed(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Stops: listens no more, lets requests in flight be answered for a second, and ends every connection.
    ///
    /// # Errors
    /// What ended it before its time.
    pub fn stop(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        self.stopping.send_replace(true);
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("it panicked")))
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        // Who wants to know asks `stop`.
        let _ = self.end();
    }
}

fn run(
    runtime: &Runtime,
    host: &Arc<Host>,
    listeners: Vec<TcpListener>,
    more: impl FnOnce(&mut JoinSet<()>, Arc<Host>),
) -> io::Result<()> {
    runtime.block_on(async {
        let mut stopping = host.stopping.subscribe();
        let mut listening = JoinSet::new();
        for listener in listeners {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            listening.spawn(Arc::clone(host).listen(listener));
        }
        more(&mut listening, Arc::clone(host));
        let failed = {
            let stopped = pin!(stopping.wait_for(|stopping| *stopping));
            let ended = pin!(listening.join_next());
            // A listener's task has no end of its own.
            matches!(select(stopped, ended).await, Either::Right((Some(_), _)))
        };
        listening.shutdown().await;
        host.stopping.send_replace(true);
        drop(stopping);
        // It is closed when the last connection has gone. Those that will not go end with the runtime.
        let _ = timeout(GOODBYE, host.stopping.closed()).await;
        if failed {
            return Err(io::Error::other("a listener ended"));
        }
        Ok(())
    })
}
