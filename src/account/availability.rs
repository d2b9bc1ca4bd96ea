//! What an account may do now, as values: the input of `delivery::plan`.

use crate::clock::Timestamp;
use crate::queue::WaitReason;

/// Whether an account may be used now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// For any message.
    Open,
    /// For one message, to find out whether the account works.
    Probe,
    /// From then on.
    From(Timestamp, WaitReason),
    /// Not until an operator acts.
    Never(WaitReason),
    /// From then on. The provider cannot be reached, for too short a time to use another account.
    ShortOutage(Timestamp, WaitReason),
}

/// A lane whose share of the budget is spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpentShare {
    /// When the budget admits one message of the lane.
    pub until: Timestamp,
    /// Which limit it is.
    pub reason: WaitReason,
}

/// What one account may do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Availability {
    /// The account's name.
    pub name: String,
    /// Whether it may be used.
    pub access: Access,
    /// For each lane, in the order of [`Lane::ALL`](crate::mail::Lane::ALL): how many messages its budget admits now.
    pub lanes: [Result<usize, SpentShare>; 3],
    /// How many more attempts may run beside those under way.
    pub room: usize,
    /// How many attempts are under way.
    pub under_way: usize,
    /// How many messages it was given since the start; only compared.
    pub load: u64,
    /// The most recipients it offers in one transaction.
    pub recipients: usize,
}
