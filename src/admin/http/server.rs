//! The server: accepts, gives each connection a place, TLS and deadlines, and hands its requests to the router.
//!
//! A connection that has not shown a right token or session lives for [`STRANGER`] at most, any other for [`LONGEST`]. A
//! head must come within [`HEAD`]; a connection that waits longer for its next request is closed.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::asker::PeerInfo;
use super::context::HttpContext;
use super::places::{Place, Room};
use super::routes;
use super::socket::{Socket, Wire};

/// From connecting, or from the answer before, to the end of a request's head.
const HEAD: Duration = Duration::from_secs(10);
/// For a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A connection without a right token or session, from begin to end.
const STRANGER: Duration = Duration::from_secs(30);
/// Any connection, from begin to end.
const LONGEST: Duration = Duration::from_secs(3600);
/// For requests that are under way when the relay stops.
const FAREWELL: Duration = Duration::from_secs(5);
/// Fields of a head.
const MOST_FIELDS: usize = 64;
/// Octets of a head, and of what is read or written at a time.
const BUFFER: usize = 16 * 1024;
/// The rest after another connection has lost its place: those that stay have time to say what they want.
const REST: Duration = Duration::from_millis(1);
/// The rest after a fault of `accept`, such as no descriptors left.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Answers requests until the drain starts.
pub async fn serve(socket: Arc<Socket>, context: Arc<HttpContext>) {
    let drain = context.intake.drain.clone();
    let router = routes::router(context.clone());
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = drain.asked() => break,
            Some(_) = open.join_next() => continue,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((wire, addr)) => {
                let Some((place, room)) = context.places.enter(addr) else { continue };
                let peer = PeerInfo { addr, unix: socket.is_unix(), place };
                open.spawn(attend(context.clone(), router.clone(), wire, peer));
                if room == Room::Taken {
                    sleep(REST).await;
                }
            }
            Err(error) => {
                tracing::warn!(event = "accept_failed", listener = "http", "{error}");
                sleep(ACCEPT_REST).await;
            }
        }
    }
    let all = async { while open.join_next().await.is_some() {} };
    // What is cut here may be asked again; commands that were begun are carried out.
    let _ = timeout(FAREWELL, all).await;
}

async fn attend(context: Arc<HttpContext>, router: Router, wire: Wire, peer: PeerInfo) {
    match wire {
        Wire::Unix(stream) => converse(&context, router, stream, peer).await,
        Wire::Tcp(mut stream) => {
            if let Some(tls) = &context.tls {
                let acceptor = tls.acceptor().await;
                let shaken = tokio::select! {
                    shaken = timeout(HANDSHAKE, stream.accept_tls(&acceptor)) => shaken,
                    () = peer.place.revoked() => return,
                };
                if !matches!(shaken, Ok(Ok(()))) {
                    return;
                }
            }
            converse(&context, router, stream, peer).await;
        }
    }
}

/// Answers the requests of one connection.
async fn converse(context: &HttpContext, router: Router, stream: impl AsyncRead + AsyncWrite + Unpin, peer: PeerInfo) {
    let drain = &context.intake.drain;
    let (begin, place) = (Instant::now(), peer.place.clone());
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(MOST_FIELDS)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut stopping = false;
    loop {
        tokio::select! {
            // A peer that breaks the rules of HTTP was answered by hyper, and is of no interest here.
            _ = connection.as_mut() => return,
            () = place.revoked() => return,
            () = sleep_until(begin + STRANGER), if is_stranger(&place, begin) => {}
            () = sleep_until(begin + LONGEST) => return,
            () = drain.asked(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
        if begin.elapsed() >= STRANGER && !place.is_proven() {
            return;
        }
    }
}

/// Whether the end of a stranger's time is still to come.
fn is_stranger(place: &Place, begin: Instant) -> bool {
    begin.elapsed() < STRANGER && !place.is_proven()
}
