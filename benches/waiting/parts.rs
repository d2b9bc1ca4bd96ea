//! Parts: the long queue without a relay around it, and a budget that has a day behind it.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use yizhan::account::availability::{Access, Availability};
use yizhan::account::budget::{Budget, BudgetLimits, Day, Spent, Windows};
use yizhan::clock::{Clock, Timestamp};
use yizhan::delivery::plan::{PoolAccounts, plan};
use yizhan::mail::Lane;
use yizhan::queue::{ClosedLane, PoolLane, Queue, WaitReason};

use super::{ACCOUNTS, fill, micros, time};

/// How often a question is asked of the queue.
const TIMES: usize = 500;

/// The times of many calls, the middle one and the 99th of a hundred.
fn line(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: usize| micros(times[(times.len() * part / 100).min(times.len() - 1)]);
    println!("  {:8.1} us, p99 {:.1} us: {what}", at(50), at(99));
}

/// Nine accounts that rest and one that may go, in pools of their own and in one together.
fn pools() -> Vec<PoolAccounts> {
    let one = |place: usize| PoolAccounts { pool: format!("a{place}").into(), accounts: vec![place], spread: false };
    (0..ACCOUNTS).map(one).collect()
}

fn paused(account: String) -> WaitReason {
    WaitReason::Account { account, cause: "operator".to_owned(), text: "benchmark".to_owned() }
}

fn accounts(open: usize) -> Vec<Availability> {
    let rests = |place| Availability {
        name: format!("a{place}"),
        access: if place == open { Access::Open } else { Access::Never(paused(format!("a{place}"))) },
        lanes: [Ok(1), Ok(1), Ok(1)],
        room: 1,
        under_way: 0,
        load: 0,
        recipients: 100,
    };
    (0..ACCOUNTS).map(rests).collect()
}

/// The questions the delivery asks, to the long queue.
pub(crate) async fn queue(folder: &Path) {
    let begin = Instant::now();
    let queue: Arc<dyn Queue> = Arc::new(fill::open(folder));
    let opened = begin.elapsed();
    queue.account_states().await.expect("it answers");
    let answered = begin.elapsed();
    queue.bytes().await.expect("it answers");
    let [opened, answered, counted] = [opened, answered, begin.elapsed()].map(|time| micros(time) / 1000.0);
    println!("  {opened:.1} ms: open; {answered:.1} ms: the writer answers; {counted:.1} ms: it is counted");
    let (all, now) = (pools(), Clock::system().now());
    let lines: Vec<PoolLane> =
        all.iter().flat_map(|one| Lane::ALL.map(|lane| PoolLane { pool: one.pool.to_string(), lane })).collect();
    let mut times: [Vec<Duration>; 6] = Default::default();
    for turn in 0..TIMES {
        let accounts = accounts(turn % ACCOUNTS);
        let begin = Instant::now();
        let mut plan = plan(&all, &accounts, Lane::ALL);
        times[0].push(begin.elapsed());
        let (_, request) = plan.leases.pop().expect("one account may go");
        let leases = queue.lease(now, request).await.expect("it answers");
        times[1].push(begin.elapsed());
        assert_eq!(leases.len(), 1, "there is a message in every pool");
        drop(leases);

        let begin = Instant::now();
        black_box(queue.first_due(lines.clone()).await.expect("it answers"));
        times[2].push(begin.elapsed());
        let begin = Instant::now();
        black_box(queue.pools().await.expect("it answers"));
        times[3].push(begin.elapsed());
        let begin = Instant::now();
        let until = now + Duration::from_secs(60);
        let closed =
            |line: &PoolLane| ClosedLane { line: line.clone(), until: Some(until), reason: paused(line.pool.clone()) };
        queue.close_lanes(lines.iter().map(closed).collect()).await.expect("it answers");
        times[4].push(begin.elapsed());
        let begin = Instant::now();
        black_box(queue.depth().await.expect("it answers"));
        times[5].push(begin.elapsed());
    }
    println!("the queue by itself, {TIMES} times each");
    let [plan, lease, due, pools, close, depth] = times;
    line("plan", plan);
    line("plan, and lease of the next message that may go", lease);
    line("first_due of 10 pools and 3 lanes", due);
    line("pools", pools);
    line("close_lanes, all of ten pools", close);
    line("depth, all pools closed", depth);
    queue.close().await.expect("it closes");
}

/// Asks a budget that has sent a message every minute for a day.
pub(crate) fn budget() {
    let windows = |minute, hour, day| Windows { minute: Some(minute), hour: Some(hour), day: Some(day) };
    let limits = BudgetLimits {
        messages: windows(15, 900, 100_000),
        recipients: windows(100, 5_000, 100_000),
        logins: Windows { hour: Some(20), ..Windows::default() },
        day: Day::Rolling,
    };
    let start = Timestamp::from_millis(1_795_140_000_000);
    let minute = |n: u64| start + Duration::from_secs(n * 60);
    let rows = (0..1440).map(|n| (minute(n), Spent { messages: 1, recipients: 2, logins: 0 }));
    let (mut budget, now) = (Budget::new(limits), minute(1440));
    budget.load(rows, now);
    let once = time(|| {
        if let Ok(reservation) = black_box(budget.reserve(Lane::Normal, 2, now)) {
            budget.give_back(reservation, now);
        }
    });
    println!("  {:8.3} us, a reservation and its return, after a day of a message a minute", micros(once));
    let mut later = now;
    let once = time(|| {
        later = later + Duration::from_secs(6);
        assert!(black_box(budget.reserve(Lane::Normal, 1, later)).is_ok(), "ten a minute are within the budget");
    });
    println!("  {:8.3} us, a reservation that is kept, every six seconds for days", micros(once));
}
