//! A relay at work in the foreground: what ends it, and with which exit code.
//!
//! SIGTERM and SIGINT end it in order (0; 1 when not everything came to its end in time, or at a second SIGINT), SIGHUP
//! looks at secrets, and a relay of which a part has died ends with 1, so that whoever watches over it starts it anew.
//! Not here: how it is started (`run`), and what a stop waits for (`app`).

use std::process::ExitCode;

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::{self, Relay};

/// The signals that a relay listens to. Made before the relay is: one that comes early must not kill a relay that has
/// begun to take mail.
#[derive(Debug)]
pub struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
    /// Nobody waits for it. It would end the process at a limit to the size of files (`ulimit -f`); listened to, it
    /// leaves an error of the write, which is answered 451.
    _size: Signal,
}

impl Signals {
    /// From here on they do not end the process by themselves.
    ///
    /// # Errors
    /// What the system says.
    pub fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            _size: signal(SignalKind::from_raw(Number::XFSZ.as_raw()))?,
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }
}

/// Lets `relay` work until a signal, or until a part of it has died; then stops it.
pub async fn serve(relay: Relay, mut signals: Signals) -> ExitCode {
    let (why, sound) = loop {
        tokio::select! {
            _ = signals.term.recv() => break ("SIGTERM", true),
            _ = signals.int.recv() => break ("SIGINT", true),
            _ = signals.hup.recv() => relay.look_at_secrets(),
            part = relay.broken() => break (part, false),
        }
    };
    tracing::info!(event = "stopping", why);
    let finished = tokio::select! {
        finished = relay.stop(app::STOP_LIMIT) => finished,
        _ = signals.int.recv() => false,
    };
    if finished && sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
