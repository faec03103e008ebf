//! A TCP that talks to itself.

use super::{PATIENCE, PORT};
use halloo_base::{ConnId, Cx, Deadline, Input, LinkId, Machine, Path, StreamInput};
use halloo_io::{StreamOptions, Worker, WorkerOptions};
use halloo_lab::Host;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Sender, channel};

const CONN: ConnId = ConnId(0);
const CHUNK: usize = 64 * 1024;
const CHUNKS: usize = 128;
/// Chunks on their way at once.
const WINDOW: usize = 8;

/// Opens a connection to its own port at an address that comes back to it, and checks that it hears all that it says.
struct Talk {
    echo: IpAddr,
    written: usize,
    heard: usize,
    ended: Option<Result<usize, String>>,
    tell: Sender<Result<usize, String>>,
}

impl Talk {
    /// What byte number `at` of the conversation is.
    fn byte(at: usize) -> u8 {
        (at.wrapping_mul(2_654_435_761) >> 13) as u8
    }

    fn write(&mut self, cx: &mut Cx<'_>) {
        while self.written < CHUNKS * CHUNK && self.written < self.heard + WINDOW * CHUNK {
            let chunk: Vec<u8> = (self.written..self.written + CHUNK).map(Talk::byte).collect();
            cx.out.write(CONN, None, &chunk);
            self.written += CHUNK;
            if self.written == CHUNKS * CHUNK {
                cx.out.finish(CONN);
            }
        }
    }

    fn end(&mut self, how: Result<usize, String>) {
        self.ended = Some(how.clone());
        self.tell.send(how).expect("the test listens");
    }
}

impl Machine for Talk {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        match input {
            Input::Wake => {
                let path = Path {
                    link: LinkId(0),
                    local: SocketAddr::new(
                        if self.echo.is_ipv4() {
                            [0; 4].into()
                        } else {
                            [0; 16].into()
                        },
                        PORT,
                    ),
                    remote: SocketAddr::new(self.echo, PORT),
                };
                cx.out.connect(CONN, path);
            }
            Input::Stream(CONN, StreamInput::Opened { path, .. }) => {
                if path.local.port() != PORT {
                    return self.end(Err(format!("opened from {}", path.local)));
                }
                self.write(cx);
            }
            Input::Stream(CONN, StreamInput::Data { bytes, .. }) => {
                let wrong = bytes
                    .iter()
                    .zip(self.heard..)
                    .find(|(byte, at)| **byte != Talk::byte(*at));
                if let Some((_, at)) = wrong {
                    return self.end(Err(format!("byte {at} is another")));
                }
                self.heard += bytes.len();
                self.write(cx);
            }
            Input::Stream(CONN, StreamInput::Finished) => {}
            Input::Stream(CONN, StreamInput::Closed(halloo_base::CloseReason::Done)) => {
                self.end(Ok(self.heard));
            }
            Input::Stream(_, other) => self.end(Err(format!("{other:?}"))),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }

    fn finished(&self) -> bool {
        self.ended.is_some()
    }
}

/// Lets a TCP on `host` talk to itself by way of `echo`.
pub(crate) fn talk(host: &Host, echo: IpAddr) {
    let (tell, told) = channel();
    let thread = host.thread(move || {
        let mut worker = Worker::new(WorkerOptions::default()).expect("a worker");
        let machine = worker.add(Box::new(Talk {
            echo,
            written: 0,
            heard: 0,
            ended: None,
            tell,
        }));
        worker.streams(StreamOptions::default(), machine);
        worker.run().expect("runs to its end");
    });
    let heard = told.recv_timeout(4 * PATIENCE).expect("it comes to an end");
    assert_eq!(heard, Ok(CHUNKS * CHUNK), "by way of {echo}");
    thread.join().expect("no panic");
}
