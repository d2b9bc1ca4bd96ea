//! The threads that compare passwords: at most [`WORKERS`], each with one [`Workspace`] for all its comparisons.
//!
//! ```text
//!  submit -> fair queue -> worker 1, worker 2 -> the job's own answer
//! ```
//!
//! A worker starts when a job comes and none is idle. After [`IDLE`] without a job it ends and frees its memory, so that
//! the memory of the process is that of a relay at rest again. A panic in a job ends that job only; its answer is
//! dropped, and the caller sees that.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;

use crate::secret::password::Workspace;

use super::fair_queue::FairQueue;

/// Comparisons at one time. Each takes a processor for tens of milliseconds and the memory that its hash asks for.
pub const WORKERS: usize = 2;
/// How long a worker keeps its memory without a job.
const IDLE: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce(&mut Workspace) + Send>;

/// The threads and what waits for them. Clones share both.
#[derive(Clone, Default)]
pub(super) struct Workers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    job: Condvar,
}

#[derive(Default)]
struct State {
    queue: FairQueue<Job>,
    running: usize,
    idle: usize,
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Workers")
    }
}

impl Workers {
    /// Gives a job of `network` to the next free worker; see [`FairQueue::push`] for `trusted`. Where no thread can be
    /// started, the jobs that wait are dropped.
    pub(super) fn submit(&self, network: IpNet, trusted: bool, job: impl FnOnce(&mut Workspace) + Send + 'static) {
        let mut state = self.state();
        state.queue.push(network, trusted, Box::new(job));
        if state.idle > 0 {
            self.0.job.notify_one();
        } else if state.running < WORKERS {
            state.running += 1;
            let this = self.clone();
            let started = std::thread::Builder::new().name("password".to_owned()).spawn(move || this.work());
            if let Err(error) = started {
                tracing::error!(event = "login_failed", "no thread to compare passwords: {error}");
                state.running -= 1;
                if state.running == 0 {
                    state.queue = FairQueue::default();
                }
            }
        }
    }

    fn work(&self) {
        let mut workspace = Workspace::default();
        while let Some(job) = self.next() {
            // The panic hook has logged it.
            if catch_unwind(AssertUnwindSafe(|| job(&mut workspace))).is_err() {
                workspace = Workspace::default();
            }
        }
    }

    /// Waits for a job. `None`: there was none for [`IDLE`], and the worker counts as ended.
    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        if let Some(job) = state.queue.pop() {
            return Some(job);
        }
        state.idle += 1;
        let waited = self.0.job.wait_timeout_while(state, IDLE, |state| state.queue.is_empty());
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.idle -= 1;
        let job = state.queue.pop();
        state.running -= usize::from(job.is_none());
        job
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No job runs under the lock; a panic cannot leave the numbers half changed.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn network(n: u8) -> IpNet {
        format!("192.0.2.{n}/32").parse().unwrap()
    }

    #[test]
    fn there_are_as_many_workers_as_allowed_and_one_that_panics_goes_on() {
        let (workers, (gone, ended)) = (Workers::default(), mpsc::channel());
        let gates: Vec<mpsc::Sender<()>> = (0..WORKERS)
            .map(|_| {
                let (open, gate) = mpsc::channel::<()>();
                let gone = gone.clone();
                let begun = gone.clone();
                workers.submit(network(1), false, move |_| {
                    begun.send("begun").unwrap();
                    gate.recv().unwrap();
                    gone.send("blocked").unwrap();
                });
                open
            })
            .collect();
        (0..WORKERS).for_each(|_| assert_eq!(ended.recv().unwrap(), "begun"));
        let (flood, right) = (gone.clone(), gone.clone());
        workers.submit(network(1), false, move |_| flood.send("flood").unwrap());
        workers.submit(network(1), false, |_| panic!("a mistake in a job"));
        workers.submit(network(2), true, move |_| right.send("right").unwrap());
        assert!(ended.try_recv().is_err());
        // One worker stays blocked: the other does the rest in order, and survives the panic.
        gates[0].send(()).unwrap();
        let told: Vec<&str> = (0..3).map(|_| ended.recv().unwrap()).collect();
        assert_eq!(told, ["blocked", "right", "flood"]);
        let more = gone.clone();
        workers.submit(network(3), false, move |_| more.send("after the panic").unwrap());
        assert_eq!(ended.recv().unwrap(), "after the panic");
        assert_eq!(workers.state().running, WORKERS);
        gates[1].send(()).unwrap();
        assert_eq!(ended.recv().unwrap(), "blocked");
    }
}
