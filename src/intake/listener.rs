//! Listening: bind, accept, and the questions that are asked before a word is said.
//!
//! A peer in no allowed network is told so and let go. One that is a load balancer has to name the client first, and it
//! is the client that is asked about then; a PROXY header from anybody else is never looked for. A fault of `accept` (no descriptors left, for example) makes the
//! loop rest, never spin, never end. Each session runs in a task of its own: a panic there ends that session only
//! (`connection`); a panic of the loop itself ends the relay.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use crate::limits::capacity::Standing;
use crate::limits::known_clients::Fact;
use crate::smtp::proxy_header::Source;
use crate::smtp::server;
use crate::telemetry::panic;

use super::client::Peer;
use super::connection::ClientConnection;
use super::context::IntakeContext;
use super::proxy::{self, ProxyError};
use super::refusal::{self, Refusal};
use super::refusal_log::RefusalLine;
use super::settings::ListenerSettings;

/// Connections that may wait to be accepted: storms of short connections must not meet retransmissions.
const BACKLOG: u32 = 1024;
/// How long the loop rests after a fault of `accept`.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// How often it says so while it lasts.
const ACCEPT_REPORT: Duration = Duration::from_secs(10);

/// Why a listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {addr}: {source}")]
pub struct BindError {
    /// The address.
    pub addr: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// An open listener, with all its addresses.
pub struct Listener {
    settings: Arc<ListenerSettings>,
    sessions: Sessions,
    /// For clients in no allowed network.
    unlisted: Sessions,
    sockets: Vec<TcpListener>,
    around: Arc<IntakeContext>,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Listener {
    /// Opens all addresses of a listener. Nothing is accepted before [`Listener::run`].
    ///
    /// # Errors
    /// [`BindError`] for the first address that cannot be opened; none stays open then.
    pub fn bind(settings: ListenerSettings, around: IntakeContext) -> Result<Listener, BindError> {
        let sockets: Result<Vec<_>, _> =
            settings.bind.iter().map(|&addr| open(addr).map_err(|source| BindError { addr, source })).collect();
        let session = session_settings(&settings, &around);
        Ok(Listener {
            sessions: Sessions::new(&session),
            unlisted: Sessions::new(&unlisted_settings(&settings, &session)),
            sockets: sockets?,
            settings: Arc::new(settings),
            around: Arc::new(around),
        })
    }

    /// The addresses that are open; tells which port was given when 0 was asked for.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Accepts until the drain starts.
    pub async fn run(self) {
        let this = Arc::new(self);
        let loops: Vec<_> = (0..this.sockets.len()).map(|n| tokio::spawn(this.clone().accept_at(n))).collect();
        for one in loops {
            // A loop has no end of its own but the drain.
            let _ = one.await;
        }
    }

    async fn accept_at(self: Arc<Listener>, socket: usize) {
        let drain = self.around.drain.clone();
        drain.vital("a listener", self.accept(socket)).await;
    }

    async fn accept(self: Arc<Listener>, socket: usize) {
        let mut reported: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                () = self.around.drain.asked() => return,
                accepted = self.sockets[socket].accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.welcome(stream, peer),
                Err(error) => {
                    if reported.is_none_or(|last| last.elapsed() >= ACCEPT_REPORT) {
                        tracing::warn!(event = "accept_failed", listener = %self.settings.name, "{error}");
                        reported = Some(Instant::now());
                    }
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    }

    fn welcome(self: &Arc<Listener>, stream: TcpStream, peer: SocketAddr) {
        // A reply is one write; waiting for more to come would only delay it.
        let _ = stream.set_nodelay(true);
        // ::ffff:10.0.0.1 and 10.0.0.1 are one client.
        let addr = peer.ip().to_canonical();
        if allowed(&self.settings.proxy_from, addr) {
            let (this, counters) = (self.clone(), self.around.counters.clone());
            tokio::spawn(async move { panic::confined("proxy", &counters, this.ask_proxy(stream, addr)).await });
        } else {
            self.let_in(stream, addr);
        }
    }

    /// A load balancer says who the client is. If it does not, nobody is let in, and nothing is said: whatever it speaks
    /// is not SMTP yet.
    async fn ask_proxy(self: Arc<Listener>, mut stream: TcpStream, addr: IpAddr) {
        let place = match self.around.capacity.enter_unnamed() {
            Ok(place) => place,
            Err(full) => {
                return self.turn_away(stream, &Peer::new(addr, &self.around.clients), refusal::no_place(full));
            }
        };
        let header = tokio::select! {
            () = self.around.drain.asked() => return,
            () = place.revoked() => Ok(Err(ProxyError::Revoked)),
            header = timeout(self.settings.deadlines.proxy, proxy::read(&mut stream)) => header,
        };
        drop(place);
        match header.unwrap_or(Err(ProxyError::Late)) {
            Ok(Source::Client(client)) => self.let_in(stream, client),
            Ok(Source::Connection) => self.let_in(stream, addr),
            Err(why) => {
                let peer = Peer::new(addr, &self.around.clients);
                RefusalLine::unanswered("proxy_header").why(why).refused(&self.around, &peer, &self.settings.name);
            }
        }
    }

    /// The questions that are asked before the greeting.
    fn let_in(&self, stream: TcpStream, addr: IpAddr) {
        let peer = Peer::new(addr, &self.around.clients);
        let listed = allowed(&self.settings.allow, peer.addr);
        // Only a log-in that is verified can make up for the network.
        if !listed && self.settings.auth != server::AuthMode::Verify {
            return self.turn_away(stream, &peer, refusal::network());
        }
        let known =
            self.around.known.knows(peer.addr, Fact::Sent) || self.around.known.knows(peer.addr, Fact::LoggedIn);
        let standing = Standing { listed, known };
        match self.around.capacity.has_space(0).and_then(|()| self.around.capacity.enter(peer.addr, standing)) {
            Err(full) => self.turn_away(stream, &peer, refusal::no_place(full)),
            Ok(place) => {
                // Whose network it is decides before the greeting; a log-in comes too late for that.
                let profile = peer.client.as_ref().and_then(|client| client.profile).unwrap_or(self.settings.profile);
                let sessions = if listed { &self.sessions } else { &self.unlisted };
                let session = server::Session::new(sessions.with(profile));
                let connection = ClientConnection::new(stream, peer, place, self.settings.clone(), self.around.clone());
                tokio::spawn(connection.run(session));
            }
        }
    }

    /// Says why and hangs up, without waiting for what the peer has to say.
    fn turn_away(&self, mut stream: TcpStream, peer: &Peer, refusal: Refusal) {
        // In the clear nobody would understand it there.
        let silent = self.settings.tls.as_ref().is_some_and(|tls| tls.implicit);
        let line = match silent {
            true => RefusalLine::unanswered(refusal.reason),
            false => RefusalLine::new(refusal.clone()),
        };
        line.refused(&self.around, peer, &self.settings.name);
        if silent {
            return;
        }
        let limit = self.settings.deadlines.write;
        tokio::spawn(async move {
            let mut line = bytes::BytesMut::new();
            refusal.reply.write(&mut line);
            // A peer that does not listen does not matter.
            let _ = timeout(limit, async {
                stream.write_all(&line).await?;
                stream.shutdown().await
            })
            .await;
        });
    }
}

/// The settings of sessions, one value for each profile: a client may have another than its listener.
struct Sessions {
    strict: Arc<server::SessionSettings>,
    tolerant: Arc<server::SessionSettings>,
    legacy: Arc<server::SessionSettings>,
}

impl Sessions {
    fn new(settings: &server::SessionSettings) -> Sessions {
        let with = |profile| Arc::new(server::SessionSettings { profile, ..settings.clone() });
        Sessions {
            strict: with(server::Profile::Strict),
            tolerant: with(server::Profile::Tolerant),
            legacy: with(server::Profile::Legacy),
        }
    }

    fn with(&self, profile: server::Profile) -> Arc<server::SessionSettings> {
        match profile {
            server::Profile::Strict => &self.strict,
            server::Profile::Tolerant => &self.tolerant,
            server::Profile::Legacy => &self.legacy,
        }
        .clone()
    }
}

/// Whether one of the networks holds the client.
fn allowed(networks: &[IpNet], client: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&client))
}

fn open(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None)?;
    if addr.is_ipv6() {
        // `[::]:25` beside `0.0.0.0:25` must not be a conflict.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG as i32)?;
    TcpListener::from_std(socket.into())
}

fn session_settings(settings: &ListenerSettings, around: &IntakeContext) -> server::SessionSettings {
    server::SessionSettings {
        profile: settings.profile,
        auth: settings.auth,
        starttls: settings.tls.as_ref().is_some_and(|tls| !tls.implicit),
        max_message: around.limits.message_size,
        max_recipients: around.limits.recipients,
        max_messages: around.limits.messages_per_connection,
        ..server::SessionSettings::relay(&around.hostname)
    }
}

/// A client in no allowed network logs in first, and in TLS where there is any: its path is not our network.
fn unlisted_settings(settings: &ListenerSettings, session: &server::SessionSettings) -> server::SessionSettings {
    server::SessionSettings { auth_required: true, auth_after_tls: settings.tls.is_some(), ..session.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_networks_are_allowed() {
        let networks = ["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap(), "10.1.0.0/16".parse().unwrap()];
        let allows = |text: &str| allowed(&networks, text.parse::<IpAddr>().unwrap().to_canonical());
        assert!(allows("127.0.0.2") && allows("::1") && allows("10.1.2.3") && allows("::ffff:10.1.2.3"));
        assert!(!allows("10.2.0.1") && !allows("::2") && !allows("192.168.1.1"));
        assert!(!allowed(&[], IpAddr::from([127, 0, 0, 1])));
    }
}
