//! Which account takes what, in every status that accounts can have.

use std::time::Duration;

use crate::account::availability::SpentShare;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

fn at(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

fn open() -> Availability {
    let lanes = [(); 3].map(|()| Ok(100));
    Availability { name: "x".into(), access: Access::Open, lanes, room: 4, under_way: 0, load: 0, recipients: 50 }
}

fn rests(account: &str) -> WaitReason {
    WaitReason::Account { account: account.into(), cause: "QQ-A3".into(), text: String::new() }
}

fn spent(seconds: u64) -> Result<usize, SpentShare> {
    let (account, unit, window) = ("x".into(), "messages".into(), "hour".into());
    Err(SpentShare { until: at(seconds), reason: WaitReason::Budget { account, unit, window, limit: 100, kept: 10 } })
}

fn pool(pool: &str, accounts: &[usize]) -> PoolAccounts {
    PoolAccounts { pool: pool.into(), accounts: accounts.to_vec(), spread: pool.contains('|') }
}

/// `account: lane*limit of pools ...` for each request, then the closed ones with their time and the kind of reason.
fn told(plan: &Plan) -> Vec<String> {
    let lane = |r: &LaneRequest| format!("{}*{} {}", r.lane.name(), r.limit, r.pools.join("+"));
    let request = |(account, request): &(usize, LeaseRequest)| {
        let lanes: Vec<String> = request.lanes.iter().map(lane).collect();
        format!("{account}: {} of {}", lanes.join(" "), request.total)
    };
    let until = |c: &ClosedLane| c.until.map_or("never".to_owned(), |at| at.since(NOW).as_secs().to_string());
    let closed =
        |c: &ClosedLane| format!("{}/{} closed {} {}", c.line.pool, c.line.lane.name(), until(c), c.reason.kind());
    plan.leases.iter().map(request).chain(plan.closed.iter().map(closed)).collect()
}

fn run(pools: &[PoolAccounts], accounts: &[Availability]) -> Vec<String> {
    told(&plan(pools, accounts, Lane::ALL))
}

#[test]
fn accounts_that_serve_the_same_pools_share_the_turns_of_their_clients() {
    let named = ["a", "b", "c"].map(|name| Availability { name: name.into(), ..open() });
    let turns = |pools: &[PoolAccounts]| -> Vec<String> {
        let requests = plan(pools, &named, Lane::ALL).leases;
        requests.into_iter().map(|(account, request)| format!("{account} {}", request.turns)).collect()
    };
    // "b" takes over only when "a" is full, but it has the same clients.
    assert_eq!(turns(&[pool("a|b", &[0, 1]), pool("c", &[2])]), ["0 a", "2 c"]);
    assert_eq!(super::turns(&[pool("a|b", &[0, 1]), pool("c", &[2])], 3), [0, 0, 2]);
    // A client that only "b" serves must not wait until the others have had as little as it had.
    assert_eq!(super::turns(&[pool("a|b", &[0, 1]), pool("b", &[1])], 3), [0, 1, 2]);
    let full = [Availability { room: 0, ..named[0].clone() }, named[1].clone()];
    assert_eq!(plan(&[pool("a|b", &[0, 1])], &full, Lane::ALL).leases[0].1.turns, "a");
}

#[test]
fn the_first_account_takes_everything_and_lanes_stand_in_order() {
    let pools = [pool("a,b", &[0, 1]), pool("b", &[1]), pool("a", &[0])];
    assert_eq!(
        run(&pools, &[open(), open()]),
        ["0: alarm*4 a,b+a normal*4 a,b+a bulk*4 a,b+a of 4", "1: alarm*4 b normal*4 b bulk*4 b of 4"]
    );
    let plan = plan(&pools, &[open(), open()], [Lane::Bulk, Lane::Normal, Lane::Alarm]);
    assert!(told(&plan)[0].starts_with("0: bulk*4 a,b+a"));
    assert_eq!((plan.wake, plan.leases[0].1.recipients), (None, 50));
}

#[test]
fn a_spent_budget_overflows_lane_by_lane() {
    let first = Availability { lanes: [Ok(2), spent(60), spent(90)], ..open() };
    assert_eq!(
        run(&[pool("a,b", &[0, 1])], &[first.clone(), open()]),
        ["0: alarm*2 a,b of 2", "1: normal*4 a,b bulk*4 a,b of 4"]
    );
    let alone = plan(&[pool("a", &[0])], &[first], Lane::ALL);
    assert_eq!(told(&alone), ["0: alarm*2 a of 2", "a/normal closed 60 budget", "a/bulk closed 90 budget"]);
    assert_eq!(alone.wake, Some(at(60)));
}

#[test]
fn an_account_that_rests_is_replaced_and_the_first_to_open_counts() {
    let cooling = |seconds| Availability { access: Access::From(at(seconds), rests("x")), ..open() };
    let paused = Availability { access: Access::Never(rests("p")), ..open() };
    let pools = [pool("a,b", &[0, 1])];
    assert_eq!(run(&pools, &[cooling(900), open()]), ["1: alarm*4 a,b normal*4 a,b bulk*4 a,b of 4"]);
    assert_eq!(plan(&pools, &[cooling(900), cooling(300)], Lane::ALL).wake, Some(at(300)));
    let one_paused = plan(&pools, &[paused.clone(), cooling(300)], Lane::ALL);
    assert_eq!((one_paused.wake, one_paused.closed[0].reason.clone()), (Some(at(300)), rests("x")));
    let never = plan(&pools, &[paused.clone(), paused], Lane::ALL);
    assert_eq!((never.wake, never.closed.len(), never.closed[0].until), (None, 3, None));
    assert_eq!(never.closed[0].reason, rests("p"));
    // A rest and a budget behind it: both must be over, and the later one is the reason.
    let lanes = [spent(3600), Ok(1), spent(60)];
    let both = Availability { access: Access::From(at(900), rests("x")), lanes, ..open() };
    let plan = plan(&[pool("a", &[0])], &[both], Lane::ALL);
    assert_eq!(told(&plan), ["a/alarm closed 3600 budget", "a/normal closed 900 account", "a/bulk closed 900 account"]);
}

#[test]
fn a_busy_account_and_a_short_fault_of_the_line_are_waited_for() {
    let busy = Availability { room: 0, under_way: 4, ..open() };
    let plan_busy = plan(&[pool("a,b", &[0, 1])], &[busy, open()], Lane::ALL);
    assert_eq!((plan_busy.leases.len(), plan_busy.closed.len()), (0, 0));
    assert_eq!(plan_busy.busy, Lane::ALL.map(|lane| PoolLane { pool: "a,b".into(), lane }));
    let reason = WaitReason::Unreachable { account: "x".into(), text: "refused".into() };
    let blip = Availability { access: Access::ShortOutage(at(2), reason), ..open() };
    let plan_blip = plan(&[pool("a,b", &[0, 1])], &[blip.clone(), open()], Lane::ALL);
    assert_eq!((plan_blip.leases.len(), plan_blip.wake), (0, Some(at(2))));
    assert_eq!(plan_blip.closed[0].reason.kind(), "unreachable");
    // As a second choice it delays no mail.
    assert_eq!(run(&[pool("b,a", &[1, 0])], &[blip, open()]).len(), 1);
}

#[test]
fn a_probe_is_one_message_with_nothing_beside_it() {
    let probe = Availability { access: Access::Probe, ..open() };
    assert_eq!(run(&[pool("a", &[0])], std::slice::from_ref(&probe)), ["0: alarm*1 a normal*1 a bulk*1 a of 1"]);
    let under_way = Availability { under_way: 1, ..probe };
    let plan = plan(&[pool("a", &[0])], &[under_way], Lane::ALL);
    assert_eq!((plan.leases, plan.busy), (vec![], vec![]));
}

#[test]
fn a_pool_that_spreads_takes_the_least_loaded_that_has_room() {
    let loaded = |load, room| Availability { load, room, ..open() };
    let pools = [pool("a|b|c", &[0, 1, 2])];
    let taker = |accounts: &[Availability]| plan(&pools, accounts, Lane::ALL).leases[0].0;
    assert_eq!(taker(&[loaded(3, 4), loaded(1, 4), loaded(2, 4)]), 1);
    assert_eq!(taker(&[loaded(3, 4), loaded(1, 0), loaded(2, 4)]), 2);
    let never = Availability { access: Access::Never(rests("x")), ..open() };
    assert_eq!(taker(&[loaded(3, 4), never, loaded(9, 4)]), 0);
}

#[test]
fn a_pool_without_accounts_is_closed_with_a_reason() {
    let plan = plan(&[pool("gone", &[])], &[], Lane::ALL);
    assert_eq!(told(&plan)[0], "gone/alarm closed never account");
}
