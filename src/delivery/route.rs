//! By which account does a message go? Pure.
//!
//! For now there is one rule: the first account that is named takes everything. Rules by client, sender and recipient,
//! overflow and failover will live here.

/// The place, in the settings' order, of the account that takes a message; `None` when there is no account.
pub fn account_for(accounts: usize) -> Option<usize> {
    (accounts > 0).then_some(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_account_takes_everything() {
        assert_eq!((account_for(0), account_for(1), account_for(3)), (None, Some(0), Some(0)));
    }
}
