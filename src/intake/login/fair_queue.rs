//! The order of log-ins that wait for a worker: a flood of guesses from one network delays the others by one job each.
//!
//! ```text
//!  trusted networks   round robin, each first come first served   ---\
//!                                                                    +--> three of these, then one of those
//!  other networks     round robin, each first come first served   ---/
//! ```
//!
//! A network is an IPv4 address or an IPv6 /48. Bounded by the number of connections: each waits for one log-in. Pure.

use std::collections::{HashMap, VecDeque};

use ipnet::IpNet;

/// This many jobs of trusted networks are done in a row while others wait.
const IN_A_ROW: u32 = 3;

/// Jobs by network.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    trusted: Rounds<T>,
    others: Rounds<T>,
    in_a_row: u32,
}

/// Jobs of some networks, one of each in turn.
#[derive(Debug)]
struct Rounds<T> {
    turns: VecDeque<IpNet>,
    jobs: HashMap<IpNet, VecDeque<T>>,
}

impl<T> Default for FairQueue<T> {
    fn default() -> FairQueue<T> {
        FairQueue { trusted: Rounds::default(), others: Rounds::default(), in_a_row: 0 }
    }
}

impl<T> Default for Rounds<T> {
    fn default() -> Rounds<T> {
        Rounds { turns: VecDeque::new(), jobs: HashMap::new() }
    }
}

impl<T> FairQueue<T> {
    /// Adds a job of `network`. `trusted`: users have logged in from there, and no password was wrong lately.
    pub(super) fn push(&mut self, network: IpNet, trusted: bool, job: T) {
        let rounds = if trusted { &mut self.trusted } else { &mut self.others };
        rounds.push(network, job);
    }

    /// Whether no job waits.
    pub(super) fn is_empty(&self) -> bool {
        self.trusted.turns.is_empty() && self.others.turns.is_empty()
    }

    /// The next job.
    pub(super) fn pop(&mut self) -> Option<T> {
        let others_first = self.in_a_row >= IN_A_ROW && !self.others.turns.is_empty();
        if !others_first && let Some(job) = self.trusted.pop() {
            self.in_a_row += 1;
            return Some(job);
        }
        self.in_a_row = 0;
        self.others.pop()
    }
}

impl<T> Rounds<T> {
    fn push(&mut self, network: IpNet, job: T) {
        let jobs = self.jobs.entry(network).or_default();
        if jobs.is_empty() {
            self.turns.push_back(network);
        }
        jobs.push_back(job);
    }

    fn pop(&mut self) -> Option<T> {
        let network = self.turns.pop_front()?;
        let jobs = self.jobs.get_mut(&network)?;
        let job = jobs.pop_front();
        if jobs.is_empty() {
            self.jobs.remove(&network);
        } else {
            self.turns.push_back(network);
        }
        job
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(n: u8) -> IpNet {
        format!("192.0.2.{n}/32").parse().unwrap()
    }

    fn order(queue: &mut FairQueue<&'static str>) -> String {
        std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_flood_of_one_network_delays_another_by_one_job() {
        let mut queue = FairQueue::default();
        (0..5).for_each(|_| queue.push(network(1), false, "flood"));
        queue.push(network(2), false, "right");
        queue.push(network(2), false, "again");
        assert_eq!(order(&mut queue), "flood right flood again flood flood flood");
        assert!(queue.others.jobs.is_empty() && queue.others.turns.is_empty());
    }

    #[test]
    fn trusted_networks_come_first_and_others_are_not_starved() {
        let mut queue = FairQueue::default();
        (1..=9).for_each(|n| queue.push(network(n), false, "flood"));
        (0..7).for_each(|_| queue.push(network(20), true, "known"));
        assert!(order(&mut queue).starts_with("known known known flood known known known flood known flood flood"));
    }
}
