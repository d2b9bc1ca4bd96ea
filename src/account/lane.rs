//! Which lane goes first, and how much of a limit each lane may use. Pure.
//!
//! ```text
//!  lane      may fill a limit of n up to        n = 1   2   15   100
//!  alarm     n                                      1   2   15   100
//!  normal    n less a tenth, rounded up, >= 1       1   1   13    90
//!  bulk      n less a quarter, rounded up, >= 1     1   1   11    75
//!
//!  turn      first     then
//!  most      alarm     normal, bulk
//!  every  8th  normal  alarm, bulk
//!  every 32nd  bulk    alarm, normal
//! ```
//!
//! What counts is the sum of all lanes: when normal mail has to stop, a tenth of the window is still free for an alarm.
//! Not here: the lane of a message (intake decides that), and what was spent (`budget`).

use crate::mail::Lane;

/// Every `NORMAL_TURN`th turn, normal mail is served first.
pub const NORMAL_TURN: u64 = 8;
/// Every `BULK_TURN`th turn, bulk mail is served first; it wins where both coincide.
pub const BULK_TURN: u64 = 32;

/// The order in which the lanes are served in a turn (one turn is one message). Of 32 turns alarms are first
/// in 28, normal mail in 3 and bulk in 1, so that a flood of alarms slows the others down and never stops them.
pub const fn order(turn: u64) -> [Lane; 3] {
    if turn % BULK_TURN == BULK_TURN - 1 {
        [Lane::Bulk, Lane::Alarm, Lane::Normal]
    } else if turn % NORMAL_TURN == NORMAL_TURN - 1 {
        [Lane::Normal, Lane::Alarm, Lane::Bulk]
    } else {
        Lane::ALL
    }
}

/// How far a lane may fill a window with this limit, all lanes together. Zero only for a limit of zero.
pub const fn share(lane: Lane, limit: u32) -> u32 {
    let kept = match lane {
        Lane::Alarm => 0,
        Lane::Normal => limit.div_ceil(10),
        Lane::Bulk => limit.div_ceil(4),
    };
    let share = limit - kept;
    if share == 0 && limit > 0 { 1 } else { share }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_as_a_list() {
        let shares = |lane| [0, 1, 2, 3, 4, 10, 11, 15, 40, 100, u32::MAX].map(|limit| share(lane, limit));
        assert_eq!(shares(Lane::Alarm), [0, 1, 2, 3, 4, 10, 11, 15, 40, 100, u32::MAX]);
        assert_eq!(shares(Lane::Normal), [0, 1, 1, 2, 3, 9, 9, 13, 36, 90, 3_865_470_565]);
        assert_eq!(shares(Lane::Bulk), [0, 1, 1, 2, 3, 7, 8, 11, 30, 75, 3_221_225_471]);
    }

    #[test]
    fn every_lane_is_first_at_times() {
        let firsts: Vec<Lane> = (0..32).map(|turn| order(turn)[0]).collect();
        let count = |lane| firsts.iter().filter(|first| **first == lane).count();
        assert_eq!((count(Lane::Alarm), count(Lane::Normal), count(Lane::Bulk)), (28, 3, 1));
        assert_eq!((order(7)[0], order(31)[0], order(39)[0]), (Lane::Normal, Lane::Bulk, Lane::Normal));
        for turn in 0..32 {
            let mut all = order(turn);
            all.sort();
            assert_eq!(all, Lane::ALL, "turn {turn}");
        }
    }
}
