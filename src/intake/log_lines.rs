//! Lines of the log that a peer can cause at will: each goes through the budget of its address (`limits::log_budget`).
//!
//! The lines beyond the budget are reported as `more_like_this` when the minute of the address is over, by one task that
//! lives while there are any; a stop reports them at once. Lines about accepted mail, log-ins that succeed and addresses
//! that are locked out do not come this way: none of them is ever held back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::drain::Drain;
use crate::limits::guard::Guard;
use crate::limits::log_budget::{Line, MINUTE, More};

use super::context::IntakeContext;

/// Logs an event about a peer, unless its level is off or the budget of the address is used up:
/// `within_budget!(INFO, around, addr, "refused", reason, "text")`.
macro_rules! within_budget {
    ($level:ident, $around:expr, $addr:expr, $event:literal, $($fields:tt)+) => {
        if tracing::enabled!(tracing::Level::$level) && $crate::intake::log_lines::may_log($around, $addr, $event) {
            tracing::event!(tracing::Level::$level, event = $event, $($fields)+);
        }
    };
}
pub(super) use within_budget;

/// Whether a line about `addr` is written. If not, it is counted, and will be reported.
pub(crate) fn may_log(around: &IntakeContext, addr: IpAddr, event: &'static str) -> bool {
    match around.guard.log.line(addr, event, Instant::now()) {
        Line::Write => true,
        Line::Hold { first } => {
            if first {
                tokio::spawn(report(around.guard.clone(), around.drain.clone()));
            }
            false
        }
    }
}

/// Reports what is held back, each minute when it is over, until nothing is.
async fn report(guard: Arc<Guard>, drain: Drain) {
    let _here = drain.hold("the log budget");
    while let Some(next) = guard.log.next_due() {
        let now = tokio::select! {
            () = tokio::time::sleep_until(next.into()) => Instant::now(),
            // Every minute counts as over.
            () = drain.asked() => Instant::now() + MINUTE,
        };
        for More { network, event, lines } in guard.log.due(now) {
            let addr = network.map_or_else(|| "others".to_owned(), |network| network.addr().to_string());
            if event == "login_failed" {
                tracing::warn!(event = "more_like_this", %addr, like = event, lines);
            } else {
                tracing::info!(event = "more_like_this", %addr, like = event, lines);
            }
        }
    }
}
