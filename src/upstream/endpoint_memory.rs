//! Where to try first: the endpoint, and the address of it, that worked last.
//!
//! Offices block port 465 and leave 587 open, or the other way round. Who fell back stays there for an hour instead of
//! running into the wall with every connection; then the first choice has its chance again. An address that worked is
//! tried before its neighbours, so that a dead IPv6 route costs its quarter of a second once. Pure: the time is an
//! argument.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

/// How long the second choice is taken for the first.
const STAY: Duration = Duration::from_secs(60 * 60);

/// What is known of an account's endpoints.
#[derive(Debug)]
pub(super) struct EndpointMemory {
    /// The endpoint to try first, and since when it is; `None` for the first of the settings.
    fallen_to: Option<(usize, Instant)>,
    /// The address that worked last, for each endpoint.
    addresses: Vec<Option<IpAddr>>,
}

impl EndpointMemory {
    /// Nothing is known yet.
    pub(super) fn new(endpoints: usize) -> EndpointMemory {
        EndpointMemory { fallen_to: None, addresses: vec![None; endpoints] }
    }

    /// The endpoints in the order to try.
    pub(super) fn order(&self, now: Instant) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.addresses.len()).collect();
        if let Some((place, since)) = self.fallen_to
            && now.duration_since(since) < STAY
        {
            order[..=place].rotate_right(1);
        }
        order
    }

    /// The address to try first at this endpoint.
    pub(super) fn address(&self, place: usize) -> Option<IpAddr> {
        self.addresses[place]
    }

    /// This endpoint answered, at this address. Says whether it is another one than before.
    pub(super) fn worked(&mut self, place: usize, address: Option<IpAddr>, now: Instant) -> bool {
        self.addresses[place] = address;
        let before = self.fallen_to.map_or(0, |(place, _)| place);
        self.fallen_to = match self.fallen_to {
            _ if place == 0 => None,
            // The hour runs from the fall, or from the last time that the first choice had its chance.
            Some((same, since)) if same == place && now.duration_since(since) < STAY => Some((same, since)),
            Some(_) | None => Some((place, now)),
        };
        before != place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_choice_comes_first_for_an_hour() {
        let (mut endpoints, start) = (EndpointMemory::new(3), Instant::now());
        assert_eq!(endpoints.order(start), [0, 1, 2]);
        assert!(endpoints.worked(1, None, start));
        assert_eq!(endpoints.order(start), [1, 0, 2]);
        let late = start + STAY - Duration::from_secs(1);
        assert!(!endpoints.worked(1, None, late), "nothing new");
        assert_eq!(endpoints.order(late), [1, 0, 2]);
        let later = start + STAY;
        assert_eq!(endpoints.order(later), [0, 1, 2], "its use meanwhile does not make the hour longer");
        assert!(!endpoints.worked(1, None, later));
        assert_eq!(endpoints.order(later), [1, 0, 2], "another hour");
        assert!(endpoints.worked(2, None, later));
        assert_eq!(endpoints.order(later), [2, 0, 1]);
        assert!(endpoints.worked(0, None, later));
        assert_eq!(endpoints.order(later), [0, 1, 2]);
    }

    #[tokio::test]
    async fn each_endpoint_keeps_its_address() {
        let (mut endpoints, now) = (EndpointMemory::new(2), Instant::now());
        let address: IpAddr = "::1".parse().unwrap();
        endpoints.worked(1, Some(address), now);
        assert_eq!((endpoints.address(0), endpoints.address(1)), (None, Some(address)));
        endpoints.worked(1, None, now);
        assert_eq!(endpoints.address(1), None);
    }
}
