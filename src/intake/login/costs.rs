//! What the passwords of all users cost to compare, so that every wrong log-in costs the same.
//!
//! The time of an answer must not show whether there is a user of that name. So a wrong log-in computes once with each
//! cost that any user's password has: with its own, if there is one, and for appearance with the others. A cost that
//! was seen once stays until the user's password is read with another. A password that was never readable counts as
//! one with the default cost.

use std::sync::{Mutex, PoisonError};

use crate::secret::password::{Cost, NoMemory, Password, Workspace, pretend};
use crate::secret::{Secret, SecretSource};

/// The cost of each user's password, as it was read last.
#[derive(Debug)]
pub(super) struct Costs {
    sources: Vec<SecretSource>,
    /// `None` until the first log-in.
    seen: Mutex<Option<Vec<Cost>>>,
}

impl Costs {
    /// Nothing is read before the first log-in.
    pub(super) fn new(sources: Vec<SecretSource>) -> Costs {
        Costs { sources, seen: Mutex::default() }
    }

    /// The password of user number `index` was read, and has this cost.
    pub(super) fn saw(&self, index: usize, cost: Cost) {
        self.with(|seen| seen[index] = cost);
    }

    /// Computes with every cost but `done`.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub(super) fn pretend_others(
        &self,
        done: Option<&Cost>,
        typed: &Secret,
        workspace: &mut Workspace,
    ) -> Result<(), NoMemory> {
        self.distinct().iter().filter(|cost| Some(*cost) != done).try_for_each(|cost| pretend(typed, cost, workspace))
    }

    /// The different costs; without users the default one.
    fn distinct(&self) -> Vec<Cost> {
        let mut distinct: Vec<Cost> = Vec::new();
        self.with(|seen| {
            for cost in seen.iter() {
                if !distinct.contains(cost) {
                    distinct.push(cost.clone());
                }
            }
        });
        if distinct.is_empty() {
            distinct.push(Cost::default());
        }
        distinct
    }

    fn with(&self, act: impl FnOnce(&mut Vec<Cost>)) {
        // Each change is one value; a panic cannot leave it half done.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        act(seen.get_or_insert_with(|| self.sources.iter().map(read_cost).collect()));
    }
}

/// Blocks: reads the password from where it is.
fn read_cost(source: &SecretSource) -> Cost {
    let password = source.read().ok().and_then(|secret| Password::new(secret).ok());
    password.map_or_else(Cost::default, |password| password.cost())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cost_of_any_user_is_among_them_once() {
        let source = |text: &str| SecretSource::Plain(Secret::new(text));
        let costly = "$argon2id$v=19$m=64,t=3,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaJObG";
        let costs = Costs::new(vec![
            source("text"),
            source(costly),
            source("more text"),
            SecretSource::File("/no/such/file".into()),
        ]);
        let costly = Password::new(Secret::new(costly)).unwrap().cost();
        assert_eq!(costs.distinct(), [Cost::default(), costly.clone()]);
        for index in [0, 2, 3] {
            costs.saw(index, costly.clone());
        }
        assert_eq!(costs.distinct(), [costly]);
        assert_eq!(Costs::new(Vec::new()).distinct(), [Cost::default()]);
    }
}
