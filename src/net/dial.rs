//! From a host name to a TCP connection: look-up, then all addresses raced, each family in turn (RFC 8305).
//!
//! A black hole on one family costs a quarter of a second, not a timeout; an address that worked before is tried first.
//! Not here: TLS, proxies (`proxy`), and which address worked (`places`).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

/// How long the next address waits for the one before (RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// How many addresses of one name are tried.
const MOST_ADDRESSES: usize = 16;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name has no address, or nobody could be asked.
    #[error("the host name {host} could not be looked up: {reason}")]
    Lookup {
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// Every address refused; this is what the last one said.
    #[error("no connection to {to}: {source}")]
    Refused {
        /// Host and port, and the address that answered last.
        to: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nobody answered in time.
    #[error("no connection to {to} within {seconds} s")]
    TimedOut {
        /// Host and port.
        to: String,
        /// The limit.
        seconds: u64,
    },
}

/// Connects to `host:port` within `limit`, look-up included. `TCP_NODELAY` is set: replies and final dots must not
/// wait for each other's acknowledgements.
///
/// # Errors
/// [`DialError`]: all of them are worth another try later, none is the account's fault.
pub async fn dial(host: &str, port: u16, limit: Duration) -> Result<TcpStream, DialError> {
    dial_first(host, port, None, limit).await
}

/// As [`dial`]; the address `first` is tried before its neighbours, if the name still has it.
///
/// # Errors
/// As [`dial`].
pub async fn dial_first(host: &str, port: u16, first: Option<IpAddr>, limit: Duration) -> Result<TcpStream, DialError> {
    let (end, to) = (Instant::now() + limit, format!("{host}:{port}"));
    let timed_out = || DialError::TimedOut { to: to.clone(), seconds: limit.as_secs() };
    let addresses = timeout_at(end, look_up(host, port)).await.map_err(|_| timed_out())??;
    let addresses = with_first(addresses, first);
    let stream = timeout_at(end, race(&to, addresses)).await.map_err(|_| timed_out())??;
    stream.set_nodelay(true).map_err(|source| DialError::Refused { to, source })?;
    Ok(stream)
}

async fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let error = |reason: String| DialError::Lookup { host: host.to_owned(), reason };
    let found: Vec<SocketAddr> =
        tokio::net::lookup_host((host, port)).await.map_err(|e| error(e.to_string()))?.collect();
    if found.is_empty() { Err(error("it has no address".to_owned())) } else { Ok(interleave(found)) }
}

/// IPv6 and IPv4 in turn, each family in the order the resolver gave (RFC 8305 section 4).
fn interleave(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let (six, four): (Vec<_>, Vec<_>) = found.into_iter().partition(SocketAddr::is_ipv6);
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    let mut order = Vec::new();
    loop {
        let pair = [six.next(), four.next()];
        if pair == [None, None] {
            order.truncate(MOST_ADDRESSES);
            return order;
        }
        order.extend(pair.into_iter().flatten());
    }
}

/// Puts the address that worked last before the others. One that the name no longer has is not tried.
fn with_first(mut addresses: Vec<SocketAddr>, first: Option<IpAddr>) -> Vec<SocketAddr> {
    if let Some(place) = addresses.iter().position(|address| Some(address.ip()) == first) {
        addresses[..=place].rotate_right(1);
    }
    addresses
}

/// Starts the addresses one after another, sooner when one has failed; the first that connects wins.
async fn race(to: &str, addresses: Vec<SocketAddr>) -> Result<TcpStream, DialError> {
    let mut waiting = addresses.into_iter();
    let mut running = JoinSet::new();
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    loop {
        let next = waiting.next();
        let more = next.is_some();
        if let Some(address) = next {
            running.spawn(TcpStream::connect(address));
        } else if running.is_empty() {
            return Err(DialError::Refused { to: to.to_owned(), source: last });
        }
        tokio::select! {
            ended = running.join_next(), if !running.is_empty() => match ended {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => last = error,
                Some(Err(_)) | None => {}
            },
            () = sleep(STAGGER), if more => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
        let order = interleave(vec![addr("1.1.1.1:1"), addr("2.2.2.2:1"), addr("[::1]:1"), addr("3.3.3.3:1")]);
        assert_eq!(order, [addr("[::1]:1"), addr("1.1.1.1:1"), addr("2.2.2.2:1"), addr("3.3.3.3:1")]);
    }

    #[test]
    fn the_address_that_worked_comes_first_while_the_name_has_it() {
        let all = |text: &[&str]| text.iter().map(|t| t.parse::<SocketAddr>().unwrap()).collect::<Vec<_>>();
        let found = all(&["[::1]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let first = |text: &str| with_first(found.clone(), Some(text.parse().unwrap()));
        assert_eq!(first("2.2.2.2"), all(&["2.2.2.2:1", "[::1]:1", "1.1.1.1:1"]));
        assert_eq!(first("::1"), found);
        assert_eq!(first("9.9.9.9"), found);
        assert_eq!(with_first(found.clone(), None), found);
    }

    #[tokio::test]
    async fn a_dead_address_does_not_hide_a_living_one() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let live = listener.local_addr().unwrap();
        let dead = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
        let stream = race("test", vec![dead, live]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), live);
    }

    #[tokio::test]
    async fn refusal_names_the_host() {
        let dead = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
        let error = dial("127.0.0.1", dead.port(), Duration::from_secs(5)).await.unwrap_err();
        assert!(error.to_string().contains(&dead.to_string()), "{error}");
    }
}
