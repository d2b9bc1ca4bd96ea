//! Who takes what, in every standing that accounts can have.

use std::time::Duration;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

fn at(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

fn open() -> Standing {
    Standing { use_: Use::Open, lanes: [Ok(100); 3], room: 4, under_way: 0, load: 0 }
}

fn lot(pool: &str, accounts: &[usize]) -> Lot {
    Lot { pool: pool.into(), accounts: accounts.to_vec(), spread: pool.contains('|') }
}

/// `account: pool/lane*limit ...` for each take, then the closed ones with their time.
fn told(plan: &Plan) -> Vec<String> {
    let wants = |take: &Take| {
        let one = |w: &Want| format!("{}/{}*{}", w.pool, w.lane.name(), w.limit);
        take.wants.iter().map(one).collect::<Vec<_>>().join(" ")
    };
    let takes = plan.takes.iter().map(|take| format!("{}: {} of {}", take.account, wants(take), take.total));
    let until = |c: &Closed| c.until.map_or("never".to_owned(), |at| at.since(NOW).as_secs().to_string());
    takes.chain(plan.closed.iter().map(|c| format!("{}/{} closed {}", c.pool, c.lane.name(), until(c)))).collect()
}

fn run(lots: &[Lot], standings: &[Standing]) -> Vec<String> {
    told(&plan(lots, standings, Lane::ALL))
}

#[test]
fn the_first_account_takes_everything_and_lanes_stand_in_order() {
    let lots = [lot("a,b", &[0, 1]), lot("b", &[1])];
    assert_eq!(
        run(&lots, &[open(), open()]),
        ["0: a,b/alarm*4 a,b/normal*4 a,b/bulk*4 of 4", "1: b/alarm*4 b/normal*4 b/bulk*4 of 4"]
    );
    let plan = plan(&lots, &[open(), open()], [Lane::Bulk, Lane::Normal, Lane::Alarm]);
    assert!(told(&plan)[0].starts_with("0: a,b/bulk"));
    assert_eq!(plan.wake, None);
}

#[test]
fn a_spent_budget_overflows_lane_by_lane() {
    let first = Standing { lanes: [Ok(2), Err(at(60)), Err(at(90))], ..open() };
    assert_eq!(
        run(&[lot("a,b", &[0, 1])], &[first.clone(), open()]),
        ["0: a,b/alarm*2 of 2", "1: a,b/normal*4 a,b/bulk*4 of 4"]
    );
    let alone = plan(&[lot("a", &[0])], &[first], Lane::ALL);
    assert_eq!(told(&alone), ["0: a/alarm*2 of 2", "a/normal closed 60", "a/bulk closed 90"]);
    assert_eq!(alone.wake, Some(at(60)));
}

#[test]
fn an_account_that_rests_is_stood_in_for_and_the_first_to_open_counts() {
    let cooling = |seconds| Standing { use_: Use::From(at(seconds)), ..open() };
    let paused = Standing { use_: Use::Never, ..open() };
    let lots = [lot("a,b", &[0, 1])];
    assert_eq!(run(&lots, &[cooling(900), open()]), ["1: a,b/alarm*4 a,b/normal*4 a,b/bulk*4 of 4"]);
    assert_eq!(plan(&lots, &[cooling(900), cooling(300)], Lane::ALL).wake, Some(at(300)));
    assert_eq!(plan(&lots, &[paused.clone(), cooling(300)], Lane::ALL).wake, Some(at(300)));
    let never = plan(&lots, &[paused.clone(), paused], Lane::ALL);
    assert_eq!((never.wake, never.closed.len(), never.closed[0].until), (None, 3, None));
    // A rest and a budget behind it: both must be over.
    let both = Standing { use_: Use::From(at(900)), lanes: [Err(at(3600)), Ok(1), Err(at(60))], ..open() };
    let plan = plan(&[lot("a", &[0])], &[both], Lane::ALL);
    assert_eq!(told(&plan), ["a/alarm closed 3600", "a/normal closed 900", "a/bulk closed 900"]);
}

#[test]
fn a_busy_account_and_a_short_fault_of_the_line_are_waited_for() {
    let busy = Standing { room: 0, under_way: 4, ..open() };
    let plan_busy = plan(&[lot("a,b", &[0, 1])], &[busy, open()], Lane::ALL);
    assert_eq!((plan_busy.takes.len(), plan_busy.closed.len()), (0, 0));
    let blip = Standing { use_: Use::Blip(at(2)), ..open() };
    let plan_blip = plan(&[lot("a,b", &[0, 1])], &[blip.clone(), open()], Lane::ALL);
    assert_eq!((plan_blip.takes.len(), plan_blip.wake), (0, Some(at(2))));
    // As a second choice it does not hold up anybody.
    assert_eq!(run(&[lot("b,a", &[1, 0])], &[blip, open()]).len(), 1);
}

#[test]
fn a_probe_is_one_message_with_nothing_beside_it() {
    let probe = Standing { use_: Use::Probe, ..open() };
    assert_eq!(run(&[lot("a", &[0])], std::slice::from_ref(&probe)), ["0: a/alarm*1 a/normal*1 a/bulk*1 of 1"]);
    let under_way = Standing { under_way: 1, ..probe };
    assert_eq!(plan(&[lot("a", &[0])], &[under_way], Lane::ALL).takes, []);
}

#[test]
fn a_pool_that_spreads_takes_the_least_loaded_that_has_room() {
    let loaded = |load, room| Standing { load, room, ..open() };
    let lots = [lot("a|b|c", &[0, 1, 2])];
    let taker = |standings: &[Standing]| plan(&lots, standings, Lane::ALL).takes[0].account;
    assert_eq!(taker(&[loaded(3, 4), loaded(1, 4), loaded(2, 4)]), 1);
    assert_eq!(taker(&[loaded(3, 4), loaded(1, 0), loaded(2, 4)]), 2);
    assert_eq!(taker(&[loaded(3, 4), Standing { use_: Use::Never, ..open() }, loaded(9, 4)]), 0);
}
