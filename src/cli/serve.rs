//! A relay at work in the foreground: what ends it, and with which exit code.
//!
//! SIGTERM and SIGINT end it in order (0; 1 when not everything came to its end in time, or at a second SIGINT), SIGHUP
//! looks at secrets, signals without a meaning here are logged and ignored, and a relay of which a part has died ends with 1, so that its supervisor starts it anew.
//! Not here: how it is started (`run`), and what a stop waits for (`app`).

use std::future::poll_fn;
use std::process::ExitCode;
use std::task::Poll;

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
    /// Those of [`IGNORED`], with their names.
    ignored: Vec<(&'static str, Signal)>,
    /// Nobody waits for it. It would end the process at a limit to the size of files (`ulimit -f`); listened to, it
    /// leaves an error of the write, which is answered 451.
    _size: Signal,
}

/// Signals that would end the process, and that other programs and people send without wanting that: to have a log opened
/// anew, to ask for figures, or because a timer was inherited.
const IGNORED: [(&str, Number); 6] = [
    ("SIGUSR1", Number::USR1),
    ("SIGUSR2", Number::USR2),
    ("SIGALRM", Number::ALARM),
    ("SIGVTALRM", Number::VTALARM),
    ("SIGPROF", Number::PROF),
    ("SIGIO", Number::IO),
];

impl Signals {
    /// From here on they do not end the process by themselves.
    ///
    /// # Errors
    /// What the system says.
    pub fn listen() -> std::io::Result<Signals> {
        let listen = |(name, number): (_, Number)| Ok((name, signal(SignalKind::from_raw(number.as_raw()))?));
        Ok(Signals {
            ignored: IGNORED.into_iter().map(listen).collect::<std::io::Result<_>>()?,
            _size: signal(SignalKind::from_raw(Number::XFSZ.as_raw()))?,
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }
}

/// Waits for the next of these signals and returns its name.
async fn first_of(signals: &mut [(&'static str, Signal)]) -> &'static str {
    poll_fn(|cx| {
        let came = signals.iter_mut().find_map(|(name, signal)| signal.poll_recv(cx).is_ready().then_some(*name));
        came.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Lets `relay` work until a signal, or until a part of it has died; then stops it.
pub async fn serve(relay: Relay, mut signals: Signals) -> ExitCode {
    let (why, sound) = loop {
        tokio::select! {
            _ = signals.term.recv() => break ("SIGTERM", true),
            _ = signals.int.recv() => break ("SIGINT", true),
            _ = signals.hup.recv() => relay.look_at_secrets(),
            signal = first_of(&mut signals.ignored) => tracing::info!(event = "signal_ignored", signal),
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
