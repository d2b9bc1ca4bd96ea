//! Free loopback ports for servers that want a number instead of a socket.
//!
//! Not port 0: the kernel hands out the same range for outgoing connections, so a port that was free when we asked can
//! be the source port of a client a millisecond later. We take numbers below that range (32768 on Linux) instead, and
//! bind each before we believe it. The number stays bound until [`Reserved::release`], right before the server starts.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use super::process::{START_LIMIT, is_listening, poll};

const FIRST: u32 = 10_240;
const COUNT: u32 = 32_000 - FIRST;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A port on 127.0.0.1 that nobody else can take while this value lives.
#[derive(Debug)]
pub struct Reserved {
    listener: TcpListener,
    port: u16,
}

impl Reserved {
    /// Finds and holds a free port. Two calls in one process never give the same number before 21,760 others.
    pub fn new() -> Self {
        // Test programs that run at the same time start far from each other.
        let start = std::process::id().wrapping_mul(7_919);
        for _ in 0..COUNT {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let port = u16::try_from(FIRST + start.wrapping_add(step) % COUNT).expect("below 32,000");
            if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                return Self { listener, port };
            }
        }
        panic!("no free port between {FIRST} and {}", FIRST + COUNT);
    }

    /// The number, while it is still held.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets go of the port for the server that starts next.
    pub fn release(self) -> u16 {
        let Reserved { listener, port } = self;
        drop(listener);
        wait_until_free(port);
        port
    }

    /// Hands over the listening socket itself, for servers inside this process: no gap at all.
    pub fn into_listener(self) -> TcpListener {
        self.listener
    }
}

/// Waits until nobody listens on the port. A thread that is about to start a program has a copy of every socket for a
/// moment: a server could not take the port then, and would be thought to listen.
pub fn wait_until_free(port: u16) {
    poll(START_LIMIT, || (!is_listening(port)).then_some(())).unwrap_or_else(|| panic!("port {port} is never free"));
}
