//! A day that passes in seconds: real sockets, the real queue, and a clock that jumps from one date to the next.
//!
//! [`Day::run_until`] waits until the relay is at rest (every worker of the clock sleeps, nothing is on its way), moves
//! the clock to the first date that anybody sleeps for, and so on. So every schedule, rest and budget runs with its
//! real figures, in the order in which it would, and nothing is skipped.
//!
//! Not simulated: deadlines of sockets and the life of idle connections, which are tokio's. Invariant: it does not
//! hang. A relay that stays at work, or a day that does not come on, ends in a panic that names who was waited for.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use yizhan::clock::{Clock, Timestamp};

use super::office::PATIENCE;

/// Midnight at Beijing: 2026-11-21 00:00 +08:00, a Saturday.
pub const MIDNIGHT: Timestamp = Timestamp::from_millis(1_795_190_400_000);

/// No stretch of simulated time takes longer than this.
const LONGEST: Duration = Duration::from_secs(300);

/// A clock that is moved by hand, and by whom.
#[derive(Debug, Clone)]
pub struct Day {
    clock: Clock,
    start: Timestamp,
}

impl Day {
    /// A day that begins at [`MIDNIGHT`].
    pub fn new() -> Day {
        Day::starting(MIDNIGHT)
    }

    /// A day that begins at `start`.
    pub fn starting(start: Timestamp) -> Day {
        Day { clock: Clock::manual(start), start }
    }

    /// The clock for everybody who lives this day.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The date `hours` and `minutes` after the day's begin; hours beyond 24 are the days after it.
    pub fn at(&self, hours: u64, minutes: u64) -> Timestamp {
        self.start + Duration::from_secs((hours * 60 + minutes) * 60)
    }

    /// How long the day has lasted.
    pub fn passed(&self) -> Duration {
        self.now().since(self.start)
    }

    /// Waits until nobody has anything to do at the present time. Returns the first date that somebody sleeps for.
    pub async fn rest(&self) -> Option<Timestamp> {
        self.clock.nudge();
        self.at_rest().await
    }

    /// Lets time pass until `until`, one date after another. What was handed in before has been looked at by then.
    pub async fn run_until(&self, until: Timestamp) {
        self.run_while(until, async |_| true).await;
    }

    /// Lets time pass until `until`, or until `go_on` says no. It is asked whenever everybody is at rest.
    pub async fn run_while(&self, until: Timestamp, mut go_on: impl AsyncFnMut(Timestamp) -> bool) {
        let begin = Instant::now();
        let mut next = self.rest().await;
        while self.now() < until && go_on(self.now()).await {
            self.clock.set(next.map_or(until, |next| next.min(until)));
            next = self.at_rest().await;
            assert!(begin.elapsed() < LONGEST, "it is only {:?}; the next date is {next:?}", self.now());
        }
    }

    async fn at_rest(&self) -> Option<Timestamp> {
        let rest = timeout(PATIENCE, self.clock.at_rest()).await;
        rest.unwrap_or_else(|_| panic!("time stands still at {:?}:\n{}", self.now(), self.clock.at_work().join("\n")))
    }
}
