//! How a fault strikes.

use std::time::Duration;

use bytes::BytesMut;
use tokio::time::timeout;

use super::{End, SandboxConnection};
use crate::net::stream::Stream;
use crate::sandbox::fault::{Stage, What};

/// How long a stall lasts at most. A client waits ten minutes for the reply to its final dot (RFC 5321 section
/// 4.5.3.2.6).
const STALL: Duration = Duration::from_secs(15 * 60);

impl SandboxConnection {
    /// Lets the next fault of this stage strike, if there is one. Octets are for the caller to say.
    pub(super) async fn fault(&mut self, at: Stage) -> Result<Option<Vec<u8>>, End> {
        self.fault_at(at, None).await
    }

    /// As [`SandboxConnection::fault`], where nobody is logged in yet and `user` wants to be.
    pub(super) async fn fault_at(&mut self, at: Stage, user: Option<&str>) -> Result<Option<Vec<u8>>, End> {
        let user = user.or(self.session.user());
        let Some(what) = self.shared.faults.take(&at, user) else { return Ok(None) };
        self.shared.store.count(|stats| stats.faults += 1);
        tracing::info!(event = "sandbox_fault", client = %self.client, ?at, ?what);
        match what {
            What::Reply(octets) => return Ok(Some(octets)),
            What::ReplyThenClose(octets) => {
                self.session.output().extend_from_slice(&octets);
                return Err(End::Close);
            }
            What::Close => return Err(End::Close),
            What::Reset => return Err(End::Reset),
            What::CloseAfterAccept => {
                if at == Stage::FinalDot {
                    self.policy.keep(self.session.user().unwrap_or_default());
                }
                return Err(End::Close);
            }
            What::Stall => {
                self.flush().await?;
                tokio::select! {
                    _ = timeout(STALL, swallow(&mut self.stream)) => {}
                    () = self.shared.drain.asked() => {}
                }
                return Err(End::Gone);
            }
            What::Delay(delay) => {
                self.flush().await?;
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    () = self.shared.drain.asked() => {}
                }
            }
        }
        Ok(None)
    }

    /// Says what a fault wants said instead. True if there was one.
    pub(super) async fn struck(&mut self, at: Stage) -> Result<bool, End> {
        let octets = self.fault(at).await?;
        if let Some(octets) = &octets {
            self.session.output().extend_from_slice(octets);
        }
        Ok(octets.is_some())
    }
}

/// Reads and throws away until the peer closes.
async fn swallow(stream: &mut Stream) {
    let mut input = BytesMut::new();
    while stream.fill(&mut input, 16 * 1024).await.is_ok_and(|octets| octets > 0) {
        input.clear();
    }
}
