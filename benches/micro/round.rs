//! How long one call takes: the median of nine rounds of about 50 ms, after one round that is not counted.

use std::time::{Duration, Instant};

const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(50);

/// The median time of one call.
pub(crate) fn time(mut work: impl FnMut()) -> Duration {
    let begin = Instant::now();
    work();
    let once = begin.elapsed().max(Duration::from_nanos(50));
    let count = (ROUND.as_nanos() / once.as_nanos()).clamp(1, 1_000_000) as u32;
    let round = |work: &mut dyn FnMut()| {
        let begin = Instant::now();
        for _ in 0..count {
            work();
        }
        begin.elapsed() / count
    };
    round(&mut work);
    let mut rounds: Vec<Duration> = (0..ROUNDS).map(|_| round(&mut work)).collect();
    rounds.sort();
    rounds[ROUNDS / 2]
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
