//! The gate that every request goes through, and every answer: host, site, token, panic, time, headers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::telemetry::panic;

use super::answer::{self, Problem};
use super::asker::{Asker, PeerInfo, Proof};
use super::context::HttpContext;
use super::places::Place;
use super::sessions;
use super::trust::{self, Host};

/// The longest time from a request's head to the begin of its answer: that of a change of many messages, and of a large mail.
const WHOLE: Duration = Duration::from_secs(660);

/// A request is under way on the connection, until this is dropped.
pub(super) struct Busy(Place);

impl Busy {
    pub(super) fn on(place: &Place) -> Busy {
        place.begin();
        Busy(place.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Lets a request through, or refuses it.
pub(super) async fn gate(State(context): State<Arc<HttpContext>>, request: Request, next: Next) -> Response {
    let tongue = answer::tongue(request.headers());
    let counters = context.intake.counters.clone();
    let work = async {
        let Some(peer) = request.extensions().get::<PeerInfo>().cloned() else {
            return Problem::fault().into_response();
        };
        let _busy = Busy::on(&peer.place);
        match ask(&context, peer, request.headers(), request.uri(), request.method()).await {
            Ok(asker) => {
                let mut request = request;
                request.extensions_mut().insert(asker);
                next.run(request).await
            }
            Err(problem) => problem.into_response(),
        }
    };
    let confined = panic::confined("http", &counters, work);
    let response = match tokio::time::timeout(WHOLE, confined).await {
        Ok(Some(response)) => response,
        Ok(None) => Problem::fault().into_response(),
        Err(_) => Problem::late().into_response(),
    };
    answer::finish(response, tongue)
}

/// Who asks, unless the request must not be believed.
async fn ask(
    context: &HttpContext,
    peer: PeerInfo,
    headers: &HeaderMap,
    uri: &axum::http::Uri,
    method: &axum::http::Method,
) -> Result<Asker, Problem> {
    let host = trust::host(headers, uri, &context.names).ok_or_else(Problem::wrong_host)?;
    if !trust::same_site(method, headers) {
        return Err(Problem::cross_site());
    }
    let proof = proof(context, peer.addr, headers).await?;
    if proof != Proof::Nothing {
        peer.place.prove();
    }
    let local = peer.addr.is_loopback() && host == Host::Literal && !trust::is_forwarded(headers);
    Ok(Asker { proof, tongue: answer::tongue(headers), peer, local })
}

/// What the request has shown. A wrong token is refused here, wherever it was sent to.
async fn proof(context: &HttpContext, addr: IpAddr, headers: &HeaderMap) -> Result<Proof, Problem> {
    if let Some(token) = bearer(headers) {
        return match context.tokens.rights(token).await {
            Some(rights) => Ok(Proof::Token(rights)),
            None => Err(context.wrong_token(addr).await),
        };
    }
    let cookie = sessions::cookie(headers, context.tls.is_some());
    let session = cookie.and_then(|id| Some((id, context.sessions.find(id, Instant::now())?)));
    // A session that has ended is no guess: every browser has one after a restart.
    Ok(session.map_or(Proof::Nothing, |(id, session)| Proof::Session(session.rights, id.to_owned())))
}

/// The token in `Authorization: Bearer TOKEN`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
